//! Names and sizes of models, and finding models by name.

use crate::failure::usage;
use crate::quantity::human;
use nzip::{Codec, CodecChoice, ErrorKind, ModelInfo, Models, Options};

/// Packs weights as a model file, with the better of the two codecs that open fast. A small model has too
/// many small tensors for blocks of their own to pay.
pub fn pack(weights: &[u8], level: u8) -> anyhow::Result<Vec<u8>> {
    let pack = |codec| {
        let options = Options::new().level(level).codec(CodecChoice::Only(codec)).content_hash(true);
        nzip::compress_with(weights, options)
    };
    let packed = pack(Codec::Zstd)?;
    if nzip::tensor::Layout::read(weights).is_err() {
        return Ok(packed);
    }
    Ok(std::cmp::min_by_key(packed, pack(Codec::Tensor)?, Vec::len))
}

/// Finds the model that is meant by a name, a file, a hash or at least the first eight digits of one.
pub fn resolve(models: &mut Models, model: &str) -> anyhow::Result<[u8; 32]> {
    models.resolve(model).map_err(|e| match e.kind() {
        ErrorKind::BadArgument => usage(e.to_string()),
        _ => e.into(),
    })
}

/// The lower-case hexadecimal digits of a hash.
pub fn hex(hash: &[u8; 32]) -> String {
    hash.iter().map(|b| format!("{b:02x}")).collect()
}

/// The name of a model in reports.
pub fn label(hash: &[u8; 32], list: &[ModelInfo]) -> String {
    let name = list.iter().find(|m| m.hash == *hash).and_then(|m| m.name);
    name.map_or_else(|| hex(hash)[..12].to_string(), String::from)
}

/// Where a model is, and how many bytes it takes there: in a file that has `embedded` bytes of models, in
/// nzip, or in the model folder.
pub fn place(hash: &[u8; 32], embedded: u64, list: &[ModelInfo]) -> (&'static str, Option<u64>) {
    if embedded > 0 {
        return ("embedded", Some(embedded));
    }
    match list.iter().find(|m| m.hash == *hash) {
        Some(ModelInfo { stored_len: Some(n), path: None, .. }) => ("built in", Some(*n)),
        Some(ModelInfo { stored_len: Some(n), .. }) => ("model folder", Some(*n)),
        _ => ("not here", None),
    }
}

/// The same, in words.
pub fn cost(hash: &[u8; 32], embedded: u64, list: &[ModelInfo]) -> String {
    match place(hash, embedded, list) {
        (place @ "embedded", Some(n)) => format!("{place} {}", human(n)),
        (place, Some(n)) => format!("{place}, {}", human(n)),
        (place, None) => place.into(),
    }
}

/// The bytes from which these codecs start. All codecs that need them share them.
pub fn start_of(codecs: &[Codec]) -> u64 {
    codecs.iter().map(|c| c.start_len()).max().unwrap_or(0)
}

/// The bytes that the decoder of a file must have: the models that its blocks name, unless the file contains
/// them, and the starting points of its codecs. This is what "with models" means in every report.
pub fn brought_along(models: &[[u8; 32]], embedded: u64, codecs: &[Codec], list: &[ModelInfo]) -> u64 {
    let here = |m| if embedded > 0 { 0 } else { place(m, 0, list).1.unwrap_or(0) };
    let models: u64 = models.iter().map(here).sum();
    models + start_of(codecs)
}
