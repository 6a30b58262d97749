//! `lm` windows on a GPU.

mod encode;
mod pack;
mod run;
#[cfg(test)]
mod tests;

use super::coder::WindowKernels;
use super::context::Gpu;
use super::fault::Outcome;
use super::lanes::{self, Direction};
use crate::codec::lm::check_limits;
use crate::codec::window::{EncodedWindow, WindowJob, WindowLimits};
use run::LmKernel;

pub use pack::PackedLm;

impl WindowKernels for PackedLm {
    fn decode(&self, gpu: &Gpu, jobs: &mut [&mut WindowJob<'_>]) -> Outcome<Vec<usize>> {
        lanes::decode(&LmKernel::new(gpu, self, Direction::Decode)?, jobs)
    }

    fn encode(
        &self,
        gpu: &Gpu,
        blocks: &[&[u8]],
        limits: WindowLimits,
    ) -> Outcome<Option<Vec<Vec<EncodedWindow>>>> {
        // The CPU reports what is wrong with limits that do not hold.
        let Ok(limits) = check_limits(limits) else { return Ok(None) };
        let kernel = LmKernel::new(gpu, self, Direction::Encode)?;
        encode::encode(&kernel, blocks, limits).map(Some)
    }
}
