//! Models by hash, joined to the codecs that use them.

use crate::codec::window::WindowCoder;
use crate::codec::{Codec, newer};
use crate::error::{Error, Result};
use crate::format::consts::{FIRST_STREAM_MODEL, MAX_MODELS};
use crate::format::section::ModelSection;
use crate::model::circuit;
use crate::model::lm::{Model, weights::Weights};
use crate::model::registry::{self, Hash, ModelInfo, Registry};
use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

type Joined = HashMap<(u8, Hash), Arc<dyn WindowCoder>>;

/// The models that an encoder or decoder may use: built-in ones, those in the user's model folder, and
/// the ones added here. Clones share what has been loaded.
#[derive(Clone)]
pub struct Models {
    registry: Registry,
    joined: Arc<Mutex<Joined>>,
    networks: Arc<Mutex<HashMap<Hash, Arc<Model>>>>,
}

impl Default for Models {
    fn default() -> Self {
        Self {
            registry: Registry::new(super::oneshot::unpack),
            joined: Arc::default(),
            networks: Arc::default(),
        }
    }
}

impl Models {
    /// Built-in models, `$NZIP_MODELS` and `$XDG_DATA_HOME/nzip/models`.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a weight file (packed as `.nz` or plain) and returns the hash of its weights.
    ///
    /// # Errors
    ///
    /// Those of reading and unpacking the file.
    pub fn add_file(&mut self, path: impl AsRef<Path>) -> Result<[u8; 32]> {
        self.registry.add_file(path.as_ref())
    }

    /// Adds canonical weights and returns their hash.
    pub fn add(&mut self, weights: impl Into<Arc<[u8]>>) -> [u8; 32] {
        self.registry.add(weights)
    }

    /// The canonical weights with this hash.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::MissingModel`] where nobody has them.
    pub fn find(&self, hash: &[u8; 32]) -> Result<Arc<[u8]>> {
        self.registry.find(hash)
    }

    /// The built-in models, and those in the user's model folders.
    pub fn list(&self) -> Vec<ModelInfo> {
        self.registry.list()
    }

    pub(super) fn coder(&self, codec: Codec, hash: &Hash) -> Result<Arc<dyn WindowCoder>> {
        let key = (codec.id(), *hash);
        if let Some(coder) = self.lock().get(&key) {
            return Ok(coder.clone());
        }
        match codec {
            Codec::Lm => Ok(self.network(hash)?),
            Codec::Circuit => {
                let weights = self.registry.find(hash)?;
                let circuit = circuit::Weights::from_bytes(&weights).and_then(|w| circuit::Model::new(&w));
                let circuit = circuit.map_err(|e| e.within(format!("model {}", registry::hex(hash))))?;
                let coder: Arc<dyn WindowCoder> = Arc::new(circuit);
                self.lock().insert(key, coder.clone());
                Ok(coder)
            }
            other => Err(newer(&format!("codec {}", other.name()))),
        }
    }

    /// The codec that a model is for.
    pub(super) fn codec(&self, hash: &Hash) -> Result<Codec> {
        if self.lock().contains_key(&(Codec::Circuit.id(), *hash)) {
            return Ok(Codec::Circuit);
        }
        let circuit = circuit::Weights::recognise(&self.registry.find(hash)?);
        Ok(if circuit { Codec::Circuit } else { Codec::Lm })
    }

    /// The language model with this hash, ready to run.
    pub(super) fn network(&self, hash: &Hash) -> Result<Arc<Model>> {
        let mut networks = self.networks.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(network) = networks.get(hash) {
            return Ok(network.clone());
        }
        let weights = self.registry.find(hash)?;
        let network = Weights::from_bytes(&weights).and_then(Model::new);
        let network = Arc::new(network.map_err(|e| e.within(format!("model {}", registry::hex(hash))))?);
        networks.insert(*hash, network.clone());
        Ok(network)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Joined> {
        self.joined.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(super) fn insert_coder(&mut self, codec: Codec, hash: Hash, coder: Arc<dyn WindowCoder>) {
        self.lock().insert((codec.id(), hash), coder);
    }
}

/// The models of one stream while it is read.
#[derive(Clone)]
pub(super) struct StreamModels {
    models: Models,
    sections: Vec<Hash>,
    /// Bytes of embedded weights so far.
    held: u64,
}

impl StreamModels {
    pub(super) fn new(models: Models) -> Self {
        Self { models, sections: Vec::new(), held: 0 }
    }

    /// Takes note of a model section; embedded weights are unpacked and checked against the hash.
    pub(super) fn add(&mut self, section: ModelSection, memory: u64) -> Result<()> {
        if self.sections.len() as u64 >= MAX_MODELS {
            return Err(Error::corrupt(format!("more than {MAX_MODELS} model sections")));
        }
        if let Some((raw_len, packed)) = section.embedded {
            self.held = self.held.saturating_add(raw_len);
            if self.held > memory {
                let held = self.held;
                return Err(Error::limit(format!("embedded models of {held} bytes; the cap is {memory}")));
            }
            let mut weights = Vec::new();
            crate::codec::decode::resize(&mut weights, raw_len as usize)?;
            crate::codec::zstd::decompress(&packed, &mut weights)?;
            let found = *blake3::hash(&weights).as_bytes();
            if found != section.hash {
                let (wanted, found) = (registry::hex(&section.hash), registry::hex(&found));
                return Err(Error::corrupt(format!("embedded model {wanted} expected, {found} found")));
            }
            self.models.add(weights);
        }
        self.sections.push(section.hash);
        Ok(())
    }

    /// The hash behind a block's model reference.
    pub(super) fn hash(&self, reference: u64) -> Result<Hash> {
        if reference < FIRST_STREAM_MODEL {
            return registry::built_in_hash(reference as u8);
        }
        let i = (reference - FIRST_STREAM_MODEL) as usize;
        let found = self.sections.get(i).copied();
        found.ok_or_else(|| Error::corrupt(format!("model section {i} is referred to, but not there")))
    }

    /// The model that guides a `mix` block, where it names one.
    pub(super) fn guide(&self, codec: Codec, reference: Option<u64>) -> Result<Option<Arc<Model>>> {
        let reference = reference.filter(|_| codec == Codec::Mix);
        reference.map(|r| self.models.network(&self.hash(r)?)).transpose()
    }

    pub(super) fn coder(&self, codec: Codec, reference: Option<u64>) -> Result<Arc<dyn WindowCoder>> {
        let reference =
            reference.ok_or_else(|| Error::corrupt(format!("a {} block without a model", codec.name())))?;
        self.models.coder(codec, &self.hash(reference)?)
    }
}
