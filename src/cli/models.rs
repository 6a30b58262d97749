//! `nzip model`, and what models are called.

use super::quantity::human;
use super::table::{Align, Table};
use super::{output::Output, print, usage};
use clap::{Args, Subcommand};
use nzip::{Codec, CodecChoice, ModelInfo, Models, Options};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Models that nzip can use.
#[derive(Debug, Args)]
pub struct ModelArguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List the built-in models and those in the model folder
    List,
    /// Show one model
    Show {
        /// Name, hash (or its start) or file
        model: String,
    },
    /// Convert a language model of the Llama family and put it into the model folder
    Import(super::import::ImportArguments),
    /// Write a model's weights to a file that --model and the model folder take
    Export {
        /// Name, hash (or its start) or file
        model: String,
        /// File to write [default: HASH.nz]
        #[arg(short, long)]
        output: Option<PathBuf>,
        /// Write the weights as they are, not as .nz
        #[arg(long)]
        raw: bool,
        /// Overwrite the file
        #[arg(short, long)]
        force: bool,
    },
}

impl ModelArguments {
    /// Runs the action.
    pub fn run(self) -> anyhow::Result<()> {
        match self.action {
            Action::List => print(&list(&Models::new())),
            Action::Show { model } => print(&show(&model)?),
            Action::Import(a) => a.run(),
            Action::Export { model, output, raw, force } => export(&model, output, raw, force),
        }
    }
}

fn list(models: &Models) -> String {
    let list = models.list();
    if list.is_empty() {
        return "no model is built in or in the model folder\n".into();
    }
    let mut table = Table::new([
        ("name", Align::Left),
        ("id", Align::Right),
        ("stored", Align::Right),
        ("hash", Align::Left),
        ("where", Align::Left),
    ]);
    for m in list {
        table.row([
            m.name.unwrap_or("-").into(),
            m.id.map_or("-".into(), |id| id.to_string()),
            m.stored_len.map_or("-".into(), |n| n.to_string()),
            hex(&m.hash),
            place(&m),
        ]);
    }
    table.render()
}

fn place(m: &ModelInfo) -> String {
    match (&m.path, m.stored_len) {
        (Some(path), _) => path.display().to_string(),
        (None, Some(_)) => "built in".into(),
        (None, None) => "retired".into(),
    }
}

fn show(model: &str) -> anyhow::Result<String> {
    let mut models = Models::new();
    let hash = resolve(&mut models, model)?;
    let weights = models.find(&hash)?;
    let listed = models.list().into_iter().find(|m| m.hash == hash);
    let mut text = format!("hash     {}\nweights  {} bytes\n", hex(&hash), weights.len());
    if let Some(m) = listed {
        let stored = m.stored_len.map_or("-".into(), |n| format!("{n} bytes"));
        text += &format!("stored   {stored}\nwhere    {}\n", place(&m));
        if let (Some(name), Some(id)) = (m.name, m.id) {
            text += &format!("name     {name}\nid       {id}\n");
        }
    }
    Ok(text)
}

fn export(model: &str, output: Option<PathBuf>, raw: bool, force: bool) -> anyhow::Result<()> {
    let mut models = Models::new();
    let hash = resolve(&mut models, model)?;
    let weights = models.find(&hash)?;
    let path = output.unwrap_or_else(|| PathBuf::from(format!("{}.nz", hex(&hash))));
    let mut out = Output::file(&path, force, false)?;
    if raw {
        out.write_all(&weights)?;
    } else {
        out.write_all(&pack(&weights, 9)?)?;
    }
    out.finish(None, false)
}

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

/// Hexadecimal digits of a hash.
pub fn hex(hash: &[u8; 32]) -> String {
    blake3::Hash::from(*hash).to_hex().to_string()
}

/// What a model is called in reports.
pub fn label(hash: &[u8; 32], list: &[ModelInfo]) -> String {
    let name = list.iter().find(|m| m.hash == *hash).and_then(|m| m.name);
    name.map_or_else(|| hex(hash)[..12].to_string(), String::from)
}

/// What a model costs: bytes inside the file, or of nzip, or of a file in the model folder.
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
