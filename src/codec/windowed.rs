//! Codes the blocks of windowed codecs: lays windows out, decodes them in lanes, verifies them.

use super::Codec;
use super::block::BlockJob;
use super::encoding::EncodedBlock;
use super::window::{Cutting, EncodedWindow, WindowCoder, WindowJob, WindowLimits, WindowedBlock, lengthen};
use crate::error::{Error, Result};
use crate::format::block::{Units, Window};
use crate::format::checksum::{check32, same};
use crate::progress::Meter;
use rayon::prelude::*;
use std::any::Any;
use std::sync::Arc;

/// Decodes the jobs of windowed codecs; windows of the same model run together in lanes.
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

/// Decodes, all together, the windows of jobs that belong to one coder.
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

/// The windows of the units that a job decodes.
fn windows_of<'j>(job: &'j mut BlockJob<'_>) -> WindowedBlock<'j> {
    let units = job.decoded_units();
    let params = job.block.params.as_deref().map(|p| p as &dyn Any);
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

/// Decodes the windows again with the coder's fallback; fails with `e` where it has none.
fn once_more(job: &mut BlockJob<'_>, e: Error) -> Result<()> {
    let Some(model) = job.model.clone() else { return Err(e) };
    let Some(fallback) = model.windows.fallback() else { return Err(e) };
    run(fallback, std::iter::once(&mut *job), Meter::NONE)?;
    job.verified = 0;
    verify(job)
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
    /// The length of a record in raw bytes; 1 for codecs that take any bytes.
    pub record: usize,
    /// Whether the windows of a block may depend on those before them.
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

    /// Codes chunks, each of which is first cut into blocks; returns the blocks of each.
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

/// Lays windows out as a payload with its table: equal-info, or `sized` where padding would cost over 0.5 %.
/// W becomes what the longest window needs if that is more than the wanted limit.
pub fn assemble(
    raw: &[u8],
    mut windows: Vec<EncodedWindow>,
    mut limits: WindowLimits,
    chained: bool,
) -> (Units, Vec<u8>) {
    // A run of nearly certain bytes may cost less than the bound allows.
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
    fn certain_bytes_stay_inside_the_bound() {
        let raw = vec![0; 1 << 20];
        let limits = WindowLimits { payload: 4096, raw: 1 << 20 };
        let (units, payload) = assemble(&raw, vec![window(1 << 20, 0)], limits, false);
        assert!(units.unit(0, 1 << 20).0 <= crate::codec::window::max_window_raw(payload.len()));
    }
}
