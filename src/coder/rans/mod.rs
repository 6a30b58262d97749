//! Interleaved rANS over bytes, with static frequencies (`formats/tensor.md`, "rANS").
//!
//! Symbol i belongs to lane i mod Λ. States are 32-bit, renormalised by 16-bit words that lie in the order in
//! which the lanes need them. A symbol's frequencies come from one of several tables, chosen by its context.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx2_encode;
mod decode;
mod encode;
mod freqs;

pub use decode::{Contexts, Decoder, Runs};
pub use encode::{Coded, Encoder, encode};
pub use freqs::Freqs;

/// log2 of the sum of all frequencies.
pub const BITS: u32 = 12;
/// The sum of all frequencies.
pub const TOTAL: u32 = 1 << BITS;
/// Lower end of the states; also the state in which an encoder starts and a decoder must end.
const LOW: u32 = 1 << 16;
/// Λ for long sequences.
pub const MANY: usize = 32;
/// Λ for short ones, which states would cost too much.
const FEW: usize = 4;
/// Symbols from which on a sequence is long.
const LONG: usize = 2048;

/// Λ: how many lanes a sequence of `n` symbols has.
pub fn lanes(n: usize) -> usize {
    if n < LONG { FEW } else { MANY }
}

#[cfg(test)]
mod tests;
