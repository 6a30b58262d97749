//! Interleaved rANS over bytes, with static frequencies (`formats/tensor.md`, "rANS").
//!
//! Asymmetric numeral systems (Duda, "Asymmetric numeral systems", 2013) in the range variant: a state x
//! absorbs a symbol of frequency f and start c out of 2^12 as `(x / f) << 12 | (x mod f + c)`, and a decoder
//! undoes that in the opposite order. A single state would make every step wait for the one before it; so Λ
//! states, the lanes, take turns (Giesen, "Interleaved entropy coders", 2014): symbol i belongs to lane i mod
//! Λ. States have 32 bits and are renormalised by 16-bit words, which lie in the order in which the decoder's
//! lanes need them. A symbol's frequencies come from one of several tables, chosen by its context.

#[cfg(target_arch = "x86_64")]
mod avx2_decode;
#[cfg(target_arch = "x86_64")]
mod avx2_encode;
mod decode;
mod encode;
mod freqs;
#[cfg(target_feature = "simd128")]
mod simd128_decode;
mod tables;

pub use decode::{Decoder, Runs};
pub use encode::{Coded, encode};
pub use freqs::Freqs;
pub use tables::{Contexts, Encoder};

/// log2 of the sum of all frequencies.
pub const BITS: u32 = 12;
/// The sum of all frequencies.
pub const TOTAL: u32 = 1 << BITS;
/// The smallest state between two symbols; also the state in which an encoder starts and a decoder must end.
const LOW: u32 = 1 << 16;
/// Λ for long sequences.
pub const MANY: usize = 32;
/// Λ for short sequences, whose states would cost more than they gain.
const FEW: usize = 4;
/// The least number of symbols in a long sequence.
const LONG: usize = 2048;

/// Λ: the number of lanes of a sequence of `n` symbols.
pub fn lanes(n: usize) -> usize {
    if n < LONG { FEW } else { MANY }
}

#[cfg(test)]
mod tests;
