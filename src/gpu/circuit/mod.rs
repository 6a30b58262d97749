//! `circuit` windows on a GPU.

mod pack;
mod run;
#[cfg(test)]
mod tests;

use super::coder::WindowKernels;
use super::context::Gpu;
use super::fault::Outcome;
use super::lanes::{self, MAX_ITERATIONS};
use crate::codec::window::WindowJob;
use run::CircuitKernel;

pub use pack::PackedCircuit;

impl WindowKernels for PackedCircuit {
    fn decode(&self, gpu: &Gpu, jobs: &mut [&mut WindowJob<'_>]) -> Outcome<Vec<usize>> {
        lanes::decode(&CircuitKernel::new(gpu, self, MAX_ITERATIONS)?, jobs)
    }
}
