//! From payloads to verified raw bytes.

use super::window::{WindowCoder, WindowJob, max_window_raw};
use super::{Codec, mix, store, zstd};
use crate::error::{Error, Result};
use crate::format::block::{BlockHeader, Units};
use crate::format::checksum::{check32, same};
use rayon::prelude::*;
use std::ops::Range;
use std::sync::Arc;

/// Fails where a header's lengths are impossible for its codec.
pub fn validate(header: &BlockHeader) -> Result<Codec> {
    let codec = Codec::from_id(header.codec)?;
    let most = codec.max_raw(header.payload_len.into());
    if u64::from(header.raw_len) > most {
        let (raw, payload) = (header.raw_len, header.payload_len);
        let name = codec.name();
        return Err(Error::corrupt(format!("{payload} bytes of {name} cannot hold {raw} raw bytes")));
    }
    match &header.units {
        Units::Windows { windows, .. } => {
            for (i, w) in windows.iter().enumerate() {
                if w.raw_len as usize > max_window_raw(w.payload_len as usize) {
                    let (raw, payload) = (w.raw_len, w.payload_len);
                    return Err(Error::corrupt(format!(
                        "window {i}: {payload} bytes cannot hold {raw} raw bytes"
                    )));
                }
            }
        }
        Units::Fixed { .. } if codec == Codec::Store && header.raw_len != header.payload_len => {
            return Err(Error::corrupt("a stored block whose lengths differ"));
        }
        Units::Fixed { .. } => {}
    }
    if matches!(codec, Codec::Store | Codec::Zstd) && header.model.is_some() {
        return Err(Error::corrupt(format!("a {} block with a model", codec.name())));
    }
    let windowed = matches!(header.units, Units::Windows { .. });
    let expected = matches!(codec, Codec::Lm | Codec::Circuit | Codec::Llm);
    if windowed != expected || header.params.is_some() {
        return Err(super::newer(&format!("another kind of {} block", codec.name())));
    }
    Ok(codec)
}

/// Bytes that are decoded before memory for more of them is taken.
const PIECE: usize = 1 << 20;

/// A codec that decodes its check units in order.
pub enum Sequential {
    /// See [`store`].
    Store(usize),
    /// See [`zstd`].
    Zstd(Box<zstd::Decoder<'static>>),
    /// See [`mix`].
    Mix(Box<mix::BlockDecoder>),
}

impl Sequential {
    /// Starts at the block's first byte; fails where decoding would take more than `memory` bytes.
    pub fn new(codec: Codec, payload: &[u8], raw_len: u32, memory: u64) -> Result<Self> {
        match codec {
            Codec::Store => Ok(Self::Store(0)),
            Codec::Zstd => Ok(Self::Zstd(Box::new(zstd::Decoder::new()?))),
            Codec::Mix => {
                Ok(Self::Mix(Box::new(mix::BlockDecoder::new(payload, raw_len as usize, memory)?)))
            }
            other => Err(super::newer(&format!("codec {}", other.name()))),
        }
    }

    /// Appends the next `len` bytes to `raw`, whose memory follows what the payload yields.
    pub fn append(&mut self, payload: &[u8], len: usize, raw: &mut Vec<u8>) -> Result<()> {
        let end = raw.len() + len;
        while raw.len() < end {
            let start = raw.len();
            let step = (end - start).min(PIECE);
            if raw.capacity() < start + step {
                let more = step.max(start).min(end - start);
                raw.try_reserve_exact(more)
                    .map_err(|_| Error::limit(format!("not enough memory for {end} bytes")))?;
            }
            raw.resize(start + step, 0);
            self.next(payload, &mut raw[start..])?;
        }
        Ok(())
    }

    /// Decodes the next bytes into `raw`.
    fn next(&mut self, payload: &[u8], raw: &mut [u8]) -> Result<()> {
        match self {
            Self::Store(pos) => store::copy(payload, pos, raw),
            Self::Zstd(decoder) => decoder.next(payload, raw),
            Self::Mix(decoder) => decoder.decode_into(payload, raw),
        }
    }

    /// Fails unless the payload ends here.
    pub fn finish(&mut self, payload: &[u8]) -> Result<()> {
        match self {
            Self::Store(_) | Self::Mix(_) => Ok(()),
            Self::Zstd(decoder) => decoder.finish(payload),
        }
    }
}

/// A block, or some of its units, to decode.
pub struct BlockJob<'a> {
    /// The block's header, validated.
    pub header: &'a BlockHeader,
    /// Its codec.
    pub codec: Codec,
    /// Its model, joined to the codec, for windowed codecs.
    pub coder: Option<Arc<dyn WindowCoder>>,
    /// The payload of the units that are wanted (windows), or the whole payload (other codecs).
    pub payload: &'a [u8],
    /// The units that are wanted; other codecs decode those in front of them too.
    pub units: Range<usize>,
    /// Most memory that decoding may take, in bytes.
    pub memory: u64,
    /// Receives the raw bytes; its old content does not matter.
    pub raw: Vec<u8>,
    /// Raw bytes from the start of `raw` that have been verified.
    pub verified: usize,
    /// What went wrong after them.
    pub error: Option<Error>,
}

