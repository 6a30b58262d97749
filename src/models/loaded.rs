//! Models by hash, ready for the codecs that use them.

use super::registry::{self, Hash, ModelInfo, Registry};
use crate::codec::block::LoadedModel;
use crate::codec::{CODECS, Codec};
use crate::error::{Error, Result};
use crate::format::checksum::hex;
use crate::gpu::Device;
use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Models that are ready, by their codec and their hash.
#[derive(Clone, Default)]
pub(super) struct Loaded {
    models: HashMap<(u8, Hash), LoadedModel>,
    /// The memory that they take, in bytes (approximate).
    pub bytes: u64,
}

impl Loaded {
    pub fn get(&self, codec: Codec, hash: &Hash) -> Option<LoadedModel> {
        self.models.get(&(codec.id(), *hash)).cloned()
    }

    /// Keeps a model that takes `bytes` bytes of memory.
    pub fn keep(&mut self, codec: Codec, hash: Hash, model: LoadedModel, bytes: u64) {
        self.models.insert((codec.id(), hash), model);
        self.bytes += bytes;
    }

    /// Loads a model from the weights that `weights` returns, `len` bytes of them, and keeps it.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::LimitExceeded`] where loading takes more than `left` bytes; those of `weights` and
    /// of the codec.
    pub fn load<W: AsRef<[u8]>>(
        &mut self,
        codec: Codec,
        hash: Hash,
        device: &Device,
        left: u64,
        len: u64,
        weights: impl FnOnce() -> Result<W>,
    ) -> Result<LoadedModel> {
        let (of, within) = (codec.object(), |e: Error| e.within(format!("model {}", hex(&hash))));
        let fits = |need: u64| {
            if need <= left {
                return Ok(());
            }
            let e = Error::limit(format!("loading it takes {need} bytes of memory; the cap leaves {left}"));
            Err(within(e))
        };
        fits(len.saturating_mul(2))?;
        let weights = weights()?;
        let memory = of.model_memory(weights.as_ref());
        fits(memory.loading.saturating_add(len))?;
        let model = of.load(weights.as_ref(), device.accelerator()).map_err(within)?;
        self.keep(codec, hash, model.clone(), memory.loaded);
        Ok(model)
    }
}

/// The models that an encoder or decoder may use: the built-in ones, those in the user's model folders, and
/// those that were added here. Clones share what has been loaded.
#[derive(Clone)]
pub struct Models {
    registry: Registry,
    loaded: Arc<Mutex<Loaded>>,
    device: Device,
}

impl fmt::Debug for Models {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Models")
            .field("loaded", &self.lock().models.len())
            .field("device", &self.device)
            .finish()
    }
}

impl Default for Models {
    fn default() -> Self {
        Self { registry: Registry::new(), loaded: Arc::default(), device: Device::cpu() }
    }
}

fn unknown(model: &str, list: &[ModelInfo]) -> Error {
    let names: Vec<_> = list.iter().filter_map(|m| m.name).collect();
    let names = if names.is_empty() { "none is built in".into() } else { names.join(", ") };
    let message = format!("model {model:?}: neither a file nor known by name or hash (names: {names})");
    Error::bad_argument(message)
}

impl Models {
    /// The built-in models and those in the folders `$NZIP_MODELS` and `$XDG_DATA_HOME/nzip/models`.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a weight file, packed as `.nz` or plain, and returns the hash of its weights.
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
    /// [`crate::ErrorKind::MissingModel`] where no model has this hash.
    pub fn find(&self, hash: &[u8; 32]) -> Result<Arc<[u8]>> {
        self.registry.find(hash)
    }

    /// The user's model folders, in the order in which they are searched.
    pub fn folders() -> Vec<std::path::PathBuf> {
        registry::user_folders()
    }

    /// The built-in models and those in the user's model folders.
    pub fn list(&self) -> Vec<ModelInfo> {
        self.registry.list()
    }

    /// The same models, run by a device. Models that run on another device are not shared.
    pub(crate) fn on(self, device: Device) -> Self {
        if device.accelerator().is_none() && self.device.accelerator().is_none() {
            return self;
        }
        Self { loaded: Arc::default(), device, ..self }
    }

    /// The model of a codec with this hash, ready to run. Loading may take `left` more bytes of memory.
    pub(crate) fn load(&self, codec: Codec, hash: &Hash, left: u64) -> Result<LoadedModel> {
        let mut loaded = self.lock();
        if let Some(model) = loaded.get(codec, hash) {
            return Ok(model);
        }
        let weights = self.registry.find_within(hash, left)?;
        loaded.load(codec, *hash, &self.device, left, weights.len() as u64, || Ok(weights))
    }

    /// A model that is already loaded.
    pub(crate) fn loaded(&self, codec: Codec, hash: &Hash) -> Option<LoadedModel> {
        self.lock().get(codec, hash)
    }

    /// The memory that the loaded models take, in bytes.
    pub(crate) fn held(&self) -> u64 {
        self.lock().bytes
    }

    /// The device that runs the models.
    pub(crate) fn device(&self) -> &Device {
        &self.device
    }

    /// Sets the memory, in bytes, that reading and unpacking weight files may take; 1 GiB by default.
    pub fn capped(mut self, memory: u64) -> Self {
        self.registry.memory = memory;
        self
    }

    /// The codec that the model with this hash belongs to.
    pub(crate) fn codec(&self, hash: &Hash) -> Result<Codec> {
        // Finding the weights may mean unpacking a large file, so loaded models are asked first.
        if let Some(known) = CODECS.iter().find(|c| self.lock().get(c.id(), hash).is_some()) {
            return Ok(known.id());
        }
        let weights = self.registry.find(hash)?;
        Ok(CODECS.iter().find(|c| c.recognises(&weights)).map_or(Codec::Lm, |c| c.id()))
    }

    /// The hash of the model that is meant by a name, a file, a hash, or at least the first eight digits of
    /// one. A file is added.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::BadArgument`] where no model, or more than one, is meant; those of
    /// [`Models::add_file`].
    pub fn resolve(&mut self, model: &str) -> Result<[u8; 32]> {
        let list = self.list();
        if let Some(m) = list.iter().find(|m| m.name == Some(model)) {
            return Ok(m.hash);
        }
        if Path::new(model).is_file() {
            return self.add_file(model);
        }
        if let Some(hash) = self.named(model) {
            return Ok(hash);
        }
        let digits = model.to_ascii_lowercase();
        let mut fits: Vec<_> = list.iter().map(|m| m.hash).filter(|h| hex(h).starts_with(&digits)).collect();
        fits.dedup();
        match fits[..] {
            [hash] if digits.len() >= 8 => Ok(hash),
            _ => Err(unknown(model, &list)),
        }
    }

    /// The hash of the model that has this name in a model folder.
    pub fn named(&self, name: &str) -> Option<[u8; 32]> {
        super::names::named(name)
    }

    fn lock(&self) -> MutexGuard<'_, Loaded> {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(crate) fn insert(
        &mut self,
        codec: Codec,
        hash: Hash,
        windows: Arc<dyn crate::codec::window::WindowCoder>,
    ) {
        self.lock().keep(codec, hash, LoadedModel { windows, network: None }, 0);
    }
}
