//! Base tensors: tensors that the tensors of another file are coded against.

use super::content::{Content, outside};
use super::rounding::Rounding;
use super::{Dtype, Layout};
use crate::error::{Error, Result};
use rayon::prelude::*;
use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// The bytes of a tensor that are hashed at a time.
const PIECE: usize = 4 << 20;

/// Tensor files that other tensor files are coded against, such as the model that a fine-tuned model was made
/// from. A stream names each base tensor that it needs by the BLAKE3 hash of its bytes. Clones share the
/// loaded files.
///
/// ```
/// use nzip::{Bases, DecodeOptions, Options};
/// # let file = |scale: f32| {
/// #     let json = r#"{"w":{"dtype":"F32","shape":[40,100],"data_offsets":[0,16000]}}"#;
/// #     let data = (0..4000u32).flat_map(|i| ((i.wrapping_mul(2_654_435_761) >> 8) as f32 * scale).to_le_bytes());
/// #     (json.len() as u64).to_le_bytes().into_iter().chain(json.bytes()).chain(data).collect::<Vec<u8>>()
/// # };
/// let (model, tuned) = (file(0.5), file(0.50001));
/// let mut bases = Bases::new();
/// bases.add(model)?;
/// let packed = nzip::compress_with(&tuned, Options::new().bases(bases.clone()))?;
/// assert!(nzip::decompress(&packed).is_err());
/// assert_eq!(nzip::decompress_with(&packed, DecodeOptions::new().bases(bases))?, tuned);
/// # Ok::<(), nzip::Error>(())
/// ```
#[derive(Clone, Default)]
pub struct Bases {
    tensors: Arc<Vec<Arc<BaseTensor>>>,
    by_hash: Arc<HashMap<[u8; 32], usize>>,
    /// The most memory that unpacked files may take, in bytes. Without a value: 1 GiB, or the length of a
    /// longer file.
    pub(crate) memory: Option<u64>,
    /// The memory that unpacked files take, in bytes.
    pub(crate) held: u64,
}

impl fmt::Debug for Bases {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bases").field("tensors", &self.tensors.len()).finish()
    }
}

/// One tensor of a base file.
#[derive(Clone)]
pub(crate) struct BaseTensor {
    pub name: String,
    pub dtype: Dtype,
    pub shape: Vec<u64>,
    /// BLAKE3 hash of the tensor's bytes.
    pub hash: [u8; 32],
    pub content: Arc<dyn Content>,
    /// Its bytes in the content.
    pub range: Range<u64>,
}

impl BaseTensor {
    /// The tensor's length in bytes.
    pub fn len(&self) -> u64 {
        self.range.end - self.range.start
    }

    /// The `len` bytes of the tensor from byte `from` on. If the tensor's file has been written to in the
    /// meantime, they may no longer match the hash.
    ///
    /// # Errors
    ///
    /// Those of [`Content::read`]; [`crate::ErrorKind::BadArgument`] where the tensor is shorter.
    pub fn read(&self, from: u64, len: usize) -> Result<Cow<'_, [u8]>> {
        let end = from.checked_add(len as u64).filter(|end| *end <= self.len());
        let Some(end) = end else {
            return Err(Error::bad_argument(format!("{len} bytes from {from} of a base of {}", self.len())));
        };
        self.content.read(self.range.start + from..self.range.start + end)
    }
}

/// A part of a content.
struct Part {
    /// The bytes before the part, and all bytes.
    before: u64,
    all: u64,
    bytes: Vec<u8>,
}

impl Content for Part {
    fn len(&self) -> u64 {
        self.all
    }

    fn read(&self, range: Range<u64>) -> Result<Cow<'_, [u8]>> {
        let inside = |at: u64| usize::try_from(at.checked_sub(self.before)?).ok();
        let bytes = inside(range.start).zip(inside(range.end)).and_then(|(a, b)| self.bytes.get(a..b));
        bytes.map(Cow::Borrowed).ok_or_else(|| outside(&range, self.all))
    }
}

/// The BLAKE3 hash of a range of a content.
fn hash(content: &dyn Content, range: Range<u64>) -> Result<[u8; 32]> {
    let mut hasher = blake3::Hasher::new();
    for start in range.clone().step_by(PIECE) {
        hasher.update(&content.read(start..(start + PIECE as u64).min(range.end))?);
    }
    Ok(*hasher.finalize().as_bytes())
}

