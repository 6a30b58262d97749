//! Codecs: each turns the raw bytes of a block into a payload and back.

pub mod acceleration;
pub mod block;
pub mod buffer;
mod choose;
pub mod circuit;
pub mod deflate;
pub mod encoding;
pub mod floor;
mod glance;
pub mod hints;
mod inside;
pub mod jpeg;
pub mod light;
pub mod llm;
pub mod lm;
pub mod mix;
mod numbers;
pub mod ordered;
pub mod plan;
mod reader;
mod rivals;
pub mod sort;
pub mod store;
pub mod table;
pub mod tensor;
pub mod window;
pub mod windowed;
pub mod zstd;

use crate::error::{Error, ErrorKind, Result};
use block::{BlockCodec, BlockJob, UnitKind};
use inside::Unpacker;
use rayon::prelude::*;

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
    /// Deflate streams undone, and their contents coded by other codecs.
    Deflate = 8,
    /// Context mixing with few contexts.
    Light = 9,
    /// Block sorting.
    Sort = 10,
    /// Huffman codes of JPEG pictures undone, and their coefficients coded by context mixing.
    Jpeg = 11,
}

impl Codec {
    /// All codecs that have an id.
    pub const ALL: [Codec; 12] = [
        Codec::Store,
        Codec::Zstd,
        Codec::Lm,
        Codec::Mix,
        Codec::Circuit,
        Codec::Llm,
        Codec::Tensor,
        Codec::Table,
        Codec::Deflate,
        Codec::Light,
        Codec::Sort,
        Codec::Jpeg,
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
        self.object().name()
    }

    /// The number of bytes that ship with nzip and that blocks of this codec may need in addition to any
    /// model: the starting points of `mix`, which other codecs use too.
    pub fn start_len(self) -> u64 {
        self.object().start_len()
    }

    /// The codec with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|c| c.name() == name)
    }

    /// The object that knows all of the codec's rules.
    pub(crate) fn object(self) -> &'static dyn BlockCodec {
        CODECS[usize::from(self.id())]
    }
}

/// All codecs, by their ids.
pub(crate) const CODECS: [&dyn BlockCodec; Codec::ALL.len()] = [
    &store::Store,
    &zstd::Zstd,
    &lm::Lm,
    &mix::Mix,
    &circuit::Circuit,
    &llm::Llm,
    &tensor::object::Tensor,
    &table::TableCodec,
    &deflate::Deflate,
    &light::LightCodec,
    &sort::SortCodec,
    &jpeg::Jpeg,
];

/// The codecs that undo what other programs have packed, in the order in which they look at a block: pictures may
/// hold what looks like a deflate stream.
pub(crate) const UNPACKERS: [&dyn Unpacker; 2] = [&jpeg::Jpeg, &deflate::Deflate];

/// Decodes all jobs, in parallel. Each job keeps the bytes that were verified before its first error.
pub(crate) fn decode_blocks(jobs: &mut [BlockJob<'_>]) {
    let mut by_codec: Vec<Vec<&mut BlockJob<'_>>> = CODECS.iter().map(|_| Vec::new()).collect();
    for job in jobs {
        by_codec[usize::from(job.block.codec.id().id())].push(job);
    }
    let work = CODECS.into_iter().zip(by_codec).filter(|(_, jobs)| !jobs.is_empty());
    // The lanes of one model fill all threads and much memory, so windowed codecs run one after the other.
    let (windowed, other): (Vec<_>, Vec<_>) = work.partition(|(codec, _)| codec.units() == UnitKind::Windows);
    windowed.into_iter().for_each(|(codec, mut jobs)| codec.decode(&mut jobs));
    other.into_par_iter().for_each(|(codec, mut jobs)| codec.decode(&mut jobs));
}

pub(crate) fn newer(feature: &str) -> Error {
    Error::new(ErrorKind::NewerVersion, format!("needs a newer nzip ({feature})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_the_order_of_ids() {
        for (i, codec) in CODECS.iter().enumerate() {
            assert_eq!((usize::from(codec.id().id()), codec.id()), (i, Codec::ALL[i]));
            assert_eq!(Codec::from_name(codec.name()), Some(codec.id()));
        }
    }
}
