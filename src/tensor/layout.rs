//! The layout of a tensor file: its tensors and where they lie.

use super::content::{self, Content};
use super::{Dtype, gguf, npy, npz, nzll, nzlm, onnx, safetensors, torch, zip};
use crate::error::{Error, ErrorKind, Result};

/// The kind of a tensor file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FileKind {
    /// safetensors.
    Safetensors,
    /// GGUF, version 2 or 3.
    Gguf,
    /// `.npy`: one NumPy array.
    Npy,
    /// `.npz`: NumPy arrays in a ZIP archive.
    Npz,
    /// PyTorch's files: a ZIP archive of storages and a pickle.
    Torch,
    /// ONNX models, of which the initialisers are tensors.
    Onnx,
    /// The weight file of one of nzip's own language models.
    Nzlm,
    /// The weight file of an imported language model.
    Nzll,
    /// Bytes whose element type and shape the caller gave.
    Described,
}

/// The name, type, shape and place of one tensor of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TensorInfo {
    /// The tensor's name, unique in the file.
    pub name: String,
    /// The type of its elements.
    pub dtype: Dtype,
    /// The dimensions, the one that varies fastest last.
    pub shape: Vec<u64>,
    /// Offset of the tensor's first byte in the file.
    pub start: u64,
    /// Length of the tensor in bytes, as type and shape give it.
    pub len: u64,
}

impl TensorInfo {
    pub(crate) fn new(name: String, dtype: Dtype, shape: Vec<u64>, start: u64) -> Result<Self> {
        let len = dtype.bytes(&shape);
        let len = len.filter(|len| start.checked_add(*len).is_some());
        let len = len.ok_or_else(|| {
            Error::corrupt(format!("tensor {name:?}: impossible shape {shape:?} of {dtype}"))
        })?;
        Ok(Self { name, dtype, shape, start, len })
    }

    /// Offset in the file just past the tensor's last byte.
    pub fn end(&self) -> u64 {
        self.start + self.len
    }

    /// The length in bytes of a row, which is everything that one index of the first dimension selects. For a
    /// tensor with fewer than two dimensions, the length of the whole tensor.
    pub fn row_bytes(&self) -> u64 {
        match self.shape[..] {
            [n, _, ..] if n > 0 => self.len / n,
            _ => self.len,
        }
    }
}

/// A tensor whose type this release does not know. It is treated as bytes up to the next tensor.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnknownTensor {
    /// The tensor's name.
    pub name: String,
    /// The number of its type in the file.
    pub kind: u32,
    /// Offset of its first byte in the file.
    pub start: u64,
}

/// The kind of a file and its tensors.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Layout {
    /// The kind of file.
    pub kind: FileKind,
    /// The tensors, ordered by start. They do not overlap.
    pub tensors: Vec<TensorInfo>,
    /// Further tensors whose types are unknown, ordered by start.
    pub unknown: Vec<UnknownTensor>,
}

impl Layout {
    /// Sorts the tensors by start, and checks that names are unique and that ranges neither overlap nor go
    /// past `end`.
    pub(crate) fn new(kind: FileKind, mut tensors: Vec<TensorInfo>, end: u64) -> Result<Self> {
        tensors.sort_by_key(|t| (t.start, t.len));
        for pair in tensors.windows(2) {
            if pair[0].end() > pair[1].start {
                let (a, b) = (&pair[0].name, &pair[1].name);
                return Err(Error::corrupt(format!("tensors {a:?} and {b:?} overlap")));
            }
        }
        if let Some(last) = tensors.last().filter(|t| t.end() > end) {
            let name = &last.name;
            return Err(Error::corrupt(format!("tensor {name:?} ends at {}, its file at {end}", last.end())));
        }
        let mut names: Vec<&str> = tensors.iter().map(|t| t.name.as_str()).collect();
        names.sort_unstable();
        if let Some(pair) = names.windows(2).find(|p| p[0] == p[1]) {
            return Err(Error::corrupt(format!("two tensors are called {:?}", pair[0])));
        }
        Ok(Self { kind, tensors, unknown: Vec::new() })
    }

    /// Reads the layout of a whole file. Its first bytes tell its kind.
    ///
    /// # Errors
    ///
    /// Those of the parser for the kind of file; [`crate::ErrorKind::BadArgument`] where the first bytes
    /// belong to no known kind.
    pub fn read(file: &[u8]) -> Result<Self> {
        Self::read_content(&file)
    }

    /// Does the same for a content of which only the headers are read.
    pub(crate) fn read_content(content: &dyn Content) -> Result<Self> {
        let len = content.len();
        let start = content.read(0..len.min(16))?;
        if start.starts_with(&npz::MAGIC) {
            return read_zip(content);
        }
        if start.starts_with(&torch::OLD_MAGIC) {
            return torch::parse_old(content);
        }
        let parse = if start.starts_with(&gguf::MAGIC) {
            |head: &[u8], len| gguf::Gguf::parse(head, len).map(|g| g.layout)
        } else if start.starts_with(&npy::MAGIC) {
            |head: &[u8], len| npy::parse(head, len, "array")
        } else if start.starts_with(&nzlm::MAGIC) {
            nzlm::parse
        } else if start.starts_with(&nzll::MAGIC) {
            nzll::parse
        } else if start.get(8) == Some(&b'{') {
            safetensors::parse
        } else if onnx::is_likely(&start) {
            return onnx::parse(content);
        } else {
            return Err(Error::bad_argument(
                "no tensor file: neither safetensors nor GGUF, npy, npz, PyTorch, ONNX",
            ));
        };
        content::parse(content, 0..len, "the header", |head| parse(head, len))
    }

    /// Whether a file that starts with these bytes (16 are enough) may be one that [`Layout::read`] knows.
    pub fn is_likely(start: &[u8]) -> bool {
        let magics: [&[u8]; 4] = [&gguf::MAGIC, &npy::MAGIC, &npz::MAGIC, &torch::OLD_MAGIC];
        magics.iter().any(|m| start.starts_with(m))
            || start.get(8) == Some(&b'{') && start[4..8] == [0; 4]
            || start.starts_with(&nzlm::MAGIC)
            || start.starts_with(&nzll::MAGIC)
            || onnx::is_likely(start)
    }

    /// The layout of bytes that the caller describes: one tensor of this type and shape, which starts at
    /// offset `start`.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::Corrupt`] where the tensor ends past `file_len` bytes, or its size overflows.
    pub fn described(dtype: Dtype, shape: Vec<u64>, start: u64, file_len: u64) -> Result<Self> {
        Self::new(FileKind::Described, vec![TensorInfo::new("data".into(), dtype, shape, start)?], file_len)
    }

    /// The tensor with this name.
    pub fn find(&self, name: &str) -> Option<&TensorInfo> {
        self.tensors.iter().find(|t| t.name == name)
    }
}

/// Reads the layout of a ZIP archive: PyTorch's storages, or NumPy's arrays.
fn read_zip(content: &dyn Content) -> Result<Layout> {
    match zip::directory(content).and_then(|entries| torch::parse(content, &entries)) {
        Ok(Some(layout)) => Ok(layout),
        Err(e) if e.kind() == ErrorKind::Io => Err(e),
        // Arrays are also found where the directory is damaged.
        _ => npz::parse(content),
    }
}
