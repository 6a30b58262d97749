//! The `lm` codec: a byte-level language model and a range coder in equal-info windows.

use rayon::prelude::*;

use super::Codec;
use super::acceleration::{Accelerator, WindowModel};
use super::block::{BlockCodec, BlockJob, LoadedModel, ModelUse, UnitKind};
use super::window::{
    Cutting, EncodedWindow, WindowCoder, WindowJob, WindowLimits, WindowedBlock, all_windows, max_window_raw,
};
use super::windowed;
use crate::coder::range::{BitDecoder, BitEncoder};
use crate::error::{Error, Result};
use crate::model::lm::weights::Weights;
use crate::model::lm::{Adaptive, Lanes, MAX_COLUMNS, Model, Single, Timeline};
use crate::progress::Meter;
use std::sync::Arc;

/// The most bytes that coding one more raw byte can add to a payload: eight decisions of 14 bits, and the
/// rounding to whole words of [`BitEncoder::payload_bound`].
const BYTE_MAX: usize = 24;
/// Smallest payload size of a window in bytes: room for one raw byte in any state and the termination.
pub const MIN_PAYLOAD: usize = 16;

/// The codec `lm`.
pub struct Lm;

impl BlockCodec for Lm {
    fn id(&self) -> Codec {
        Codec::Lm
    }

    fn name(&self) -> &'static str {
        "lm"
    }

    fn units(&self) -> UnitKind {
        UnitKind::Windows
    }

    fn model_use(&self) -> ModelUse {
        ModelUse::Required(Codec::Lm)
    }

    fn load(&self, weights: &[u8], accelerator: Option<&dyn Accelerator>) -> Result<LoadedModel> {
        let network = Arc::new(Weights::from_bytes(weights).and_then(Model::new)?);
        let windows: Arc<dyn WindowCoder> = match accelerator {
            Some(a) => a.windows(WindowModel::Lm(Weights::from_bytes(weights)?, network.clone()))?,
            None => network.clone(),
        };
        Ok(LoadedModel { windows, network: Some(network) })
    }

    fn decode(&self, jobs: &mut [&mut BlockJob<'_>]) {
        windowed::decode(jobs);
    }
}

impl WindowCoder for Model {
    fn encode(
        &self,
        blocks: &[&[u8]],
        _cutting: &Cutting,
        limits: WindowLimits,
        meter: Meter<'_>,
    ) -> Result<Vec<Vec<EncodedWindow>>> {
        encode_counted(self, blocks, limits, meter)
    }

    fn decode(&self, blocks: Vec<WindowedBlock<'_>>, memory: u64, meter: Meter<'_>) -> Result<()> {
        decode_within(self, &mut all_windows(blocks.into_iter()), memory, meter)
    }
}

/// Cuts every block into windows and codes them. Blocks run in parallel; the output does not depend on the
/// number of threads.
///
/// # Errors
/// `BadArgument` for limits within which not even one raw byte fits; `LimitExceeded` where memory is missing.
pub fn encode_blocks(
    model: &Model,
    blocks: &[&[u8]],
    limits: WindowLimits,
) -> Result<Vec<Vec<EncodedWindow>>> {
    encode_counted(model, blocks, limits, Meter::NONE)
}

fn encode_counted(
    model: &Model,
    blocks: &[&[u8]],
    limits: WindowLimits,
    meter: Meter<'_>,
) -> Result<Vec<Vec<EncodedWindow>>> {
    let limits = check_limits(limits)?;
    blocks.par_iter().map(|block| encode_block(model, block, &limits, meter)).collect()
}

/// Lowers the raw length of the wanted limits to what the format allows for their payload length.
///
/// # Errors
/// `BadArgument` for limits within which not even one raw byte fits.
pub fn check_limits(limits: WindowLimits) -> Result<WindowLimits> {
    if limits.payload < MIN_PAYLOAD || limits.raw == 0 {
        return Err(Error::bad_argument(format!(
            "lm: windows of {} payload bytes and {} raw bytes, expected at least {MIN_PAYLOAD} and 1",
            limits.payload, limits.raw
        )));
    }
    Ok(WindowLimits { raw: limits.raw.min(max_window_raw(limits.payload)), ..limits })
}

fn encode_block(
    model: &Model,
    mut block: &[u8],
    limits: &WindowLimits,
    meter: Meter<'_>,
) -> Result<Vec<EncodedWindow>> {
    // A pass of the network that runs past the end of a window is partly wasted, so short windows get short
    // passes.
    let mut timeline = Timeline::new(model, limits.payload.min(MAX_COLUMNS))?;
    let mut windows = Vec::new();
    while !block.is_empty() {
        let raw = &block[..block.len().min(limits.raw)];
        let window = encode_window(&mut timeline, raw, limits.payload, meter)?;
        block = &block[window.raw_len..];
        windows.push(window);
    }
    Ok(windows)
}

