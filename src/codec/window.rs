//! The common part of windowed codecs: cutting content, laying windows out, decoding them in lanes.

use super::Codec;
use super::block::{BlockJob, BlockParams, EncodedBlock};
use crate::error::{Error, Result};
use crate::format::block::{Units, Window};
use crate::format::checksum::{check32, same};
use crate::progress::Meter;
use rayon::prelude::*;
use std::sync::Arc;

/// The sizes at which an encoder ends a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowLimits {
    /// W: payload bytes of a window, a multiple of 4.
    pub payload: usize,
    /// R: most raw bytes of a window.
    pub raw: usize,
}

/// One window as its codec leaves it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodedWindow {
    /// Raw bytes that it holds.
    pub raw_len: usize,
    /// The shortest string that decodes, at most W bytes; bits past its end read as zero.
    pub payload: Vec<u8>,
}

/// One window to decode.
#[derive(Debug)]
pub struct WindowJob<'a> {
    /// Payload bytes; bits past their end read as zero.
    pub payload: &'a [u8],
    /// The room for the raw bytes, as long as the stored raw length.
    pub raw: &'a mut [u8],
}

/// The windows of a block to decode.
pub struct WindowedBlock<'a> {
    /// The block's parameters; `None` where it has none.
    pub params: Option<&'a dyn BlockParams>,
    /// Its windows; of chained windows, all from the first one on.
    pub windows: Vec<WindowJob<'a>>,
}

/// Takes the windows of all blocks out of them.
pub fn all_windows<'a>(blocks: impl Iterator<Item = WindowedBlock<'a>>) -> Vec<WindowJob<'a>> {
    blocks.flat_map(|b| b.windows).collect()
}

/// How a codec wants the content of a file to be cut, and its blocks to be coded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cutting {
    /// Offset of the first byte that the codec takes; those in front of it are coded otherwise.
    pub start: u64,
    /// Offset behind the last byte that it takes; `u64::MAX` where that is the content's end.
    pub end: u64,
    /// Raw bytes that blocks and windows hold whole numbers of, 1 or more.
    pub unit: usize,
    /// Raw bytes that the last block holds whole numbers of, 1 or more.
    pub step: usize,
    /// Parameters of the blocks; `None` where they have none.
    pub params: Option<Vec<u8>>,
    /// Whether each window of a block needs all in front of it.
    pub chained: bool,
}

impl Cutting {
    /// Any bytes, cut anywhere, in windows that decode alone.
    pub const BYTES: Self = Self { start: 0, end: u64::MAX, unit: 1, step: 1, params: None, chained: false };

    /// Cuts bytes that stand `at` a place of the content into those in front of what the codec takes, those that it
    /// takes, and those behind them.
    pub fn split<'r>(&self, raw: &'r [u8], at: u64) -> [&'r [u8]; 3] {
        let to = |place: u64| usize::try_from(place.saturating_sub(at)).unwrap_or(usize::MAX).min(raw.len());
        let (start, end) = (to(self.start), to(self.end));
        [&raw[..start], &raw[start..end], &raw[end..]]
    }

    /// Bytes from a place to the start of the next unit.
    pub fn left_of_unit(&self, at: u64) -> usize {
        let unit = self.unit as u64;
        let over = at.saturating_sub(self.start) % unit;
        if over > 0 { (unit - over) as usize } else { 0 }
    }
}

/// A codec whose blocks are made of windows, joined to its model.
pub trait WindowCoder: Send + Sync {
    /// How content that starts with `head` is to be cut; for an empty head, what holds for any content. `chained` says
    /// whether windows may need those in front of them, for codecs whose blocks then become smaller.
    fn cutting(&self, _head: &[u8], _chained: bool) -> Cutting {
        Cutting::BYTES
    }

    /// Whether the model has symbols for these bytes.
    fn fits(&self, _cutting: &Cutting, _raw: &[u8]) -> bool {
        true
    }

