//! Contents that are spread over several files.
//!
//! A *shard* is a `.nz` file. A *manifest* lists shards, one directly after the other in the content that they
//! make up together; `formats/manifest.md` specifies it. [`Manifest`] is the list, [`ManifestArchive`] reads any
//! part of the content.

mod archive;
mod describe;
mod parse;
mod write;

pub use archive::{ManifestArchive, OpenShard};

use crate::error::{Error, Result};
use crate::format::member::check_name;
use crate::tensor::TensorInfo;
use std::collections::HashMap;
use std::ops::Range;

/// The first bytes of every manifest.
const START: &[u8] = b"{\"nzip-manifest\":";
/// The version of manifests that this release reads and writes.
const VERSION: u64 = 1;

/// The list of the shards of a content.
///
/// ```
/// use nzip::manifest::{Manifest, Shard};
/// use nzip::DecodeOptions;
/// use std::io::Cursor;
/// let packed = nzip::compress(b"once upon a time", 1)?;
/// let mut manifest = Manifest::new();
/// manifest.push(Shard::describe("story.nz", Cursor::new(packed), &DecodeOptions::new())?)?;
/// let again = Manifest::parse(&manifest.to_bytes(), 1 << 20)?;
/// assert_eq!((again.len(), again.shards()[0].name.as_str()), (16, "story.nz"));
/// # Ok::<(), nzip::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Manifest {
    shards: Vec<Shard>,
    tensors: Vec<Tensor>,
    /// The numbers of the tensors, by their names.
    names: HashMap<String, usize>,
}

/// A shard as its row of the manifest describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Shard {
    /// The path of the file, relative to the folder of the manifest, with `/` between names.
    pub name: String,
    /// The offset of its first raw byte in the whole content.
    pub raw_start: u64,
    /// The number of its raw bytes.
    pub raw_len: u64,
    /// The size of the file in bytes.
    pub stored_len: u64,
    /// The BLAKE3 of its raw bytes.
    pub raw_hash: [u8; 32],
    /// The BLAKE3 of the file.
    pub stored_hash: [u8; 32],
    /// The hashes of the models that its blocks name.
    pub models: Vec<[u8; 32]>,
    /// The tensors in it, and parts of tensors. Their starts count from the first raw byte of the shard.
    pub tensors: Vec<TensorPart>,
    /// The source that the shard was made of, in the words of whoever made it.
    pub source: Option<String>,
}

/// A tensor in a shard, or those rows of one that lie there.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TensorPart {
    /// Name, type, shape and place of what lies in the shard.
    pub info: TensorInfo,
    /// The number of the tensor's rows that lie in earlier shards.
    pub first_row: u64,
}

/// A tensor of the whole content.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tensor {
    /// Name, type, shape and length of all of it; its start is that of its first part in the whole content.
    pub info: TensorInfo,
    /// Where its bytes lie in the whole content: one range, unless its rows are spread over shards.
    pub parts: Vec<Range<u64>>,
}

impl TensorPart {
    /// A tensor, or some of its rows, before which `first_row` rows lie in earlier shards.
    pub fn new(info: TensorInfo, first_row: u64) -> Self {
        Self { info, first_row }
    }
}

impl Manifest {
    /// A list without shards.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether a file that starts with these bytes is a manifest.
    pub fn is_manifest(start: &[u8]) -> bool {
        start.starts_with(START)
    }

    /// The shards in the order of their contents.
    pub fn shards(&self) -> &[Shard] {
        &self.shards
    }

    /// The tensors in the order in which they start.
    pub fn tensors(&self) -> &[Tensor] {
        &self.tensors
    }

    /// The tensor with this name.
    pub fn tensor(&self, name: &str) -> Option<&Tensor> {
        self.names.get(name).map(|&number| &self.tensors[number])
    }

    /// The number of raw bytes of all shards together.
    pub fn len(&self) -> u64 {
        self.shards.last().map_or(0, Shard::raw_end)
    }

    /// Whether there are no raw bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The number of bytes of all shards' files together.
    pub fn stored_len(&self) -> u64 {
        self.shards.iter().fold(0, |sum, s| sum.saturating_add(s.stored_len))
    }

    /// Adds a shard behind the others, whatever its `raw_start` says.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::Corrupt`] for a shard that breaks a rule of the format: a name that could lead out
    /// of the manifest's folder, tensors that overlap or do not fit what other shards have of them.
    pub fn push(&mut self, mut shard: Shard) -> Result<()> {
        let place = format!("shard {} ({:?})", self.shards.len(), shard.name);
        shard.raw_start = self.len();
        shard.check().and_then(|()| self.join_tensors(&shard)).map_err(|e| e.within(place))?;
        self.shards.push(shard);
        Ok(())
    }

