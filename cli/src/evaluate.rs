//! `nzip evaluate`: what a checkpoint or a language model is worth.

mod report;

use crate::console::print;
use crate::failure::usage;
use crate::files::label;
use crate::quantize::{checkpoint, companions};
use crate::{import, json, names};
use anyhow::{Context, bail};
use clap::Args;
use nzip::{Codec, CodecChoice, Models, Options};
use nzip_quantize::LanguageModels;
use report::{Coded, Cosines, Expected, Report};
use std::path::{Path, PathBuf};

/// Measure a language model on texts, or compare two checkpoints
#[derive(Debug, Args)]
pub struct EvaluateArguments {
    /// For texts: a GGUF file, a safetensors file with config.json and tokenizer.json beside it, or the name, hash or file
    /// of a model; with --against a safetensors or GGUF file
    model: PathBuf,
    /// Texts that the model codes; with --against and a sentence encoder, sentences, one a line
    texts: Vec<PathBuf>,
    /// Compare with this file, tensor by tensor, and by what texts make of both models
    #[arg(long, value_name = "ORIGINAL")]
    against: Option<PathBuf>,
    /// Most tokens of a window of an imported model
    #[arg(long)]
    context: Option<usize>,
    /// Print JSON (docs/json.md lists its keys)
    #[arg(long)]
    json: bool,
}

impl EvaluateArguments {
    /// Measures, and prints what was found.
    pub fn run(self) -> anyhow::Result<()> {
        if self.texts.is_empty() && self.against.is_none() {
            return Err(usage("texts, or --against with another checkpoint, are needed"));
        }
        let mut report = Report::default();
        match &self.against {
            Some(original) => self.compare(original, &mut report)?,
            None => report.coded = self.coded()?,
        }
        if self.json { json::write(&report) } else { print(&report.tables()) }
    }

    /// Compares the model with the original one.
    fn compare(&self, path: &Path, report: &mut Report) -> anyhow::Result<()> {
        let (original, other) = (checkpoint(path)?, checkpoint(&self.model)?);
        if !is_gguf(&original) && !is_gguf(&other) {
            report.compared(nzip_quantize::compare(&original, &other)?);
        } else if self.texts.is_empty() {
            bail!("GGUF files are compared by what texts make of them: texts are needed");
        }
        if self.texts.is_empty() {
            return Ok(());
        }
        if nzip_quantize::is_sentence_encoder(&original) {
            report.embeddings = self.embeddings(&original, &other, path)?;
            return Ok(());
        }
        let models = LanguageModels::new(
            &self.weights(&original, &[path, &self.model]).with_context(|| path.display().to_string())?,
            &self.weights(&other, &[&self.model, path]).with_context(|| self.model.display().to_string())?,
        )?;
        for text in &self.texts {
            let found = models.compare(&read(text)?)?;
            report.expected.push(Expected::new(label(text), &found));
        }
        Ok(())
    }

    /// The canonical weight file of a model, whose companions lie beside the first of these files that has them.
    fn weights(&self, file: &[u8], beside: &[&Path]) -> anyhow::Result<Vec<u8>> {
        if is_gguf(file) {
            return Ok(nzip::llm::import_gguf(file, self.context)?);
        }
        let found = companions(beside)?;
        let needed = |part: Option<Vec<u8>>, name: &str| {
            part.ok_or_else(|| usage(format!("{name} is needed beside a model that is to code texts")))
        };
        let (config, tokenizer) =
            (needed(found.config, "config.json")?, needed(found.tokenizer, "tokenizer.json")?);
        Ok(nzip::llm::import_safetensors(file, &config, &tokenizer, self.context)?)
    }

    /// The cosines between the embeddings of each text's sentences by two encoders.
    fn embeddings(&self, original: &[u8], other: &[u8], path: &Path) -> anyhow::Result<Vec<Cosines>> {
        let companions = companions(&[path, &self.model])?;
        let of = |text: &PathBuf| {
            let cosines = nzip_quantize::embedding_cosines(original, other, &companions, &[read(text)?])
                .with_context(|| text.display().to_string())?;
            Ok(Cosines::new(label(text), cosines))
        };
        self.texts.iter().map(of).collect()
    }

    /// What the model needs for each text.
    fn coded(&self) -> anyhow::Result<Vec<Coded>> {
        let (models, hash) = self.models()?;
        let of = |text: &PathBuf| {
            let raw = read(text)?;
            let coded = coded(&raw, &models, hash).with_context(|| text.display().to_string())?;
            Ok(Coded::new(label(text), raw.len(), coded))
        };
        self.texts.iter().map(of).collect()
    }

    /// The model, ready to be used by its hash.
    fn models(&self) -> anyhow::Result<(Models, [u8; 32])> {
        let mut models = Models::new();
        let start = std::fs::read(&self.model).unwrap_or_default();
        let hash = if start.starts_with(b"GGUF") || start.get(8) == Some(&b'{') {
            models.add(import::convert(&self.model, self.context)?)
        } else {
            let name = self.model.to_str().ok_or_else(|| usage("a model's name is text"))?;
            names::resolve(&mut models, name)?
        };
        Ok((models, hash))
    }
}

fn is_gguf(file: &[u8]) -> bool {
    file.starts_with(b"GGUF")
}

fn read(text: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(text).with_context(|| text.display().to_string())
}

/// The bytes of a text's payload with a model.
fn coded(raw: &[u8], models: &Models, hash: [u8; 32]) -> anyhow::Result<usize> {
    let only = |codec| {
        nzip::compress_with(
            raw,
            Options::new().models(models.clone()).model(hash).codec(CodecChoice::Only(codec)),
        )
    };
    // Which of the two codecs a model belongs to is known to the library alone.
    let packed = only(Codec::Llm).or_else(|_| only(Codec::Lm))?;
    let mut archive = nzip::Archive::new(std::io::Cursor::new(packed))?;
    let mut sum = 0;
    for number in 0.. {
        let Some(block) = archive.block(number)? else { break };
        sum += block.payload_len as usize;
    }
    Ok(sum)
}
