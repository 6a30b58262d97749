//! The `mix` codec: context mixing and a binary arithmetic coder. Specified in `formats/mix.md`.

use super::filter::x86;
use super::mix_guide::{Ahead, Behind};
use super::mix_kind::{self, kind_from, kind_to};
use super::{Codec, EncodedBlock};
use crate::coder::binary::{BinaryDecoder, BinaryEncoder};
use crate::format::block::Units;
use crate::format::checksum::check32;
use crate::model::lm::Model;
use crate::model::mix::context::{Kind, MAX_CONTEXTS};
use crate::model::mix::kernel::has_avx2;
use crate::model::mix::predictor::{self, Predictor, Shape};
use crate::model::mix::priors;
use crate::{Error, ErrorKind, Result};
use std::sync::Arc;

/// Version of the shipped priors; a payload names the one it was coded with.
const PRIORS: u8 = 1;
/// Bytes of the codec header at the start of a payload.
const HEADER: usize = 8;
/// Smallest and largest slot table, as powers of two of bytes.
const TABLE_BITS: std::ops::RangeInclusive<u32> = 16..=30;
/// Memory beside slot table and raw bytes: weights, final stages, match heads, phrases, in bytes.
const FIXED_MEMORY: u64 = 24 << 20;
/// Raw bytes that one payload byte can stand for at most: a bit costs at least log2(65536/65535) bits.
const MAX_EXPANSION: u64 = 46_000;
/// Bits decoded past an intact payload's end need no more than this many bytes of zeros.
const OVERRUN: usize = 4;

/// How a block is modelled.
#[derive(Debug, Clone, Copy)]
pub struct MixOptions {
    /// The slot table takes at most 2^`table_bits` bytes (16..=30); less for small blocks.
    pub table_bits: u32,
    /// Contexts per byte, at most (6..=24).
    pub contexts: usize,
    /// KiB of phrases that prime text, at most (0..=255 × 4).
    pub primed: usize,
    /// Codes a block of a given kind, instead of finding the kind by trial.
    #[doc(hidden)]
    pub forced: Option<(u8, u16)>,
}

impl MixOptions {
    /// Options for a level of 1 (fast) to 3 (small); the middle is the default.
    pub fn level(level: u32) -> Self {
        match level {
            0 | 1 => Self { table_bits: 25, contexts: 12, primed: 128, forced: None },
            2 => Self { table_bits: 27, contexts: 20, primed: 256, forced: None },
            _ => Self { table_bits: 28, contexts: 24, primed: 1020, forced: None },
        }
    }
}

impl Default for MixOptions {
    fn default() -> Self {
        Self::level(2)
    }
}

/// The codec header: everything a decoder needs to build the predictor.
fn header(shape: &Shape) -> [u8; HEADER] {
    let (kind, parameter) = kind_to(shape.kind);
    let [low, high] = parameter.to_le_bytes();
    let contexts = shape.contexts as u8;
    let guided = u8::from(shape.guided);
    [PRIORS, shape.memory_bits as u8, contexts, (shape.primed >> 12) as u8, kind, low, high, guided]
}

/// Reads the codec header; what it declares is checked before any memory is taken.
fn read_header(payload: &[u8]) -> Result<(Shape, &[u8])> {
    let Some((&[priors, bits, contexts, primed, kind, low, high, guided], rest)) =
        payload.split_first_chunk::<HEADER>()
    else {
        return Err(Error::truncated(format!(
            "a mix payload of {} bytes, its header takes {HEADER}",
            payload.len()
        )));
    };
    if priors != PRIORS || guided > 1 {
        let message = format!(
            "mix priors {priors}, flags {guided}: needs a newer nzip (this one knows priors {PRIORS})"
        );
        return Err(Error::new(ErrorKind::NewerVersion, message));
    }
    if !TABLE_BITS.contains(&u32::from(bits)) {
        return Err(Error::corrupt(format!("mix table bits {bits}, expected 16..=30")));
    }
    if !(6..=MAX_CONTEXTS).contains(&usize::from(contexts)) {
        return Err(Error::corrupt(format!("{contexts} mix contexts, expected 6..={MAX_CONTEXTS}")));
    }
    let kind = kind_from(kind, u16::from_le_bytes([low, high]))?;
    let shape = Shape {
        kind,
        memory_bits: bits.into(),
        contexts: contexts.into(),
        primed: usize::from(primed) << 12,
        guided: guided == 1,
    };
    if shape.primed > 0 && shape.kind != Kind::Text {
        return Err(Error::corrupt(format!("a primed mix block of {:?}", shape.kind)));
    }
    if shape.guided && shape.kind != Kind::Text {
        return Err(Error::corrupt(format!("a guided mix block of {:?}", shape.kind)));
    }
    Ok((shape, rest))
}

