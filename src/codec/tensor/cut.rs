//! From elements to symbols and low bits: what `merge` undoes, but for symbols that are folded.
//!
//! The loops are written once; `avx2` compiles them again for processors that have it, for each way to cut the elements
//! that weights consist of.
#![allow(unsafe_code)] // calls of functions that need AVX2

use super::merge::Merge;
use crate::kernel::Kernel;
use crate::tensor::bits::{Packer, STEP};

/// Where the parts of numbers go: as many as there are elements.
pub struct Parts<'a> {
    /// The symbol of each number.
    pub symbols: &'a mut [u8],
    /// `low_bits / 8` bytes of each number.
    pub bytes: &'a mut [u8],
    /// The other bits below the symbol.
    pub packed: Packer<'a>,
    /// Steps of [`STEP`] numbers of which some have no symbol of their own, by their number; in these steps such numbers
    /// have symbol 0.
    pub odd: Vec<usize>,
    /// The first symbol that may be used.
    pub fold: u8,
}

/// Bytes of the longest element.
const LONGEST: usize = 8;

macro_rules! cut {
    ($name:ident, $step:ident, $type:ty) => {
        /// Numbers of one step; whether one of them has no symbol from `fold` on.
        #[inline(always)]
        fn $step(
            parts: (usize, bool),
            m: Merge,
            fold: u8,
            e: &[u8; STEP * size_of::<$type>()],
            symbols: &mut [u8; STEP],
            bytes: &mut [u8],
            more: &mut [u8; STEP],
        ) -> bool {
            const SIZE: usize = size_of::<$type>();
            let (whole, float) = parts;
            let rest = m.low_bits % 8;
            let width = 8 * SIZE as u32 - m.zeros;
            let mask = <$type>::MAX >> m.zeros;
            let (base, most) = ((m.base as $type).wrapping_add(fold.into()), <$type>::from(255 - fold));
            let number = |j: usize| {
                let mut bits = [0; SIZE];
                bits.copy_from_slice(&e[SIZE * j..SIZE * j + SIZE]);
                let n = <$type>::from_le_bytes(bits) >> m.zeros;
                if float { (n << 1 | n >> (width - 1)) & mask } else { n }
            };
            let mut inside = true;
            for j in 0..STEP {
                let top = (number(j) >> m.low_bits).wrapping_sub(base);
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
        fn $name(parts: (usize, bool), m: Merge, elements: &[u8], to: &mut Parts<'_>) {
            const SIZE: usize = size_of::<$type>();
            let whole = parts.0;
            let mut more = [0; STEP];
            for (i, e) in elements.chunks(STEP * SIZE).enumerate() {
                let (from, count) = (i * STEP, e.len() / SIZE);
                let odd = if let (Ok(e), Ok(symbols)) =
                    (e.try_into(), (&mut to.symbols[from..from + count]).try_into())
                {
                    $step(parts, m, to.fold, e, symbols, &mut to.bytes[whole * from..], &mut more)
                } else {
                    // The last one is repeated, so that nothing else is outside.
                    let (mut all, mut symbols, mut bytes) =
                        ([0; STEP * SIZE], [0; STEP], [0; STEP * LONGEST]);
                    for to in all.chunks_exact_mut(SIZE) {
                        to.copy_from_slice(&e[SIZE * (count - 1)..]);
                    }
                    all[..e.len()].copy_from_slice(e);
                    let odd = $step(parts, m, to.fold, &all, &mut symbols, &mut bytes, &mut more);
                    to.symbols[from..].copy_from_slice(&symbols[..count]);
                    to.bytes[whole * from..].copy_from_slice(&bytes[..whole * count]);
                    more[count..].fill(0);
                    odd
                };
                if odd {
                    to.odd.push(i);
                }
                if m.low_bits % 8 > 0 {
                    to.packed.next(m.low_bits % 8, &more);
                }
            }
        }
    };
}

cut!(cut8, step8, u8);
cut!(cut16, step16, u16);
cut!(cut32, step32, u32);
cut!(cut64, step64, u64);

macro_rules! avx2 {
    ($($name:ident $plain:ident)*) => {
        $(
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2")]
            fn $name<const WHOLE: usize, const FLOAT: bool>(m: Merge, elements: &[u8], to: &mut Parts<'_>) {
                $plain((WHOLE, FLOAT), m, elements, to);
            }
        )*
    };
}

avx2!(cut8_avx2 cut8 cut16_avx2 cut16 cut32_avx2 cut32);

/// Cuts elements of `size` bytes. `to` has room for exactly what `m` says.
pub fn cut(m: Merge, kernel: Kernel, size: usize, elements: &[u8], to: &mut Parts<'_>) {
    let parts = (m.low_bits as usize / 8, m.float);
    #[cfg(target_arch = "x86_64")]
    if kernel.has_avx2() {
        macro_rules! choose {
            ($($size:literal $name:ident $whole:literal;)*) => {
                match (size, parts) {
                    $(
                        // SAFETY: the processor has AVX2.
                        ($size, ($whole, true)) => return unsafe { $name::<$whole, true>(m, elements, to) },
                        // SAFETY: the processor has AVX2.
                        ($size, ($whole, false)) => return unsafe { $name::<$whole, false>(m, elements, to) },
                    )*
                    _ => {}
                }
            };
        }
        choose! {
            1 cut8_avx2 0;
            2 cut16_avx2 0; 2 cut16_avx2 1;
            4 cut32_avx2 0; 4 cut32_avx2 1; 4 cut32_avx2 2; 4 cut32_avx2 3;
        }
    }
    let _ = kernel;
    match size {
        1 => cut8(parts, m, elements, to),
        2 => cut16(parts, m, elements, to),
        4 => cut32(parts, m, elements, to),
        _ => cut64(parts, m, elements, to),
    }
}
