//! From symbols and low bits to elements.
//!
//! The loops are written once; `avx2` compiles them again for processors that have it, for each way to cut the elements
//! that weights consist of.
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
    ($name:ident, $type:ty) => {
        #[inline(always)]
        fn $name(whole: usize, m: Merge, symbols: &[u8], low: &mut Low<'_>, out: &mut [u8]) {
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
                if whole < SIZE {
                    number |= <$type>::from(more) << (8 * whole as u32 & (8 * SIZE as u32 - 1));
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
                let bytes = &low.bytes[i * STEP * whole..];
                if let (Ok(symbols), Ok(out)) =
                    (<&[u8; STEP]>::try_from(symbols), <&mut [u8; STEP * SIZE]>::try_from(&mut *out))
                {
                    let bytes = &bytes[..STEP * whole];
                    for j in 0..STEP {
                        let element = one(symbols[j], &bytes[whole * j..whole * j + whole], more[j]);
                        out[SIZE * j..SIZE * j + SIZE].copy_from_slice(&element.to_le_bytes());
                    }
                } else {
                    for (j, (symbol, out)) in symbols.iter().zip(out.chunks_exact_mut(SIZE)).enumerate() {
                        let element = one(*symbol, &bytes[whole * j..whole * j + whole], more[j]);
                        out.copy_from_slice(&element.to_le_bytes());
                    }
                }
            }
        }
    };
}

merge!(merge8, u8);
merge!(merge16, u16);
merge!(merge32, u32);
merge!(merge64, u64);

macro_rules! avx2 {
    ($($name:ident $plain:ident)*) => {
        $(
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2")]
            fn $name<const WHOLE: usize>(m: Merge, symbols: &[u8], low: &mut Low<'_>, out: &mut [u8]) {
                $plain(WHOLE, m, symbols, low, out);
            }
        )*
    };
}

avx2!(merge8_avx2 merge8 merge16_avx2 merge16 merge32_avx2 merge32);

/// Makes elements of `size` bytes. `out` has room for exactly one per symbol; `low` holds what `m` says.
pub fn merge(m: Merge, kernel: Kernel, size: usize, symbols: &[u8], mut low: Low<'_>, out: &mut [u8]) {
    let whole = m.low_bits as usize / 8;
    #[cfg(target_arch = "x86_64")]
    if kernel.has_avx2() {
        macro_rules! choose {
            ($($size:literal $name:ident $whole:literal;)*) => {
                match (size, whole) {
                    $(
                        // SAFETY: the processor has AVX2.
                        ($size, $whole) => return unsafe { $name::<$whole>(m, symbols, &mut low, out) },
                    )*
                    _ => {}
                }
            };
        }
        choose! {
            1 merge8_avx2 0;
            2 merge16_avx2 0; 2 merge16_avx2 1;
            4 merge32_avx2 0; 4 merge32_avx2 1; 4 merge32_avx2 2; 4 merge32_avx2 3;
        }
    }
    let _ = kernel;
    match size {
        1 => merge8(whole, m, symbols, &mut low, out),
        2 => merge16(whole, m, symbols, &mut low, out),
        4 => merge32(whole, m, symbols, &mut low, out),
        _ => merge64(whole, m, symbols, &mut low, out),
    }
}
