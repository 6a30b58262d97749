//! Models by hash, made ready for the codecs that use them.

use super::registry::{self, Hash, ModelInfo, Registry};
use crate::codec::block::LoadedModel;
use crate::codec::{CODECS, Codec};
use crate::error::Result;
use crate::format::checksum::hex;
use crate::gpu::Device;
use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Models that have been made ready, by the codec whose they are and their hash.
type Loaded = HashMap<(u8, Hash), LoadedModel>;

/// The models that an encoder or decoder may use: built-in ones, those in the user's model folder, and
/// the ones added here. Clones share what has been loaded.
#[derive(Clone)]
pub struct Models {
    registry: Registry,
    loaded: Arc<Mutex<Loaded>>,
    device: Device,
}

impl fmt::Debug for Models {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Models").field("loaded", &self.lock().len()).field("device", &self.device).finish()
    }
}

impl Default for Models {
    fn default() -> Self {
        Self { registry: Registry::new(), loaded: Arc::default(), device: Device::cpu() }
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

    /// The same models, run by a device. Models that another device runs are not shared.
    pub(crate) fn on(self, device: Device) -> Self {
        if device.accelerator().is_none() && self.device.accelerator().is_none() {
            return self;
        }
        Self { loaded: Arc::default(), device, ..self }
    }

    /// The model of a codec with this hash, ready to run.
    pub(crate) fn load(&self, codec: Codec, hash: &Hash) -> Result<LoadedModel> {
        let key = (codec.id(), *hash);
        let mut loaded = self.lock();
        if let Some(model) = loaded.get(&key) {
            return Ok(model.clone());
        }
        let weights = self.registry.find(hash)?;
        let model = codec.object().load(&weights, self.device.accelerator());
        let model = model.map_err(|e| e.within(format!("model {}", hex(hash))))?;
        loaded.insert(key, model.clone());
        Ok(model)
    }

    /// The same models, but what is added or loaded from now on is not shared with others.
    pub(crate) fn apart(&self) -> Self {
        Self { loaded: Arc::new(Mutex::new(self.lock().clone())), ..self.clone() }
    }

    /// The windowed codec that the model with this hash is for.
    pub(crate) fn codec(&self, hash: &Hash) -> Result<Codec> {
        // Finding the weights may mean unpacking a large file.
        if let Some(known) = CODECS.iter().find(|c| self.lock().contains_key(&(c.id().id(), *hash))) {
            return Ok(known.id());
        }
        let weights = self.registry.find(hash)?;
        Ok(CODECS.iter().find(|c| c.recognises(&weights)).map_or(Codec::Lm, |c| c.id()))
    }

    /// The hash of the model that was given this name in a model folder.
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
        self.lock().insert((codec.id(), hash), LoadedModel { windows, network: None });
    }
}
