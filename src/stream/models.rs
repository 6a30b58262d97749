//! Models by hash, joined to the codecs that use them.

use crate::codec::acceleration::WindowModel;
use crate::codec::window::WindowCoder;
use crate::codec::{Codec, newer};
use crate::error::{Error, Result};
use crate::format::consts::{FIRST_STREAM_MODEL, MAX_MODELS};
use crate::format::section::ModelSection;
use crate::gpu::Device;
use crate::model::lm::{Model, weights::Weights};
use crate::model::registry::{self, Hash, ModelInfo, Registry};
use crate::model::{circuit, llm};
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
    device: Device,
}

impl Default for Models {
    fn default() -> Self {
        Self {
            registry: Registry::new(super::oneshot::unpack),
            joined: Arc::default(),
            networks: Arc::default(),
            device: Device::cpu(),
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

    /// The user's model folders, the first one first.
    pub fn folders() -> Vec<std::path::PathBuf> {
        registry::user_folders()
    }

    /// The built-in models, and those in the user's model folders.
    pub fn list(&self) -> Vec<ModelInfo> {
        self.registry.list()
    }

    /// The same models, run by a device. What has been joined to another device is not shared.
    pub(super) fn on(self, device: Device) -> Self {
        if device.accelerator().is_none() && self.device.accelerator().is_none() {
            return self;
        }
        Self { joined: Arc::default(), device, ..self }
    }

    pub(super) fn coder(&self, codec: Codec, hash: &Hash) -> Result<Arc<dyn WindowCoder>> {
        let key = (codec.id(), *hash);
        if let Some(coder) = self.lock().get(&key) {
            return Ok(coder.clone());
        }
        match codec {
            Codec::Lm => {
                let cpu = self.network(hash)?;
                if self.device.accelerator().is_none() {
                    return Ok(cpu);
                }
                self.join(key, |w| Ok(WindowModel::Lm(Weights::from_bytes(w)?, cpu)))
            }
            Codec::Circuit => self.join(key, |w| {
                let weights = circuit::Weights::from_bytes(w)?;
                circuit::Model::new(&weights).map(WindowModel::Circuit)
            }),
            Codec::Llm => self.join(key, |w| llm::Weights::from_bytes(w).map(WindowModel::Llm)),
            other => Err(newer(&format!("codec {}", other.name()))),
        }
    }

    /// Prepares a windowed codec from its model's weights, and keeps it.
    fn join(
        &self,
        key: (u8, Hash),
        prepare: impl FnOnce(&[u8]) -> Result<WindowModel>,
    ) -> Result<Arc<dyn WindowCoder>> {
        let weights = self.registry.find(&key.1)?;
        let coder = prepare(&weights).and_then(|model| model.coder(self.device.accelerator()));
        let coder = coder.map_err(|e| e.within(format!("model {}", registry::hex(&key.1))))?;
        self.lock().insert(key, coder.clone());
        Ok(coder)
    }

    /// The windowed codec that the model with this hash is for.
    pub(super) fn codec(&self, hash: &Hash) -> Result<Codec> {
        let kinds = [Codec::Circuit, Codec::Llm];
        if let Some(known) = kinds.into_iter().find(|c| self.lock().contains_key(&(c.id(), *hash))) {
            return Ok(known);
        }
        let weights = self.registry.find(hash)?;
        Ok(if circuit::Weights::recognise(&weights) {
            Codec::Circuit
        } else if weights.starts_with(&llm::MAGIC) {
            Codec::Llm
        } else {
            Codec::Lm
        })
    }

    /// The hash of the model that was given this name in a model folder.
    pub fn named(&self, name: &str) -> Option<[u8; 32]> {
        crate::model::names::named(name)
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
            let weights = unpack(&packed, raw_len)?;
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

/// Weights as a model section embeds them.
pub(super) fn pack(weights: &[u8]) -> Result<Vec<u8>> {
    let frame = crate::codec::zstd::compress(weights, 19)?;
    let options = super::Options::new().level(9).threads(1).codec(super::CodecChoice::Only(Codec::Tensor));
    let stream = super::compress_with(weights, options)?;
    Ok(if stream.len() < frame.len() { stream } else { frame })
}

/// Embedded weights of `raw_len` bytes: a stream of its own, or a Zstandard frame.
fn unpack(packed: &[u8], raw_len: u64) -> Result<Vec<u8>> {
    let mut weights = Vec::new();
    if packed.starts_with(&crate::format::consts::MAGIC) {
        // Memory follows what has been decoded; one byte more shows that there is too much.
        let options = super::DecodeOptions::new().threads(1).memory(raw_len.saturating_mul(2).max(1 << 26));
        let decoder = super::Decoder::with_options(packed, options)?;
        std::io::Read::read_to_end(&mut std::io::Read::take(decoder, raw_len + 1), &mut weights)?;
        if weights.len() as u64 != raw_len {
            let found = weights.len();
            return Err(Error::corrupt(format!("embedded weights: {raw_len} bytes expected, {found} found")));
        }
        return Ok(weights);
    }
    crate::codec::decode::resize(&mut weights, raw_len as usize)?;
    crate::codec::zstd::decompress(packed, &mut weights)?;
    Ok(weights)
}
