//! The models of all decoders.

use crate::memory::bytes;
use crate::reply::{done, say};
use nzip::{DecodeOptions, Models, Result};
use std::cell::RefCell;

thread_local! {
    static MODELS: RefCell<Models> = RefCell::new(Models::new());
}

/// The options of decoders that may use so many bytes of memory.
pub fn options(memory: f64) -> DecodeOptions {
    let memory = memory as u64;
    MODELS.with_borrow(|models| DecodeOptions::new().threads(1).memory(memory).models(models.clone()))
}

fn add(weights: &[u8]) -> Result<()> {
    let weights = if nzip::is_nz(weights) { nzip::decompress(weights)? } else { weights.to_vec() };
    let hash = MODELS.with_borrow_mut(|models| models.add(weights));
    say(hex(&hash));
    Ok(())
}

/// The lower-case hexadecimal digits of a hash.
pub fn hex(hash: &[u8; 32]) -> String {
    hash.iter().map(|b| format!("{b:02x}")).collect()
}

/// Adds a weight file, packed or plain, for decoders that are made from now on. Says its hash.
///
/// # Safety
///
/// `start` and `len` must be a place in memory.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn model_add(start: *const u8, len: usize) -> i32 {
    // SAFETY: what the caller answers for.
    done(add(unsafe { bytes(start, len) }))
}

/// Whether a model is there. Its hash is given in hexadecimal digits.
///
/// # Safety
///
/// `start` and `len` must be a place in memory.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn model_known(start: *const u8, len: usize) -> i32 {
    // SAFETY: what the caller answers for.
    let digits = unsafe { bytes(start, len) };
    let mut hash = [0; 32];
    for (byte, pair) in hash.iter_mut().zip(digits.chunks_exact(2)) {
        let pair = str::from_utf8(pair).ok().and_then(|p| u8::from_str_radix(p, 16).ok());
        *byte = pair.unwrap_or_default();
    }
    MODELS.with_borrow(|models| i32::from(models.find(&hash).is_ok()))
}