/// Codes one window: as much of `raw` as fits `capacity` bytes of payload.
///
/// The network runs ahead over many bytes, and the coder follows byte by byte. Where the next byte might not
/// fit,
/// the coder's state is marked before it and restored if the payload became too long.
fn encode_window(
    timeline: &mut Timeline<'_>,
    raw: &[u8],
    capacity: usize,
    meter: Meter<'_>,
) -> Result<EncodedWindow> {
    timeline.reset();
    let mut adaptive = Box::new(Adaptive::default());
    let mut coder = BitEncoder::default();
    let mut start = 0;
    while start < raw.len() {
        let steps = timeline.max_steps().min(raw.len() - start);
        timeline.run(raw, start, steps);
        for step in 0..steps {
            let at = start + step;
            let may_overflow = coder.payload_bound() + BYTE_MAX > capacity;
            let mark = may_overflow.then(|| coder.mark());
            let sums = timeline.weight_sums(step);
            adaptive.code_byte(
                |node| sums.sum(node),
                &raw[..at],
                |depth, one| {
                    let bit = raw[at] >> (7 - depth) & 1 == 1;
                    coder.encode(bit, one);
                    Ok(bit)
                },
            )?;
            if let Some(mark) = mark
                && coder.payload().len() > capacity
            {
                coder.rewind(&mark);
                meter.advance(step);
                return Ok(EncodedWindow { raw_len: at, payload: coder.payload() });
            }
        }
        start += steps;
        meter.advance(steps);
    }
    Ok(EncodedWindow { raw_len: raw.len(), payload: coder.payload() })
}

/// Decodes windows into their `raw` slices. Windows of similar length step together in groups, so that one
/// pass over the weights serves a whole group, and groups run in parallel. The result depends on neither.
///
/// # Errors
/// `Corrupt` where a payload is not one that an encoder writes; `LimitExceeded` where memory is missing.
/// After an error the contents of the slices are unspecified.
pub fn decode_windows(model: &Model, jobs: &mut [WindowJob<'_>]) -> Result<()> {
    decode_within(model, jobs, u64::MAX, Meter::NONE)
}

/// Decodes windows as [`decode_windows`] does, but no more of them together than have room for their states
/// in `memory` bytes.
fn decode_within(model: &Model, jobs: &mut [WindowJob<'_>], memory: u64, meter: Meter<'_>) -> Result<()> {
    let lane = model.lane_memory() + size_of::<Adaptive>() as u64;
    if lane > memory {
        return Err(Error::limit(format!("lm: states of {lane} bytes; the memory cap leaves {memory}")));
    }
    let most = usize::try_from(memory / lane).unwrap_or(usize::MAX);
    let mut jobs: Vec<_> = jobs.iter_mut().filter(|job| !job.raw.is_empty()).collect();
    jobs.sort_by_key(|job| std::cmp::Reverse(job.raw.len()));
    let per_thread = jobs.len().div_ceil(rayon::current_num_threads()).max(1);
    let group = per_thread.div_ceil(per_thread.div_ceil(MAX_COLUMNS)).min(most);
    let decode = |jobs: &mut [&mut WindowJob<'_>]| match jobs {
        [job] => decode_alone(model, job, meter),
        jobs => decode_group(model, jobs, meter),
    };
    let parallel = (most / group).min(rayon::current_num_threads());
    if parallel == rayon::current_num_threads() {
        return jobs.par_chunks_mut(group).try_for_each(decode);
    }
    // Where memory is short, each thread decodes several groups one after the other.
    let part = jobs.len().div_ceil(group).div_ceil(parallel.max(1)).max(1) * group;
    jobs.par_chunks_mut(part).try_for_each(|part| part.chunks_mut(group).try_for_each(decode))
}

/// Decodes one window by itself.
fn decode_alone(model: &Model, job: &mut WindowJob<'_>, meter: Meter<'_>) -> Result<()> {
    let mut network = Single::new(model)?;
    let mut coder = BitDecoder::new(job.payload);
    let mut adaptive = Box::new(Adaptive::default());
    for at in 0..job.raw.len() {
        let (history, rest) = job.raw.split_at_mut(at);
        let sums = network.step(history);
        rest[0] = adaptive.code_byte(|node| sums[node], history, |_, one| coder.decode(one))?;
        meter.advance(1);
    }
    Ok(())
}

/// A window that is being decoded.
struct Lane<'a, 'b> {
    raw: &'a mut [u8],
    /// The number of bytes of `raw` decoded so far.
    done: usize,
    coder: BitDecoder<'b>,
    adaptive: Box<Adaptive>,
}

/// Decodes up to [`MAX_COLUMNS`] windows, one byte of each per step. A window that ends leaves the group.
fn decode_group(model: &Model, jobs: &mut [&mut WindowJob<'_>], meter: Meter<'_>) -> Result<()> {
    let mut network = Lanes::new(model, jobs.len())?;
    let mut lanes: Vec<_> = jobs
        .iter_mut()
        .map(|job| Lane {
            raw: &mut *job.raw,
            done: 0,
            coder: BitDecoder::new(job.payload),
            adaptive: Box::new(Adaptive::default()),
        })
        .collect();
    while !lanes.is_empty() {
        for (i, lane) in lanes.iter().enumerate() {
            network.set_history(i, &lane.raw[..lane.done]);
        }
        network.step();
        for (i, lane) in lanes.iter_mut().enumerate() {
            let (history, rest) = lane.raw.split_at_mut(lane.done);
            let coder = &mut lane.coder;
            let sums = network.weight_sums(i);
            rest[0] = lane.adaptive.code_byte(|node| sums.sum(node), history, |_, one| coder.decode(one))?;
            lane.done += 1;
        }
        meter.advance(lanes.len());
        for i in (0..lanes.len()).rev() {
            if lanes[i].done == lanes[i].raw.len() {
                lanes.swap_remove(i);
                network.swap_remove(i);
            }
        }
    }
    Ok(())
}
