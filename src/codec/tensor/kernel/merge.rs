//! Merges symbols and low bits into elements.
//!
//! The loops are written once for each size of element. The macro `vectors` compiles them again for machines
//! with vectors, once for each number of whole bytes of low bits, so that the inner loops have constant lengths.

use super::number::NumberLayout;
use crate::kernel::{Kernel, dispatch};
use crate::tensor::bits::{Packed, STEP};

/// The stored low bits of numbers.
pub struct LowBits<'a> {
    /// The lowest `low_bits / 8` bytes of each number, number after number.
    pub bytes: &'a [u8],
    /// The `low_bits % 8` bits of each number above these bytes.
    pub packed: Packed<'a>,
}

macro_rules! merge {
    ($name:ident, $type:ty) => {
        #[inline(always)]
        fn $name(whole: usize, layout: NumberLayout, symbols: &[u8], low: &mut LowBits<'_>, out: &mut [u8]) {
            const SIZE: usize = size_of::<$type>();
            let rest = layout.low_bits % 8;
            let width = 8 * SIZE as u32 - layout.zeros;
            let mask = <$type>::MAX >> layout.zeros;
            let base = layout.base as $type;
            let mut more = [0; STEP];
            let one = |symbol: u8, bytes: &[u8], more: u8| {
                let mut number = base.wrapping_add(<$type>::from(symbol)) << layout.low_bits;
                for (k, byte) in bytes.iter().enumerate() {
                    number |= <$type>::from(*byte) << (8 * k);
                }
                if whole < SIZE {
                    number |= <$type>::from(more) << (8 * whole as u32 & (8 * SIZE as u32 - 1));
                }
                if layout.float {
                    number = (number & mask) >> 1 | number << (width - 1);
                }
                (number & mask) << layout.zeros
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

macro_rules! vectors {
    ($($name:ident $plain:ident)*) => {
        $(
            #[cfg(any(target_arch = "x86_64", target_arch = "aarch64", target_feature = "simd128"))]
            #[cfg_attr(target_arch = "x86_64", target_feature(enable = "avx2"))]
            fn $name<const WHOLE: usize>(
                layout: NumberLayout,
                symbols: &[u8],
                low: &mut LowBits<'_>,
                out: &mut [u8],
            ) {
                $plain(WHOLE, layout, symbols, low, out);
            }
        )*
    };
}

vectors!(merge8_vectors merge8 merge16_vectors merge16 merge32_vectors merge32);

/// Makes an element of `size` bytes (1, 2, 4 or 8) from each symbol and its low bits. `out` has room for
/// exactly one element per symbol; `low` holds the low bits that `layout` asks for.
pub fn merge(
    layout: NumberLayout,
    kernel: Kernel,
    size: usize,
    symbols: &[u8],
    mut low: LowBits<'_>,
    out: &mut [u8],
) {
    dispatch!(
        kernel,
        scalar: merge_scalar(layout, size, symbols, &mut low, out),
        avx2: merge_vectors(layout, size, symbols, &mut low, out),
        v128: merge_vectors(layout, size, symbols, &mut low, out),
    )
}

/// [`merge`] in plain Rust.
fn merge_scalar(layout: NumberLayout, size: usize, symbols: &[u8], low: &mut LowBits<'_>, out: &mut [u8]) {
    let whole = layout.low_bits as usize / 8;
    match size {
        1 => merge8(whole, layout, symbols, low, out),
        2 => merge16(whole, layout, symbols, low, out),
        4 => merge32(whole, layout, symbols, low, out),
        _ => merge64(whole, layout, symbols, low, out),
    }
}

/// [`merge`] for machines with vectors, with the number of whole bytes of low bits as a constant.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64", target_feature = "simd128"))]
#[cfg_attr(target_arch = "x86_64", target_feature(enable = "avx2"))]
fn merge_vectors(layout: NumberLayout, size: usize, symbols: &[u8], low: &mut LowBits<'_>, out: &mut [u8]) {
    match (size, layout.low_bits / 8) {
        (1, 0) => merge8_vectors::<0>(layout, symbols, low, out),
        (2, 0) => merge16_vectors::<0>(layout, symbols, low, out),
        (2, 1) => merge16_vectors::<1>(layout, symbols, low, out),
        (4, 0) => merge32_vectors::<0>(layout, symbols, low, out),
        (4, 1) => merge32_vectors::<1>(layout, symbols, low, out),
        (4, 2) => merge32_vectors::<2>(layout, symbols, low, out),
        (4, 3) => merge32_vectors::<3>(layout, symbols, low, out),
        _ => merge_scalar(layout, size, symbols, low, out),
    }
}
