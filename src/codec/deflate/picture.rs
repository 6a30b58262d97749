//! The row filters of PNG: conversion between filtered rows, each after a byte that names its filter, and the
//! raster. The rows of an interlaced picture are those of seven smaller pictures, its *passes*, one after the other.

/// The most bytes of a pixel.
pub const WIDEST: usize = 8;
/// The passes of an interlaced picture (Adam7; section 8 of PNG's specification): the column and row of the first pixel,
/// and the distances to the next column and row.
const PASSES: [[usize; 4]; 7] =
    [[0, 0, 8, 8], [4, 0, 8, 8], [0, 4, 4, 8], [2, 0, 4, 4], [0, 2, 2, 4], [1, 0, 2, 2], [0, 1, 1, 2]];

/// The shape of a picture's rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rows {
    /// The number of bytes in a row of the raster, at least 1.
    pub row: usize,
    /// The number of bytes of a pixel, rounded up: the distance to the pixel on the left, 1..=[`WIDEST`].
    pub pixel: usize,
    /// The number of rows, at least 1, if the picture is interlaced. A row then consists of whole pixels.
    pub interlaced: Option<usize>,
}

/// The pixels of a pass that lie in a picture.
struct Pass {
    place: [usize; 4],
    columns: usize,
    rows: usize,
}

impl Rows {
    /// The bytes of the raster and the number of filters of an inside of `len` bytes; `None` where no picture of this
    /// shape has so many.
    pub fn parts(self, len: usize) -> Option<(usize, usize)> {
        let Some(height) = self.interlaced else {
            let count = len / (self.row + 1);
            return len.is_multiple_of(self.row + 1).then_some((count * self.row, count));
        };
        let raster = self.row.checked_mul(height)?;
        let count = self.passes(height).map(|pass| pass.rows).sum();
        (self.row.is_multiple_of(self.pixel) && raster.checked_add(count)? == len).then_some((raster, count))
    }

    /// The passes that hold pixels.
    fn passes(self, height: usize) -> impl Iterator<Item = Pass> {
        let width = self.row / self.pixel;
        let pass = move |place: [usize; 4]| {
            let [x, y, right, down] = place;
            let (columns, rows) =
                (width.saturating_sub(x).div_ceil(right), height.saturating_sub(y).div_ceil(down));
            Pass { place, columns, rows }
        };
        PASSES.into_iter().map(pass).filter(|pass| pass.columns > 0 && pass.rows > 0)
    }

    /// The rows of one pass, as a picture of its own.
    fn of(self, pass: &Pass) -> Self {
        Self { row: pass.columns * self.pixel, interlaced: None, ..self }
    }

    /// The offsets in the raster of the pixels of a pass.
    fn pixels(self, pass: &Pass) -> impl Iterator<Item = usize> {
        let ([x, y, right, down], columns) = (pass.place, pass.columns);
        let row =
            move |r| (0..columns).map(move |c| (y + r * down) * self.row + (x + c * right) * self.pixel);
        (0..pass.rows).flat_map(row)
    }
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

/// Splits filtered rows into their filter bytes and the raster. `None` where the shape is that of another number of bytes
/// or a filter is unknown.
pub fn unfilter(inside: &[u8], shape: Rows) -> Option<(Vec<u8>, Vec<u8>)> {
    let (len, count) = shape.parts(inside.len())?;
    let Some(height) = shape.interlaced else { return unfilter_rows(inside, shape) };
    let (mut filters, mut raster, mut rest) = (Vec::with_capacity(count), vec![0; len], inside);
    for pass in shape.passes(height) {
        let rows = shape.of(&pass);
        let (bytes, after) = rest.split_at(pass.rows * (rows.row + 1));
        let (names, pixels) = unfilter_rows(bytes, rows)?;
        filters.extend(names);
        for (at, pixel) in shape.pixels(&pass).zip(pixels.chunks_exact(shape.pixel)) {
            raster[at..at + shape.pixel].copy_from_slice(pixel);
        }
        rest = after;
    }
    Some((filters, raster))
}

/// Does so for whole rows that are not interlaced.
fn unfilter_rows(inside: &[u8], shape: Rows) -> Option<(Vec<u8>, Vec<u8>)> {
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

/// Appends rows with their filters applied: the inverse of [`unfilter`]. All of `filters` must be 0..=4, and the shape
/// must have so many parts.
pub fn filter(filters: &[u8], raster: &[u8], shape: Rows, inside: &mut Vec<u8>) {
    let Some(height) = shape.interlaced else { return filter_rows(filters, raster, shape, inside) };
    let (mut filters, mut pixels) = (filters, Vec::new());
    for pass in shape.passes(height) {
        pixels.clear();
        shape.pixels(&pass).for_each(|at| pixels.extend_from_slice(&raster[at..at + shape.pixel]));
        let (names, after) = filters.split_at(pass.rows);
        filter_rows(names, &pixels, shape.of(&pass), inside);
        filters = after;
    }
}

/// Does so for rows that are not interlaced.
fn filter_rows(filters: &[u8], raster: &[u8], shape: Rows, inside: &mut Vec<u8>) {
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
            let shape = Rows { row, pixel, interlaced: None };
            let (filters, raster) = unfilter(&inside, shape).unwrap();
            assert_eq!((filters.len(), raster.len()), (10, 10 * row));
            let mut back = Vec::new();
            filter(&filters, &raster, shape, &mut back);
            assert_eq!(back, inside);
        }
        let shape = Rows { row: 1, pixel: 1, interlaced: None };
        assert!(unfilter(&[5, 0], shape).is_none());
        assert!(unfilter(&[0, 0, 0], shape).is_none());
    }

    #[test]
    fn interlaced_pictures_become_whole_ones() {
        // Filtered by nothing, the passes of a picture whose pixels say where they are.
        for (width, height) in [(1, 1), (8, 8), (5, 3), (13, 9), (2, 17)] {
            let shape = Rows { row: 2 * width, pixel: 2, interlaced: Some(height) };
            let mut inside = Vec::new();
            for [x, y, right, down] in PASSES.into_iter().filter(|pass| pass[0] < width) {
                for row in (y..height).step_by(down) {
                    inside.push(0);
                    (x..width).step_by(right).for_each(|column| inside.extend([column as u8, row as u8]));
                }
            }
            let (filters, raster) = unfilter(&inside, shape).unwrap();
            assert_eq!(shape.parts(inside.len()), Some((raster.len(), filters.len())));
            let expected: Vec<u8> =
                (0..height).flat_map(|y| (0..width).flat_map(move |x| [x as u8, y as u8])).collect();
            assert_eq!(raster, expected);
            // With filters of all kinds, there and back.
            let filters: Vec<u8> = (0..filters.len()).map(|i| (i % 5) as u8).collect();
            let mut filtered = Vec::new();
            filter(&filters, &raster, shape, &mut filtered);
            assert_eq!(unfilter(&filtered, shape), Some((filters, raster)));
            assert!(unfilter(&inside[1..], shape).is_none());
        }
        let vast = Rows { row: usize::MAX, pixel: 1, interlaced: Some(2) };
        assert!(vast.parts(10).is_none());
        assert!(Rows { row: 3, pixel: 2, interlaced: Some(1) }.parts(4).is_none());
    }
}
