//! Where the records of a file lie, from its first bytes. Never wrong in a way that matters: bytes that are no records
//! are coded by another codec, and any bytes in front of records are a header.

use crate::tensor::npy;

/// Records of `width` bytes from `start` on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// Bytes of the header.
    pub start: usize,
    /// Bytes of a record.
    pub width: usize,
}

/// The layout of an IDX file of bytes, or an `.npy` file of integers of one byte.
pub fn detect(head: &[u8]) -> Option<Layout> {
    idx(head).or_else(|| npy(head)).filter(|l| l.width > 0)
}

/// IDX, as MNIST has it: 0, 0, type, number of sizes, sizes as big-endian u32.
fn idx(head: &[u8]) -> Option<Layout> {
    let (magic, sizes) = head.split_first_chunk::<4>()?;
    if magic[..3] != [0, 0, 8] || !(2..=4).contains(&magic[3]) {
        return None;
    }
    let sizes = sizes.get(4..4 * usize::from(magic[3]))?;
    Some(Layout { start: 4 + 4 * usize::from(magic[3]), width: product(sizes.chunks_exact(4).map(be))? })
}

fn be(bytes: &[u8]) -> usize {
    bytes.iter().fold(0, |n, &b| n << 8 | usize::from(b))
}

fn product(sizes: impl Iterator<Item = usize>) -> Option<usize> {
    sizes.into_iter().try_fold(1usize, usize::checked_mul)
}

/// NumPy's format. Records of an array in Fortran's order are its columns.
fn npy(head: &[u8]) -> Option<Layout> {
    let array = npy::array(head, "").ok().filter(|a| a.dtype.group() == (1, 1))?;
    let sizes = array.shape.get(1..)?.iter().map(|d| usize::try_from(*d).ok());
    let sizes = sizes.collect::<Option<Vec<_>>>()?;
    Some(Layout { start: usize::try_from(array.start).ok()?, width: product(sizes.into_iter())? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers() {
        let mnist = [0, 0, 8, 3, 0, 0, 0x27, 0x10, 0, 0, 0, 28, 0, 0, 0, 28, 7];
        assert_eq!(detect(&mnist), Some(Layout { start: 16, width: 784 }));
        assert_eq!(detect(&mnist[..15]), None);
        assert_eq!(detect(&[0, 0, 8, 1, 0, 0, 0, 9]), None);
        let text = "{'descr': '|u1', 'fortran_order': False, 'shape': (100, 4, 5), }\n";
        let mut file = b"\x93NUMPY\x01\x00".to_vec();
        file.extend((text.len() as u16).to_le_bytes());
        file.extend(text.as_bytes());
        assert_eq!(detect(&file), Some(Layout { start: file.len(), width: 20 }));
        for cut in 0..file.len() {
            assert_eq!(detect(&file[..cut]), None);
        }
        let columns =
            b"\x93NUMPY\x01\x00\x3e\x00{'shape': (100, 4), 'fortran_order': True, 'descr': '|i1'}   \n";
        assert_eq!(detect(columns), Some(Layout { start: columns.len(), width: 100 }));
        let huge = [0, 0, 8, 4, 0, 0, 0, 1, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255];
        assert_eq!(detect(&huge), None);
    }
}
