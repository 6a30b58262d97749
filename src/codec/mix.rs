//! The `mix` codec: context mixing and a binary arithmetic coder. Specified in `formats/mix.md`.

use super::filter::x86;
use super::mix_guide::{Ahead, Behind};
use super::mix_kind::{self, kind_from, kind_to};
use super::{Codec, EncodedBlock};
use crate::coder::binary::{BinaryDecoder, BinaryEncoder};
use crate::format::block::Units;
use crate::format::checksum::check32;
use crate::kernel::{Kernel, dispatch};
use crate::model::lm::Model;
use crate::model::mix::context::{Kind, MAX_CONTEXTS};
use crate::model::mix::predictor::{self, GROUP, Guide as Start, Predictor, Shape};
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
const FIXED_MEMORY: u64 = 64 << 20;
/// Raw bytes that one payload byte can stand for at most: a bit costs at least log2(65536/65535) bits.
const MAX_EXPANSION: u64 = 46_000;
/// Bits decoded past an intact payload's end need no more than this many bytes of zeros.
const OVERRUN: usize = 4;

/// How a block is modelled.
#[derive(Debug, Clone, Copy)]
pub struct MixOptions {
    /// The slot table takes at most 2^`table_bits` bytes (16..=30); less for small blocks.
    pub table_bits: u32,
    /// Contexts per byte in eights (1..=3).
    pub groups: usize,
    /// KiB of phrases that prime text, at most (0..=255 × 4).
    pub primed: usize,
    /// Codes a block of a given kind, instead of finding the kind by trial.
    #[doc(hidden)]
    pub forced: Option<(u8, u16)>,
}

