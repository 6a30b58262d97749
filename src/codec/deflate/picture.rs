//! The row filters of PNG: conversion between filtered rows, each after a byte that names its filter, and the
//! raster.

/// The shape of a picture's rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rows {
    /// The number of bytes in a row of the raster, at least 1.
    pub row: usize,
    /// The number of bytes of a pixel, rounded up: the distance to the pixel on the left, 1..=8.
    pub pixel: usize,
}

/// The predictor of PNG's filter 4 (Paeth).
fn paeth(a: u8, b: u8, c: u8) -> u8 {
    let [x, y, z] = [a, b, c].map(i32::from);
    let p = x + y - z;
    let (pa, pb, pc) = ((p - x).abs(), (p - y).abs(), (p - z).abs());
    if pa <= pb && pa <= pc {
        a
    } else if pb <= pc {
        b
    } else {
        c
    }
}

/// The prediction of filter `kind` for byte `i` of a row, from the row so far and the row above. Bytes
/// outside the picture are 0.
#[inline(always)]
fn predict(kind: u8, row: &[u8], above: &[u8], i: usize, pixel: usize) -> u8 {
    let left = |row: &[u8]| if i < pixel { 0 } else { row[i - pixel] };
    let up = above.get(i).copied().unwrap_or(0);
    match kind {
        1 => left(row),
        2 => up,
        3 => ((u16::from(left(row)) + u16::from(up)) / 2) as u8,
        4 => paeth(left(row), up, if above.is_empty() { 0 } else { left(above) }),
        _ => 0,
    }
}

/// Splits filtered rows into their filter bytes and the raster. `None` where a row is cut off or a filter is
/// unknown.
pub fn unfilter(inside: &[u8], shape: Rows) -> Option<(Vec<u8>, Vec<u8>)> {
    if !inside.len().is_multiple_of(shape.row + 1) {
        return None;
    }
    let mut filters = Vec::with_capacity(inside.len() / (shape.row + 1));
    let mut raster: Vec<u8> = Vec::with_capacity(inside.len());
    for filtered in inside.chunks_exact(shape.row + 1) {
        let (kind, bytes) = (filtered[0], &filtered[1..]);
        if kind > 4 {
            return None;
        }
        filters.push(kind);
        let start = raster.len();
        raster.extend_from_slice(bytes);
        let (before, row) = raster.split_at_mut(start);
        let above = &before[start.saturating_sub(shape.row)..];
        for i in 0..row.len() {
            row[i] = row[i].wrapping_add(predict(kind, row, above, i, shape.pixel));
        }
    }
    Some((filters, raster))
}

/// Appends rows with their filters applied: the inverse of [`unfilter`]. All of `filters` must be 0..=4.
pub fn filter(filters: &[u8], raster: &[u8], shape: Rows, inside: &mut Vec<u8>) {
    let mut above: &[u8] = &[];
    for (&kind, row) in filters.iter().zip(raster.chunks_exact(shape.row)) {
        inside.push(kind);
        inside.extend((0..row.len()).map(|i| row[i].wrapping_sub(predict(kind, row, above, i, shape.pixel))));
        above = row;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip() {
        for (row, pixel) in [(1, 1), (6, 3), (7, 4), (2, 8)] {
            let inside: Vec<u8> = (0..10 * (row + 1))
                .map(|i| if i % (row + 1) == 0 { (i / (row + 1) % 5) as u8 } else { (i * i * 7 + i) as u8 })
                .collect();
            let shape = Rows { row, pixel };
            let (filters, raster) = unfilter(&inside, shape).unwrap();
            assert_eq!((filters.len(), raster.len()), (10, 10 * row));
            let mut back = Vec::new();
            filter(&filters, &raster, shape, &mut back);
            assert_eq!(back, inside);
        }
        assert!(unfilter(&[5, 0], Rows { row: 1, pixel: 1 }).is_none());
        assert!(unfilter(&[0, 0, 0], Rows { row: 1, pixel: 1 }).is_none());
    }
}
