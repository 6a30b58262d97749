//! From symbols and low bits to elements.
//!
//! The loops are written once; `avx2` compiles them a second time for processors that have it.
#![allow(unsafe_code)] // calls of functions that need AVX2

use crate::kernel::Kernel;
use crate::tensor::bits::{Packed, STEP};

/// How numbers become elements of one tile.
#[derive(Debug, Clone, Copy)]
pub struct Merge {
    /// Low bits of a number that are stored beside its symbol.
    pub low_bits: u32,
    /// Added to each symbol.
    pub base: u64,
    /// The lowest bit of a number is the element's sign.
    pub float: bool,
    /// Zero bits below each element.
    pub zeros: u32,
}

/// The stored low bits: whole bytes of each number, then the packed rest.
pub struct Low<'a> {
    /// `low_bits / 8` bytes for each number.
    pub bytes: &'a [u8],
    /// The other bits of all numbers.
    pub packed: Packed<'a>,
}

macro_rules! merge {
    ($name:ident, $avx2:ident, $type:ty) => {
        #[inline(always)]
        fn $name<const BYTES: usize>(m: Merge, symbols: &[u8], low: &mut Low<'_>, out: &mut [u8]) {
            const SIZE: usize = size_of::<$type>();
            let rest = m.low_bits % 8;
            let width = 8 * SIZE as u32 - m.zeros;
            let mask = <$type>::MAX >> m.zeros;
            let base = m.base as $type;
            let mut more = [0; STEP];
            let one = |symbol: u8, bytes: &[u8], more: u8| {
                let mut number = base.wrapping_add(<$type>::from(symbol)) << m.low_bits;
                for (k, byte) in bytes.iter().enumerate() {
                    number |= <$type>::from(*byte) << (8 * k);
                }
                if BYTES < SIZE {
                    number |= <$type>::from(more) << (8 * BYTES as u32 & (8 * SIZE as u32 - 1));
                }
                if m.float {
                    number = (number & mask) >> 1 | number << (width - 1);
                }
                (number & mask) << m.zeros
            };
            let steps = symbols.chunks(STEP).zip(out.chunks_mut(STEP * SIZE));
            for (i, (symbols, out)) in steps.enumerate() {
                if rest > 0 {
                    low.packed.next(rest, &mut more);
                }
                let bytes = &low.bytes[i * STEP * BYTES..];
                if let (Ok(symbols), Ok(out)) =
                    (<&[u8; STEP]>::try_from(symbols), <&mut [u8; STEP * SIZE]>::try_from(&mut *out))
                {
                    let bytes = &bytes[..STEP * BYTES];
                    for j in 0..STEP {
                        let element = one(symbols[j], &bytes[BYTES * j..BYTES * j + BYTES], more[j]);
                        out[SIZE * j..SIZE * j + SIZE].copy_from_slice(&element.to_le_bytes());
                    }
                } else {
                    for (j, (symbol, out)) in symbols.iter().zip(out.chunks_exact_mut(SIZE)).enumerate() {
                        let element = one(*symbol, &bytes[BYTES * j..BYTES * j + BYTES], more[j]);
                        out.copy_from_slice(&element.to_le_bytes());
                    }
                }
            }
        }

        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx2")]
        fn $avx2<const BYTES: usize>(m: Merge, symbols: &[u8], low: &mut Low<'_>, out: &mut [u8]) {
            $name::<BYTES>(m, symbols, low, out);
        }
    };
}

merge!(merge8, merge8_avx2, u8);
merge!(merge16, merge16_avx2, u16);
merge!(merge32, merge32_avx2, u32);
merge!(merge64, merge64_avx2, u64);

/// Makes elements of `size` bytes. `out` has room for exactly one per symbol; `low` holds what `m` says.
pub fn merge(m: Merge, kernel: Kernel, size: usize, symbols: &[u8], mut low: Low<'_>, out: &mut [u8]) {
    let avx2 = kernel == Kernel::Avx2 && kernel.is_supported();
    macro_rules! choose {
        ($plain:ident, $avx2:ident, $($n:literal),*) => {
            match m.low_bits / 8 {
                $(
                    #[cfg(target_arch = "x86_64")]
                    // SAFETY: the processor has AVX2.
                    $n if avx2 => unsafe { $avx2::<$n>(m, symbols, &mut low, out) },
                    $n => $plain::<$n>(m, symbols, &mut low, out),
                )*
                _ => {}
            }
        };
    }
    match size {
        1 => choose!(merge8, merge8_avx2, 0),
        2 => choose!(merge16, merge16_avx2, 0, 1),
        4 => choose!(merge32, merge32_avx2, 0, 1, 2, 3),
        _ => choose!(merge64, merge64_avx2, 0, 1, 2, 3, 4, 5, 6, 7),
    }
    let _ = avx2;
}
