//! Splits elements into symbols and low bits: `merge` undoes it, except for folded symbols and exceptions.
//!
//! The loops are written once for each size of element. The macro `vectors` compiles them again for machines
//! with vectors, once for each number of whole bytes of low bits and each place of the sign, so that the inner
//! loops have constant lengths.

use super::number::NumberLayout;
use crate::kernel::{Kernel, dispatch};
use crate::tensor::bits::{Packer, STEP};

/// Receives the parts of numbers, with room for one of each part per element.
pub struct SplitNumbers<'a> {
    /// The symbol of each number.
    pub symbols: &'a mut [u8],
    /// The lowest `low_bits / 8` bytes of each number.
    pub bytes: &'a mut [u8],
    /// The `low_bits % 8` bits between these bytes and the symbol.
    pub packed: Packer<'a>,
    /// The indices of the steps of [`STEP`] numbers in which some number has none of the symbols from `fold`
    /// to 255. Such numbers get symbol 0, and the caller must find them.
    pub odd: Vec<usize>,
    /// The first symbol that may be used; those below it are folded.
    pub fold: u8,
}

/// The bytes of the longest element.
const LONGEST: usize = 8;

macro_rules! split {
    ($name:ident, $step:ident, $type:ty) => {
        /// Splits the numbers of one step; returns whether any of them has no symbol from `fold` on.
        #[inline(always)]
        fn $step(
            parts: (usize, bool),
            layout: NumberLayout,
            fold: u8,
            e: &[u8; STEP * size_of::<$type>()],
            symbols: &mut [u8; STEP],
            bytes: &mut [u8],
            more: &mut [u8; STEP],
        ) -> bool {
            const SIZE: usize = size_of::<$type>();
            let (whole, float) = parts;
            let rest = layout.low_bits % 8;
            let width = 8 * SIZE as u32 - layout.zeros;
            let mask = <$type>::MAX >> layout.zeros;
            let (base, most) = ((layout.base as $type).wrapping_add(fold.into()), <$type>::from(255 - fold));
            let number = |j: usize| {
                let mut bits = [0; SIZE];
                bits.copy_from_slice(&e[SIZE * j..SIZE * j + SIZE]);
                let n = <$type>::from_le_bytes(bits) >> layout.zeros;
                if float { (n << 1 | n >> (width - 1)) & mask } else { n }
            };
            let mut inside = true;
            for j in 0..STEP {
                let top = (number(j) >> layout.low_bits).wrapping_sub(base);
                inside &= top <= most;
                symbols[j] = if top <= most { (top as u8).wrapping_add(fold) } else { 0 };
            }
            if whole > 0 {
                for (j, bytes) in bytes[..STEP * whole].chunks_exact_mut(whole).enumerate() {
                    bytes.iter_mut().zip(number(j).to_le_bytes()).for_each(|(to, byte)| *to = byte);
                }
            }
            if rest > 0 && whole < SIZE {
                for j in 0..STEP {
                    more[j] =
                        (number(j) >> (8 * whole as u32 & (8 * SIZE as u32 - 1))) as u8 & ((1 << rest) - 1);
                }
            }
            !inside
        }

        #[inline(always)]
        fn $name(parts: (usize, bool), layout: NumberLayout, elements: &[u8], to: &mut SplitNumbers<'_>) {
            const SIZE: usize = size_of::<$type>();
            let whole = parts.0;
            let mut more = [0; STEP];
            for (i, e) in elements.chunks(STEP * SIZE).enumerate() {
                let (from, count) = (i * STEP, e.len() / SIZE);
                let odd = if let (Ok(e), Ok(symbols)) =
                    (e.try_into(), (&mut to.symbols[from..from + count]).try_into())
                {
                    $step(parts, layout, to.fold, e, symbols, &mut to.bytes[whole * from..], &mut more)
                } else {
                    // A short last step is padded with its last element, which adds no number without a
                    // symbol.
                    let (mut all, mut symbols, mut bytes) =
                        ([0; STEP * SIZE], [0; STEP], [0; STEP * LONGEST]);
                    for to in all.chunks_exact_mut(SIZE) {
                        to.copy_from_slice(&e[SIZE * (count - 1)..]);
                    }
                    all[..e.len()].copy_from_slice(e);
                    let odd = $step(parts, layout, to.fold, &all, &mut symbols, &mut bytes, &mut more);
                    to.symbols[from..].copy_from_slice(&symbols[..count]);
                    to.bytes[whole * from..].copy_from_slice(&bytes[..whole * count]);
                    more[count..].fill(0);
                    odd
                };
                if odd {
                    to.odd.push(i);
                }
                if layout.low_bits % 8 > 0 {
                    to.packed.next(layout.low_bits % 8, &more);
                }
            }
        }
    };
}

split!(split8, step8, u8);
split!(split16, step16, u16);
split!(split32, step32, u32);
split!(split64, step64, u64);

macro_rules! vectors {
    ($($name:ident $plain:ident)*) => {
        $(
            #[cfg(any(target_arch = "x86_64", target_arch = "aarch64", target_feature = "simd128"))]
            #[cfg_attr(target_arch = "x86_64", target_feature(enable = "avx2"))]
            fn $name<const WHOLE: usize, const FLOAT: bool>(
                layout: NumberLayout,
                elements: &[u8],
                to: &mut SplitNumbers<'_>,
            ) {
                $plain((WHOLE, FLOAT), layout, elements, to);
            }
        )*
    };
}