    fn join_tensors(&mut self, shard: &Shard) -> Result<()> {
        for TensorPart { info, first_row } in &shard.tensors {
            let range = shard.raw_start + info.start..shard.raw_start + info.end();
            let name = &info.name;
            match self.names.get(name).map(|&number| &mut self.tensors[number]) {
                None if *first_row == 0 => {
                    self.names.insert(name.clone(), self.tensors.len());
                    let info = TensorInfo { start: range.start, ..info.clone() };
                    self.tensors.push(Tensor { info, parts: vec![range] });
                }
                Some(tensor) if *first_row > 0 => tensor.extend(info, *first_row, range)?,
                None => return Err(Error::corrupt(format!("tensor {name:?}: its first rows are missing"))),
                Some(_) => return Err(Error::corrupt(format!("tensor {name:?} is there twice"))),
            }
        }
        Ok(())
    }

    /// The memory that the list takes, in bytes, approximately.
    fn held(&self) -> u64 {
        let part = size_of::<TensorPart>() + size_of::<Tensor>() + 64;
        let tensor = |t: &TensorPart| part + 3 * t.info.name.len() + 16 * t.info.shape.len();
        let shard = |s: &Shard| {
            let tensors: usize = s.tensors.iter().map(tensor).sum();
            let source = s.source.as_ref().map_or(0, String::len);
            (size_of::<Shard>() + s.name.len() + 32 * s.models.len() + tensors + source) as u64
        };
        self.shards.iter().map(shard).sum()
    }

    /// The number of the first shard that has raw bytes behind an offset.
    fn shard_at(&self, offset: u64) -> usize {
        self.shards.partition_point(|s| s.raw_end() <= offset)
    }
}

impl Tensor {
    /// Adds the rows that another shard has.
    fn extend(&mut self, more: &TensorInfo, first_row: u64, range: Range<u64>) -> Result<()> {
        let have = &mut self.info;
        let fits = have.dtype == more.dtype
            && have.shape.first() == Some(&first_row)
            && have.shape.get(1..) == more.shape.get(1..);
        let rows = more.shape.first().and_then(|rows| rows.checked_add(first_row));
        let len = have.len.checked_add(more.len);
        let (Some(rows), Some(len), true) = (rows, len, fits) else {
            let (name, before, shape) = (&more.name, &have.shape, &more.shape);
            return Err(Error::corrupt(format!(
                "tensor {name:?}: rows from {first_row} on of shape {shape:?} do not follow {before:?}"
            )));
        };
        (have.shape[0], have.len) = (rows, len);
        match self.parts.last_mut() {
            Some(last) if last.end == range.start => last.end = range.end,
            _ => self.parts.push(range),
        }
        Ok(())
    }

    /// The raw ranges of the bytes `bytes` of this tensor.
    fn ranges(&self, bytes: Range<u64>) -> Vec<Range<u64>> {
        let (mut out, mut at) = (Vec::new(), 0);
        for part in &self.parts {
            let end = at + (part.end - part.start);
            let (from, to) = (bytes.start.max(at), bytes.end.min(end));
            if from < to {
                out.push(part.start + (from - at)..part.start + (to - at));
            }
            at = end;
        }
        out
    }
}

impl Shard {
    /// The offset just past its last raw byte in the whole content.
    pub fn raw_end(&self) -> u64 {
        self.raw_start + self.raw_len
    }

    /// Checks what does not depend on other shards.
    fn check(&self) -> Result<()> {
        check_name(&self.name)?;
        if self.raw_start.checked_add(self.raw_len).is_none() {
            return Err(Error::corrupt("more than 2^64 raw bytes"));
        }
        let mut at = 0;
        for TensorPart { info, .. } in &self.tensors {
            if info.start < at || info.end() > self.raw_len {
                let (name, start, end, len) = (&info.name, info.start, info.end(), self.raw_len);
                return Err(Error::corrupt(format!(
                    "tensor {name:?}: bytes {start}..{end}, {at}..{len} expected"
                )));
            }
            at = info.end();
        }
        Ok(())
    }
}

/// The hash by which manifests know contents and files: BLAKE3.
pub fn content_hash(bytes: &[u8]) -> [u8; 32] {
    *blake3::hash(bytes).as_bytes()
}

#[cfg(test)]
mod tests;
