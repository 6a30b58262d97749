//! Decoding windows of `lm` blocks on a GPU, a lane each.

use super::pack::Packed;
use crate::codec::window::WindowJob;
use crate::gpu::context::{Gpu, Kernel, Reading};
use crate::gpu::fault::{Fault, Outcome};
use std::ops::Range;

/// Loop iterations of a thread in one dispatch. A software driver (llvmpipe) silently ends loops after 65,535 in
/// all, and drivers of hardware end dispatches that take seconds.
const MAX_ITERATIONS: usize = 60_000;
/// Dispatches handed over at a time.
const SUBMITTED: usize = 64;
/// Most lanes that step together, and how many of them share a workgroup and its reads of weights.
pub const MAX_LANES: usize = 4096;
const GROUP_LANES: [usize; 2] = [32, 8];
/// Raw bytes that are decoded before they are read back.
const MAX_RAW: usize = 64 << 20;

const SOURCE: [&str; 5] = [
    include_str!("../wide.wgsl"),
    include_str!("network.wgsl"),
    include_str!("lanes.wgsl"),
    include_str!("adaptive.wgsl"),
    include_str!("decode.wgsl"),
];

/// Offset of a lane's status from the end of its state: behind it lie the rest of the coder's words and the last bytes.
const STATUS_FROM_END: usize = 12;

/// Decodes the windows of all jobs; returns the numbers of those whose payload no encoder writes.
pub fn decode(gpu: &Gpu, packed: &Packed, jobs: &mut [&mut WindowJob<'_>]) -> Outcome<Vec<usize>> {
    let mut order: Vec<usize> = (0..jobs.len()).collect();
    order.sort_by_key(|&i| std::cmp::Reverse(jobs[i].raw.len()));
    let decoder = Decoder::new(gpu, packed, jobs.len())?;
    let mut corrupt = Vec::new();
    let mut pending: Option<(Range<usize>, Batch)> = None;
    let mut start = 0;
    while start < order.len() {
        let end = decoder.batch_end(jobs, &order, start);
        let batch = decoder.launch(jobs, &order[start..end])?;
        // What came before is read back while this batch runs.
        if let Some((range, batch)) = pending.replace((start..end, batch)) {
            decoder.collect(batch, jobs, &order[range], &mut corrupt)?;
        }
        start = end;
    }
    if let Some((range, batch)) = pending {
        decoder.collect(batch, jobs, &order[range], &mut corrupt)?;
    }
    Ok(corrupt)
}

struct Decoder<'a> {
    gpu: &'a Gpu,
    packed: &'a Packed,
    kernel: Kernel,
    model: wgpu::Buffer,
    /// Lanes of a workgroup.
    lanes: usize,
    /// Bytes of each lane in a dispatch.
    steps: usize,
}

/// Windows on their way.
struct Batch {
    raw: Reading,
    state: Reading,
    /// Where each lane's raw bytes start, in words.
    starts: Vec<usize>,
}

impl<'a> Decoder<'a> {
    fn new(gpu: &'a Gpu, packed: &'a Packed, windows: usize) -> Outcome<Self> {
        let wide = usize::from(windows < GROUP_LANES[0] * 32);
        let lanes = GROUP_LANES[wide..].iter().find(|&&l| packed.step_iterations(l) <= MAX_ITERATIONS);
        let &lanes = lanes.ok_or_else(|| Fault::new("the model is too large for a GPU's time limit"))?;
        let source = packed.constants(lanes) + &SOURCE.concat();
        Ok(Self {
            gpu,
            packed,
            kernel: gpu.kernel(&source, "decode")?,
            model: gpu.upload(packed.words())?,
            lanes,
            steps: MAX_ITERATIONS / packed.step_iterations(lanes),
        })
    }

