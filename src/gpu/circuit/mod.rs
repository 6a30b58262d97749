//! `circuit` windows on a GPU.

mod decode;
mod pack;
#[cfg(test)]
mod tests;

use super::coder::Kernels;
use super::context::Gpu;
use super::fault::Outcome;
use crate::codec::window::WindowJob;

pub use pack::Packed;

impl Kernels for Packed {
    fn decode(&self, gpu: &Gpu, jobs: &mut [&mut WindowJob<'_>]) -> Outcome<Vec<usize>> {
        decode::decode(gpu, self, jobs)
    }
}
