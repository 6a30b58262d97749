//! The resources of encoders and decoders.

use crate::gpu::Device;
use crate::models::Models;
use crate::progress::Progress;
use crate::tensor::bases::Bases;

/// The default memory cap, in bytes.
const MEMORY: u64 = 1 << 30;

/// The resources of an encoder, a decoder or an archive: threads, memory, models, bases, a device, and a
/// handle that counts progress. [`crate::Options`] and [`crate::DecodeOptions`] have the same setters, and
/// also accept all of it at once.
///
/// ```
/// use nzip::{DecodeOptions, Options, Resources};
/// let resources = Resources::new().threads(2).memory(512 << 20);
/// let packed = nzip::compress_with(b"some text", Options::new().resources(resources.clone()))?;
/// let raw = nzip::decompress_with(&packed, DecodeOptions::new().resources(resources))?;
/// assert_eq!(raw, b"some text");
/// # Ok::<(), nzip::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Resources {
    pub(super) threads: usize,
    pub(super) memory: u64,
    pub(super) models: Models,
    pub(super) bases: Bases,
    pub(super) device: Device,
    pub(super) progress: Progress,
}

impl Default for Resources {
    fn default() -> Self {
        Self {
            threads: 0,
            memory: MEMORY,
            models: Models::new(),
            bases: Bases::new(),
            device: Device::cpu(),
            progress: Progress::new(),
        }
    }
}

impl Resources {
    /// The defaults: all cores, 1 GiB of memory, the models of [`Models::new`], no bases, the CPU.
    pub fn new() -> Self {
        Self::default()
    }

    fn resources_mut(&mut self) -> &mut Self {
        self
    }
}

/// The setters of resources, for a type that has `resources_mut`.
macro_rules! resource_setters {
    ($type:ty) => {
        impl $type {
            /// Sets the number of threads; 0 means one per core. The output does not depend on it.
            pub fn threads(mut self, threads: usize) -> Self {
                self.resources_mut().threads = threads;
                self
            }

            /// Sets the most memory to use, in bytes (approximate); 1 GiB by default. Streams that need more
            /// are refused.
            pub fn memory(mut self, bytes: u64) -> Self {
                self.resources_mut().memory = bytes;
                self
            }

            /// Sets the models that may be used.
            pub fn models(mut self, models: crate::models::Models) -> Self {
                let resources = self.resources_mut();
                resources.models = models.on(resources.device.clone());
                self
            }

            /// Sets base tensors: a tensor of the content may be coded against the base of the same name,
            /// type and shape. An encoder only uses them for content that is given as a whole. Decoding then
            /// needs the same bases.
            pub fn bases(mut self, bases: crate::tensor::bases::Bases) -> Self {
                self.resources_mut().bases = bases;
                self
            }

            /// Sets the device on which models run. The output does not depend on it.
            pub fn device(mut self, device: crate::gpu::Device) -> Self {
                let resources = self.resources_mut();
                resources.models = std::mem::take(&mut resources.models).on(device.clone());
                resources.device = device;
                self
            }

            /// Sets the handle that counts what has been coded. Clones of these options share it. By default
            /// nothing else reads it.
            pub fn progress(mut self, progress: crate::progress::Progress) -> Self {
                self.resources_mut().progress = progress;
                self
            }
        }
    };
}

resource_setters!(Resources);
pub(super) use resource_setters;
