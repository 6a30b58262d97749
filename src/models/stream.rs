//! The models that the sections of one stream name or bring along.

use super::Models;
use super::registry::{self, Hash};
use crate::codec::block::{BlockCodec, LoadedModel, ModelUse};
use crate::codec::buffer::resize;
use crate::codec::windowed::missing_model;
use crate::codec::zstd;
use crate::container;
use crate::error::{Error, Result};
use crate::format::checksum::hex;
use crate::format::consts::{FIRST_STREAM_MODEL, MAGIC, MAX_MODELS};
use crate::format::section::ModelSection;

/// The models of one stream while it is read.
#[derive(Clone)]
pub(crate) struct StreamModels {
    models: Models,
    sections: Vec<Hash>,
    /// Bytes of embedded weights so far.
    held: u64,
}

impl StreamModels {
    pub(crate) fn new(models: Models) -> Self {
        Self { models, sections: Vec::new(), held: 0 }
    }

    /// Takes note of a model section; embedded weights are unpacked and checked against the hash.
    pub(crate) fn add(&mut self, section: ModelSection, memory: u64) -> Result<()> {
        if self.sections.len() as u64 >= MAX_MODELS {
            return Err(Error::corrupt(format!("more than {MAX_MODELS} model sections")));
        }
        if let Some((raw_len, packed)) = section.embedded {
            if self.held == 0 {
                // A stream's own models are nobody else's: another stream that names them must bring them along.
                self.models = self.models.apart();
            }
            self.held = self.held.saturating_add(raw_len);
            if self.held > memory {
                let held = self.held;
                return Err(Error::limit(format!("embedded models of {held} bytes; the cap is {memory}")));
            }
            let weights = unpack(&packed, raw_len)?;
            let found = *blake3::hash(&weights).as_bytes();
            if found != section.hash {
                let (wanted, found) = (hex(&section.hash), hex(&found));
                return Err(Error::corrupt(format!("embedded model {wanted} expected, {found} found")));
            }
            self.models.add(weights);
        }
        self.sections.push(section.hash);
        Ok(())
    }

    /// The hash behind a block's model reference.
    pub(crate) fn hash(&self, reference: u64) -> Result<Hash> {
        if reference < FIRST_STREAM_MODEL {
            return registry::built_in_hash(reference as u8);
        }
        let i = (reference - FIRST_STREAM_MODEL) as usize;
        let found = self.sections.get(i).copied();
        found.ok_or_else(|| Error::corrupt(format!("model section {i} is referred to, but not there")))
    }

    /// The model that a block names, ready to run; `None` where it names none and needs none.
    pub(crate) fn load(&self, codec: &dyn BlockCodec, reference: Option<u64>) -> Result<Option<LoadedModel>> {
        match (codec.model_use(), reference) {
            (ModelUse::Required(_), None) => Err(missing_model(codec.name())),
            (ModelUse::Required(of) | ModelUse::Optional(of), Some(reference)) => {
                self.models.load(of, &self.hash(reference)?).map(Some)
            }
            (ModelUse::None, _) | (_, None) => Ok(None),
        }
    }
}

/// Embedded weights of `raw_len` bytes: a stream of its own, or a Zstandard frame.
fn unpack(packed: &[u8], raw_len: u64) -> Result<Vec<u8>> {
    if packed.starts_with(&MAGIC) {
        let memory = raw_len.saturating_mul(2).max(1 << 26);
        let weights = container::unpack::unpack(packed, raw_len, memory)?;
        if weights.len() as u64 != raw_len {
            let found = weights.len();
            return Err(Error::corrupt(format!("embedded weights: {raw_len} bytes expected, {found} found")));
        }
        return Ok(weights);
    }
    let mut weights = Vec::new();
    resize(&mut weights, raw_len as usize)?;
    zstd::decompress(packed, &mut weights)?;
    Ok(weights)
}
