//! A GPU as streams use it: with or without the CPU to fall back on.

use super::adapter::Wanted;
use super::context::Gpu;
use super::fault::{Fault, Outcome};
use crate::error::{Error, ErrorKind, Result};
use std::sync::{Arc, Mutex, PoisonError};

/// An opened GPU, and what to do when it fails.
pub struct Shared {
    gpu: Arc<Gpu>,
    fall_back: bool,
    /// The first fault upon which the CPU took over.
    warning: Mutex<Option<String>>,
}

impl Shared {
    /// Opens an adapter; the CPU takes over where it fails.
    pub fn open(wanted: Wanted<'_>) -> Outcome<Self> {
        Ok(Self { gpu: Arc::new(Gpu::open(wanted)?), fall_back: true, warning: Mutex::default() })
    }

    /// The same GPU, whose faults are errors.
    pub fn without_fallback(&self) -> Self {
        Self { gpu: self.gpu.clone(), fall_back: false, warning: Mutex::default() }
    }

    /// The GPU.
    pub fn gpu(&self) -> &Gpu {
        &self.gpu
    }

    /// Whether the CPU may do what the GPU fails at.
    pub fn falls_back(&self) -> bool {
        self.fall_back
    }

    /// Why the CPU took over first, if it did.
    pub fn warning(&self) -> Option<String> {
        self.warning.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Does work on the GPU; `None` where that fails and the CPU is to do it.
    pub fn attempt<T>(&self, work: impl FnOnce(&Gpu) -> Outcome<T>) -> Result<Option<T>> {
        match self.gpu.check().and_then(|()| work(&self.gpu)) {
            Ok(done) => Ok(Some(done)),
            Err(Fault(why)) if self.fall_back => {
                self.warning.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(why);
                Ok(None)
            }
            Err(Fault(why)) => Err(Error::new(ErrorKind::Device, why)),
        }
    }
}