/// The tensors of a content as bases, hashed in parallel.
///
/// # Errors
///
/// Those of reading.
pub(crate) fn tensors(content: &Arc<dyn Content>, layout: Layout) -> Result<Vec<BaseTensor>> {
    let tensors = layout.tensors.into_par_iter().map(|t| {
        let range = t.start..t.end();
        let hash = hash(&**content, range.clone())?;
        let content = content.clone();
        Ok(BaseTensor { name: t.name, dtype: t.dtype, shape: t.shape, hash, content, range })
    });
    tensors.collect()
}

impl Bases {
    /// Creates an empty set of bases.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets how much memory, in bytes, all files that [`Bases::add_file`] unpacks may take together.
    pub fn capped(mut self, memory: u64) -> Self {
        self.memory = Some(memory);
        self
    }

    /// Adds all tensors of a file of any kind that [`Layout::read`] knows.
    ///
    /// # Errors
    ///
    /// Those of [`Layout::read`].
    pub fn add(&mut self, file: Vec<u8>) -> Result<()> {
        self.add_content(Arc::new(file))
    }

    pub(crate) fn add_content(&mut self, content: Arc<dyn Content>) -> Result<()> {
        let layout = Layout::read_content(&*content)?;
        let found = tensors(&content, layout)?.into_iter().map(Arc::new);
        let (all, by_hash) = (Arc::make_mut(&mut self.tensors), Arc::make_mut(&mut self.by_hash));
        for tensor in found {
            by_hash.entry(tensor.hash).or_insert(all.len());
            all.push(tensor);
        }
        Ok(())
    }

    /// A single base of `len` bytes with this hash, of which only `bytes` are there, after `before` other bytes.
    pub(crate) fn part(hash: [u8; 32], len: u64, before: u64, bytes: Vec<u8>) -> Self {
        let content = Arc::new(Part { before, all: len, bytes });
        let (name, dtype, shape, range) = (String::new(), Dtype::U8, vec![len], 0..len);
        Self::of(vec![BaseTensor { name, dtype, shape, hash, content, range }])
    }

    /// A set of these tensors.
    pub(crate) fn of(tensors: Vec<BaseTensor>) -> Self {
        let by_hash = tensors.iter().enumerate().rev().map(|(i, t)| (t.hash, i)).collect();
        let tensors = Arc::new(tensors.into_iter().map(Arc::new).collect());
        Self { tensors, by_hash: Arc::new(by_hash), ..Self::default() }
    }

    /// Whether no tensors have been added.
    pub fn is_empty(&self) -> bool {
        self.tensors.is_empty()
    }

    /// The tensor whose bytes have this BLAKE3 hash.
    pub(crate) fn find(&self, hash: &[u8; 32]) -> Option<&Arc<BaseTensor>> {
        self.tensors.get(*self.by_hash.get(hash)?)
    }

    /// The tensors by name. Of several with the same name, the first one added.
    pub(crate) fn names(&self) -> HashMap<&str, &Arc<BaseTensor>> {
        self.tensors.iter().rev().map(|t| (t.name.as_str(), t)).collect()
    }
}

impl BaseTensor {
    /// How many bytes of a tensor of this type and shape, from the first one on, can be coded against it: all of them
    /// if the shapes are the same, and fewer if it has fewer rows. `None` where other dimensions differ, or elements of
    /// that type cannot be made from its own.
    pub fn reach(&self, dtype: Dtype, shape: &[u64]) -> Option<u64> {
        let rounding = Rounding::between(self.dtype, dtype, &[])?;
        let same = match (&self.shape[..], shape) {
            ([_, mine @ ..], [_, theirs @ ..]) => mine == theirs,
            (mine, theirs) => mine == theirs,
        };
        let reach = rounding.tensor_len(self.len()).min(dtype.bytes(shape)?);
        Some(reach).filter(|reach| same && *reach > 0)
    }

    /// How its elements become those of a tensor of this type, whose bytes start with `sample`.
    pub fn rounding(&self, dtype: Dtype, sample: &[u8]) -> Rounding {
        Rounding::between(self.dtype, dtype, sample).unwrap_or(Rounding::None)
    }
}