vectors!(split8_vectors split8 split16_vectors split16 split32_vectors split32);

/// Splits elements of `size` bytes (1, 2, 4 or 8). `to` has room for exactly the low bits that `layout` asks
/// for.
pub fn split(layout: NumberLayout, kernel: Kernel, size: usize, elements: &[u8], to: &mut SplitNumbers<'_>) {
    dispatch!(
        kernel,
        scalar: split_scalar(layout, size, elements, to),
        avx2: split_vectors(layout, size, elements, to),
        v128: split_vectors(layout, size, elements, to),
    )
}

/// [`split`] for machines with vectors, with the parts of an element as constants.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64", target_feature = "simd128"))]
#[cfg_attr(target_arch = "x86_64", target_feature(enable = "avx2"))]
fn split_vectors(layout: NumberLayout, size: usize, elements: &[u8], to: &mut SplitNumbers<'_>) {
    match (size, layout.low_bits / 8, layout.float) {
        (1, 0, true) => split8_vectors::<0, true>(layout, elements, to),
        (1, 0, false) => split8_vectors::<0, false>(layout, elements, to),
        (2, 0, true) => split16_vectors::<0, true>(layout, elements, to),
        (2, 0, false) => split16_vectors::<0, false>(layout, elements, to),
        (2, 1, true) => split16_vectors::<1, true>(layout, elements, to),
        (2, 1, false) => split16_vectors::<1, false>(layout, elements, to),
        (4, 0, true) => split32_vectors::<0, true>(layout, elements, to),
        (4, 0, false) => split32_vectors::<0, false>(layout, elements, to),
        (4, 1, true) => split32_vectors::<1, true>(layout, elements, to),
        (4, 1, false) => split32_vectors::<1, false>(layout, elements, to),
        (4, 2, true) => split32_vectors::<2, true>(layout, elements, to),
        (4, 2, false) => split32_vectors::<2, false>(layout, elements, to),
        (4, 3, true) => split32_vectors::<3, true>(layout, elements, to),
        (4, 3, false) => split32_vectors::<3, false>(layout, elements, to),
        _ => split_scalar(layout, size, elements, to),
    }
}

/// [`split`] in plain Rust.
fn split_scalar(layout: NumberLayout, size: usize, elements: &[u8], to: &mut SplitNumbers<'_>) {
    let parts = (layout.low_bits as usize / 8, layout.float);
    match size {
        1 => split8(parts, layout, elements, to),
        2 => split16(parts, layout, elements, to),
        4 => split32(parts, layout, elements, to),
        _ => split64(parts, layout, elements, to),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::tensor::kernel::{LowBits, merge};
    use crate::random::SplitMix;
    use crate::tensor::bits::{Packed, packed_len};

    /// The parts of elements, and which steps have numbers without symbols.
    fn parts(layout: NumberLayout, kernel: Kernel, size: usize, elements: &[u8], fold: u8) -> [Vec<u8>; 4] {
        let (count, whole, rest) = (elements.len() / size, layout.low_bits as usize / 8, layout.low_bits % 8);
        let (mut symbols, mut bytes) = (vec![1; count], vec![1; count * whole]);
        let mut packed = vec![1; packed_len(count, rest)];
        let mut to = SplitNumbers {
            symbols: &mut symbols,
            bytes: &mut bytes,
            packed: Packer::new(&mut packed, count, rest),
            odd: Vec::new(),
            fold,
        };
        split(layout, kernel, size, elements, &mut to);
        let odd = to.odd.iter().map(|i| *i as u8).collect();
        [symbols, bytes, packed, odd]
    }

    #[test]
    fn kernels_agree() {
        let mut rng = SplitMix(3);
        for size in [1, 2, 4, 8] {
            for low_bits in (0..8 * size as u32).filter(|n| n + 8 >= 8 * size as u32 || n % 5 == 0) {
                for (count, float, base, fold) in [(700, true, 3, 0), (256, false, 0, 0), (33, true, 100, 9)]
                {
                    let layout = NumberLayout { low_bits, base, float, zeros: 0 };
                    let elements: Vec<u8> = (0..count * size).map(|_| rng.next_u32() as u8).collect();
                    let kernels = [Kernel::Scalar, Kernel::best()];
                    let [scalar, vectors] = kernels.map(|k| parts(layout, k, size, &elements, fold));
                    assert_eq!(scalar, vectors, "{size} {layout:?}");
                    let [symbols, bytes, packed, odd] = scalar;
                    let merged = kernels.map(|kernel| {
                        let packed = Packed::new(&packed, count, low_bits % 8);
                        let mut out = vec![0; elements.len()];
                        merge(layout, kernel, size, &symbols, LowBits { bytes: &bytes, packed }, &mut out);
                        out
                    });
                    assert!(merged[0] == merged[1], "{size} {layout:?}");
                    assert!(!odd.is_empty() || merged[0] == elements, "{size} {layout:?}");
                }
            }
        }
    }
}
