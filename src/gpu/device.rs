//! The device that runs models: the CPU, or a GPU that gives the same bits.

use super::backend::{self, Buffer, GpuAccelerator};
use crate::codec::acceleration::Accelerator;
use crate::error::Result;
use std::fmt;

/// A GPU, or a program that emulates one, as its driver describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct GpuInfo {
    /// The name that the driver gives.
    pub name: String,
    /// The interface through which it is reached: `vulkan`, `metal`, `dx12`.
    pub backend: String,
    /// Whether the driver computes on the CPU: correct, but slow.
    pub software: bool,
}

/// Counts of the work of a GPU since it was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct GpuCounters {
    /// The number of raw bytes decoded.
    pub decoded_bytes: u64,
    /// The number of raw bytes encoded.
    pub encoded_bytes: u64,
    /// The number of kernels started.
    pub dispatches: u64,
    /// The number of copies from its memory.
    pub readbacks: u64,
    /// The number of bytes of model weights that its workgroups have read.
    pub weight_bytes: u64,
    /// The nanoseconds that kernels ran, where the driver measures this; otherwise 0.
    pub kernel_nanoseconds: u64,
}

/// The choice of a GPU.
#[derive(Debug, Clone, Copy)]
pub enum Wanted<'a> {
    /// The first one that is not a software driver.
    Hardware,
    /// The first one of any kind.
    Any,
    /// The first one whose name contains this, ignoring case.
    Named(&'a str),
}

/// The device that runs models: the CPU, which is the default, or a GPU. A GPU does the work for which it has
/// kernels; the CPU does everything else, and everything at which the GPU fails, with the same result. Clones
/// share the device.
///
/// Builds without the feature `gpu` have no GPU.
#[derive(Clone, Default)]
pub struct Device {
    gpu: Option<GpuAccelerator>,
}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Device").field("gpu", &self.info()).finish()
    }
}

impl Device {
    /// The CPU.
    pub fn cpu() -> Self {
        Self::default()
    }

    /// Opens a GPU: the first one whose name contains `name`, ignoring case, or the first one of all,
    /// hardware before software drivers. This may take half a second.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::Device`] where there is none, or where nzip was built without its feature `gpu`.
    pub fn gpu(name: Option<&str>) -> Result<Self> {
        let gpu = GpuAccelerator::open(name.map_or(Wanted::Any, Wanted::Named))?;
        Ok(Self { gpu: Some(gpu) })
    }

    /// The first GPU that is not a software driver, or the CPU.
    pub fn auto() -> Self {
        Self { gpu: GpuAccelerator::open(Wanted::Hardware).ok() }
    }

    /// All GPUs that can run nzip's kernels, hardware first.
    pub fn list() -> Vec<GpuInfo> {
        backend::list()
    }

    /// The same GPU without the CPU as a fallback: its failures are errors of kind
    /// [`crate::ErrorKind::Device`]. For tests.
    pub fn without_fallback(self) -> Self {
        Self { gpu: self.gpu.map(GpuAccelerator::without_fallback) }
    }

    /// The description of the GPU; `None` for the CPU.
    pub fn info(&self) -> Option<&GpuInfo> {
        self.gpu.as_ref().map(GpuAccelerator::info)
    }

    /// The counts of the GPU's work so far; all zero for the CPU.
    pub fn counters(&self) -> GpuCounters {
        self.gpu.as_ref().map(GpuAccelerator::counters).unwrap_or_default()
    }

    /// The first failure of the GPU after which the CPU took over, if there was one.
    pub fn warning(&self) -> Option<String> {
        self.gpu.as_ref().and_then(GpuAccelerator::warning)
    }

    /// The accelerator for codecs; `None` for the CPU.
    pub(crate) fn accelerator(&self) -> Option<&dyn Accelerator> {
        self.gpu.as_ref().map(|gpu| gpu as &dyn Accelerator)
    }

    /// The number of windows that it can step together if that is more than a few; otherwise 0.
    pub(crate) fn lanes(&self) -> usize {
        self.accelerator().map_or(0, Accelerator::lanes)
    }

    /// The GPU, for tensors that stay in its memory; `None` for the CPU.
    pub(crate) fn opened(&self) -> Option<&GpuAccelerator> {
        self.gpu.as_ref()
    }
}

/// Raw bytes in the memory of a GPU. All of them have been read back once and compared with their check
/// values before the caller gets them. `nzip::wgpu30` gives access to the memory.
#[derive(Debug)]
pub struct TensorBuffer {
    /// The number of raw bytes.
    pub len: u64,
    /// Usable as storage and as the source of copies. Up to three zeros follow the last byte.
    #[cfg_attr(not(feature = "gpu"), expect(dead_code))]
    pub(super) buffer: Buffer,
}
