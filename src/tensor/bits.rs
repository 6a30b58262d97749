//! Values of fewer than eight bits, packed so that SIMD code on vectors of bytes can unpack them.
//!
//! A value of `width` bits is cut, from its lowest bit on, into *pieces* of 4, 2 and 1 bits (those that add
//! up to the width). The pieces of one size of all values make a plane: 8/size runs of 32 values lie in 32
//! bytes, value 32·r + j in byte j from bit r·size on. In the last bytes of a plane, those that hold no value
//! are left out, and bits that hold none are zero.

/// The number of values in a run.
const RUN: usize = 32;
/// The number of values that are packed or unpacked per call: a multiple of the values in 32 bytes of any
/// plane.
pub const STEP: usize = 8 * RUN;
/// The sizes of pieces in bits, in the order in which they are cut off a value, starting at its lowest bit;
/// the planes have the same order.
pub const SIZES: [u32; 3] = [4, 2, 1];

/// A mask of the lowest `size` bits of each of eight bytes. Pieces are shifted eight bytes at a time, which
/// works because no piece leaves its byte.
fn mask(size: u32) -> u64 {
    0x0101_0101_0101_0101 * ((1 << size) - 1)
}

/// The length in bytes of the plane that holds one piece of `size` bits (4, 2 or 1) of each of `n` values.
pub fn plane_len(n: usize, size: u32) -> usize {
    let values = RUN * 8 / size as usize;
    n / values * RUN + (n % values).min(RUN)
}

/// The length in bytes of `n` packed values of `width` bits, 0..=7.
pub fn packed_len(n: usize, width: u32) -> usize {
    SIZES.iter().filter(|s| width & **s != 0).map(|&s| plane_len(n, s)).sum()
}

/// The lengths of the planes of `n` values of `width` bits, one for each of [`SIZES`]; 0 where the width has
/// no piece of that size.
fn planes_of(n: usize, width: u32) -> impl Iterator<Item = usize> {
    SIZES.into_iter().map(move |s| if width & s != 0 { plane_len(n, s) } else { 0 })
}

/// Packs values into planes, [`STEP`] of them at a time.
pub struct Packer<'a> {
    planes: [&'a mut [u8]; 3],
}

impl<'a> Packer<'a> {
    /// Starts at the first of `n` values of `width` bits. `bytes` must be [`packed_len`] long.
    pub fn new(mut bytes: &'a mut [u8], n: usize, width: u32) -> Self {
        let mut planes = [&mut [][..], &mut [], &mut []];
        for (plane, len) in planes.iter_mut().zip(planes_of(n, width)) {
            let (this, rest) = std::mem::take(&mut bytes).split_at_mut(len);
            (*plane, bytes) = (this, rest);
        }
        Self { planes }
    }

    /// Packs the next [`STEP`] values, which must be below 2^`width`; those past the `n`th must be 0.
    #[inline(always)]
    pub fn next(&mut self, width: u32, values: &[u8; STEP]) {
        let mut shift = 0;
        for (plane, size) in self.planes.iter_mut().zip(SIZES) {
            if width & size == 0 {
                continue;
            }
            let mask = mask(size);
            for group in values.chunks_exact(RUN * 8 / size as usize) {
                let mut packed = [0; RUN];
                for (r, run) in group.as_chunks::<RUN>().0.iter().enumerate() {
                    for (to, eight) in packed.as_chunks_mut().0.iter_mut().zip(run.as_chunks().0) {
                        let pieces = (u64::from_le_bytes(*eight) >> shift & mask) << (r as u32 * size);
                        *to = (u64::from_le_bytes(*to) | pieces).to_le_bytes();
                    }
                }
                let len = plane.len().min(RUN);
                let (bytes, rest) = std::mem::take(plane).split_at_mut(len);
                bytes.copy_from_slice(&packed[..len]);
                *plane = rest;
            }
            shift += size;
        }
    }
}

/// Unpacks values from planes, [`STEP`] of them at a time.
pub struct Packed<'a> {
    planes: [&'a [u8]; 3],
}

impl<'a> Packed<'a> {
    /// Starts at the first of `n` values of `width` bits. `bytes` must be [`packed_len`] long.
    pub fn new(mut bytes: &'a [u8], n: usize, width: u32) -> Self {
        let planes = SIZES.map(|size| {
            let len = if width & size != 0 { plane_len(n, size) } else { 0 };
            let (plane, rest) = bytes.split_at(len.min(bytes.len()));
            bytes = rest;
            plane
        });
        Self { planes }
    }

    /// Unpacks the next [`STEP`] values, or as many as are left; `out` past those is unspecified.
    #[inline(always)]
    pub fn next(&mut self, width: u32, out: &mut [u8; STEP]) {
        let mut shift = 0;
        out.fill(0);
        for (plane, size) in self.planes.iter_mut().zip(SIZES) {
            if width & size == 0 {
                continue;
            }
            let mask = mask(size);
            for group in out.chunks_exact_mut(RUN * 8 / size as usize) {
                let (bytes, rest) = plane.split_at(plane.len().min(RUN));
                *plane = rest;
                let mut packed = [0; RUN];
                packed[..bytes.len()].copy_from_slice(bytes);
                for (r, run) in group.as_chunks_mut::<RUN>().0.iter_mut().enumerate() {
                    for (to, eight) in run.as_chunks_mut().0.iter_mut().zip(packed.as_chunks().0) {
                        let pieces = (u64::from_le_bytes(*eight) >> (r as u32 * size) & mask) << shift;
                        *to = (u64::from_le_bytes(*to) | pieces).to_le_bytes();
                    }
                }
            }
            shift += size;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip() {
        for width in 0..8 {
            for n in [0, 1, 31, 32, 33, 63, 64, 65, 127, 129, 255, 256, 257, 300, 1000] {
                let values: Vec<u8> =
                    (0..n).map(|i| ((i * i + 3 * i) as u8) & ((1u16 << width) - 1) as u8).collect();
                let mut packed = Vec::new();
                packed.resize(packed_len(n, width), 0xEE);
                let mut packer = Packer::new(&mut packed, n, width);
                for part in values.chunks(STEP) {
                    let mut step = [0; STEP];
                    step[..part.len()].copy_from_slice(part);
                    packer.next(width, &step);
                }
                assert!(packed.len() <= (n * width as usize).div_ceil(8) + 3 * RUN);
                let (mut reader, mut back) = (Packed::new(&packed, n, width), Vec::new());
                let mut step = [0; STEP];
                while back.len() < n {
                    reader.next(width, &mut step);
                    back.extend_from_slice(&step[..STEP.min(n - back.len())]);
                }
                assert!(back == values, "{width} {n}");
            }
        }
    }
}
