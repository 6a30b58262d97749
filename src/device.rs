//! Where models run: on the CPU, or on a GPU that gives the same bits.

use crate::error::{Error, ErrorKind, Result};
#[cfg(feature = "gpu")]
use crate::gpu::{Shared, adapter};
#[cfg(feature = "gpu")]
use std::sync::Arc;

/// A GPU, or a program that plays one, as its driver describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct GpuInfo {
    /// Name that the driver gives.
    pub name: String,
    /// Interface through which it is reached: `vulkan`, `metal`, `dx12`.
    pub backend: String,
    /// Whether the driver computes on the CPU: bit for bit right, but slow.
    pub software: bool,
}

/// What a GPU has done since it was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct GpuCounters {
    /// Raw bytes that it decoded.
    pub decoded_bytes: u64,
    /// Raw bytes that it encoded.
    pub encoded_bytes: u64,
    /// Kernels started.
    pub dispatches: u64,
    /// Copies from its memory.
    pub readbacks: u64,
    /// Bytes of model weights that its workgroups asked for.
    pub weight_bytes: u64,
    /// Nanoseconds that kernels ran, where the driver measures it, otherwise 0.
    pub kernel_nanoseconds: u64,
}

/// Where models run. The default is the CPU. A GPU does what its kernels cover; everything else, and whatever a GPU fails at,
/// is done by the CPU, with the same result. Clones are the same device.
#[derive(Clone, Default)]
pub struct Device {
    #[cfg(feature = "gpu")]
    gpu: Option<Arc<Shared>>,
}

impl Device {
    /// The CPU.
    pub fn cpu() -> Self {
        Self::default()
    }

    /// Opens a GPU: the first one whose name contains `name` in any case of letters, or the first one, hardware
    /// before software drivers. That may take half a second.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Device`] where there is none, or where nzip was built without its feature `gpu`.
    pub fn gpu(name: Option<&str>) -> Result<Self> {
        #[cfg(feature = "gpu")]
        return Self::open(name.map_or(adapter::Wanted::Any, adapter::Wanted::Named));
        #[cfg(not(feature = "gpu"))]
        Err(Error::new(
            ErrorKind::Device,
            format!("no GPU {}: this nzip was built without gpu", name.unwrap_or_default()),
        ))
    }

    /// The first GPU that is no software driver, or the CPU.
    pub fn auto() -> Self {
        #[cfg(feature = "gpu")]
        return Self::open(adapter::Wanted::Hardware).unwrap_or_default();
        #[cfg(not(feature = "gpu"))]
        Self::cpu()
    }

    /// All GPUs that can run nzip's kernels, hardware first.
    pub fn list() -> Vec<GpuInfo> {
        #[cfg(feature = "gpu")]
        return adapter::list();
        #[cfg(not(feature = "gpu"))]
        Vec::new()
    }

    #[cfg(feature = "gpu")]
    fn open(wanted: adapter::Wanted<'_>) -> Result<Self> {
        let shared = Shared::open(wanted).map_err(|fault| Error::new(ErrorKind::Device, fault.0))?;
        Ok(Self { gpu: Some(Arc::new(shared)) })
    }

    /// The same GPU without the CPU to fall back on: what it fails at is an error of kind [`ErrorKind::Device`]. For tests.
    pub fn without_fallback(self) -> Self {
        #[cfg(feature = "gpu")]
        return Self { gpu: self.gpu.map(|gpu| Arc::new(gpu.without_fallback())) };
        #[cfg(not(feature = "gpu"))]
        self
    }

    /// The GPU behind it, if it is one.
    pub fn info(&self) -> Option<&GpuInfo> {
        #[cfg(feature = "gpu")]
        return self.gpu.as_ref().map(|gpu| gpu.gpu().info());
        #[cfg(not(feature = "gpu"))]
        None
    }

    /// What a program needs to work with a [`crate::TensorBuffer`] on the same GPU.
    #[cfg(feature = "gpu")]
    pub fn wgpu(&self) -> Option<(&wgpu::Device, &wgpu::Queue)> {
        self.gpu.as_ref().map(|gpu| gpu.gpu().handles())
    }

    /// What the GPU has done so far; all zero for the CPU.
    pub fn counters(&self) -> GpuCounters {
        #[cfg(feature = "gpu")]
        return self.gpu.as_ref().map(|gpu| gpu.gpu().counters()).unwrap_or_default();
        #[cfg(not(feature = "gpu"))]
        GpuCounters::default()
    }

    /// Why the CPU had to take over, if it had to.
    pub fn warning(&self) -> Option<String> {
        #[cfg(feature = "gpu")]
        return self.gpu.as_ref().and_then(|gpu| gpu.warning());
        #[cfg(not(feature = "gpu"))]
        None
    }

    /// Whether it is not the CPU.
    #[cfg(feature = "gpu")]
    pub(crate) fn is_gpu(&self) -> bool {
        self.info().is_some()
    }

    /// Windows that it can step together, where that is more than a few.
    pub(crate) fn lanes(&self) -> usize {
        #[cfg(feature = "gpu")]
        return if self.gpu.is_some() { crate::gpu::MAX_LANES } else { 0 };
        #[cfg(not(feature = "gpu"))]
        0
    }

    #[cfg(feature = "gpu")]
    pub(crate) fn shared(&self) -> Option<&Arc<Shared>> {
        self.gpu.as_ref()
    }
}