impl BlockJob<'_> {
    /// The units that `raw` holds.
    pub fn decoded_units(&self) -> Range<usize> {
        let windowed = matches!(self.header.units, Units::Windows { .. });
        if windowed { self.units.clone() } else { 0..self.units.end }
    }

    fn unit(&self, i: usize) -> (usize, u32) {
        self.header.units.unit(i, self.header.raw_len)
    }

    /// Makes room for windows, whose payload bounds what they can declare.
    fn allocate(&mut self) -> Result<()> {
        let windowed = matches!(self.header.units, Units::Windows { .. });
        let len = if windowed { self.units.clone().map(|i| self.unit(i).0).sum() } else { 0 };
        resize(&mut self.raw, len)
    }

    fn run_sequential(&mut self) -> Result<()> {
        let mut codec = Sequential::new(self.codec, self.payload, self.header.raw_len, self.memory)?;
        for i in self.decoded_units() {
            let (len, check) = self.unit(i);
            codec.append(self.payload, len, &mut self.raw).map_err(|e| e.within(format!("unit {i}")))?;
            same(&format!("unit {i}"), check, check32(&self.raw[self.verified..]))?;
            self.verified += len;
        }
        if self.units.end == self.header.units.len() {
            codec.finish(self.payload)?;
        }
        Ok(())
    }

    fn verify_windows(&mut self) -> Result<()> {
        for i in self.decoded_units() {
            let (len, check) = self.unit(i);
            same(&format!("window {i}"), check, check32(&self.raw[self.verified..self.verified + len]))?;
            self.verified += len;
        }
        Ok(())
    }
}

/// Makes `raw` exactly `len` bytes long, or says that memory is short.
pub fn resize(raw: &mut Vec<u8>, len: usize) -> Result<()> {
    if raw.len() < len {
        let more = len - raw.len();
        raw.try_reserve_exact(more)
            .map_err(|_| Error::limit(format!("not enough memory for {len} bytes")))?;
    }
    raw.resize(len, 0);
    Ok(())
}

/// Decodes all jobs, in parallel; windows of the same model run in lanes together. Each job keeps the
/// bytes that were verified before its first error.
pub fn decode_blocks(jobs: &mut [BlockJob<'_>]) {
    for job in jobs.iter_mut() {
        if let Err(e) = job.allocate() {
            (job.error, job.units) = (Some(e), 0..0);
        }
    }
    decode_windowed(jobs);
    jobs.par_iter_mut().for_each(|job| {
        let result = if job.coder.is_some() { job.verify_windows() } else { job.run_sequential() };
        if let Err(e) = result {
            job.error.get_or_insert(e);
        }
    });
}

fn decode_windowed(jobs: &mut [BlockJob<'_>]) {
    let mut coders: Vec<Arc<dyn WindowCoder>> = Vec::new();
    for coder in jobs.iter().filter_map(|j| j.coder.as_ref()) {
        if !coders.iter().any(|c| Arc::ptr_eq(c, coder)) {
            coders.push(coder.clone());
        }
    }
    for coder in coders {
        let uses = |job: &BlockJob<'_>| {
            job.error.is_none() && job.coder.as_ref().is_some_and(|c| Arc::ptr_eq(c, &coder))
        };
        let mut windows = Vec::new();
        for job in jobs.iter_mut().filter(|j| uses(j)) {
            push_windows(job, &mut windows);
        }
        if let Err(e) = coder.decode_windows(&mut windows) {
            jobs.iter_mut().filter(|j| uses(j)).for_each(|j| j.error = Some(e.again()));
        }
    }
}

fn push_windows<'j>(job: &'j mut BlockJob<'_>, out: &mut Vec<WindowJob<'j>>) {
    let Units::Windows { windows, .. } = &job.header.units else { return };
    let (mut raw, mut payload) = (&mut job.raw[..], job.payload);
    for w in &windows[job.units.clone()] {
        let (this, rest) = raw.split_at_mut(w.raw_len as usize);
        let (bytes, after) = payload.split_at(w.payload_len as usize);
        out.push(WindowJob { payload: bytes, raw: this });
        (raw, payload) = (rest, after);
    }
}
