//! Decoding of blocks.

use super::header;
use crate::codec::buffer::reserve;
use crate::codec::mix::outlet::Outlet;
use crate::codec::ordered::Reader;
use crate::coder::binary::{BinaryDecoder, OVERRUN};
use crate::error::{Error, ErrorKind, Result};
use crate::kernel::{Kernel, dispatch};
use crate::model::mix::light::Light;

/// The most raw bytes that one payload byte can stand for: coding a byte takes at least one decision, which
/// costs at least log2(65536/65528) bits.
const MAX_EXPANSION: u64 = 46_000;

/// The most raw bytes that a payload can stand for.
pub fn max_raw(payload_len: u64) -> u64 {
    (payload_len + OVERRUN as u64).saturating_mul(MAX_EXPANSION)
}

/// Decodes a block front to back. Every call must be given the same payload.
pub struct BlockDecoder {
    light: Light,
    decoder: BinaryDecoder,
    raw_len: usize,
    outlet: Outlet,
}

impl BlockDecoder {
    /// Opens the payload of a block of `raw_len` raw bytes.
    ///
    /// # Errors
    /// `Truncated`, `Corrupt` or `NewerVersion` for a bad header; `LimitExceeded` if decoding would take more
    /// than `memory_cap` bytes; `Corrupt` if no payload of this length can stand for `raw_len` bytes.
    pub fn new(payload: &[u8], raw_len: usize, memory_cap: u64) -> Result<Self> {
        let (shape, start) = header::read(payload)?;
        let need = header::memory_need(&shape, raw_len);
        if need > memory_cap {
            let message = format!("a light block needs {need} bytes of memory, the limit is {memory_cap}");
            return Err(Error::new(ErrorKind::LimitExceeded, message));
        }
        let coded = payload.len() - start;
        if raw_len as u64 > max_raw(coded as u64) {
            return Err(Error::corrupt(format!("{coded} payload bytes cannot hold {raw_len} raw bytes")));
        }
        let outlet = Outlet::new("light", shape.kind, raw_len);
        let decoder = BinaryDecoder::new(payload, start);
        Ok(Self { light: Light::new(shape)?, decoder, raw_len, outlet })
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
        self.outlet.hand_out(self.light.history().bytes(), out, has_rest)
    }

    /// Decodes until the history holds `end` bytes.
    fn decode_to(&mut self, payload: &[u8], end: usize) -> Result<()> {
        let more = end.saturating_sub(self.light.history().len());
        self.light.reserve(more)?;
        dispatch!(
            Kernel::best(),
            scalar: self.run::<false>(payload, more),
            avx2: run_avx2(self, payload, more),
        )
    }

    #[inline(always)]
    fn run<const A: bool>(&mut self, payload: &[u8], count: usize) -> Result<()> {
        let (light, decoder) = (&mut self.light, &mut self.decoder);
        for _ in 0..count {
            light.code_byte::<A>(|p| decoder.decode(payload, p));
            if decoder.overrun(payload) > OVERRUN {
                let (at, of) = (light.history().len(), self.raw_len);
                return Err(Error::truncated(format!("a light payload ends before raw byte {at} of {of}")));
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
fn run_avx2(decoder: &mut BlockDecoder, payload: &[u8], count: usize) -> Result<()> {
    decoder.run::<true>(payload, count)
}