    /// Codes blocks into windows; one window of each block steps together. `meter` counts the raw bytes.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::BadArgument`] for limits or bytes that the codec cannot code, [`crate::ErrorKind::LimitExceeded`] where
    /// memory is missing.
    fn encode(
        &self,
        blocks: &[&[u8]],
        cutting: &Cutting,
        limits: WindowLimits,
        meter: Meter<'_>,
    ) -> Result<Vec<Vec<EncodedWindow>>>;

    /// Decodes the windows of blocks, all of them together, in `memory` bytes beside payloads and raw bytes (approximate).
    /// Damaged payloads may give any bytes. `meter` counts the raw bytes.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::Corrupt`] where a payload is not one that an encoder writes, [`crate::ErrorKind::LimitExceeded`] where
    /// memory is missing.
    fn decode(&self, blocks: Vec<WindowedBlock<'_>>, memory: u64, meter: Meter<'_>) -> Result<()>;

    /// The coder that decodes the same windows in another way, should this one go wrong without noticing.
    fn fallback(&self) -> Option<&dyn WindowCoder> {
        None
    }
}

/// Decodes the jobs of windowed codecs; windows of the same model run in lanes together.
pub fn decode(jobs: &mut [&mut BlockJob<'_>]) {
    for job in jobs.iter_mut() {
        let allocated = match &job.model {
            Some(_) => job.allocate(),
            None => Err(missing_model(job.block.codec.name())),
        };
        if let Err(e) = allocated {
            (job.error, job.units) = (Some(e), 0..0);
        }
    }
    let mut coders: Vec<Arc<dyn WindowCoder>> = Vec::new();
    for model in jobs.iter().filter_map(|j| j.model.as_ref()) {
        if !coders.iter().any(|c| Arc::ptr_eq(c, &model.windows)) {
            coders.push(model.windows.clone());
        }
    }
    let meter = jobs.first().map_or(Meter::NONE, |j| j.environment.meter);
    for coder in coders {
        let uses = |job: &BlockJob<'_>| {
            job.error.is_none() && job.model.as_ref().is_some_and(|m| Arc::ptr_eq(&m.windows, &coder))
        };
        if let Err(e) = run(&*coder, jobs.iter_mut().map(|j| &mut **j).filter(|j| uses(j)), meter) {
            jobs.iter_mut().filter(|j| uses(j)).for_each(|j| j.error = Some(e.again()));
        }
    }
    jobs.par_iter_mut().for_each(|job| {
        let result = match verify(job) {
            Err(e) if job.error.is_none() => once_more(job, e),
            other => other,
        };
        job.settle(result);
    });
}

/// The error for a block that names no model although its codec needs one.
pub fn missing_model(codec: &str) -> Error {
    Error::corrupt(format!("a {codec} block without a model"))
}

/// Decodes the windows of jobs that belong to one coder, all of them together.
fn run<'j, 'a: 'j>(
    coder: &dyn WindowCoder,
    jobs: impl Iterator<Item = &'j mut BlockJob<'a>>,
    meter: Meter<'_>,
) -> Result<()> {
    let mut memory = u64::MAX;
    let blocks = jobs.map(|job| {
        memory = memory.min(job.environment.memory);
        windows_of(job)
    });
    let blocks = blocks.collect();
    coder.decode(blocks, memory, meter)
}

/// The windows that a job decodes.
fn windows_of<'j>(job: &'j mut BlockJob<'_>) -> WindowedBlock<'j> {
    let units = job.decoded_units();
    let params = job.block.params.as_deref();
    let Units::Windows { windows, .. } = &job.block.header.units else {
        return WindowedBlock { params, windows: Vec::new() };
    };
    let (mut raw, mut payload, mut jobs) = (&mut job.raw[..], job.payload, Vec::with_capacity(units.len()));
    for w in &windows[units] {
        let (this, rest) = raw.split_at_mut(w.raw_len as usize);
        let (bytes, after) = payload.split_at(w.payload_len as usize);
        jobs.push(WindowJob { payload: bytes, raw: this });
        (raw, payload) = (rest, after);
    }
    WindowedBlock { params, windows: jobs }
}