    /// How many windows in `order` from `start` on fit the memory of a batch.
    fn batch_end(&self, jobs: &[&mut WindowJob<'_>], order: &[usize], start: usize) -> usize {
        let most = self.gpu.max_buffer() as usize;
        let lanes = (most / (4 * self.packed.state_words())).min(MAX_LANES) / self.lanes * self.lanes;
        let (mut raw, mut payload) = (0, 0);
        let fits = |&&i: &&usize| {
            raw += jobs[i].raw.len().next_multiple_of(4);
            payload += jobs[i].payload.len().next_multiple_of(4);
            raw <= MAX_RAW.min(most) && payload <= most
        };
        start + order[start..].iter().take(lanes).take_while(fits).count().max(1)
    }

    fn launch(&self, jobs: &[&mut WindowJob<'_>], windows: &[usize]) -> Outcome<Batch> {
        let groups = windows.len().div_ceil(self.lanes);
        let (mut table, mut payload, mut starts, mut words) = (Vec::new(), Vec::new(), Vec::new(), 0);
        for &i in windows {
            let job = &jobs[i];
            let packed = job.payload.len().div_ceil(4);
            table.extend([4 * words as u32, job.raw.len() as u32, payload.len() as u32, packed as u32]);
            payload.extend(job.payload.chunks(4).map(big_endian));
            starts.push(words);
            words += job.raw.len().div_ceil(4);
        }
        table.resize(4 * groups * self.lanes, 0);
        let gpu = self.gpu;
        let state_words = groups * self.lanes * self.packed.state_words();
        let act = gpu.zeroed(4 * groups * self.packed.act_words(self.lanes))?;
        let scratch = gpu.zeroed(groups * self.packed.scratch_words(self.lanes))?;
        let state = gpu.zeroed(state_words)?;
        let (table, payload) = (gpu.upload(&table)?, gpu.upload(&payload)?);
        let raw = gpu.zeroed(words)?;
        let (first, next) = (gpu.uniform(&[self.steps as u32, 1])?, gpu.uniform(&[self.steps as u32, 0])?);
        let bind = |run| {
            let buffers = [&self.model, &act, &scratch, &state, &table, &payload, &raw, run];
            gpu.bind(&self.kernel, &buffers)
        };
        gpu.dispatch(&self.kernel, &bind(&first), groups as u32, 1);
        let longest = windows.iter().map(|&i| jobs[i].raw.len()).max().unwrap_or(0);
        let mut left = longest.div_ceil(self.steps).saturating_sub(1);
        let bound = bind(&next);
        while left > 0 {
            let times = left.min(SUBMITTED);
            gpu.dispatch(&self.kernel, &bound, groups as u32, times);
            left -= times;
        }
        Ok(Batch { raw: gpu.start_read(&raw, words)?, state: gpu.start_read(&state, state_words)?, starts })
    }

    fn collect(
        &self,
        batch: Batch,
        jobs: &mut [&mut WindowJob<'_>],
        windows: &[usize],
        corrupt: &mut Vec<usize>,
    ) -> Outcome<()> {
        let raw = self.gpu.finish_read(batch.raw)?;
        let state = self.gpu.finish_read(batch.state)?;
        let mut decoded = 0;
        let lanes = state.chunks_exact(self.packed.state_words());
        for ((&i, start), lane) in windows.iter().zip(batch.starts).zip(lanes) {
            if lane[lane.len() - STATUS_FROM_END] != 0 {
                corrupt.push(i);
                continue;
            }
            let out = &mut *jobs[i].raw;
            for (to, word) in out.chunks_mut(4).zip(&raw[start..]) {
                to.copy_from_slice(&word.to_le_bytes()[..to.len()]);
            }
            decoded += out.len() as u64;
        }
        self.gpu.count(decoded, 0, self.weight_bytes(jobs, windows));
        Ok(())
    }

    /// Bytes of weights that the workgroups of a batch ask for: each step of a workgroup reads them once, and lasts as long as
    /// its longest window.
    fn weight_bytes(&self, jobs: &[&mut WindowJob<'_>], windows: &[usize]) -> u64 {
        let steps = windows.chunks(self.lanes).map(|group| jobs[group[0]].raw.len() as u64);
        steps.sum::<u64>() * self.packed.step_bytes()
    }
}

fn big_endian(bytes: &[u8]) -> u32 {
    let mut word = [0; 4];
    word[..bytes.len()].copy_from_slice(bytes);
    u32::from_be_bytes(word)
}
