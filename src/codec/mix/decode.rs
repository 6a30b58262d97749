//! Decoding of blocks.

use super::bitwise::{Bitwise, BitwiseDecoder, Opening};
use super::guide::Behind;
use super::shape::{memory_need, read_header};
use crate::coder::binary::{BinaryDecoder, OVERRUN};
use crate::error::Result;
use crate::model::lm::Model;
use crate::model::mix::predictor::Predictor;
use std::sync::Arc;

/// Decodes a block front to back. Every call must be given the same payload.
pub type BlockDecoder = BitwiseDecoder<Mixed>;

/// The predictor of a block, and the network that guides it.
pub struct Mixed {
    predictor: Predictor,
    guide: Option<Behind>,
}

impl BlockDecoder {
    /// Opens the payload of a block of `raw_len` raw bytes. `network` is the model that the block names.
    ///
    /// # Errors
    /// `Truncated`, `Corrupt` or `NewerVersion` for a bad header; `LimitExceeded` if decoding would take
    /// more than `memory_cap` bytes; `Corrupt` if no payload of this length can stand for `raw_len` bytes.
    pub fn new(payload: &[u8], raw_len: usize, memory_cap: u64, network: Option<Arc<Model>>) -> Result<Self> {
        let (shape, start) = read_header(payload, network.as_deref())?;
        let opening = Opening { start, need: memory_need(&shape, raw_len), kind: shape.kind };
        Self::open(payload, raw_len, memory_cap, opening, || {
            let predictor = Predictor::new(shape)?;
            Ok(Mixed { predictor, guide: network.map(Behind::new).transpose()? })
        })
    }
}

impl Bitwise for Mixed {
    const CODEC: &'static str = "mix";

    fn history(&self) -> &[u8] {
        self.predictor.history().bytes()
    }

    fn reserve(&mut self, more: usize) -> Result<()> {
        self.predictor.reserve(more)
    }

    #[inline(always)]
    fn decode<const A: bool>(&mut self, decoder: &mut BinaryDecoder, payload: &[u8], count: usize) {
        match self.predictor.groups() {
            1 => self.decode_bits::<A, 2>(decoder, payload, count),
            2 => self.decode_bits::<A, 3>(decoder, payload, count),
            _ => self.decode_bits::<A, 4>(decoder, payload, count),
        }
    }
}

impl Mixed {
    #[inline(always)]
    fn decode_bits<const A: bool, const V: usize>(
        &mut self,
        decoder: &mut BinaryDecoder,
        payload: &[u8],
        count: usize,
    ) {
        for _ in 0..count {
            if self.predictor.code_flag::<A>(|p, _| decoder.decode(payload, p)).is_some() {
                if decoder.overrun(payload) > OVERRUN {
                    return;
                }
                continue;
            }
            let guess = self.guide.as_mut().map(|g| g.after(self.predictor.history().bytes()));
            self.predictor.begin_byte::<A, V>(guess);
            for _ in 0..8 {
                let bit = decoder.decode(payload, self.predictor.p());
                self.predictor.update::<A, V>(bit);
            }
            if decoder.overrun(payload) > OVERRUN {
                return;
            }
        }
    }
}
