//! Decoding of blocks.

use super::guide::Behind;
use super::outlet::Outlet;
use super::shape::{HEADER, memory_need, read_header};
use crate::codec::buffer::reserve;
use crate::codec::ordered::Reader;
use crate::coder::binary::{BinaryDecoder, OVERRUN};
use crate::error::{Error, ErrorKind, Result};
use crate::kernel::{Kernel, dispatch};
use crate::model::lm::Model;
use crate::model::mix::predictor::Predictor;
use std::sync::Arc;

/// The most raw bytes that one payload byte can stand for: coding a bit costs at least log2(65536/65535)
/// bits.
const MAX_EXPANSION: u64 = 46_000;

/// Decodes a block front to back. Every call must be given the same payload.
pub struct BlockDecoder {
    predictor: Predictor,
    guide: Option<Behind>,
    decoder: BinaryDecoder,
    raw_len: usize,
    outlet: Outlet,
}

impl BlockDecoder {
    /// Opens the payload of a block of `raw_len` raw bytes. `network` is the model that the block names.
    ///
    /// # Errors
    /// `Truncated`, `Corrupt` or `NewerVersion` for a bad header; `LimitExceeded` if decoding would take
    /// more than `memory_cap` bytes; `Corrupt` if no payload of this length can stand for `raw_len` bytes.
    pub fn new(payload: &[u8], raw_len: usize, memory_cap: u64, network: Option<Arc<Model>>) -> Result<Self> {
        let (shape, rest) = read_header(payload, network.as_deref())?;
        let need = memory_need(&shape, raw_len);
        if need > memory_cap {
            let message = format!("a mix block needs {need} bytes of memory, the limit is {memory_cap}");
            return Err(Error::new(ErrorKind::LimitExceeded, message));
        }
        if raw_len as u64 > (rest.len() as u64 + OVERRUN as u64).saturating_mul(MAX_EXPANSION) {
            return Err(Error::corrupt(format!(
                "{} payload bytes cannot hold {raw_len} raw bytes",
                rest.len()
            )));
        }
        Ok(Self {
            predictor: Predictor::new(shape)?,
            guide: network.map(Behind::new).transpose()?,
            decoder: BinaryDecoder::new(payload, HEADER),
            raw_len,
            outlet: Outlet::new("mix", shape.kind, raw_len),
        })
    }

    /// Decodes the next `out.len()` bytes.
    ///
    /// # Errors
    /// `Truncated` if the payload ends before its last bit; `Corrupt` if payload is left after the block's
    /// last byte; `BadArgument` if more bytes are asked for than the block has. After an error the decoder
    /// gives no more bytes.
    pub fn decode_into(&mut self, payload: &[u8], out: &mut [u8]) -> Result<()> {
        self.decode_to(payload, self.outlet.wanted(out.len())?)?;
        let has_rest = self.decoder.has_rest(payload);
        self.outlet.hand_out(self.predictor.history().bytes(), out, has_rest)
    }

    /// Decodes until the predictor's history holds `end` bytes.
    fn decode_to(&mut self, payload: &[u8], end: usize) -> Result<()> {
        let more = end.saturating_sub(self.predictor.history().len());
        self.predictor.reserve(more)?;
        dispatch!(
            Kernel::best(),
            scalar: self.decode_groups::<false>(payload, more),
            avx2: decode_avx2(self, payload, more),
        )
    }

    #[inline(always)]
    fn decode_groups<const A: bool>(&mut self, payload: &[u8], count: usize) -> Result<()> {
        match self.predictor.groups() {
            1 => self.decode_bits::<A, 2>(payload, count),
            2 => self.decode_bits::<A, 3>(payload, count),
            _ => self.decode_bits::<A, 4>(payload, count),
        }
    }

    #[inline(always)]
    fn decode_bits<const A: bool, const V: usize>(&mut self, payload: &[u8], count: usize) -> Result<()> {
        for _ in 0..count {
            let guess = self.guide.as_mut().map(|g| g.after(self.predictor.history().bytes()));
            self.predictor.begin_byte::<A, V>(guess);
            for _ in 0..8 {
                let bit = self.decoder.decode(payload, self.predictor.p());
                self.predictor.update::<A, V>(bit);
            }
            if self.decoder.overrun(payload) > OVERRUN {
                return Err(Error::truncated(format!(
                    "a mix payload ends before raw byte {} of {}",
                    self.predictor.history().len(),
                    self.raw_len
                )));
            }
        }
        Ok(())
    }
}

impl Reader for BlockDecoder {
    fn fill(&mut self, payload: &[u8], end: usize, raw: &mut Vec<u8>) -> Result<()> {
        let start = raw.len();
        reserve(raw, end - start)?;
        raw.resize(end, 0);
        self.decode_into(payload, &mut raw[start..])
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn decode_avx2(decoder: &mut BlockDecoder, payload: &[u8], count: usize) -> Result<()> {
    decoder.decode_groups::<true>(payload, count)
}
