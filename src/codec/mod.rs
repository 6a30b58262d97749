//! Codecs: each turns the raw bytes of a block into a payload and back.

pub mod acceleration;
pub mod choose;
pub mod circuit;
pub mod decode;
mod filter;
pub mod layout;
pub mod llm;
pub mod lm;
pub mod mix;
mod mix_guide;
mod mix_kind;
pub mod store;
pub mod table;
pub mod tensor;
pub mod window;
pub mod zstd;

use crate::error::{Error, ErrorKind, Result};
use crate::format::block::Units;

/// How the bytes of a block are coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum Codec {
    /// Raw bytes as they are.
    Store = 0,
    /// A Zstandard frame.
    Zstd = 1,
    /// Small byte-level language model.
    Lm = 2,
    /// Context mixing.
    Mix = 3,
    /// Probabilistic circuit.
    Circuit = 4,
    /// Imported transformer language model.
    Llm = 5,
    /// Tensor planes.
    Tensor = 6,
    /// Columns of delimited text through a circuit learned from them.
    Table = 7,
}

impl Codec {
    /// All codecs that have an id.
    pub const ALL: [Codec; 8] = [
        Codec::Store,
        Codec::Zstd,
        Codec::Lm,
        Codec::Mix,
        Codec::Circuit,
        Codec::Llm,
        Codec::Tensor,
        Codec::Table,
    ];

    /// The codecs that this release reads and writes.
    pub const AVAILABLE: &'static [Codec] = &Self::ALL;

    /// The id in a block header.
    pub fn id(self) -> u8 {
        self as u8
    }

    /// The codec with this id.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NewerVersion`] for ids that this release does not know.
    pub fn from_id(id: u8) -> Result<Self> {
        Self::ALL.into_iter().find(|c| c.id() == id).ok_or_else(|| newer(&format!("codec {id}")))
    }

    /// The name in reports and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Codec::Store => "store",
            Codec::Zstd => "zstd",
            Codec::Lm => "lm",
            Codec::Mix => "mix",
            Codec::Circuit => "circuit",
            Codec::Llm => "llm",
            Codec::Tensor => "tensor",
            Codec::Table => "table",
        }
    }

    /// The codec with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|c| c.name() == name)
    }

    /// The largest raw length that `payload_len` bytes of payload may stand for (`formats/nzip.md`).
    pub(crate) fn max_raw(self, payload_len: u64) -> u64 {
        match self {
            Codec::Store => payload_len,
            Codec::Zstd | Codec::Table => payload_len << 15,
            _ => u64::MAX,
        }
    }
}

/// A block ready to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EncodedBlock {
    pub codec: Codec,
    pub raw_len: u32,
    /// Hash of the model, where the codec has one.
    pub model: Option<[u8; 32]>,
    pub params: Option<Vec<u8>>,
    pub units: Units,
    pub payload: Vec<u8>,
}

pub(crate) fn newer(feature: &str) -> Error {
    Error::new(ErrorKind::NewerVersion, format!("needs a newer nzip ({feature})"))
}
