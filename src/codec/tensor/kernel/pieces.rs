//! Gathers words of several rows into groups, deals groups out to the pieces of their fields, and reverses
//! both.

use crate::codec::tensor::stored::{FieldParams, PieceLayout, bits_of};
use crate::error::{Error, Result};

/// Puts the words of each group next to each other. Both slices hold the same whole bands.
pub fn gather(layout: &PieceLayout, raw: &[u8], groups: &mut [u8]) {
    let word = layout.word;
    for (from, to) in raw.chunks_exact(layout.band()).zip(groups.chunks_exact_mut(layout.band())) {
        words(layout).for_each(|(in_rows, in_groups)| {
            to[in_groups..in_groups + word].copy_from_slice(&from[in_rows..in_rows + word]);
        });
    }
}

/// Undoes [`gather`].
pub fn scatter(layout: &PieceLayout, groups: &[u8], raw: &mut [u8]) {
    let word = layout.word;
    for (from, to) in groups.chunks_exact(layout.band()).zip(raw.chunks_exact_mut(layout.band())) {
        words(layout).for_each(|(in_rows, in_groups)| {
            to[in_rows..in_rows + word].copy_from_slice(&from[in_groups..in_groups + word]);
        });
    }
}

/// The offset of every word of a band in its raw bytes, and in its groups.
fn words(layout: &PieceLayout) -> impl Iterator<Item = (usize, usize)> {
    let (rows, columns, word) = (layout.rows, layout.columns, layout.word);
    (0..columns).flat_map(move |column| {
        (0..rows).map(move |row| ((row * columns + column) * word, (column * rows + row) * word))
    })
}

/// The number of bits of each piece, where all pieces have the same number, belong to one field of single
/// bytes, and every eighth of them ends where a byte of a group does. Most layouts are like that, and are
/// much faster to deal.
fn even_bits(layout: &PieceLayout, group: usize, fields: &[FieldParams]) -> Option<usize> {
    let bits = usize::from(layout.bits(0)?);
    (fields.len() == 1 && fields[0].element == 1 && group.is_multiple_of(bits)).then_some(bits)
}

/// Deals the pieces of whole groups of `group` bytes out to the fields. `elements` has, for each field, room
/// for exactly its elements of all groups, one directly after the other.
pub fn deal(
    layout: &PieceLayout,
    group: usize,
    fields: &[FieldParams],
    groups: &[u8],
    elements: &mut [Vec<u8>],
) {
    if let Some(bits) = even_bits(layout, group, fields) {
        let mask = (1u64 << bits) - 1;
        for (bytes, values) in groups.chunks_exact(bits).zip(elements[0].as_chunks_mut::<8>().0) {
            let pool = bits_of(bytes);
            *values = std::array::from_fn(|i| (pool >> (i * bits) & mask) as u8);
        }
        return;
    }
    let mut places: Vec<_> =
        elements.iter_mut().zip(fields).map(|(e, f)| e.chunks_exact_mut(f.element)).collect();
    for bytes in groups.chunks_exact(group) {
        // The bits that have been read but not dealt out yet, and how many there are.
        let (mut pool, mut have, mut bytes) = (0u128, 0u32, bytes.iter());
        for (bits, field) in layout.pattern.iter().cycle() {
            let bits = u32::from(*bits);
            while have < bits {
                let Some(byte) = bytes.next() else { break };
                pool |= u128::from(*byte) << have;
                have += 8;
            }
            if have == 0 {
                break;
            }
            let value = (pool & ((1 << bits) - 1)) as u64;
            if let Some(place) = places[usize::from(*field)].next() {
                place.copy_from_slice(&value.to_le_bytes()[..place.len()]);
            }
            pool >>= bits;
            have -= bits;
        }
    }
}

/// Undoes [`deal`]; fills `groups`.
///
/// # Errors
///
/// [`crate::ErrorKind::Corrupt`] for an element of more bits than its piece has.
pub fn collect(
    layout: &PieceLayout,
    group: usize,
    fields: &[FieldParams],
    elements: &[Vec<u8>],
    groups: &mut [u8],
) -> Result<()> {
    if let Some(bits) = even_bits(layout, group, fields) {
        // All bits of all values together: one check tells whether any value was too large.
        let mut any = 0;
        for (bytes, values) in groups.chunks_exact_mut(bits).zip(elements[0].as_chunks::<8>().0) {
            let mut pool = 0u64;
            for (i, v) in values.iter().enumerate() {
                any |= v;
                pool |= u64::from(*v) << (i * bits);
            }
            bytes.copy_from_slice(&pool.to_le_bytes()[..bits]);
        }
        return if u64::from(any) >> bits == 0 { Ok(()) } else { Err(too_large()) };
    }
    let mut values: Vec<_> = elements.iter().zip(fields).map(|(e, f)| e.chunks_exact(f.element)).collect();
    for bytes in groups.chunks_exact_mut(group) {
        let (mut pool, mut have, mut at) = (0u128, 0u32, 0);
        let mut pieces = layout.pattern.iter().cycle();
        while at < bytes.len() {
            if have >= 8 {
                bytes[at] = pool as u8;
                (pool, have, at) = (pool >> 8, have - 8, at + 1);
                continue;
            }
            let Some((bits, field)) = pieces.next() else { break };
            let value = bits_of(values[usize::from(*field)].next().unwrap_or_default());
            if *bits < 64 && value >> bits != 0 {
                return Err(too_large());
            }
            pool |= u128::from(value) << have;
            have += u32::from(*bits);
        }
    }
    Ok(())
}

fn too_large() -> Error {
    Error::corrupt("an element has more bits than its packed field")
}
