//! `lm` windows on a GPU.

mod decode;
mod encode;
mod pack;
mod run;
#[cfg(test)]
mod tests;

use super::coder::Kernels;
use super::context::Gpu;
use super::fault::Outcome;
use crate::codec::lm::check_limits;
use crate::codec::window::{EncodedWindow, WindowJob, WindowLimits};

pub use pack::Packed;

impl Kernels for Packed {
    fn decode(&self, gpu: &Gpu, jobs: &mut [&mut WindowJob<'_>]) -> Outcome<Vec<usize>> {
        decode::decode(gpu, self, jobs)
    }

    fn encode(
        &self,
        gpu: &Gpu,
        blocks: &[&[u8]],
        limits: WindowLimits,
    ) -> Outcome<Option<Vec<Vec<EncodedWindow>>>> {
        // The CPU says what is wrong with limits.
        check_limits(limits).ok().map(|limits| encode::encode(gpu, self, blocks, limits)).transpose()
    }
}
