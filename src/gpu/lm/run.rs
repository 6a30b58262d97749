//! Windows in the lanes of a GPU: what decoding and encoding have in common.

use super::pack::{LANES, Packed};
use crate::gpu::coder::{MAX_ITERATIONS, MAX_LANES, MAX_RAW};
use crate::gpu::context::{Gpu, Kernel, Reading};
use crate::gpu::fault::{Fault, Outcome};
use crate::gpu::words::{big_endian, to_words};

/// Dispatches handed over at a time.
const SUBMITTED: usize = 64;
/// Words of a lane's result: words of weights that its workgroup has read (the low and the high half; only in
/// a workgroup's first lane), and what the coder says.
const RESULT_WORDS: usize = 10;

/// What a kernel does with its windows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    Decode,
    Encode,
}

impl Direction {
    fn coder(self) -> &'static str {
        match self {
            Direction::Decode => include_str!("decode.wgsl"),
            Direction::Encode => include_str!("encode.wgsl"),
        }
    }
}

const SOURCE: [&str; 4] = [
    include_str!("../wide.wgsl"),
    include_str!("network.wgsl"),
    include_str!("adaptive.wgsl"),
    include_str!("lanes.wgsl"),
];

/// A window to be coded.
#[derive(Debug, Clone, Copy)]
pub struct Lane<'a> {
    /// Raw bytes, or how many are wanted.
    pub raw: Raw<'a>,
    /// The payload; empty in encoding.
    pub payload: &'a [u8],
    /// Words that the payload has, or may have.
    pub payload_words: usize,
}

/// Raw bytes of a window.
#[derive(Debug, Clone, Copy)]
pub enum Raw<'a> {
    Known(&'a [u8]),
    Wanted(usize),
}

impl Raw<'_> {
    pub fn len(self) -> usize {
        match self {
            Raw::Known(bytes) => bytes.len(),
            Raw::Wanted(len) => len,
        }
    }
}

/// A model on a GPU, ready to code windows.
pub struct Runner<'a> {
    gpu: &'a Gpu,
    packed: &'a Packed,
    kernel: Kernel,
    model: &'a wgpu::Buffer,
    /// Bytes of each lane in a dispatch.
    steps: usize,
    direction: Direction,
}

/// Windows on their way.
pub struct Batch {
    /// The raw bytes, or the payloads.
    data: Reading,
    results: Reading,
    /// Where each lane's part of the data starts, in words.
    starts: Vec<usize>,
}

/// What became of a window.
pub struct Finished<'a> {
    /// What the kernel's coder says of it.
    pub result: [u32; 8],
    /// The raw bytes four to a word, or the payload; and what lies behind them.
    pub data: &'a [u32],
}

impl<'a> Runner<'a> {
    /// Prepares to code windows.
    pub fn new(gpu: &'a Gpu, packed: &'a Packed, direction: Direction) -> Outcome<Self> {
        let steps = MAX_ITERATIONS / packed.step_iterations();
        if steps == 0 {
            return Err(Fault::new("the model is too large for a GPU's time limit"));
        }
        let source = packed.constants() + &SOURCE.concat() + direction.coder();
        let (kernel, model) = (gpu.kernel(&source, "code")?, packed.buffer(gpu)?);
        Ok(Self { gpu, packed, kernel, model, steps, direction })
    }

    /// How many of the windows, longest first, fit the memory of a batch: at least one.
    pub fn batch(&self, windows: impl Iterator<Item = Lane<'a>>) -> usize {
        let most = self.gpu.max_buffer() as usize;
        let lanes = (most / (4 * self.packed.state_words())).min(MAX_LANES) / LANES * LANES;
        let (mut raw, mut payload) = (0, 0);
        let fits = |lane: &Lane<'_>| {
            raw += lane.raw.len().next_multiple_of(4);
            payload += 4 * lane.payload_words;
            raw <= MAX_RAW.min(most) && payload <= most
        };
        windows.take(lanes).take_while(fits).count().max(1)
    }

    /// Starts to code windows, and to read back what comes of them.
    pub fn launch(&self, windows: &[Lane<'_>]) -> Outcome<Batch> {
        let gpu = self.gpu;
        let groups = windows.len().div_ceil(LANES);
        let lanes = groups * LANES;
        let (mut jobs, mut payload, mut raw) = (Vec::new(), Vec::new(), Vec::new());
        let mut starts = Vec::new();
        for lane in windows {
            jobs.extend([4 * raw.len(), lane.raw.len(), payload.len(), lane.payload_words].map(|n| n as u32));
            let start = if self.direction == Direction::Decode { raw.len() } else { payload.len() };
            starts.push(start);
            payload.extend(lane.payload.chunks(4).map(big_endian));
            payload.resize(jobs[jobs.len() - 2] as usize + lane.payload_words, 0);
            let end = raw.len() + lane.raw.len().div_ceil(4);
            if let Raw::Known(bytes) = lane.raw {
                raw.extend(to_words(bytes));
            }
            raw.resize(end, 0);
        }
        jobs.resize(4 * lanes, 0);
        let act = gpu.zeroed(4 * groups * self.packed.act_words())?;
        let scratch = gpu.zeroed(groups * self.packed.scratch_words())?;
        let state = gpu.zeroed(lanes * self.packed.state_words())?;
        let results = gpu.zeroed(lanes * RESULT_WORDS)?;
        let jobs = gpu.upload(&jobs)?;
        let (payload_words, raw_words) = (payload.len(), raw.len());
        let (payload, raw) = (gpu.upload(&payload)?, gpu.upload(&raw)?);
        let bind = |first: u32| {
            let run = gpu.uniform(&[self.steps as u32, first])?;
            let buffers = [self.model, &act, &scratch, &state, &jobs, &payload, &raw, &results, &run];
            Ok(gpu.bind(&self.kernel, &buffers))
        };
        let longest = windows.iter().map(|lane| lane.raw.len()).max().unwrap_or(0);
        gpu.dispatch(&self.kernel, &bind(1)?, groups as u32, 1);
        let bound = bind(0)?;
        let mut left = longest.div_ceil(self.steps).saturating_sub(1);
        while left > 0 {
            let times = left.min(SUBMITTED);
            gpu.dispatch(&self.kernel, &bound, groups as u32, times);
            left -= times;
        }
        let (data, words) =
            if self.direction == Direction::Decode { (&raw, raw_words) } else { (&payload, payload_words) };
        Ok(Batch {
            data: gpu.start_read(data, words)?,
            results: gpu.start_read(&results, lanes * RESULT_WORDS)?,
            starts,
        })
    }

    /// Waits for windows and hands each to `take`, which tells how many raw bytes it holds.
    pub fn finish(&self, batch: Batch, mut take: impl FnMut(usize, Finished<'_>) -> usize) -> Outcome<()> {
        let data = self.gpu.finish_read(batch.data)?;
        let results = self.gpu.finish_read(batch.results)?;
        let (mut bytes, mut words) = (0, 0);
        for (i, &[low, high, result @ ..]) in results.as_chunks::<RESULT_WORDS>().0.iter().enumerate() {
            words += if i % LANES == 0 { u64::from(high) << 32 | u64::from(low) } else { 0 };
            if let Some(&start) = batch.starts.get(i) {
                bytes += take(i, Finished { result, data: &data[start..] }) as u64;
            }
        }
        match self.direction {
            Direction::Decode => self.gpu.count(bytes, 0, 4 * words),
            Direction::Encode => self.gpu.count(0, bytes, 4 * words),
        }
        Ok(())
    }
}
