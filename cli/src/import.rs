//! `nzip model import`.

use crate::console::print;
use crate::failure::usage;
use crate::names::{hex, pack};
use crate::output::Output;
use anyhow::Context;
use clap::Args;
use nzip::Models;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

/// The source of a model and its name.
#[derive(Debug, Args)]
pub struct ImportArguments {
    /// A GGUF file, or a safetensors file with config.json and tokenizer.json beside it
    file: PathBuf,
    /// The name of the model
    #[arg(long, value_parser = name)]
    name: String,
    /// Most tokens of a window: more give a better ratio and need more memory [default: 2048]
    #[arg(long)]
    context: Option<usize>,
    /// Overwrite a model of this name
    #[arg(short, long)]
    force: bool,
}

fn name(text: &str) -> Result<String, String> {
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if text.is_empty() || text.starts_with('.') || !text.chars().all(fine) {
        return Err("letters, digits, -, _ and . expected".into());
    }
    Ok(text.into())
}

impl ImportArguments {
    /// Converts the model and writes it.
    pub fn run(self) -> anyhow::Result<()> {
        let folder = Models::folders().into_iter().next();
        let folder = folder.ok_or_else(|| usage("no model folder: set NZIP_MODELS or HOME"))?;
        let weights = convert(&self.file, self.context)?;
        fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        let named = folder.join(format!("{}.name", self.name));
        if named.exists() && !self.force {
            anyhow::bail!("a model called {} exists already (-f overwrites it)", self.name);
        }
        let hash = Models::new().add(weights.clone());
        let path = folder.join(format!("{}.nz", hex(&hash)));
        if !path.exists() {
            let mut out = Output::file(&path, true)?;
            out.write_all(&pack(&weights, 1)?)?;
            out.finish(None, true)?;
        }
        let mut name_file = Output::file(&named, self.force)?;
        name_file.write_all(format!("{}\n", hex(&hash)).as_bytes())?;
        name_file.finish(None, true)?;
        print(&format!("{}  {}\n", hex(&hash), self.name))
    }
}

/// The canonical weight file of a model in a GGUF file, or in a safetensors file with `config.json` and `tokenizer.json`
/// beside it. Windows have at most `context` tokens.
pub fn convert(path: &Path, context: Option<usize>) -> anyhow::Result<Vec<u8>> {
    let read = |path: &Path| fs::read(path).with_context(|| path.display().to_string());
    let file = read(path)?;
    let converted = if file.starts_with(b"GGUF") {
        nzip::llm::import_gguf(&file, context)
    } else {
        let beside = |name: &str| read(&path.with_file_name(name));
        let (config, tokenizer) = (beside("config.json")?, beside("tokenizer.json")?);
        nzip::llm::import_safetensors(&file, &config, &tokenizer, context)
    };
    converted.with_context(|| path.display().to_string())
}
