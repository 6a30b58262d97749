//! The codec header: everything that a decoder needs to build the predictor.

use super::kind::{is_expected, kind_from, kind_to};
use crate::codec::Codec;
use crate::codec::encoding::EncodedBlock;
use crate::error::{Error, ErrorKind, Result};
use crate::model::lm::Model;
use crate::model::mix::context::{Kind, MAX_CONTEXTS};
use crate::model::mix::predictor::{FlagRule, GROUP, Shape, Start};

/// The versions of the format: without flags, with them, and with expected samples. A payload states the version that it
/// was coded with.
const PLAIN: u8 = 1;
const FLAGGED: u8 = 2;
const EXPECTED: u8 = 3;
/// Length in bytes of the codec header at the start of a payload without flags, and what flags add to it.
const HEADER: usize = 8;
const FLAG_HEADER: usize = 2;
/// log2 of the sizes in bytes that the slot table may have.
const TABLE_BITS: std::ops::RangeInclusive<u32> = 16..=30;
/// Memory in bytes that coding needs in addition to the slot table and the raw bytes: weights, final stages,
/// match heads, phrases.
const FIXED_MEMORY: u64 = 64 << 20;

/// The part of [`FIXED_MEMORY`] that coding really touches.
const USED_MEMORY: u64 = 24 << 20;
/// Memory in bytes that a model which guides text takes.
const GUIDE_MEMORY: u64 = 32 << 20;

/// The options of the encoder.
#[derive(Debug, Clone, Copy)]
pub struct MixOptions {
    /// log2 of the largest slot table in bytes, 16..=30; small blocks get a smaller one.
    pub table_bits: u32,
    /// The number of contexts per byte, in eights, 1..=3.
    pub groups: usize,
    /// The most phrases that prime text, in KiB: multiples of 4 up to 255 × 4.
    pub primed: usize,
    /// Whether bytes may begin with flags.
    pub flags: bool,
    /// Number and parameter of the kind to use, instead of finding the kind by trial.
    #[doc(hidden)]
    pub forced: Option<(u8, u16)>,
}

impl MixOptions {
    /// The options of a level from 1 (fast) to 5 (small). 2 is the default; 3 and 4 are meant for guided
    /// text.
    pub fn level(level: u32) -> Self {
        let (table_bits, groups, primed) = match level {
            0 | 1 => (24, 1, 128),
            2 => (26, 2, 256),
            3 => (26, 3, 256),
            4 => (27, 3, 256),
            _ => (28, 3, 256),
        };
        Self { table_bits, groups, primed, flags: level <= 2, forced: None }
    }

    /// The options of a level, with the largest slot table that lets a block of `raw_len` bytes be decoded in
    /// `limit` bytes of memory; `None` where no table does. A `guided` block needs its model too.
    pub fn within(level: u32, raw_len: usize, limit: u64, guided: bool) -> Option<Self> {
        let options = Self::level(level);
        // Readers also hold the payload and the bytes that they hand out, and keep an eighth of the cap for
        // the rest.
        let model = if guided { GUIDE_MEMORY } else { 0 };
        let left = limit.checked_sub(FIXED_MEMORY + 4 * raw_len as u64 + limit / 8 + model)?;
        let wanted = table_bits(raw_len, &options);
        let table_bits = (22..=wanted).rev().find(|bits| 1 << bits <= left)?;
        Some(if table_bits == wanted { options } else { Self { table_bits, ..options } })
    }
}

impl Default for MixOptions {
    fn default() -> Self {
        Self::level(2)
    }
}

/// The codec header, which holds everything that a decoder needs to build the predictor.
pub fn header(shape: &Shape) -> Vec<u8> {
    let (kind, parameter) = kind_to(shape.kind);
    let [low, high] = parameter.to_le_bytes();
    let groups = shape.groups as u8;
    let guide = match shape.start {
        Start::Unguided => 0,
        Start::Derived => 1,
        Start::Learned(_) => 2,
    };
    let version = match (shape.samples, shape.flags) {
        (true, _) => EXPECTED,
        (false, Some(_)) => FLAGGED,
        (false, None) => PLAIN,
    };
    let primed = (shape.primed >> 12) as u8;
    let mut header = vec![version, shape.memory_bits as u8, groups, primed, kind, low, high, guide];
    if version != PLAIN {
        header.extend(shape.flags.map_or([0; FLAG_HEADER], |rule| [rule.shortest, rule.doubt]));
    }
    header
}

