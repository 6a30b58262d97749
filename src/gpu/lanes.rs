//! Windows in the lanes of a GPU: batches, their buffers, and the words that come back.

use super::context::{Gpu, Reading};
use super::fault::Outcome;
use super::words::{big_endian, to_bytes, to_words};
use crate::codec::window::WindowJob;
use std::cmp::Reverse;

/// The windows of a workgroup. The kernels of `lm` are written for this number, that of `circuit` for any
/// multiple of 4.
pub const LANES: usize = 16;
/// The most windows that are coded together.
pub const MAX_LANES: usize = 4096;
/// The most loop iterations of a thread in one dispatch. A software driver (llvmpipe) silently ends loops
/// after 65,535 iterations in all, and hardware drivers abort dispatches that take seconds.
pub const MAX_ITERATIONS: usize = 60_000;
/// The most raw bytes of a batch of windows.
const MAX_RAW: usize = 64 << 20;

/// A window that one lane codes.
#[derive(Debug, Clone, Copy)]
pub struct LaneJob<'a> {
    /// The payload in decoding, the raw bytes in encoding.
    pub input: &'a [u8],
    /// The number of raw bytes, or the most that the window may hold.
    pub raw_len: usize,
    /// The number of 32-bit words of the payload, or the most that it may have.
    pub payload_words: usize,
}

/// The direction in which a kernel works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From payloads to raw bytes.
    Decode,
    /// From raw bytes to payloads.
    Encode,
}

/// A kernel that codes windows, one in each lane, with a result of `WORDS` words per lane.
pub trait LaneKernel<const WORDS: usize> {
    /// The GPU on which it runs.
    fn gpu(&self) -> &Gpu;

    /// The direction in which it works.
    fn direction(&self) -> Direction;

    /// The number of windows whose state fits into the GPU's memory, at most [`MAX_LANES`].
    fn most_lanes(&self) -> usize;

