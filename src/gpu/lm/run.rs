//! Runs the kernels of `lm` on windows, with the same number of bytes of each window in a dispatch.

use super::pack::PackedLm;
use crate::gpu::context::{Gpu, Shader};
use crate::gpu::fault::{Fault, Outcome};
use crate::gpu::lanes::{Direction, LANES, LaneBuffers, LaneJob, LaneKernel, MAX_ITERATIONS, MAX_LANES};

/// The number of dispatches submitted at a time.
const SUBMITTED: usize = 64;
/// The words of a lane's result: the number of words of weights that its workgroup has read (the low and the
/// high half; only in a workgroup's first lane), and eight words of the coder (`decode.wgsl`, `encode.wgsl`).
pub const RESULT_WORDS: usize = 10;

const SOURCE: [&str; 5] = [
    include_str!("../wide.wgsl"),
    include_str!("../window.wgsl"),
    include_str!("network.wgsl"),
    include_str!("adaptive.wgsl"),
    include_str!("lanes.wgsl"),
];

/// The shader text of a coder.
fn coder(direction: Direction) -> &'static str {
    match direction {
        Direction::Decode => concat!(include_str!("../decoder.wgsl"), include_str!("decode.wgsl")),
        Direction::Encode => include_str!("encode.wgsl"),
    }
}

/// A model on a GPU, ready to code windows.
pub struct LmKernel<'a> {
    gpu: &'a Gpu,
    packed: &'a PackedLm,
    shader: Shader,
    model: &'a wgpu::Buffer,
    /// The bytes of each lane in a dispatch.
    steps: usize,
    direction: Direction,
}

impl<'a> LmKernel<'a> {
    /// Prepares for coding windows.
    pub fn new(gpu: &'a Gpu, packed: &'a PackedLm, direction: Direction) -> Outcome<Self> {
        let steps = MAX_ITERATIONS / packed.step_iterations();
        if steps == 0 {
            return Err(Fault::new("the model is too large for a GPU's time limit"));
        }
        let source = packed.constants() + &SOURCE.concat() + coder(direction);
        let (shader, model) = (gpu.shader(&source, "code")?, packed.buffer(gpu)?);
        Ok(Self { gpu, packed, shader, model, steps, direction })
    }
}

impl LaneKernel<RESULT_WORDS> for LmKernel<'_> {
    fn gpu(&self) -> &Gpu {
        self.gpu
    }

    fn direction(&self) -> Direction {
        self.direction
    }

    fn most_lanes(&self) -> usize {
        let most = self.gpu.max_buffer() as usize;
        (most / (4 * self.packed.state_words())).min(MAX_LANES) / LANES * LANES
    }

    fn start(&self, jobs: &[LaneJob<'_>], buffers: &LaneBuffers) -> Outcome<wgpu::Buffer> {
        let (gpu, groups) = (self.gpu, buffers.groups);
        let act = gpu.zeroed(4 * groups * self.packed.act_words())?;
        let scratch = gpu.zeroed(groups * self.packed.scratch_words())?;
        let state = gpu.zeroed(groups * LANES * self.packed.state_words())?;
        let results = gpu.zeroed(groups * LANES * RESULT_WORDS)?;
        let LaneBuffers { jobs: table, payload, raw, .. } = buffers;
        let bind = |first: u32| {
            let run = gpu.uniform(&[self.steps as u32, first])?;
            let all = [self.model, &act, &scratch, &state, table, payload, raw, &results, &run];
            Ok(gpu.bind(&self.shader, &all))
        };
        let longest = jobs.iter().map(|job| job.raw_len).max().unwrap_or(0);
        gpu.dispatch(&self.shader, &bind(1)?, groups as u32, 1);
        let bound = bind(0)?;
        let mut left = longest.div_ceil(self.steps).saturating_sub(1);
        while left > 0 {
            let times = left.min(SUBMITTED);
            gpu.dispatch(&self.shader, &bound, groups as u32, times);
            left -= times;
        }
        Ok(results)
    }

    fn is_corrupt(&self, result: &[u32; RESULT_WORDS]) -> bool {
        result[2] != 0
    }

    fn weight_bytes(&self, _: &[usize], results: &[[u32; RESULT_WORDS]]) -> u64 {
        let words =
            results.iter().step_by(LANES).map(|&[low, high, ..]| u64::from(high) << 32 | u64::from(low));
        4 * words.sum::<u64>()
    }
}
