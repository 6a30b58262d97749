//! Encoding of blocks.

use super::filter::filtered;
use super::guide::Ahead;
use super::kind::{self, Trial, kind_from};
use super::shape::{MixOptions, header, kind_of, shape_for};
use crate::codec::Codec;
use crate::codec::encoding::{Content, Effort, EncodedBlock};
use crate::codec::glance;
use crate::codec::hints::Guide;
use crate::coder::binary::BinaryEncoder;
use crate::error::Result;
use crate::format::block::Units;
use crate::kernel::{Kernel, dispatch};
use crate::model::lm::Model;
use crate::model::mix::context::Kind;
use crate::model::mix::predictor::{FlagRule, Predictor, Shape, Start};
use crate::model::mix::priors::Priors;
use crate::model::mix::shipped;
use crate::progress::Meter;

/// log2 of the raw bytes of a check unit.
const UNIT_LOG2: u8 = 20;
/// The number of raw bytes after which an encoder updates the meter.
const COUNTED: usize = 64 << 10;

/// The bytes that begin with flags, where any do.
const RULE: FlagRule = FlagRule { shortest: 8, doubt: 8 };
/// All of a trial's size; see [`part_of_trial`].
const WHOLE: usize = 64;
/// The least share of a block, in 1/256, that must repeat bytes from before for flags to pay.
const REPEATED: usize = 8;

/// Codes a block of 1..=2^30 bytes at a level of [`MixOptions::level`]; `None` where decoding would take more
/// memory than the limit.
pub fn encode(content: &Content<'_>, level: u32, effort: &Effort<'_>) -> Result<Option<EncodedBlock>> {
    let raw = content.raw;
    let guided = !matches!(effort.guide, Guide::None);
    let Some(options) = MixOptions::within(level, raw.len(), effort.limit, guided) else { return Ok(None) };
    let known = Known { rows: content.rows, kind: content.sample_of.and_then(kind_of) };
    let (payload, model) = encode_known(raw, known, &options, effort.guide, effort.meter)?;
    Ok(Some(EncodedBlock {
        codec: Codec::Mix,
        raw_len: raw.len() as u32,
        model: model.map(|m| *m.name()),
        params: None,
        units: Units::fixed(UNIT_LOG2, raw),
        payload,
    }))
}

/// Codes a block to a payload, and returns it with the model that guides it, if any.
///
/// # Errors
/// `LimitExceeded` where memory is missing; `MissingModel` where this build lacks the priors; `Corrupt` or
/// `NewerVersion` for a forced kind that does not exist.
pub fn encode_block<'a>(
    raw: &[u8],
    options: &MixOptions,
    guide: Guide<'a>,
) -> Result<(Vec<u8>, Option<&'a Model>)> {
    encode_known(raw, Known::default(), options, guide, Meter::NONE)
}

/// What is known of a block before it is looked at.
#[derive(Default)]
struct Known {
    /// The bytes of a pixel and of a row of a picture's raster.
    rows: Option<(usize, usize)>,
    kind: Option<Kind>,
}

/// Does the same for a block of which something may be known, and counts the bytes coded.
fn encode_known<'a>(
    raw: &[u8],
    known: Known,
    options: &MixOptions,
    guide: Guide<'a>,
    meter: Meter<'_>,
) -> Result<(Vec<u8>, Option<&'a Model>)> {
    let kind = match (options.forced, known.kind) {
        (Some((kind, parameter)), _) => kind_from(kind, parameter)?,
        (None, Some(kind)) => kind,
        (None, None) => kind::choose(raw, known.rows, |sample, kind, trial| {
            let careful = trial == Trial::Careful;
            let groups = if careful { options.groups } else { 1 };
            let shape = shape_for(kind, sample.len(), &MixOptions { primed: 0, groups, ..*options });
            let size = |start| encode_from(start, sample, &shape, None, Meter::NONE).map(|p| p.len());
            if careful || sample.len() == raw.len() {
                return Ok(size(Predictor::new(shape)?)? * WHOLE);
            }
            // Priors tell much about a short block and little about a long one, so trials on a sample of a
            // long block start without them.
            let start = Predictor::with_priors(shape, &Priors::untrained())?;
            Ok(size(start)? * part_of_trial(kind, shape.samples))
        })?,
    };
    let unflagged = shape_for(kind, raw.len(), options);
    let flags = (options.flags && glance::far_share(raw) >= REPEATED).then_some(RULE);
    let shape = Shape { flags, ..unflagged };
    let guided =
        |model, meter| encode_as(raw, &Shape { start: start_for(model), ..unflagged }, Some(model), meter);
    match guide {
        Guide::All(model) if kind == Kind::Text => Ok((guided(model, meter)?, Some(model))),
        // Some text, such as some logs, is smaller without a guide. Both ways are tried, so a guide never
        // makes a block larger.
        Guide::WhereItPays(model) if kind == Kind::Text => {
            // The network takes about as long as everything else together.
            let alone = encode_as(raw, &shape, None, meter.share(1, 3))?;
            let guided = guided(model, meter.share(2, 3))?;
            Ok(if guided.len() < alone.len() { (guided, Some(model)) } else { (alone, None) })
        }
        _ => Ok((encode_as(raw, &shape, None, meter)?, None)),
    }
}

