//! The plan of an encoder: what its options mean for codecs, models and the lengths of chunks.

use crate::codec::Codec;
use crate::codec::block::ModelUse;
use crate::codec::plan::Plan;
use crate::codec::window::WindowLimits;
use crate::codec::windowed::Windowed;
use crate::error::{Error, ErrorKind, Result};
use crate::models::registry::{DEFAULT_LM, Hash, TINY_LM};
use crate::stream::options::{CHUNK, CodecChoice, Options, WINDOW_RAW, WINDOWED_BLOCK};

/// The codecs and models that an encoder with these options may use.
pub fn plan(options: &Options) -> Result<Plan> {
    let only = match options.codec {
        CodecChoice::Auto => None,
        CodecChoice::Only(codec) => Some(codec),
    };
    let codec = match (only, &options.model) {
        (Some(codec), _) => codec,
        (None, Some(model)) => options.resources.models.codec(model)?,
        (None, None) => Codec::Lm,
    };
    let default = (only == Some(Codec::Lm)).then_some(DEFAULT_LM);
    let needs_model = matches!(codec.object().model_use(), ModelUse::Required(_));
    if only.is_some() && needs_model && options.model.or(default).is_none() {
        return Err(Error::bad_argument(codec.object().model_wanted()));
    }
    let windowed = match options.model.or(default) {
        Some(model) if needs_model => {
            if options.decode_memory < u64::MAX {
                refuse_model(options, &model)?;
            }
            let memory = options.resources.memory;
            let coder = options.resources.models.load(codec, &model, memory)?.windows;
            let record = coder.cutting(&[], options.chained).unit;
            let block = if record > 1 { CHUNK } else { WINDOWED_BLOCK };
            let block = options.block.unwrap_or(block).min(CHUNK);
            Some(Windowed {
                codec,
                model,
                coder,
                limits: WindowLimits { payload: options.window, raw: WINDOW_RAW.max(record) },
                block: (block / record * record).max(record),
                record,
                chained: options.chained,
            })
        }
        _ => None,
    };
    let asked = options.model.filter(|_| only == Some(Codec::Mix));
    let guides = matches!(only, None | Some(Codec::Mix)) && windowed.is_none() && !cannot_guide(options);
    let by_level = GUIDES[usize::from(options.level) - 1].filter(|_| guides);
    let load = |hash: Hash| options.resources.models.load(Codec::Lm, &hash, options.resources.memory);
    let guide = match (asked, by_level.map(load)) {
        (Some(hash), _) => Some(load(hash)?),
        // A build without the built-in models goes without a guide, unless the caller asked for one.
        (None, Some(Err(e))) if e.kind() == ErrorKind::MissingModel => None,
        (None, by_level) => by_level.transpose()?,
    };
    let guide = guide.and_then(|model| model.network);
    let (memory, limit, undo) = (options.resources.memory, options.decode_memory, options.undo);
    Ok(Plan { level: options.level, only, windowed, guide, insist: asked.is_some(), memory, limit, undo })
}

/// Fails if a model takes more memory than decoding may take.
fn refuse_model(options: &Options, model: &Hash) -> Result<()> {
    // The weights, what is parsed from them, and the model that runs.
    let need = 5 * options.resources.models.find(model)?.len() as u64;
    let limit = options.decode_memory;
    if need <= limit {
        Ok(())
    } else {
        Err(Error::limit(format!("the model takes {need} bytes of memory, the limit is {limit}")))
    }
}

/// Whether no guided block of `mix` could be decoded within the limit.
fn cannot_guide(options: &Options) -> bool {
    options.decode_memory < LEAST_GUIDED
}

/// The memory below which no model is loaded to guide `mix`, in bytes.
const LEAST_GUIDED: u64 = 128 << 20;
/// The shortest chunks that a memory limit leads to, in bytes.
const LEAST_CHUNK: usize = 64 << 10;

/// The language model that guides `mix` at each level of 1..=9.
const GUIDES: [Option<Hash>; 9] =
    [None, None, None, None, None, None, Some(TINY_LM), Some(DEFAULT_LM), Some(DEFAULT_LM)];

/// The raw bytes of a chunk. They must not depend on threads or on the memory for encoding, since blocks end
/// where chunks end, and the same input must give the same bytes. Larger chunks compress better with `mix`,
/// which forgets everything between blocks; smaller ones keep more threads busy. Only the memory for decoding
/// makes them smaller.
pub fn chunk_len(options: &Options, plan: &Plan) -> usize {
    let fits = |chunk: usize| 3 * chunk as u64 + plan.memory_of(chunk, None) <= plan.limit;
    let within = |most: usize| {
        let halves = std::iter::successors(Some(most), |c| Some(c / 2).filter(|c| *c >= LEAST_CHUNK));
        halves.into_iter().find(|c| fits(*c)).unwrap_or(LEAST_CHUNK)
    };
    match &plan.windowed {
        Some(w) => (within(CHUNK) / w.block * w.block).max(w.block),
        None => options.block.unwrap_or_else(|| within(plan.preferred_chunk().unwrap_or(CHUNK))),
    }
}
