//! Detects from the first bytes of a file where its records lie. A wrong answer costs compression, never
//! correctness: any bytes before the records count as a header, and bytes that are not records are coded by
//! another codec.

mod arrangement;
mod pnm;

pub use arrangement::{Arrangement, Known};

use crate::codec::window::Cutting;
use crate::model::circuit::Patch;
use crate::tensor::{Dtype, npy};

/// The largest band of patches across a picture, in bytes: an encoder holds all choices of a band in memory.
const MAX_BAND: usize = 1 << 19;

/// The place of a file's records, and how the file's bytes map to them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// Length in bytes of the header before the records.
    pub start: usize,
    /// Length in bytes of the records, where the header states it; otherwise the records go on to the end of
    /// the file.
    pub len: Option<u64>,
    /// The number of variables of a record.
    pub width: usize,
    pub arrangement: Arrangement,
}

impl Layout {
    /// The layout of a file that is nothing but records of `width` bytes.
    pub fn records(width: usize) -> Self {
        Self { start: 0, len: None, width, arrangement: Arrangement::Bytes }
    }

    /// How content with this layout is cut into blocks.
    pub fn cutting(&self) -> Cutting {
        let start = self.start as u64;
        Cutting {
            start,
            end: self.len.map_or(u64::MAX, |len| start.saturating_add(len)),
            unit: self.arrangement.unit(self.width),
            step: self.arrangement.step(self.width),
            params: self.arrangement.params(),
            chained: false,
        }
    }

    /// The records of a whole file, one after the other, with one byte per variable. Incomplete records are
    /// left out. `None` where some number does not follow from its lowest byte.
    pub fn gather(&self, file: &[u8]) -> Option<Vec<u8>> {
        let [_, raw, _] = self.cutting().split(file, 0);
        let unit = self.arrangement.unit(self.width);
        let raw = &raw[..raw.len() / unit * unit];
        if !self.arrangement.fits(raw) {
            return None;
        }
        let count = raw.len() / unit * self.arrangement.records_of_unit();
        let (mut out, mut record) = (Vec::new(), vec![0; self.width]);
        let whole = (0..count).filter(|&i| self.arrangement.known(raw.len(), i) == Known::All);
        whole.for_each(|i| {
            self.arrangement.gather(raw, i, &mut record);
            out.extend_from_slice(&record);
        });
        Some(out)
    }
}

/// Detects the layout of an IDX file of bytes, of an `.npy` file of integers or, for a circuit of patches, of
/// a PGM or PPM picture, from the file's first bytes.
pub fn detect(head: &[u8], patch: Option<Patch>) -> Option<Layout> {
    let found = patch.and_then(|patch| picture(head, patch));
    found.or_else(|| idx(head)).or_else(|| npy(head)).filter(|l| l.width > 0)
}

/// The layout of a picture with as many channels as the patch. `None` for other files, and for pictures that
/// are too wide, or far narrower than a patch.
fn picture(head: &[u8], patch: Patch) -> Option<Layout> {
    let found = pnm::picture(head).filter(|p| p.channels == patch.channels)?;
    let columns = u32::try_from(found.width).ok().filter(|c| u64::from(*c) <= arrangement::MAX_COLUMNS)?;
    let (arrangement, width) = (Arrangement::Patches { patch, columns }, patch.variables());
    let len = found.width.checked_mul(found.height)?.checked_mul(patch.channels.into())?;
    // Patches of a narrow picture have many variables that do not exist: the limit for a window must hold
    // however the picture is cut into windows.
    let patches = found.height.div_ceil(patch.height.into());
    let narrow = 4 * columns < patch.width.into();
    let few = patches.checked_mul(width as u64).is_some_and(|v| v <= arrangement::SPARE / 2);
    let good = (few || !narrow) && arrangement.unit(width) <= MAX_BAND;
    good.then_some(Layout { start: found.start, len: Some(len), width, arrangement })
}

/// The layout of an IDX file (the format of MNIST): 0, 0, type, number of dimensions, dimensions as
/// big-endian u32.
fn idx(head: &[u8]) -> Option<Layout> {
    let (magic, sizes) = head.split_first_chunk::<4>()?;
    if magic[..3] != [0, 0, 8] || !(2..=4).contains(&magic[3]) {
        return None;
    }
    let sizes = sizes.get(4..4 * usize::from(magic[3]))?;
    let width = product(sizes.chunks_exact(4).map(be))?;
    Some(Layout { start: 4 + 4 * usize::from(magic[3]), ..Layout::records(width) })
}

fn be(bytes: &[u8]) -> usize {
    bytes.iter().fold(0, |n, &b| n << 8 | usize::from(b))
}

fn product(sizes: impl Iterator<Item = usize>) -> Option<usize> {
    sizes.into_iter().try_fold(1usize, usize::checked_mul)
}

/// The layout of an `.npy` file. The records of an array in Fortran order are its columns.
fn npy(head: &[u8]) -> Option<Layout> {
    let array = npy::array(head, "").ok()?;
    let wide = |bytes, signed| Some(Arrangement::Wide { bytes, signed });
    let arrangement = match array.dtype {
        Dtype::U16 => wide(2, false),
        Dtype::I16 => wide(2, true),
        Dtype::U32 => wide(4, false),
        Dtype::I32 => wide(4, true),
        Dtype::U64 => wide(8, false),
        Dtype::I64 => wide(8, true),
        other => (other.group() == (1, 1)).then_some(Arrangement::Bytes),
    }?;
    let sizes = array.shape.get(1..)?.iter().map(|d| usize::try_from(*d).ok());
    let width = product(sizes.collect::<Option<Vec<_>>>()?.into_iter())?;
    let len = (arrangement != Arrangement::Bytes).then_some(array.len);
    Some(Layout { start: usize::try_from(array.start).ok()?, len, width, arrangement })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers() {
        let mnist = [0, 0, 8, 3, 0, 0, 0x27, 0x10, 0, 0, 0, 28, 0, 0, 0, 28, 7];
        assert_eq!(detect(&mnist, None), Some(Layout { start: 16, ..Layout::records(784) }));
        assert_eq!(detect(&mnist[..15], None), None);
        assert_eq!(detect(&[0, 0, 8, 1, 0, 0, 0, 9], None), None);
        let text = "{'descr': '|u1', 'fortran_order': False, 'shape': (100, 4, 5), }\n";
        let mut file = b"\x93NUMPY\x01\x00".to_vec();
        file.extend((text.len() as u16).to_le_bytes());
        file.extend(text.as_bytes());
        assert_eq!(detect(&file, None), Some(Layout { start: file.len(), ..Layout::records(20) }));
        for cut in 0..file.len() {
            assert_eq!(detect(&file[..cut], None), None);
        }
        let columns =
            b"\x93NUMPY\x01\x00\x3e\x00{'shape': (100, 4), 'fortran_order': True, 'descr': '|i1'}   \n";
        assert_eq!(detect(columns, None), Some(Layout { start: columns.len(), ..Layout::records(100) }));
        let huge = [0, 0, 8, 4, 0, 0, 0, 1, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255];
        assert_eq!(detect(&huge, None), None);
    }
}