/// The share of a trial's size, in 1/[`WHOLE`], that counts for a block longer than the trial's sample. What is learned of
/// expected samples goes on improving after a trial has ended, most of all with 16 bits.
fn part_of_trial(kind: Kind, expected: bool) -> usize {
    match (kind, expected) {
        (Kind::Words { .. } | Kind::Audio { .. }, true) => WHOLE - 2,
        (Kind::Bytes { .. }, true) => WHOLE - 1,
        _ => WHOLE,
    }
}

/// The starting point for text that a model guides: the priors learned with this model, or else priors
/// derived from those of unguided text. A build that lacks the former takes the latter.
fn start_for(model: &Model) -> Start {
    match shipped::for_guide(model.name()) {
        Ok(Some(_)) => Start::Learned(*model.name()),
        _ => Start::Derived,
    }
}

fn encode_as(raw: &[u8], shape: &Shape, network: Option<&Model>, meter: Meter<'_>) -> Result<Vec<u8>> {
    encode_from(Predictor::new(*shape)?, raw, shape, network, meter)
}

fn encode_from(
    mut predictor: Predictor,
    raw: &[u8],
    shape: &Shape,
    network: Option<&Model>,
    meter: Meter<'_>,
) -> Result<Vec<u8>> {
    predictor.reserve(raw.len())?;
    let encoder = BinaryEncoder::new(header(shape));
    let bytes = filtered(shape.kind, raw)?;
    let mut guide = network.map(|n| Ahead::new(n, &bytes)).transpose()?;
    Ok(run(&bytes, &mut predictor, encoder, guide.as_mut(), meter))
}

pub fn run(
    bytes: &[u8],
    predictor: &mut Predictor,
    encoder: BinaryEncoder,
    guide: Option<&mut Ahead<'_>>,
    meter: Meter<'_>,
) -> Vec<u8> {
    dispatch!(
        Kernel::best(),
        scalar: encode_groups::<false>(bytes, predictor, encoder, guide, meter),
        avx2: encode_avx2(bytes, predictor, encoder, guide, meter),
        v128: encode_groups::<true>(bytes, predictor, encoder, guide, meter),
    )
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn encode_avx2(
    bytes: &[u8],
    predictor: &mut Predictor,
    encoder: BinaryEncoder,
    guide: Option<&mut Ahead<'_>>,
    meter: Meter<'_>,
) -> Vec<u8> {
    encode_groups::<true>(bytes, predictor, encoder, guide, meter)
}

#[inline(always)]
fn encode_groups<const A: bool>(
    bytes: &[u8],
    predictor: &mut Predictor,
    encoder: BinaryEncoder,
    guide: Option<&mut Ahead<'_>>,
    meter: Meter<'_>,
) -> Vec<u8> {
    match predictor.groups() {
        1 => encode_bits::<A, 2>(bytes, predictor, encoder, guide, meter),
        2 => encode_bits::<A, 3>(bytes, predictor, encoder, guide, meter),
        _ => encode_bits::<A, 4>(bytes, predictor, encoder, guide, meter),
    }
}

#[inline(always)]
fn encode_bits<const A: bool, const V: usize>(
    bytes: &[u8],
    predictor: &mut Predictor,
    mut encoder: BinaryEncoder,
    mut guide: Option<&mut Ahead<'_>>,
    meter: Meter<'_>,
) -> Vec<u8> {
    for (i, &byte) in bytes.iter().enumerate() {
        let flag = |p, expected| {
            let comes = u32::from(expected == byte);
            encoder.encode(comes, p);
            comes
        };
        if predictor.code_flag::<A>(flag).is_none() {
            predictor.begin_byte::<A, V>(guide.as_mut().map(|g| g.at(i)));
            for i in (0..8).rev() {
                let bit = u32::from(byte >> i & 1);
                encoder.encode(bit, predictor.p());
                predictor.update::<A, V>(bit);
            }
        }
        if (i + 1).is_multiple_of(COUNTED) {
            meter.advance(COUNTED);
        }
    }
    encoder.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalar_and_vectors_code_the_same_bits() {
        let mut raw = include_bytes!("../../../formats/lm.md").to_vec();
        raw.extend_from_slice(include_bytes!("../../../formats/tables/squash.bin"));
        // Repetitions with changes, so that flags say yes and no.
        raw.extend_from_within(..6000);
        (raw.len() - 6000..raw.len()).step_by(499).for_each(|i| raw[i] ^= 1);
        let kinds = [(0, 0), (1, 0), (2, 12), (3, 0), (4, 64), (5, 40), (6, 2), (6, 4), (7, 96), (8, 64)];
        for ((kind, parameter), flags) in kinds.into_iter().flat_map(|k| [(k, None), (k, Some(RULE))]) {
            let kind = kind_from(kind, parameter).unwrap();
            let shape = Shape { flags, ..shape_for(kind, raw.len(), &MixOptions::level(2)) };
            let filtered = filtered(kind, &raw).unwrap();
            let mut predictor = Predictor::new(shape).unwrap();
            let coder = BinaryEncoder::new(header(&shape));
            let scalar = encode_groups::<false>(&filtered, &mut predictor, coder, None, Meter::NONE);
            assert_eq!(scalar, encode_as(&raw, &shape, None, Meter::NONE).unwrap(), "{kind:?} {flags:?}");
        }
    }
}