/// Memory in bytes that coding a block takes.
fn memory_need(shape: &Shape, raw_len: usize) -> u64 {
    (1u64 << shape.memory_bits) + FIXED_MEMORY + 2 * raw_len as u64
}

/// The table size for a block: enough for its contexts, no more than the options allow.
fn table_bits(raw_len: usize, options: &MixOptions) -> u32 {
    let wanted = (raw_len.max(1) as u64 * 512).ilog2() + 1;
    wanted.clamp(22, options.table_bits.clamp(22, *TABLE_BITS.end()))
}

fn shape_for(kind: Kind, raw_len: usize, options: &MixOptions) -> Shape {
    Shape {
        kind,
        memory_bits: table_bits(raw_len, options),
        contexts: options.contexts.clamp(6, MAX_CONTEXTS),
        guided: false,
        primed: if kind == Kind::Text { options.primed.min(1020) >> 2 << 12 } else { 0 },
    }
}

/// Check units are 2^20 raw bytes.
const UNIT_LOG2: u8 = 20;

/// Codes a block of 1..=2^30 bytes at a level of 1..=3; `network` joins in where the block is text.
pub(crate) fn encode(raw: &[u8], level: u32, network: Option<&Model>) -> Result<EncodedBlock> {
    let (payload, guided) = encode_block(raw, &MixOptions::level(level), network)?;
    Ok(EncodedBlock {
        codec: Codec::Mix,
        raw_len: raw.len() as u32,
        model: network.filter(|_| guided).map(|n| *n.name()),
        params: None,
        units: Units::Fixed { log2: UNIT_LOG2, checks: raw.chunks(1 << UNIT_LOG2).map(check32).collect() },
        payload,
    })
}

/// Codes a block, and says whether the network took part. Fails on memory only, or on options out of range.
pub fn encode_block(raw: &[u8], options: &MixOptions, network: Option<&Model>) -> Result<(Vec<u8>, bool)> {
    let kind = match options.forced {
        Some((kind, parameter)) => kind_from(kind, parameter)?,
        None => mix_kind::choose(raw, |sample, kind| {
            let trial = MixOptions { primed: 0, contexts: 12, ..*options };
            let shape = shape_for(kind, sample.len(), &trial);
            encode_as(sample, &shape, None).map(|payload| payload.len())
        })?,
    };
    let network = network.filter(|_| kind == Kind::Text);
    let shape = Shape { guided: network.is_some(), ..shape_for(kind, raw.len(), options) };
    Ok((encode_as(raw, &shape, network)?, shape.guided))
}

fn encode_as(raw: &[u8], shape: &Shape, network: Option<&Model>) -> Result<Vec<u8>> {
    let mut predictor = Predictor::new(*shape)?;
    predictor.reserve(raw.len())?;
    let encoder = BinaryEncoder::new(header(shape).to_vec());
    let mut filtered = Vec::new();
    let bytes = if shape.kind == Kind::Code {
        let message = |e| Error::new(ErrorKind::LimitExceeded, format!("no memory to filter a block: {e}"));
        filtered.try_reserve_exact(raw.len()).map_err(message)?;
        filtered.extend_from_slice(raw);
        x86::apply(&mut filtered);
        &filtered[..]
    } else {
        raw
    };
    let mut guide = network.map(|n| Ahead::new(n, bytes)).transpose()?;
    Ok(run(bytes, &mut predictor, encoder, guide.as_mut()))
}

