//! Names and costs of models, and finding models by name.

use crate::failure::usage;
use crate::quantity::human;
use nzip::{Codec, CodecChoice, ModelInfo, Models, Options};
use std::path::Path;

/// Weights as a model file: the smaller of the two codecs that open fast. A small model has too many small tensors for blocks of
/// their own to pay.
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

/// Finds the model that is meant by a name, a file, or a hash or its first eight digits or more.
pub fn resolve(models: &mut Models, model: &str) -> anyhow::Result<[u8; 32]> {
    let list = models.list();
    if let Some(m) = list.iter().find(|m| m.name == Some(model)) {
        return Ok(m.hash);
    }
    if Path::new(model).is_file() {
        return Ok(models.add_file(model)?);
    }
    if let Some(hash) = models.named(model) {
        return Ok(hash);
    }
    let digits = model.to_ascii_lowercase();
    let mut fits: Vec<_> = list.iter().map(|m| m.hash).filter(|h| hex(h).starts_with(&digits)).collect();
    fits.dedup();
    match fits[..] {
        [hash] if digits.len() >= 8 => Ok(hash),
        _ => Err(unknown(model, &list)),
    }
}

fn unknown(model: &str, list: &[ModelInfo]) -> anyhow::Error {
    let names: Vec<_> = list.iter().filter_map(|m| m.name).collect();
    let names = if names.is_empty() { "none is built in".into() } else { names.join(", ") };
    usage(format!("model {model:?}: neither a file nor known by name or hash (names: {names})"))
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

/// The cost of a model in words: bytes inside the file, or of nzip, or of a file in the model folder.
pub fn cost(hash: &[u8; 32], embedded: u64, list: &[ModelInfo]) -> String {
    if embedded > 0 {
        return format!("embedded {}", human(embedded));
    }
    match list.iter().find(|m| m.hash == *hash) {
        Some(ModelInfo { stored_len: Some(n), path: None, .. }) => format!("built in, {}", human(*n)),
        Some(ModelInfo { stored_len: Some(n), .. }) => format!("model folder, {}", human(*n)),
        _ => "not here".into(),
    }
}
