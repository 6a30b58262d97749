//! The nearest of several files of tensors.

use super::distance::{distance, is_near};
use super::known::LEAST;
use crate::error::Result;
use crate::stream::{Archive, DecodeOptions, FileContent, is_nz};
use crate::tensor::Layout;
use crate::tensor::bases::BaseTensor;
use crate::tensor::content::Content;
use std::borrow::Cow;
use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

/// The file to which another one is nearest.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Nearest {
    /// Its number among the candidates, from 0.
    pub candidate: usize,
    /// The number of tensors that are near to those of the same names in it.
    pub tensors: usize,
    /// The bits in which elements differ, in the mean of samples of these tensors.
    pub bits: f64,
}

/// The content of a compressed file, of which ranges are decoded where they are wanted.
struct Packed {
    archive: Mutex<Archive<File>>,
    len: u64,
}

impl Content for Packed {
    fn len(&self) -> u64 {
        self.len
    }

    fn read(&self, range: Range<u64>) -> Result<Cow<'_, [u8]>> {
        let mut archive = self.archive.lock().unwrap_or_else(PoisonError::into_inner);
        archive.read_range(range).map(Cow::Owned)
    }
}

/// The candidate that a file of tensors is best coded against, told from samples of the tensors that have the same names;
/// of equally near ones, the first. Candidates may be compressed; they are read with these options. `None` where none is
/// near.
///
/// # Errors
///
/// Those of reading and parsing `file`, and of reading candidates. Candidates that are no files of tensors, or take
/// more memory than the options allow, are passed over.
pub fn nearest(file: &File, candidates: &[&File], options: &DecodeOptions) -> Result<Option<Nearest>> {
    let mine = tensors(file, options)?;
    let mut best: Option<(u64, Nearest)> = None;
    for (candidate, other) in candidates.iter().enumerate() {
        let Ok(theirs) = tensors(other, options) else { continue };
        let theirs: HashMap<&str, &BaseTensor> = theirs.iter().map(|t| (t.name.as_str(), t)).collect();
        let (mut cost, mut near, mut sum, mut elements) = (0u64, 0, 0u64, 0u64);
        for t in mine.iter().filter(|t| t.len() >= LEAST) {
            let size = t.dtype.group().1;
            let partner = theirs.get(t.name.as_str());
            let found = partner.map(|o| distance(t, o)).transpose()?.flatten();
            let found = found.filter(|d| is_near(*d, size));
            cost = cost.saturating_add(found.unwrap_or(256 * 8 * size).saturating_mul(t.len() / size));
            if let Some(found) = found {
                near += 1;
                elements = elements.saturating_add(t.len() / size);
                sum = sum.saturating_add(found.saturating_mul(t.len() / size));
            }
        }
        if near > 0 && best.as_ref().is_none_or(|b| cost < b.0) {
            let bits = sum as f64 / 256.0 / elements as f64;
            best = Some((cost, Nearest { candidate, tensors: near, bits }));
        }
    }
    Ok(best.map(|b| b.1))
}

/// The tensors of a file, without their hashes.
fn tensors(mut file: &File, options: &DecodeOptions) -> Result<Vec<BaseTensor>> {
    let mut start = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    file.take(16).read_to_end(&mut start)?;
    let content: Arc<dyn Content> = if is_nz(&start) {
        let archive = Archive::with_options(file.try_clone()?, options.clone())?;
        let len = archive.len();
        Arc::new(Packed { archive: Mutex::new(archive), len })
    } else {
        Arc::new(FileContent::new(file)?)
    };
    let tensors = Layout::read_content(&*content)?.tensors.into_iter();
    let base = |t: crate::tensor::TensorInfo| {
        let (content, range) = (content.clone(), t.start..t.end());
        BaseTensor { name: t.name, dtype: t.dtype, shape: t.shape, hash: [0; 32], content, range }
    };
    Ok(tensors.map(base).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn file(step: u32, packed: bool) -> File {
        let json = r#"{"w":{"dtype":"F32","shape":[2000],"data_offsets":[0,8000]}}"#;
        let number = |i: u32| (i as f32 + 0.3).sqrt().to_bits() + i % 5 * step;
        let data = (0..2000).flat_map(|i| number(i).to_le_bytes());
        let bytes: Vec<u8> =
            (json.len() as u64).to_le_bytes().into_iter().chain(json.bytes()).chain(data).collect();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&if packed { crate::compress(&bytes, 2).unwrap() } else { bytes }).unwrap();
        file
    }

    #[test]
    fn the_nearest_is_found() {
        let others = [file(900, false), tempfile::tempfile().unwrap(), file(10, true), file(99, false)];
        let refs: Vec<&File> = others.iter().collect();
        let options = DecodeOptions::new();
        let found = nearest(&file(0, false), &refs, &options).unwrap().unwrap();
        assert!(
            (found.candidate, found.tensors) == (2, 1) && found.bits > 1.0 && found.bits < 6.0,
            "{found:?}"
        );
        assert_eq!(nearest(&file(0, false), &refs[1..2], &options).unwrap(), None);
        let little = DecodeOptions::new().memory(1000);
        assert_eq!(nearest(&file(0, false), &refs[2..3], &little).unwrap(), None);
        assert!(nearest(&tempfile::tempfile().unwrap(), &refs, &options).is_err());
    }
}
