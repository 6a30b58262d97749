//! Decoding windows of `circuit` blocks on a GPU, a lane each.

use super::pack::{LANES, Packed, Schedule};
use crate::codec::window::WindowJob;
use crate::gpu::coder::{MAX_ITERATIONS, MAX_LANES, MAX_RAW};
use crate::gpu::context::{Gpu, Kernel, Reading};
use crate::gpu::fault::{Fault, Outcome};
use crate::gpu::words::{big_endian, to_bytes};
use std::ops::Range;

/// Bytes of messages of windows that are decoded together.
const MAX_STATE: usize = 256 << 20;
/// Words of a lane's coder: `Coder` in `choose.wgsl`; and of which of them the last but one says that a payload is damaged.
const CODER_WORDS: usize = 8;
const CORRUPT: usize = 6;

const SOURCE: [&str; 4] = [
    include_str!("../wide.wgsl"),
    include_str!("messages.wgsl"),
    include_str!("choose.wgsl"),
    include_str!("walk.wgsl"),
];

/// Decodes the windows of all jobs, which hold whole records; returns the numbers of those whose payload no encoder writes.
pub fn decode(gpu: &Gpu, packed: &Packed, jobs: &mut [&mut WindowJob<'_>]) -> Outcome<Vec<usize>> {
    decode_within(gpu, packed, jobs, MAX_ITERATIONS)
}

/// The same with another limit of the iterations of a dispatch.
pub fn decode_within(
    gpu: &Gpu,
    packed: &Packed,
    jobs: &mut [&mut WindowJob<'_>],
    iterations: usize,
) -> Outcome<Vec<usize>> {
    let mut order: Vec<usize> = (0..jobs.len()).collect();
    order.sort_by_key(|&i| std::cmp::Reverse(jobs[i].raw.len()));
    let decoder = Decoder::new(gpu, packed, iterations)?;
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
    /// What each dispatch does in turn.
    runs: Vec<wgpu::Buffer>,
    /// Records of a turn.
    records: usize,
}

/// Windows on their way.
struct Batch {
    raw: Reading,
    coders: Reading,
    /// Where each lane's raw bytes start, in words.
    starts: Vec<usize>,
}

impl<'a> Decoder<'a> {
    fn new(gpu: &'a Gpu, packed: &'a Packed, iterations: usize) -> Outcome<Self> {
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
            words.extend(packed.layout());
            gpu.uniform(&words.into_iter().map(|w| w as u32).collect::<Vec<_>>())
        };
        Ok(Self {
            gpu,
            packed,
            kernel: gpu.kernel(&source, "walk")?,
            model: gpu.upload(packed.words())?,
            runs: parts.iter().map(run).collect::<Outcome<_>>()?,
            records,
        })
    }

    /// Bytes of a workgroup's messages.
    fn state_bytes(&self) -> usize {
        16 * self.packed.layout()[0]
    }

    /// How many windows in `order` from `start` on fit the memory of a batch.
    fn batch_end(&self, jobs: &[&mut WindowJob<'_>], order: &[usize], start: usize) -> usize {
        let most = usize::try_from(self.gpu.max_buffer()).unwrap_or(usize::MAX);
        let groups = (most.min(MAX_STATE) / self.state_bytes()).max(1);
        let lanes = (groups * LANES).min(MAX_LANES);
        let (mut raw, mut payload) = (0, 0);
        let fits = |&&i: &&usize| {
            raw += jobs[i].raw.len().next_multiple_of(4);
            payload += jobs[i].payload.len().next_multiple_of(4);
            raw <= MAX_RAW.min(most) && payload <= most
        };
        start + order[start..].iter().take(lanes).take_while(fits).count().max(1)
    }

    fn launch(&self, jobs: &[&mut WindowJob<'_>], windows: &[usize]) -> Outcome<Batch> {
        let groups = windows.len().div_ceil(LANES);
        let (mut table, mut payload, mut coders) = (Vec::new(), Vec::new(), Vec::new());
        let (mut starts, mut words) = (Vec::new(), 0);
        for &i in windows {
            let job = &jobs[i];
            let own: Vec<u32> = job.payload.chunks(4).map(big_endian).collect();
            table.extend([4 * words, job.raw.len(), payload.len(), own.len()].map(|n| n as u32));
            let first = |k: usize| own.get(k).copied().unwrap_or(0);
            coders.extend([first(1), first(0), u32::MAX, u32::MAX, 2, 0, 0, 0]);
            payload.extend(own);
            starts.push(words);
            words += job.raw.len().div_ceil(4);
        }
        table.resize(4 * groups * LANES, 0);
        coders.resize(CODER_WORDS * groups * LANES, 0);
        let gpu = self.gpu;
        let (coders_len, coders) = (coders.len(), gpu.upload(&coders)?);
        let state = gpu.zeroed(groups * self.state_bytes() / 4)?;
        let (table, payload, raw) = (gpu.upload(&table)?, gpu.upload(&payload)?, gpu.zeroed(words)?);
        let bind = |run| gpu.bind(&self.kernel, &[&self.model, &state, &coders, &table, &payload, &raw, run]);
        let bound: Vec<_> = self.runs.iter().map(bind).collect();
        let records = windows.iter().map(|&i| jobs[i].raw.len()).max().unwrap_or(0) / self.packed.width();
        for _ in 0..records.div_ceil(self.records) {
            bound.iter().for_each(|bound| gpu.dispatch(&self.kernel, bound, groups as u32, 1));
        }
        let coders = gpu.start_read(&coders, coders_len)?;
        Ok(Batch { raw: gpu.start_read(&raw, words)?, coders, starts })
    }

    fn collect(
        &self,
        batch: Batch,
        jobs: &mut [&mut WindowJob<'_>],
        windows: &[usize],
        corrupt: &mut Vec<usize>,
    ) -> Outcome<()> {
        let raw = self.gpu.finish_read(batch.raw)?;
        let coders = self.gpu.finish_read(batch.coders)?;
        let mut decoded = 0;
        for ((&i, start), coder) in windows.iter().zip(batch.starts).zip(coders.chunks_exact(CODER_WORDS)) {
            if coder[CORRUPT] != 0 {
                corrupt.push(i);
                continue;
            }
            let out = &mut *jobs[i].raw;
            to_bytes(&raw[start..], out);
            decoded += out.len() as u64;
        }
        // The first window of a workgroup is its longest.
        let records: usize = windows.chunks(LANES).map(|g| jobs[g[0]].raw.len() / self.packed.width()).sum();
        self.gpu.count(decoded, 0, records as u64 * self.packed.weight_bytes());
        Ok(())
    }
}