    /// Starts the work on windows. Returns the buffer of their results.
    fn start(&self, jobs: &[LaneJob<'_>], buffers: &LaneBuffers) -> Outcome<wgpu::Buffer>;

    /// Whether a window's result says that no encoder writes its payload.
    fn is_corrupt(&self, result: &[u32; WORDS]) -> bool;

    /// The number of bytes of model weights that were read for windows with these raw lengths and results,
    /// including those for unused lanes of the last workgroup.
    fn weight_bytes(&self, raw_lens: &[usize], results: &[[u32; WORDS]]) -> u64;
}

/// The buffers that all kernels which code windows have in common.
pub struct LaneBuffers {
    /// The number of workgroups.
    pub groups: usize,
    /// `Job` of each lane (`window.wgsl`).
    pub jobs: wgpu::Buffer,
    /// Payloads as words, with the first byte in the highest bits.
    pub payload: wgpu::Buffer,
    /// Raw bytes, four to a word, with the first in the lowest bits. Each window starts at a word.
    pub raw: wgpu::Buffer,
}

/// Windows whose work has been started.
pub struct LaneBatch {
    /// The raw bytes, or the payloads.
    output: Reading,
    results: Reading,
    /// The start of each window's part of the output, in words.
    starts: Vec<usize>,
    raw_lens: Vec<usize>,
}

/// A window that a kernel has coded.
pub struct Finished<'a, const WORDS: usize> {
    /// The lane's result.
    pub result: &'a [u32; WORDS],
    /// The raw bytes or the payload, as in [`LaneBuffers`], and the words after them.
    pub output: &'a [u32],
}

/// The indices of windows, the longest first.
pub fn longest_first(lens: impl Iterator<Item = usize>) -> Vec<usize> {
    let lens: Vec<usize> = lens.collect();
    let mut order: Vec<usize> = (0..lens.len()).collect();
    order.sort_by_key(|&i| Reverse(lens[i]));
    order
}

/// How many windows, from the first of `jobs` on, fit into one batch: at least one.
pub fn batch_len<const W: usize>(kernel: &impl LaneKernel<W>, jobs: &[LaneJob<'_>]) -> usize {
    let most = usize::try_from(kernel.gpu().max_buffer()).unwrap_or(usize::MAX);
    let (mut raw, mut payload) = (0, 0);
    let fits = |job: &&LaneJob<'_>| {
        raw += job.raw_len.next_multiple_of(4);
        payload += 4 * job.payload_words;
        raw <= MAX_RAW.min(most) && payload <= most
    };
    jobs.iter().take(kernel.most_lanes()).take_while(fits).count().max(1)
}

/// Starts to code windows, the longest first, and to read their results back.
pub fn launch<const W: usize>(kernel: &impl LaneKernel<W>, jobs: &[LaneJob<'_>]) -> Outcome<LaneBatch> {
    let (gpu, decodes) = (kernel.gpu(), kernel.direction() == Direction::Decode);
    let groups = jobs.len().div_ceil(LANES);
    let (mut table, mut input, mut starts) = (Vec::new(), Vec::new(), Vec::new());
    let (mut raw_words, mut payload_words) = (0, 0);
    for job in jobs {
        table.extend([4 * raw_words, job.raw_len, payload_words, job.payload_words].map(|n| n as u32));
        if decodes {
            input.extend(job.input.chunks(4).map(big_endian));
            starts.push(raw_words);
        } else {
            input.extend(to_words(job.input));
            starts.push(payload_words);
        }
        raw_words += job.raw_len.div_ceil(4);
        payload_words += job.payload_words;
    }
    table.resize(4 * groups * LANES, 0);
    let output_words = if decodes { raw_words } else { payload_words };
    let (jobs_buffer, input, output) = (gpu.upload(&table)?, gpu.upload(&input)?, gpu.zeroed(output_words)?);
    let (payload, raw) = if decodes { (input, output) } else { (output, input) };
    let buffers = LaneBuffers { groups, jobs: jobs_buffer, payload, raw };
    let results = kernel.start(jobs, &buffers)?;
    let output = if decodes { &buffers.raw } else { &buffers.payload };
    Ok(LaneBatch {
        output: gpu.start_read(output, output_words)?,
        results: gpu.start_read(&results, W * groups * LANES)?,
        starts,
        raw_lens: jobs.iter().map(|job| job.raw_len).collect(),
    })
}

/// Waits for a batch and passes each of its windows to `take`, which returns the number of raw bytes in the
/// window.
pub fn finish<const W: usize>(
    kernel: &impl LaneKernel<W>,
    batch: LaneBatch,
    mut take: impl FnMut(usize, Finished<'_, W>) -> usize,
) -> Outcome<()> {
    let gpu = kernel.gpu();
    let output = gpu.finish_read(batch.output)?;
    let results = gpu.finish_read(batch.results)?;
    let results = results.as_chunks::<W>().0;
    let mut bytes = 0;
    for (i, (&start, result)) in batch.starts.iter().zip(results).enumerate() {
        bytes += take(i, Finished { result, output: &output[start..] }) as u64;
    }
    let weights = kernel.weight_bytes(&batch.raw_lens, results);
    match kernel.direction() {
        Direction::Decode => gpu.count(bytes, 0, weights),
        Direction::Encode => gpu.count(0, bytes, weights),
    }
    Ok(())
}

/// Decodes the windows of all jobs. Returns the indices of those whose payload no encoder writes.
pub fn decode<const W: usize>(
    kernel: &impl LaneKernel<W>,
    jobs: &mut [&mut WindowJob<'_>],
) -> Outcome<Vec<usize>> {
    let order = longest_first(jobs.iter().map(|job| job.raw.len()));
    let (mut rest, mut corrupt) = (&order[..], Vec::new());
    let mut pending: Option<(&[usize], LaneBatch)> = None;
    loop {
        let mut started = None;
        if !rest.is_empty() {
            let next: Vec<_> = rest.iter().take(MAX_LANES).map(|&i| decode_job(jobs[i])).collect();
            let count = batch_len(kernel, &next);
            let (windows, later) = rest.split_at(count);
            started = Some((windows, launch(kernel, &next[..count])?));
            rest = later;
        }
        // A batch is read back while the next one runs.
        let is_last = started.is_none();
        if let Some((windows, batch)) = std::mem::replace(&mut pending, started) {
            finish(kernel, batch, |lane, finished| {
                if kernel.is_corrupt(finished.result) {
                    corrupt.push(windows[lane]);
                    return 0;
                }
                let out = &mut *jobs[windows[lane]].raw;
                to_bytes(finished.output, out);
                out.len()
            })?;
        }
        if is_last {
            return Ok(corrupt);
        }
    }
}

fn decode_job<'a>(job: &'a WindowJob<'_>) -> LaneJob<'a> {
    LaneJob { input: job.payload, raw_len: job.raw.len(), payload_words: job.payload.len().div_ceil(4) }
}
