//! Decoding of blocks.

use super::header;
use crate::codec::mix::bitwise::{Bitwise, BitwiseDecoder, Opening};
use crate::coder::binary::{BinaryDecoder, OVERRUN};
use crate::error::Result;
use crate::model::mix::light::Light;

/// Decodes a block front to back. Every call must be given the same payload.
pub type BlockDecoder = BitwiseDecoder<Light>;

impl BlockDecoder {
    /// Opens the payload of a block of `raw_len` raw bytes.
    ///
    /// # Errors
    /// `Truncated`, `Corrupt` or `NewerVersion` for a bad header; `LimitExceeded` if decoding would take more
    /// than `memory_cap` bytes; `Corrupt` if no payload of this length can stand for `raw_len` bytes.
    pub fn new(payload: &[u8], raw_len: usize, memory_cap: u64) -> Result<Self> {
        let (shape, start) = header::read(payload)?;
        let opening = Opening { start, need: header::memory_need(&shape, raw_len), kind: shape.kind };
        Self::open(payload, raw_len, memory_cap, opening, || Light::new(shape))
    }
}

impl Bitwise for Light {
    const CODEC: &'static str = "light";

    fn history(&self) -> &[u8] {
        self.history().bytes()
    }

    fn reserve(&mut self, more: usize) -> Result<()> {
        self.reserve(more)
    }

    #[inline(always)]
    fn decode<const A: bool>(&mut self, decoder: &mut BinaryDecoder, payload: &[u8], count: usize) {
        for _ in 0..count {
            self.code_byte::<A>(|p, _| decoder.decode(payload, p));
            if decoder.overrun(payload) > OVERRUN {
                return;
            }
        }
    }
}