/// Reads the codec header, and returns the shape of the predictor and where the coder's bytes start. Everything that
/// the header declares is checked before any memory is taken. `network` is the model that the block names.
pub fn read_header(payload: &[u8], network: Option<&Model>) -> Result<(Shape, usize)> {
    let Some((&[version, bits, groups, primed, kind, low, high, guide], rest)) =
        payload.split_first_chunk::<HEADER>()
    else {
        return Err(Error::truncated(format!(
            "a mix payload of {} bytes, its header takes {HEADER}",
            payload.len()
        )));
    };
    if !matches!(version, PLAIN..=EXPECTED) || guide > 2 {
        let message =
            format!("mix version {version}, guide {guide}: needs a newer nzip (this one knows {EXPECTED})");
        return Err(Error::new(ErrorKind::NewerVersion, message));
    }
    if !TABLE_BITS.contains(&u32::from(bits)) {
        return Err(Error::corrupt(format!("mix table bits {bits}, expected 16..=30")));
    }
    if !(1..=MAX_CONTEXTS / GROUP).contains(&usize::from(groups)) {
        return Err(Error::corrupt(format!("{groups} groups of mix contexts, expected 1..=3")));
    }
    let kind = kind_from(kind, u16::from_le_bytes([low, high]))?;
    let start = match (guide, network) {
        (0, None) => Start::Unguided,
        (1, Some(_)) => Start::Derived,
        (2, Some(network)) => Start::Learned(*network.name()),
        _ => return Err(Error::corrupt("a mix block must name a model if, and only if, it is guided")),
    };
    let samples = version == EXPECTED;
    let flags = if version == PLAIN { None } else { read_rule(rest, samples, start)? };
    let primed = usize::from(primed) << 12;
    let shape =
        Shape { kind, memory_bits: bits.into(), groups: groups.into(), primed, start, flags, samples };
    if shape.primed > 0 && shape.kind != Kind::Text {
        return Err(Error::corrupt(format!("a primed mix block of {:?}", shape.kind)));
    }
    if shape.start != Start::Unguided && shape.kind != Kind::Text {
        return Err(Error::corrupt(format!("a guided mix block of {:?}", shape.kind)));
    }
    if samples && !shape.kind.has_samples() {
        return Err(Error::corrupt(format!("a mix block of {:?} with expected samples", shape.kind)));
    }
    Ok((shape, if version == PLAIN { HEADER } else { HEADER + FLAG_HEADER }))
}

/// The kind of a block's data, where `mix` has coded it.
pub fn kind_of(block: &EncodedBlock) -> Option<Kind> {
    match block.payload[..] {
        [_, _, _, _, kind, low, high, ..] if block.codec == Codec::Mix => {
            kind_from(kind, u16::from_le_bytes([low, high])).ok()
        }
        _ => None,
    }
}

/// Reads which bytes begin with flags; zeros stand for none, where these are `optional`.
fn read_rule(rest: &[u8], optional: bool, start: Start) -> Result<Option<FlagRule>> {
    let Some(&[shortest, doubt]) = rest.first_chunk::<FLAG_HEADER>() else {
        return Err(Error::truncated("a mix payload ends before it says which bytes begin with flags"));
    };
    if optional && shortest == 0 && doubt == 0 {
        return Ok(None);
    }
    if shortest == 0 || doubt == 0 || start != Start::Unguided {
        let message =
            format!("mix flags for matches of {shortest} bytes with doubt {doubt}, guide {start:?}");
        return Err(Error::corrupt(message));
    }
    Ok(Some(FlagRule { shortest, doubt }))
}

/// The memory in bytes that decoding a payload takes according to its header; 0 where it has no valid one.
pub fn memory_of(payload: &[u8], raw_len: usize) -> u64 {
    let bits = payload.get(1).copied().filter(|b| TABLE_BITS.contains(&u32::from(*b)));
    bits.map_or(0, |bits| (1u64 << bits) + FIXED_MEMORY + 2 * raw_len as u64)
}

/// The memory in bytes that coding a block takes.
pub fn memory_need(shape: &Shape, raw_len: usize) -> u64 {
    (1u64 << shape.memory_bits) + FIXED_MEMORY + 2 * raw_len as u64
}

/// The memory in bytes that coding `raw_len` bytes at a level of [`MixOptions::level`] takes, in addition to
/// these bytes; `None` where they are not coded at all, because decoding would take more than `limit` bytes.
pub fn encoding_need(level: u32, raw_len: usize, limit: u64, guided: bool) -> Option<u64> {
    let options = MixOptions::within(level, raw_len, limit, guided);
    let table = |o: MixOptions| (1u64 << table_bits(raw_len, &o)) + USED_MEMORY + 3 * raw_len as u64;
    options.map(table)
}

/// log2 of the slot table's size in bytes for a block: enough for all of its contexts, but at most what the
/// options allow.
pub fn table_bits(raw_len: usize, options: &MixOptions) -> u32 {
    let wanted = (raw_len.max(1) as u64 * 128).ilog2() + 1;
    wanted.clamp(22, options.table_bits.clamp(22, *TABLE_BITS.end()))
}

pub fn shape_for(kind: Kind, raw_len: usize, options: &MixOptions) -> Shape {
    Shape {
        kind,
        memory_bits: table_bits(raw_len, options),
        groups: options.groups.clamp(1, MAX_CONTEXTS / GROUP),
        start: Start::Unguided,
        primed: if kind == Kind::Text { options.primed.min(1020) >> 2 << 12 } else { 0 },
        flags: None,
        samples: is_expected(kind),
    }
}