fn verify(job: &mut BlockJob<'_>) -> Result<()> {
    for i in job.decoded_units() {
        let (len, check) = job.block.unit(i);
        same(&format!("window {i}"), check, check32(&job.raw[job.verified..job.verified + len]))?;
        job.verified += len;
    }
    Ok(())
}

/// Decodes the windows once more with what the coder can fall back on, where that is something.
fn once_more(job: &mut BlockJob<'_>, e: Error) -> Result<()> {
    let Some(model) = job.model.clone() else { return Err(e) };
    let Some(fallback) = model.windows.fallback() else { return Err(e) };
    run(fallback, std::iter::once(&mut *job), Meter::NONE)?;
    job.verified = 0;
    verify(job)
}

/// Raw bytes that stand for a byte of payload at most, and payload bytes that every window may have for free: a rule of
/// the format that bounds the work of a reader. A codec may cost less (`lm`: down to 0.0007 bits a byte); its encoder
/// then adds zeros.
const RAW_PER_BYTE: usize = 2048;
const FREE_BYTES: usize = 32;

/// Most raw bytes that a window of `payload_len` stored bytes may hold.
pub fn max_window_raw(payload_len: usize) -> usize {
    RAW_PER_BYTE * (payload_len + FREE_BYTES)
}

/// Makes a window's payload long enough for its raw bytes; zeros past its end decode the same.
pub fn lengthen(window: &mut EncodedWindow) {
    let least = window.raw_len.div_ceil(RAW_PER_BYTE).saturating_sub(FREE_BYTES);
    if window.payload.len() < least {
        window.payload.resize(least, 0);
    }
}

/// Fails where a window's payload is too short for its raw bytes.
pub fn check_lengths(windows: &[Window]) -> Result<()> {
    for (i, w) in windows.iter().enumerate() {
        if w.raw_len as usize > max_window_raw(w.payload_len as usize) {
            let (raw, payload) = (w.raw_len, w.payload_len);
            return Err(Error::corrupt(format!("window {i}: {payload} bytes cannot hold {raw} raw bytes")));
        }
    }
    Ok(())
}

/// A windowed codec with its model and the sizes of its blocks and windows.
#[derive(Clone)]
pub struct Windowed {
    /// The codec of the blocks.
    pub codec: Codec,
    /// Hash of the model.
    pub model: [u8; 32],
    /// The codec, joined to the model.
    pub coder: Arc<dyn WindowCoder>,
    /// The sizes at which windows end.
    pub limits: WindowLimits,
    /// Raw bytes of a block.
    pub block: usize,
    /// Raw bytes of a record; 1 for codecs of any bytes.
    pub record: usize,
    /// Whether the windows of a block may need those in front of them.
    pub chained: bool,
}

impl Windowed {
    /// Codes each piece as one block.
    ///
    /// # Errors
    ///
    /// Those of [`WindowCoder::encode`].
    pub fn encode_pieces(
        &self,
        pieces: &[&[u8]],
        cutting: &Cutting,
        meter: Meter<'_>,
    ) -> Result<Vec<EncodedBlock>> {
        let limits = WindowLimits { raw: self.limits.raw.max(cutting.unit), ..self.limits };
        let coded = self.coder.encode(pieces, cutting, limits, meter)?;
        let blocks = pieces.iter().zip(coded).map(|(raw, windows)| {
            let (units, payload) = assemble(raw, windows, self.limits, cutting.chained);
            let (codec, model, params) = (self.codec, Some(self.model), cutting.params.clone());
            EncodedBlock { codec, raw_len: raw.len() as u32, model, params, units, payload }
        });
        Ok(blocks.collect())
    }

    /// Codes chunks, which are cut into blocks; returns the blocks of each.
    ///
    /// # Errors
    ///
    /// Those of [`WindowCoder::encode`].
    pub fn encode(
        &self,
        chunks: &[&[u8]],
        cutting: &Cutting,
        meter: Meter<'_>,
    ) -> Result<Vec<Vec<EncodedBlock>>> {
        let unit = cutting.unit;
        let block = (self.block / unit * unit).max(unit);
        let pieces: Vec<&[u8]> = chunks.iter().flat_map(|c| c.chunks(block)).collect();
        let mut blocks = self.encode_pieces(&pieces, cutting, meter)?.into_iter();
        Ok(chunks.iter().map(|c| blocks.by_ref().take(c.len().div_ceil(block)).collect()).collect())
    }
}

