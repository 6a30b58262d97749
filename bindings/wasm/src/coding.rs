//! Streams, in and out, step by step.

use crate::memory::{bytes, room};
use crate::model::options;
use crate::reply::{failed, stepped};
use nzip::buffers::{Decoder, Encoder, Step, Then};
use nzip::{Options, Result};
use std::ptr;

fn status(step: Result<Step>) -> i32 {
    match step {
        Ok(step) => {
            stepped(step.read, step.written);
            i32::from(step.done)
        }
        Err(e) => failed(&e),
    }
}

/// The same for a step of which nothing is known yet.
fn fresh(step: impl FnOnce() -> Result<Step>) -> i32 {
    stepped(0, 0);
    status(step())
}

/// Begins to decode a stream. The decoder may use so many bytes of memory.
#[unsafe(no_mangle)]
pub extern "C" fn decoder_new(memory: f64) -> *mut Decoder {
    Box::into_raw(Box::new(Decoder::new(options(memory))))
}

/// Ends a decoder.
///
/// # Safety
///
/// It must come from [`decoder_new`], and not be used any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn decoder_free(decoder: *mut Decoder) {
    // SAFETY: what the caller answers for.
    drop(unsafe { Box::from_raw(decoder) });
}

/// Takes bytes and puts raw bytes out, until one of them is used up or the stream ends, which is status 1.
///
/// # Safety
///
/// The decoder must be alive, and both places must be in memory.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn decoder_step(
    decoder: *mut Decoder,
    from: *const u8,
    len: usize,
    to: *mut u8,
    capacity: usize,
) -> i32 {
    // SAFETY: what the caller answers for.
    let (decoder, from, to) = unsafe { (&mut *decoder, bytes(from, len), room(to, capacity)) };
    let done = fresh(|| decoder.step(from, to));
    // An error is said at once; what stands before it is put out all the same.
    if done >= 0 && decoder.has_failed() { status(decoder.step(&[], &mut [])) } else { done }
}

/// Begins to encode a stream at this level; 0 where there is no such level.
#[unsafe(no_mangle)]
pub extern "C" fn encoder_new(level: u32) -> *mut Encoder {
    let options = Options::new().threads(1).level(u8::try_from(level).unwrap_or(u8::MAX));
    Encoder::new(options).map_or_else(
        |e| {
            failed(&e);
            ptr::null_mut()
        },
        |e| Box::into_raw(Box::new(e)),
    )
}

/// Ends an encoder.
///
/// # Safety
///
/// It must come from [`encoder_new`], and not be used any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn encoder_free(encoder: *mut Encoder) {
    // SAFETY: what the caller answers for.
    drop(unsafe { Box::from_raw(encoder) });
}

/// Takes bytes and puts bytes of the stream out, until one of them is used up; then, once all have been taken,
/// ends the stream if `finish` is 1. Status 1 says that all this is done.
///
/// # Safety
///
/// The encoder must be alive, and both places must be in memory.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn encoder_step(
    encoder: *mut Encoder,
    from: *const u8,
    len: usize,
    to: *mut u8,
    capacity: usize,
    finish: u32,
) -> i32 {
    let then = if finish == 1 { Then::Finish } else { Then::Continue };
    // SAFETY: what the caller answers for.
    let (encoder, from, to) = unsafe { (&mut *encoder, bytes(from, len), room(to, capacity)) };
    fresh(|| encoder.step(from, to, then))
}
