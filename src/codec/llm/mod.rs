//! The `llm` codec: an imported language model over tokens and a range coder (`formats/llm.md`).
//!
//! The windows of a block either stand alone ([`windows`]), so that each can be decoded by itself, or form a chain
//! ([`chain`]): there the network's context and what has been learned go on from window to window, which gives
//! smaller files that can only be decoded from a block's start.

mod chain;
mod lanes;
mod windows;

pub use chain::{decode_chains_with_lanes, encode_chains, kept_of};
pub use windows::{WindowLane, decode_windows, decode_with_lanes, encode_blocks};

use super::window::{ChainJob, EncodedWindow, WindowCoder, WindowJob, WindowLimits};
use crate::error::{Error, Result};
use crate::model::llm::{MAX_COLUMNS, MAX_TOKEN, Model};
use std::sync::atomic::{AtomicU64, Ordering};

/// Fewest payload bytes that a window may be limited to.
pub const MIN_PAYLOAD: usize = 32;

/// Tokens that have been coded by this process, for reports.
pub static TOKENS: AtomicU64 = AtomicU64::new(0);
/// Raw bytes that have been coded by this process, and those that it has been given to code.
pub static RAW_DONE: AtomicU64 = AtomicU64::new(0);
pub static RAW_GIVEN: AtomicU64 = AtomicU64::new(0);

/// Counts raw bytes that will be coded.
fn given(bytes: usize) {
    RAW_GIVEN.fetch_add(bytes as u64, Ordering::Relaxed);
}

/// Counts a coded symbol of `bytes` raw bytes.
fn coded(bytes: usize, is_token: bool) {
    RAW_DONE.fetch_add(bytes as u64, Ordering::Relaxed);
    TOKENS.fetch_add(is_token.into(), Ordering::Relaxed);
}

impl WindowCoder for Model {
    fn encode_blocks(&self, blocks: &[&[u8]], limits: WindowLimits) -> Result<Vec<Vec<EncodedWindow>>> {
        encode_blocks(self, blocks, limits)
    }

    fn decode_windows(&self, jobs: &mut [WindowJob<'_>]) -> Result<()> {
        decode_windows(self, jobs)
    }

    fn encode_chains(
        &self,
        blocks: &[&[u8]],
        limits: WindowLimits,
    ) -> Result<(Vec<u8>, Vec<Vec<EncodedWindow>>)> {
        let kept = chain::default_kept(self);
        Ok((chain::params(kept), encode_chains(self, blocks, limits, kept)?))
    }

    fn decode_chains(&self, jobs: &mut [ChainJob<'_>]) -> Result<()> {
        decode_chains_with_lanes(self, jobs, MAX_COLUMNS)
    }
}

/// Writes the bytes of a decoded symbol at the start of `room` and returns their number.
///
/// # Errors
/// `Corrupt` where they do not fit, or where the symbol is a token without bytes.
fn put(model: &Model, symbol: u32, room: &mut [u8]) -> Result<usize> {
    let vocab = model.shape().vocab as u32;
    let byte = [symbol.wrapping_sub(vocab) as u8];
    let bytes = if symbol < vocab { model.tokenizer().bytes_of(symbol) } else { &byte };
    if bytes.is_empty() || bytes.len() > room.len() {
        let (found, most) = (bytes.len(), room.len());
        return Err(Error::corrupt(format!("llm: a token of {found} bytes where 1..={most} are left")));
    }
    room[..bytes.len()].copy_from_slice(bytes);
    coded(bytes.len(), symbol < vocab);
    Ok(bytes.len())
}

/// Refuses windows that are too small for the longest symbol.
///
/// # Errors
/// `BadArgument`.
fn check_limits(limits: WindowLimits) -> Result<()> {
    if limits.payload < MIN_PAYLOAD || limits.raw < MAX_TOKEN {
        return Err(Error::bad_argument(format!(
            "llm: windows of {} payload bytes and {} raw bytes, expected at least {MIN_PAYLOAD} and {MAX_TOKEN}",
            limits.payload, limits.raw
        )));
    }
    Ok(())
}

/// The number of raw bytes of a symbol.
fn symbol_len(model: &Model, symbol: u32) -> usize {
    if (symbol as usize) < model.shape().vocab { model.tokenizer().bytes_of(symbol).len() } else { 1 }
}