impl MixOptions {
    /// Options for a level of 1 (fast) to 5 (small); 2 is the default, 3 and 4 are meant for guided text.
    pub fn level(level: u32) -> Self {
        let (table_bits, groups, primed) = match level {
            0 | 1 => (24, 1, 128),
            2 => (26, 2, 256),
            3 => (26, 3, 256),
            4 => (27, 3, 512),
            _ => (28, 3, 1020),
        };
        Self { table_bits, groups, primed, forced: None }
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
    let groups = shape.groups as u8;
    let guide = match shape.guide {
        Start::None => 0,
        Start::Derived => 1,
        Start::Learned(_) => 2,
    };
    [PRIORS, shape.memory_bits as u8, groups, (shape.primed >> 12) as u8, kind, low, high, guide]
}

/// Reads the codec header; what it declares is checked before any memory is taken.
fn read_header<'a>(payload: &'a [u8], network: Option<&Model>) -> Result<(Shape, &'a [u8])> {
    let Some((&[priors, bits, groups, primed, kind, low, high, guide], rest)) =
        payload.split_first_chunk::<HEADER>()
    else {
        return Err(Error::truncated(format!(
            "a mix payload of {} bytes, its header takes {HEADER}",
            payload.len()
        )));
    };
    if priors != PRIORS || guide > 2 {
        let message = format!(
            "mix priors {priors}, guide {guide}: needs a newer nzip (this one knows priors {PRIORS})"
        );
        return Err(Error::new(ErrorKind::NewerVersion, message));
    }
    if !TABLE_BITS.contains(&u32::from(bits)) {
        return Err(Error::corrupt(format!("mix table bits {bits}, expected 16..=30")));
    }
    if !(1..=MAX_CONTEXTS / GROUP).contains(&usize::from(groups)) {
        return Err(Error::corrupt(format!("{groups} groups of mix contexts, expected 1..=3")));
    }
    let kind = kind_from(kind, u16::from_le_bytes([low, high]))?;
    let shape = Shape {
        kind,
        memory_bits: bits.into(),
        groups: groups.into(),
        primed: usize::from(primed) << 12,
        guide: match (guide, network) {
            (0, None) => Start::None,
            (1, Some(_)) => Start::Derived,
            (2, Some(network)) => Start::Learned(*network.name()),
            _ => return Err(Error::corrupt("a mix block must name a model if, and only if, it is guided")),
        },
    };
    if shape.primed > 0 && shape.kind != Kind::Text {
        return Err(Error::corrupt(format!("a primed mix block of {:?}", shape.kind)));
    }
    if shape.guide != Start::None && shape.kind != Kind::Text {
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
    let wanted = (raw_len.max(1) as u64 * 128).ilog2() + 1;
    wanted.clamp(22, options.table_bits.clamp(22, *TABLE_BITS.end()))
}

fn shape_for(kind: Kind, raw_len: usize, options: &MixOptions) -> Shape {
    Shape {
        kind,
        memory_bits: table_bits(raw_len, options),
        groups: options.groups.clamp(1, MAX_CONTEXTS / GROUP),
        guide: Start::None,
        primed: if kind == Kind::Text { options.primed.min(1020) >> 2 << 12 } else { 0 },
    }
}

/// Check units are 2^20 raw bytes.
const UNIT_LOG2: u8 = 20;

/// Whether a language model joins in where a block is text.
#[derive(Debug, Clone, Copy)]
pub enum Guide<'a> {
    /// No.
    None,
    /// Where the block gets smaller with it.
    WhereItPays(&'a Model),
    /// Yes.
    All(&'a Model),
}

/// Codes a block of 1..=2^30 bytes at a level of [`MixOptions::level`].
pub(crate) fn encode(raw: &[u8], level: u32, guide: Guide<'_>) -> Result<EncodedBlock> {
    let (payload, model) = encode_block(raw, &MixOptions::level(level), guide)?;
    Ok(EncodedBlock {
        codec: Codec::Mix,
        raw_len: raw.len() as u32,
        model: model.map(|m| *m.name()),
        params: None,
        units: Units::Fixed { log2: UNIT_LOG2, checks: raw.chunks(1 << UNIT_LOG2).map(check32).collect() },
        payload,
    })
}

/// Codes a block, and says which model guides it. Fails on memory only, or on options out of range.
pub fn encode_block<'a>(
    raw: &[u8],
    options: &MixOptions,
    guide: Guide<'a>,
) -> Result<(Vec<u8>, Option<&'a Model>)> {
    let kind = match options.forced {
        Some((kind, parameter)) => kind_from(kind, parameter)?,
        None => mix_kind::choose(raw, |sample, kind| {
            let trial = MixOptions { primed: 0, groups: 1, ..*options };
            let shape = shape_for(kind, sample.len(), &trial);
            // What a kind has learned elsewhere says much about a short block and little about a long one.
            let start = if sample.len() < raw.len() {
                Predictor::with_priors(shape, &predictor::untrained())?
            } else {
                Predictor::new(shape)?
            };
            encode_from(start, sample, &shape, None).map(|payload| payload.len())
        })?,
    };
    let shape = shape_for(kind, raw.len(), options);
    let guided = |model| encode_as(raw, &Shape { guide: start_for(model), ..shape }, Some(model));
    match guide {
        Guide::All(model) if kind == Kind::Text => Ok((guided(model)?, Some(model))),
        // Where a guide only gets in the way, as in some logs, the block does without: so it is never worse for one.
        Guide::WhereItPays(model) if kind == Kind::Text => {
            let (alone, guided) = (encode_as(raw, &shape, None)?, guided(model)?);
            Ok(if guided.len() < alone.len() { (guided, Some(model)) } else { (alone, None) })
        }
        _ => Ok((encode_as(raw, &shape, None)?, None)),
    }
}

/// What text guided by a model starts from: what was learned with it, if that is there.
fn start_for(model: &Model) -> Start {
    match priors::for_guide(model.name()) {
        Some(_) => Start::Learned(*model.name()),
        None => Start::Derived,
    }
}

fn encode_as(raw: &[u8], shape: &Shape, network: Option<&Model>) -> Result<Vec<u8>> {
    encode_from(Predictor::new(*shape)?, raw, shape, network)
}

fn encode_from(
    mut predictor: Predictor,
    raw: &[u8],
    shape: &Shape,
    network: Option<&Model>,
) -> Result<Vec<u8>> {
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

fn run(
    bytes: &[u8],
    predictor: &mut Predictor,
    encoder: BinaryEncoder,
    guide: Option<&mut Ahead<'_>>,
) -> Vec<u8> {
    dispatch!(
        Kernel::best(),
        scalar: encode_groups::<false>(bytes, predictor, encoder, guide),
        avx2: encode_avx2(bytes, predictor, encoder, guide),
    )
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn encode_avx2(
    bytes: &[u8],
    predictor: &mut Predictor,
    encoder: BinaryEncoder,
    guide: Option<&mut Ahead<'_>>,
) -> Vec<u8> {
    encode_groups::<true>(bytes, predictor, encoder, guide)
}

#[inline(always)]
fn encode_groups<const A: bool>(
    bytes: &[u8],
    predictor: &mut Predictor,
    encoder: BinaryEncoder,
    guide: Option<&mut Ahead<'_>>,
) -> Vec<u8> {
    match predictor.groups() {
        1 => encode_bits::<A, 2>(bytes, predictor, encoder, guide),
        2 => encode_bits::<A, 3>(bytes, predictor, encoder, guide),
        _ => encode_bits::<A, 4>(bytes, predictor, encoder, guide),
    }
}

#[inline(always)]
fn encode_bits<const A: bool, const V: usize>(
    bytes: &[u8],
    predictor: &mut Predictor,
    mut encoder: BinaryEncoder,
    mut guide: Option<&mut Ahead<'_>>,
) -> Vec<u8> {
    for (i, &byte) in bytes.iter().enumerate() {
        predictor.begin_byte::<A, V>(guide.as_mut().map(|g| g.at(i)));
        for i in (0..8).rev() {
            let bit = u32::from(byte >> i & 1);
            encoder.encode(bit, predictor.p());
            predictor.update::<A, V>(bit);
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

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn decode_avx2(decoder: &mut BlockDecoder, payload: &[u8], count: usize) -> Result<()> {
    decoder.decode_groups::<true>(payload, count)
}

/// Learns priors for a kind (its number in the codec header) from pieces of data, each coded as a block; text with
/// a network learns what it needs when guided by it, and the result names the network.
#[doc(hidden)]
pub fn learn_priors(
    kind: u8,
    parameter: u16,
    pieces: &[Vec<u8>],
    network: Option<&Model>,
) -> Result<Vec<u8>> {
    let kind = kind_from(kind, parameter)?;
    let unguided = network.and_then(|_| priors::for_kind(kind));
    let mut priors = unguided.map_or_else(predictor::untrained, predictor::guided);
    let guide = network.map_or(Start::None, |_| Start::Derived);
    // With fewer contexts and with all of them, so that the first ones' weights serve both.
    for (i, piece) in pieces.iter().enumerate() {
        let mut piece = piece.clone();
        let options = MixOptions { groups: if i % 3 == 2 { 3 } else { 2 }, ..MixOptions::default() };
        let Some(kind) = mix_kind::periodic(kind, &piece) else { continue };
        let shape = Shape { guide, ..shape_for(kind, 1 << 17, &options) };
        if shape.kind == Kind::Code {
            x86::apply(&mut piece);
        }
        let mut predictor = Predictor::with_priors(shape, &priors)?;
        let mut guide = network.map(|n| Ahead::new(n, &piece)).transpose()?;
        run(&piece, &mut predictor, BinaryEncoder::new(Vec::new()), guide.as_mut());
        priors = predictor.priors();
        if let Kind::Records { period } = kind {
            priors.level_columns(period);
        }
    }
    let mut bytes = network.map_or(Vec::new(), |n| n.name().to_vec());
    bytes.extend(priors.to_bytes());
    Ok(bytes)
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
            let shape = shape_for(kind, raw.len(), &MixOptions::level(2));
            let mut filtered = raw.clone();
            if kind == Kind::Code {
                x86::apply(&mut filtered);
            }
            let mut predictor = Predictor::new(shape).unwrap();
            let coder = BinaryEncoder::new(header(&shape).to_vec());
            let scalar = encode_groups::<false>(&filtered, &mut predictor, coder, None);
            assert_eq!(scalar, encode_as(&raw, &shape, None).unwrap(), "{kind:?}");
        }
    }
}
