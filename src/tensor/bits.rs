//! Values of fewer than eight bits, packed so that vectors of bytes unpack them.
//!
//! A value of `width` bits is cut, from its lowest bit on, into *pieces* of 4, 2 and 1 bits (those that add up
//! to the width). The pieces of one size of all values make a plane: 8/size runs of 32 values lie in 32 bytes,
//! value 32·r + j in byte j from bit r·size on. In the last bytes of a plane, those that hold no value are left
//! out, and bits that hold none are zero.

/// Values to a run.
const RUN: usize = 32;
/// Values that are packed or unpacked together: a multiple of those in 32 bytes of any plane.
pub const STEP: usize = 8 * RUN;
/// Sizes of pieces in the order in which they lie, from the lowest bit on.
pub const SIZES: [u32; 3] = [4, 2, 1];

/// The lowest `size` bits of each of eight bytes. Pieces are moved eight bytes at a time: they do not leave their byte.
fn mask(size: u32) -> u64 {
    0x0101_0101_0101_0101 * ((1 << size) - 1)
}

/// Bytes of the plane of pieces of `size` bits of `n` values.
pub fn plane_len(n: usize, size: u32) -> usize {
    let values = RUN * 8 / size as usize;
    n / values * RUN + (n % values).min(RUN)
}

/// Bytes of `n` values of `width` bits, 0..=7.
pub fn packed_len(n: usize, width: u32) -> usize {
    SIZES.iter().filter(|s| width & **s != 0).map(|&s| plane_len(n, s)).sum()
}

/// Cuts `bytes` into the planes of `n` values of `width` bits.
fn planes_of(n: usize, width: u32) -> impl Iterator<Item = usize> {
    SIZES.into_iter().map(move |s| if width & s != 0 { plane_len(n, s) } else { 0 })
}

/// The planes of packed values while they are written, [`STEP`] values at a time.
pub struct Packer<'a> {
    planes: [&'a mut [u8]; 3],
}

impl<'a> Packer<'a> {
    /// `bytes` must be [`packed_len`] long.
    pub fn new(mut bytes: &'a mut [u8], n: usize, width: u32) -> Self {
        let mut planes = [&mut [][..], &mut [], &mut []];
        for (plane, len) in planes.iter_mut().zip(planes_of(n, width)) {
            let (this, rest) = std::mem::take(&mut bytes).split_at_mut(len);
            (*plane, bytes) = (this, rest);
        }
        Self { planes }
    }

    /// Packs the next values, which must be below 2^`width`; those past the last one must be 0.
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

/// The planes of packed values while they are read, [`STEP`] values at a time.
pub struct Packed<'a> {
    planes: [&'a [u8]; 3],
}

impl<'a> Packed<'a> {
    /// `bytes` must be [`packed_len`] long.
    pub fn new(mut bytes: &'a [u8], n: usize, width: u32) -> Self {
        let planes = SIZES.map(|size| {
            let len = if width & size != 0 { plane_len(n, size) } else { 0 };
            let (plane, rest) = bytes.split_at(len.min(bytes.len()));
            bytes = rest;
            plane
        });
        Self { planes }
    }

    /// Unpacks the next values: [`STEP`] of them, or what is left (the rest of `out` is undefined).
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
