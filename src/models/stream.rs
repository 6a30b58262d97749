//! The models that the sections of one stream name or embed.

use super::Models;
use super::loaded::Loaded;
use super::registry::{self, Hash};
use crate::codec::block::{BlockCodec, LoadedModel, ModelUse};
use crate::codec::buffer::resize;
use crate::codec::windowed::missing_model;
use crate::codec::{Codec, zstd};
use crate::container;
use crate::error::{Error, Result};
use crate::format::checksum::hex;
use crate::format::consts::{FIRST_STREAM_MODEL, MAGIC, MAX_MODELS};
use crate::format::section::ModelSection;
use std::sync::{Arc, Mutex, PoisonError};

/// The models of one stream while it is read.
#[derive(Clone)]
pub(crate) struct StreamModels {
    models: Models,
    sections: Vec<ModelSection>,
    /// The bytes of the packed weights that the stream embeds, so far.
    packed: u64,
    /// The stream's own models that blocks have used. They are not shared: another stream must embed them
    /// itself.
    own: Arc<Mutex<Loaded>>,
}

impl StreamModels {
    pub(crate) fn new(models: Models) -> Self {
        Self { models, sections: Vec::new(), packed: 0, own: Arc::default() }
    }

    /// The same for the next stream, which has no sections yet.
    pub(crate) fn fresh(&self) -> Self {
        Self::new(self.models.clone())
    }

    /// Records a model section. Embedded weights are unpacked when a block first names them.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::Corrupt`] for more sections than a stream may have;
    /// [`crate::ErrorKind::LimitExceeded`] where all packed weights together exceed `memory` bytes.
    pub(crate) fn add(&mut self, section: ModelSection, memory: u64) -> Result<()> {
        if self.sections.len() as u64 >= MAX_MODELS {
            return Err(Error::corrupt(format!("more than {MAX_MODELS} model sections")));
        }
        self.packed += section.embedded.as_ref().map_or(0, |e| e.1.len() as u64);
        if self.packed > memory {
            let packed = self.packed;
            return Err(Error::limit(format!("embedded models of {packed} bytes; the cap is {memory}")));
        }
        match &section.embedded {
            Some((raw_len, packed)) if packed.starts_with(&MAGIC) => {
                container::unpack::check_plain(packed, *raw_len, memory)?;
            }
            _ => {}
        }
        self.sections.push(section);
        Ok(())
    }

    /// The number of model sections so far.
    pub(crate) fn len(&self) -> usize {
        self.sections.len()
    }

    /// The memory that the stream's own models and the shared ones take, in bytes.
    pub(crate) fn held(&self) -> u64 {
        self.packed + self.own.lock().unwrap_or_else(PoisonError::into_inner).bytes + self.models.held()
    }

    /// Drops the stream's own models. If they are used again, they are unpacked again.
    pub(crate) fn forget(&self) {
        *self.own.lock().unwrap_or_else(PoisonError::into_inner) = Loaded::default();
    }

    /// The hash for the model reference of a block that comes after the first `before` model sections.
    pub(crate) fn hash(&self, reference: u64, before: usize) -> Result<Hash> {
        if reference < FIRST_STREAM_MODEL {
            return registry::built_in_hash(reference as u8);
        }
        self.section(reference - FIRST_STREAM_MODEL, before).map(|s| s.hash)
    }

    fn section(&self, i: u64, before: usize) -> Result<&ModelSection> {
        let found = self.sections.iter().take(before).nth(i as usize);
        found.ok_or_else(|| Error::corrupt(format!("model section {i} is referred to, but not there")))
    }

    /// The model that a block names, ready to run; `None` where the block names none and needs none. `before`
    /// is the number of model sections before the block.
    ///
    /// # Errors
    ///
    /// Those of finding, unpacking and loading the model; [`crate::ErrorKind::LimitExceeded`] where all
    /// models together would take more than `memory` bytes.
    pub(crate) fn load(
        &self,
        codec: &dyn BlockCodec,
        reference: Option<u64>,
        before: usize,
        memory: u64,
    ) -> Result<Option<LoadedModel>> {
        let (of, reference) = match (codec.model_use(), reference) {
            (ModelUse::Required(_), None) => return Err(missing_model(codec.name())),
            (ModelUse::Required(of) | ModelUse::Optional(of), Some(reference)) => (of, reference),
            (ModelUse::None, _) | (_, None) => return Ok(None),
        };
        let used = self.held();
        if reference >= FIRST_STREAM_MODEL {
            let section = self.section(reference - FIRST_STREAM_MODEL, before)?;
            if let Some((raw_len, packed)) = &section.embedded {
                return self
                    .embedded(of, section.hash, *raw_len, packed, memory.saturating_sub(used))
                    .map(Some);
            }
        }
        let hash = self.hash(reference, before)?;
        self.models.load(of, &hash, memory.saturating_sub(used)).map(Some)
    }

    /// A model that the stream embeds. Its weights are checked against the hash.
    fn embedded(&self, of: Codec, hash: Hash, raw_len: u64, packed: &[u8], left: u64) -> Result<LoadedModel> {
        let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(model) = own.get(of, &hash) {
            return Ok(model);
        }
        let unpack = || {
            let weights = unpack(packed, raw_len, left)?;
            let found = *blake3::hash(&weights).as_bytes();
            if found != hash {
                let (wanted, found) = (hex(&hash), hex(&found));
                return Err(Error::corrupt(format!("embedded model {wanted} expected, {found} found")));
            }
            Ok(weights)
        };
        // A shared model with this hash serves as well, once it is certain that the stream has the weights.
        match self.models.loaded(of, &hash) {
            Some(model) => {
                unpack()?;
                own.keep(of, hash, model.clone(), 0);
                Ok(model)
            }
            None => own.load(of, hash, self.models.device(), left, raw_len, unpack),
        }
    }
}

/// Unpacks embedded weights of `raw_len` bytes: a stream of their own, or a Zstandard frame.
fn unpack(packed: &[u8], raw_len: u64, memory: u64) -> Result<Vec<u8>> {
    if packed.starts_with(&MAGIC) {
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
