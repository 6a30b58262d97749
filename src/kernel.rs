//! Which instruction set the inner loops use: a choice of speed alone.

use crate::error::{Error, Result};

/// Which implementation of the inner loops runs. All give the same bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kernel {
    /// Plain Rust for any machine.
    Scalar,
    /// 256-bit integer vectors.
    Avx2,
}

impl Kernel {
    /// The fastest kernel of this machine.
    pub fn best() -> Self {
        if Self::Avx2.is_supported() { Self::Avx2 } else { Self::Scalar }
    }

    /// Whether this machine can run the kernel.
    pub fn is_supported(self) -> bool {
        match self {
            Self::Scalar => true,
            // Every processor with AVX2 has POPCNT; an emulator or a hypervisor may hide it.
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("popcnt"),
            #[cfg(not(target_arch = "x86_64"))]
            Self::Avx2 => false,
        }
    }

    /// Refuses a kernel that this machine cannot run.
    pub(crate) fn check(self) -> Result<Self> {
        if self.is_supported() {
            return Ok(self);
        }
        Err(Error::bad_argument(format!("this machine cannot run the {self:?} kernel")))
    }
}
