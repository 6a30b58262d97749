//! Runs the kernel of `circuit` on windows, with whole records or parts of one record in a dispatch.

use super::pack::{PackedCircuit, Schedule};
use crate::gpu::context::{Gpu, Shader};
use crate::gpu::fault::{Fault, Outcome};
use crate::gpu::lanes::{Direction, LANES, LaneBuffers, LaneJob, LaneKernel, MAX_LANES};
use std::ops::Range;

/// The most bytes of messages for a batch of windows.
const MAX_STATE: usize = 256 << 20;
/// The words of a lane's result: its coder (`LaneState` in `choose.wgsl`).
const RESULT_WORDS: usize = 8;
/// The index of the word of a result that is not 0 where no encoder writes the payload.
const CORRUPT: usize = 6;

const SOURCE: [&str; 6] = [
    include_str!("../wide.wgsl"),
    include_str!("../window.wgsl"),
    include_str!("../decoder.wgsl"),
    include_str!("messages.wgsl"),
    include_str!("choose.wgsl"),
    include_str!("walk.wgsl"),
];

/// A circuit on a GPU, ready to decode windows.
pub struct CircuitKernel<'a> {
    gpu: &'a Gpu,
    packed: &'a PackedCircuit,
    shader: Shader,
    model: wgpu::Buffer,
    /// The constants (`Run` in `walk.wgsl`) of successive dispatches.
    runs: Vec<wgpu::Buffer>,
    /// How many records of each lane all of these dispatches decode.
    records: usize,
}

impl<'a> CircuitKernel<'a> {
    /// Prepares for decoding windows, with at most `iterations` loop iterations of a thread in a dispatch.
    pub fn new(gpu: &'a Gpu, packed: &'a PackedCircuit, iterations: usize) -> Outcome<Self> {
        let source = format!("const LANES: u32 = {LANES}u;\n{}", SOURCE.concat());
        let schedule = packed.schedule(iterations);
        let schedule = schedule.ok_or_else(|| Fault::new("a circuit too large for a GPU's time limit"))?;
        let whole = 0..packed.instructions();
        let (parts, records) = match schedule {
            Schedule::Records(count) => (vec![whole.clone()], count),
            Schedule::Parts(parts) => (parts, 1),
        };
        let run = |part: &Range<usize>| {
            let completes = usize::from(part.end == whole.end);
            let mut words = vec![part.start, part.end, records, completes, packed.width()];
            words.extend(packed.state_parts());
            gpu.uniform(&words.into_iter().map(|w| w as u32).collect::<Vec<_>>())
        };
        Ok(Self {
            gpu,
            packed,
            shader: gpu.shader(&source, "walk")?,
            model: gpu.upload(packed.words())?,
            runs: parts.iter().map(run).collect::<Outcome<_>>()?,
            records,
        })
    }

    /// The bytes of a workgroup's messages.
    fn state_bytes(&self) -> usize {
        16 * self.packed.state_parts()[0]
    }
}

impl LaneKernel<RESULT_WORDS> for CircuitKernel<'_> {
    fn gpu(&self) -> &Gpu {
        self.gpu
    }

    fn direction(&self) -> Direction {
        Direction::Decode
    }

    fn most_lanes(&self) -> usize {
        let most = usize::try_from(self.gpu.max_buffer()).unwrap_or(usize::MAX);
        let groups = (most.min(MAX_STATE) / self.state_bytes()).max(1);
        (groups * LANES).min(MAX_LANES)
    }

    fn start(&self, jobs: &[LaneJob<'_>], buffers: &LaneBuffers) -> Outcome<wgpu::Buffer> {
        let (gpu, groups) = (self.gpu, buffers.groups);
        let state = gpu.zeroed(groups * self.state_bytes() / 4)?;
        let lanes = gpu.zeroed(RESULT_WORDS * groups * LANES)?;
        let LaneBuffers { jobs: table, payload, raw, .. } = buffers;
        let bind = |run| gpu.bind(&self.shader, &[&self.model, &state, &lanes, table, payload, raw, run]);
        let bound: Vec<_> = self.runs.iter().map(bind).collect();
        let longest = jobs.iter().map(|job| job.raw_len).max().unwrap_or(0);
        let records = longest / self.packed.width();
        for _ in 0..records.div_ceil(self.records) {
            bound.iter().for_each(|bound| gpu.dispatch(&self.shader, bound, groups as u32, 1));
        }
        Ok(lanes)
    }

    fn is_corrupt(&self, result: &[u32; RESULT_WORDS]) -> bool {
        result[CORRUPT] != 0
    }

    /// The first window of a workgroup is its longest.
    fn weight_bytes(&self, raw_lens: &[usize], _: &[[u32; RESULT_WORDS]]) -> u64 {
        let records: usize = raw_lens.iter().step_by(LANES).map(|len| len / self.packed.width()).sum();
        records as u64 * self.packed.weight_bytes()
    }
}
