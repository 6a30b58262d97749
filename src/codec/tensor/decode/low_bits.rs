//! Reads the low bits of a tile, and merges them with the symbols into elements.

use crate::codec::tensor::kernel::{LowBits, NumberLayout, NumberMap, map_elements, merge};
use crate::codec::tensor::stored::{FieldParams, ZeroBits};
use crate::format::cursor::{Cursor, Parsed};
use crate::kernel::Kernel;
use crate::tensor::bits::{Packed, packed_len};

/// Reads the low bits of a field and makes an element of each symbol. The elements of folded symbols are
/// still wrong afterwards (see [`unfold`]), and decimals stay ranks. `coded` holds the low bits where they
/// have already been decoded.
pub fn read_elements(
    c: &mut Cursor<'_>,
    field: &FieldParams,
    zero_bits: &ZeroBits,
    kernel: Kernel,
    symbols: &[u8],
    coded: Option<&[u8]>,
    out: &mut [u8],
) -> Parsed<()> {
    let Some(marked) = &zero_bits.marked else {
        return read_alike(c, field, zero_bits.zeros, kernel, symbols, coded, out);
    };
    // Unmarked rows come first, then marked ones. Both are decoded apart and copied to their places.
    let size = field.element;
    for (is_marked, zeros) in [(false, zero_bits.zeros), (true, marked.zeros)] {
        let ranges = || marked.ranges(is_marked, symbols.len());
        let mine: Vec<u8> = ranges().flat_map(|r| &symbols[r]).copied().collect();
        let mut made = vec![0; mine.len() * size];
        read_alike(c, field, zeros, kernel, &mine, None, &mut made)?;
        let mut at = 0;
        for r in ranges() {
            let bytes = r.len() * size;
            out[r.start * size..r.end * size].copy_from_slice(&made[at..at + bytes]);
            at += bytes;
        }
    }
    Ok(())
}

/// Does the same for elements that all have the same number of zero bits.
fn read_alike(
    c: &mut Cursor<'_>,
    field: &FieldParams,
    zeros: u32,
    kernel: Kernel,
    symbols: &[u8],
    coded: Option<&[u8]>,
    out: &mut [u8],
) -> Parsed<()> {
    let layout = NumberLayout::new(field, zeros);
    let (count, rest) = (symbols.len(), layout.low_bits % 8);
    let bytes = match coded {
        Some(bytes) => bytes,
        None => c.take(count * (layout.low_bits / 8) as usize)?,
    };
    let packed = Packed::new(c.take(packed_len(count, rest))?, count, rest);
    merge(layout, kernel, field.element, symbols, LowBits { bytes, packed }, out);
    if field.signed {
        let map = NumberMap::new(field, zeros);
        map_elements(field.element, out, |number| map.bits(number));
    }
    Ok(())
}
