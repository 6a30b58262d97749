//! Decoding of blocks in which a model predicts bit after bit: `mix` and `light`.

use super::filter::Unfilter;
use crate::codec::buffer::reserve;
use crate::codec::ordered::Reader;
use crate::coder::binary::{BinaryDecoder, OVERRUN};
use crate::error::{Error, ErrorKind, Result};
use crate::kernel::{Kernel, dispatch};
use crate::model::mix::context::Kind;

/// The most raw bytes that one payload byte can stand for. A byte takes at least eight decisions of
/// log2(65536/65535) bits in `mix`, and one of log2(65536/65528) bits in `light`, which is as much.
const MAX_EXPANSION: u64 = 46_000;

/// The most raw bytes that this many bytes of the coder can stand for.
pub fn max_raw(coded: u64) -> u64 {
    (coded + OVERRUN as u64).saturating_mul(MAX_EXPANSION)
}

/// A model that decodes bytes one after the other and remembers them.
pub trait Bitwise: Send {
    /// The name of the codec, for messages.
    const CODEC: &'static str;

    /// All bytes decoded so far.
    fn history(&self) -> &[u8];

    /// Takes the memory for `more` bytes.
    ///
    /// # Errors
    ///
    /// `LimitExceeded` where memory is missing.
    fn reserve(&mut self, more: usize) -> Result<()>;

    /// Decodes `count` bytes, or fewer if the decoder reads more than [`OVERRUN`] bytes past the end of the
    /// payload. `A` says whether the code runs with AVX2.
    fn decode<const A: bool>(&mut self, decoder: &mut BinaryDecoder, payload: &[u8], count: usize);
}

/// The header of a block, as far as decoding needs it.
pub struct Opening {
    /// Where the coder's bytes start in the payload.
    pub start: usize,
    /// The memory in bytes that decoding takes.
    pub need: u64,
    pub kind: Kind,
}

/// Decodes a block front to back. Every call must be given the same payload.
pub struct BitwiseDecoder<M> {
    model: M,
    decoder: BinaryDecoder,
    raw_len: usize,
    /// The number of raw bytes handed out so far.
    released: usize,
    filter: Option<Unfilter>,
}

impl<M: Bitwise> BitwiseDecoder<M> {
    /// Opens the payload of a block of `raw_len` raw bytes. `model` is called after all checks.
    ///
    /// # Errors
    ///
    /// `LimitExceeded` if decoding would take more than `memory_cap` bytes; `Corrupt` if no payload of this
    /// length can stand for `raw_len` bytes; those of `model`.
    pub(in crate::codec) fn open(
        payload: &[u8],
        raw_len: usize,
        memory_cap: u64,
        Opening { start, need, kind }: Opening,
        model: impl FnOnce() -> Result<M>,
    ) -> Result<Self> {
        if need > memory_cap {
            let message =
                format!("a {} block needs {need} bytes of memory, the limit is {memory_cap}", M::CODEC);
            return Err(Error::new(ErrorKind::LimitExceeded, message));
        }
        let coded = payload.len() - start;
        if raw_len as u64 > max_raw(coded as u64) {
            return Err(Error::corrupt(format!("{coded} payload bytes cannot hold {raw_len} raw bytes")));
        }
        let decoder = BinaryDecoder::new(payload, start);
        Ok(Self { model: model()?, decoder, raw_len, released: 0, filter: Unfilter::new(kind) })
    }

    /// Decodes the next `out.len()` bytes.
    ///
    /// # Errors
    ///
    /// `Truncated` if the payload ends before its last bit; `Corrupt` if payload is left after the block's
    /// last byte; `BadArgument` if more bytes are asked for than the block has. After an error the decoder
    /// gives no more bytes.
    pub fn decode_into(&mut self, payload: &[u8], out: &mut [u8]) -> Result<()> {
        let Self { raw_len, released, .. } = *self;
        let end = released.saturating_add(out.len());
        if end > raw_len {
            return Err(Error::bad_argument(format!(
                "{} bytes asked for at {released}, the {} block has {raw_len}",
                out.len(),
                M::CODEC
            )));
        }
        let ahead = self.filter.as_ref().map_or(0, Unfilter::ahead);
        self.decode_to(payload, (end + ahead).min(raw_len))?;
        match &mut self.filter {
            Some(filter) => filter.next(self.model.history(), released, out),
            None => out.copy_from_slice(&self.model.history()[released..end]),
        }
        self.released = end;
        if end == raw_len && self.decoder.has_rest(payload) {
            return Err(Error::corrupt(format!("payload is left after a {} block's last byte", M::CODEC)));
        }
        Ok(())
    }

    /// Decodes until the history is `end` bytes long.
    fn decode_to(&mut self, payload: &[u8], end: usize) -> Result<()> {
        let more = end.saturating_sub(self.model.history().len());
        self.model.reserve(more)?;
        let Self { model, decoder, .. } = self;
        dispatch!(
            Kernel::best(),
            scalar: model.decode::<false>(decoder, payload, more),
            avx2: decode_avx2(model, decoder, payload, more),
            v128: model.decode::<true>(decoder, payload, more),
        );
        if decoder.overrun(payload) > OVERRUN {
            let (at, of) = (model.history().len(), self.raw_len);
            return Err(Error::truncated(format!(
                "a {} payload ends before raw byte {at} of {of}",
                M::CODEC
            )));
        }
        Ok(())
    }
}

impl<M: Bitwise> Reader for BitwiseDecoder<M> {
    fn fill(&mut self, payload: &[u8], end: usize, raw: &mut Vec<u8>) -> Result<()> {
        let start = raw.len();
        reserve(raw, end - start)?;
        raw.resize(end, 0);
        self.decode_into(payload, &mut raw[start..])
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn decode_avx2<M: Bitwise>(model: &mut M, decoder: &mut BinaryDecoder, payload: &[u8], count: usize) {
    model.decode::<true>(decoder, payload, count);
}