/// Lays windows out as a payload and its table: equal-info, or `sized` where padding costs over 0.5 %. W is what the
/// longest one needs, if that is more than it should be.
pub fn assemble(
    raw: &[u8],
    mut windows: Vec<EncodedWindow>,
    mut limits: WindowLimits,
    chained: bool,
) -> (Units, Vec<u8>) {
    // A run of near-certain bytes may cost less than the bound allows.
    windows.iter_mut().for_each(lengthen);
    let longest = windows.iter().map(|w| w.payload.len()).max().unwrap_or(0);
    limits.payload = limits.payload.max(longest.next_multiple_of(4));
    let used: usize = windows.iter().map(|w| w.payload.len()).sum();
    let last = windows.last().map_or(0, |w| w.payload.len());
    let equal = windows.len().saturating_sub(1) * limits.payload + last;
    let sized = equal - used > used / 200;
    let count = windows.len();
    let (mut payload, mut table, mut start) = (Vec::with_capacity(equal), Vec::with_capacity(count), 0);
    for (i, w) in windows.into_iter().enumerate() {
        let at = payload.len();
        payload.extend_from_slice(&w.payload);
        if !sized && i + 1 < count {
            payload.resize(at + limits.payload, 0);
        }
        table.push(Window {
            raw_len: w.raw_len as u32,
            payload_len: (payload.len() - at) as u32,
            check: check32(&raw[start..start + w.raw_len]),
        });
        start += w.raw_len;
    }
    (Units::Windows { payload: limits.payload as u32, sized, chained, windows: table }, payload)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(raw_len: usize, len: usize) -> EncodedWindow {
        EncodedWindow { raw_len, payload: vec![7; len] }
    }

    #[test]
    fn sized_where_padding_costs() {
        let raw = vec![0; 3000];
        let limits = WindowLimits { payload: 1000, raw: 4096 };
        let (units, payload) =
            assemble(&raw, vec![window(1000, 999), window(1000, 1000), window(1000, 3)], limits, false);
        assert!(matches!(units, Units::Windows { sized: false, .. }));
        assert_eq!(payload.len(), 2003);
        assert_eq!(payload[999], 0);
        let (units, payload) = assemble(&raw, vec![window(1000, 900), window(2000, 1000)], limits, true);
        assert!(matches!(units, Units::Windows { sized: true, .. }));
        assert_eq!(payload.len(), 1900);
    }

    #[test]
    fn a_long_window_has_room() {
        let limits = WindowLimits { payload: 1000, raw: 4096 };
        let (units, payload) =
            assemble(&[0; 2000], vec![window(1000, 1998), window(1000, 2000)], limits, false);
        assert!(matches!(units, Units::Windows { payload: 2000, sized: false, .. }));
        assert_eq!(payload.len(), 4000);
    }

    #[test]
    fn the_bound_is_the_same_from_both_sides() {
        for raw_len in [0, 1, 65_535, 65_536, 65_537, 67_584, 67_585, 1 << 20] {
            let mut shortest = window(raw_len, 0);
            lengthen(&mut shortest);
            let len = shortest.payload.len();
            assert!(raw_len <= max_window_raw(len), "{raw_len}");
            assert!(len == 0 || raw_len > max_window_raw(len - 1), "{raw_len}");
        }
    }

    #[test]
    fn certain_bytes_stay_inside_the_bound() {
        let raw = vec![0; 1 << 20];
        let limits = WindowLimits { payload: 4096, raw: 1 << 20 };
        let (units, payload) = assemble(&raw, vec![window(1 << 20, 0)], limits, false);
        assert!(units.unit(0, 1 << 20).0 <= max_window_raw(payload.len()));
    }
}