#[allow(unsafe_code)] // the call of a function that needs AVX2
fn run(
    bytes: &[u8],
    predictor: &mut Predictor,
    encoder: BinaryEncoder,
    guide: Option<&mut Ahead<'_>>,
) -> Vec<u8> {
    #[cfg(target_arch = "x86_64")]
    if has_avx2() {
        // SAFETY: AVX2 was detected.
        return unsafe { encode_avx2(bytes, predictor, encoder, guide) };
    }
    encode_bits::<false>(bytes, predictor, encoder, guide)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn encode_avx2(
    bytes: &[u8],
    predictor: &mut Predictor,
    encoder: BinaryEncoder,
    guide: Option<&mut Ahead<'_>>,
) -> Vec<u8> {
    encode_bits::<true>(bytes, predictor, encoder, guide)
}

#[inline(always)]
fn encode_bits<const A: bool>(
    bytes: &[u8],
    predictor: &mut Predictor,
    mut encoder: BinaryEncoder,
    mut guide: Option<&mut Ahead<'_>>,
) -> Vec<u8> {
    for (i, &byte) in bytes.iter().enumerate() {
        predictor.begin_byte::<A>(guide.as_mut().map(|g| g.at(i)));
        for i in (0..8).rev() {
            let bit = u32::from(byte >> i & 1);
            encoder.encode(bit, predictor.p());
            predictor.update::<A>(bit);
        }
    }
    encoder.finish()
}

/// Decodes a block front to back; the payload is the same in every call.
pub struct BlockDecoder {
    predictor: Predictor,
    guide: Option<Behind>,
    decoder: BinaryDecoder,
    raw_len: usize,
    /// Raw bytes handed out.
    released: usize,
    /// Undoing the branch filter; it may run up to three bytes ahead of what was handed out.
    walk: Option<x86::Walk>,
    ahead: Vec<u8>,
}

impl BlockDecoder {
    /// Opens a payload of a block of `raw_len` bytes.
    ///
    /// # Errors
    /// `Truncated`, `Corrupt` or `NewerVersion` for a bad header; `LimitExceeded` if decoding would take
    /// more than `memory_cap` bytes; `Corrupt` if no payload of this length can stand for `raw_len` bytes.
    pub fn new(payload: &[u8], raw_len: usize, memory_cap: u64, network: Option<Arc<Model>>) -> Result<Self> {
        let (shape, rest) = read_header(payload)?;
        if shape.guided != network.is_some() {
            return Err(Error::corrupt("a mix block must name a model if, and only if, it is guided"));
        }
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
            released: 0,
            walk: (shape.kind == Kind::Code).then(x86::Walk::default),
            ahead: Vec::new(),
        })
    }

    /// Decodes the next `out.len()` bytes.
    ///
    /// # Errors
    /// `Truncated` if the payload ends before its last bit; `Corrupt` if payload is left after the block's
    /// last byte; `BadArgument` if more bytes are asked for than the block has. After an error the decoder
    /// gives no more bytes.
    pub fn decode_into(&mut self, payload: &[u8], out: &mut [u8]) -> Result<()> {
        let end = self.released.saturating_add(out.len());
        if end > self.raw_len {
            return Err(Error::bad_argument(format!(
                "{} bytes asked for at {}, the mix block has {}",
                out.len(),
                self.released,
                self.raw_len
            )));
        }
        if self.walk.is_some() {
            self.decode_to(payload, (end + x86::LOOKAHEAD).min(self.raw_len))?;
            self.unfilter(out);
        } else {
            self.decode_to(payload, end)?;
            out.copy_from_slice(&self.predictor.history().bytes()[self.released..end]);
        }
        self.released = end;
        if end == self.raw_len && self.decoder.has_rest(payload) {
            return Err(Error::corrupt("payload is left after a mix block's last byte"));
        }
        Ok(())
    }

    /// Undoes the branch filter up to the end of `out`.
    fn unfilter(&mut self, out: &mut [u8]) {
        let bytes = self.predictor.history().bytes();
        let Some(walk) = &mut self.walk else { return };
        for byte in out.iter_mut() {
            if self.ahead.is_empty() {
                match walk.step(bytes, self.released, true) {
                    Some(field) => self.ahead.extend(field.iter().rev()),
                    None => self.ahead.push(bytes[self.released]),
                }
            }
            *byte = self.ahead.pop().unwrap_or(0);
            self.released += 1;
        }
        self.released -= out.len();
    }

    /// Decodes until the history holds `end` bytes.
    #[allow(unsafe_code)] // the call of a function that needs AVX2
    fn decode_to(&mut self, payload: &[u8], end: usize) -> Result<()> {
        let more = end.saturating_sub(self.predictor.history().len());
        self.predictor.reserve(more)?;
        #[cfg(target_arch = "x86_64")]
        if has_avx2() {
            // SAFETY: AVX2 was detected.
            return unsafe { decode_avx2(self, payload, more) };
        }
        self.decode_bits::<false>(payload, more)
    }

    #[inline(always)]
    fn decode_bits<const A: bool>(&mut self, payload: &[u8], count: usize) -> Result<()> {
        for _ in 0..count {
            let guess = self.guide.as_mut().map(|g| g.after(self.predictor.history().bytes()));
            self.predictor.begin_byte::<A>(guess);
            for _ in 0..8 {
                let bit = self.decoder.decode(payload, self.predictor.p());
                self.predictor.update::<A>(bit);
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

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn decode_avx2(decoder: &mut BlockDecoder, payload: &[u8], count: usize) -> Result<()> {
    decoder.decode_bits::<true>(payload, count)
}

/// Learns priors for a kind (its number in the codec header) from pieces of data, each coded as a block; text with
/// a network learns what it needs when guided by it.
#[doc(hidden)]
pub fn learn_priors(kind: u8, pieces: &[Vec<u8>], network: Option<&Model>) -> Result<Vec<u8>> {
    let kind = kind_from(kind, 0)?;
    let mut priors = match (network, priors::for_kind(kind, false)) {
        (Some(_), Some(unguided)) => predictor::guided(unguided),
        _ => predictor::untrained(),
    };
    for piece in pieces {
        let mut piece = piece.clone();
        let shape = Shape { guided: network.is_some(), ..shape_for(kind, 1 << 15, &MixOptions::default()) };
        if shape.kind == Kind::Code {
            x86::apply(&mut piece);
        }
        let mut predictor = Predictor::with_priors(shape, &priors)?;
        let mut guide = network.map(|n| Ahead::new(n, &piece)).transpose()?;
        run(&piece, &mut predictor, BinaryEncoder::new(Vec::new()), guide.as_mut());
        priors = predictor.priors();
    }
    Ok(priors.to_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalar_and_avx2_code_the_same_bits() {
        let mut raw = include_bytes!("../../formats/lm.md").to_vec();
        raw.extend_from_slice(include_bytes!("../../formats/tables/squash.bin"));
        for (kind, parameter) in [(0, 0), (1, 0), (2, 12), (3, 0), (4, 64), (7, 96)] {
            let kind = kind_from(kind, parameter).unwrap();
            let shape = shape_for(kind, raw.len(), &MixOptions::level(1));
            let mut filtered = raw.clone();
            if kind == Kind::Code {
                x86::apply(&mut filtered);
            }
            let mut predictor = Predictor::new(shape).unwrap();
            let coder = BinaryEncoder::new(header(&shape).to_vec());
            let scalar = encode_bits::<false>(&filtered, &mut predictor, coder, None);
            assert_eq!(scalar, encode_as(&raw, &shape, None).unwrap(), "{kind:?}");
        }
    }
}
