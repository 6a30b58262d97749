//! The `lm` codec on a GPU.

use super::decode::decode;
use super::encode::encode;
use super::pack::Packed;
use crate::codec::lm::{check_limits, decode_windows};
use crate::codec::window::{EncodedWindow, WindowCoder, WindowJob, WindowLimits};
use crate::error::Result;
use crate::gpu::Shared;
use crate::model::lm::{Model, weights::Weights};
use std::sync::Arc;

/// A language model on a GPU, and on the CPU for what the GPU fails at.
pub struct Coder {
    device: Arc<Shared>,
    packed: Packed,
    cpu: Arc<Model>,
}

impl Coder {
    /// Joins the same weights on both.
    pub fn new(device: Arc<Shared>, weights: &Weights, cpu: Arc<Model>) -> Self {
        Self { device, packed: Packed::new(weights), cpu }
    }
}

impl WindowCoder for Coder {
    fn encode_blocks(&self, blocks: &[&[u8]], limits: WindowLimits) -> Result<Vec<Vec<EncodedWindow>>> {
        let checked = check_limits(limits)?;
        self.device.or_cpu(
            |gpu| encode(gpu, &self.packed, blocks, checked),
            || self.cpu.encode_blocks(blocks, limits),
        )
    }

    fn decode_windows(&self, jobs: &mut [WindowJob<'_>]) -> Result<()> {
        let mut windows: Vec<_> = jobs.iter_mut().filter(|job| !job.raw.is_empty()).collect();
        let decoded =
            self.device.or_cpu(|gpu| decode(gpu, &self.packed, &mut windows).map(Some), || Ok(None))?;
        match decoded {
            None => decode_windows(&self.cpu, jobs),
            // The CPU says what is wrong with them.
            Some(corrupt) => corrupt.into_iter().try_for_each(|i| {
                let job = &mut *windows[i];
                decode_windows(&self.cpu, &mut [WindowJob { payload: job.payload, raw: &mut *job.raw }])
            }),
        }
    }

    fn fallback(&self) -> Option<&dyn WindowCoder> {
        self.device.falls_back().then_some(&*self.cpu as &dyn WindowCoder)
    }
}
