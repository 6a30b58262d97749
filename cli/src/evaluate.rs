//! `nzip evaluate`: what a checkpoint or a language model is worth.

use crate::console::print;
use crate::failure::usage;
use crate::files::label;
use crate::import;
use crate::names;
use crate::quantize::{checkpoint, companions};
use crate::table::{Align, Table};
use anyhow::Context;
use clap::Args;
use nzip::{Codec, CodecChoice, Models, Options};
use std::path::{Path, PathBuf};

/// Measure a language model on texts, or compare two checkpoints
#[derive(Debug, Args)]
pub struct EvaluateArguments {
    /// For texts: a GGUF file, a safetensors file with config.json and tokenizer.json beside it, or the name, hash or file
    /// of a model; with --against a safetensors file
    model: PathBuf,
    /// Texts that the model codes; with --against and a sentence encoder, sentences, one a line
    texts: Vec<PathBuf>,
    /// Compare with this safetensors file, tensor by tensor, and a sentence encoder also by its embeddings of the texts
    #[arg(long, value_name = "ORIGINAL")]
    against: Option<PathBuf>,
    /// Most tokens of a window of an imported model
    #[arg(long)]
    context: Option<usize>,
}

impl EvaluateArguments {
    /// Measures, and prints what was found.
    pub fn run(self) -> anyhow::Result<()> {
        if self.texts.is_empty() && self.against.is_none() {
            return Err(usage("texts, or --against with another checkpoint, are needed"));
        }
        if let Some(original) = &self.against {
            let (a, b) = (checkpoint(original)?, checkpoint(&self.model)?);
            print(&differences(&a, &b)?)?;
            if !self.texts.is_empty() && nzip_quantize::is_sentence_encoder(&a) {
                return print(&self.embeddings(&a, &b, original)?);
            }
        }
        if self.texts.is_empty() { Ok(()) } else { print(&self.bits()?) }
    }

    /// A table of the cosines between the embeddings of each text's sentences by two encoders.
    fn embeddings(&self, original: &[u8], other: &[u8], path: &Path) -> anyhow::Result<String> {
        let companions = companions(&[path, &self.model])?;
        let mut table = Table::new([
            ("sentences", Align::Right),
            ("mean cosine", Align::Right),
            ("least", Align::Right),
            ("text", Align::Left),
        ]);
        let mut all = Vec::new();
        for text in &self.texts {
            let sentences = std::fs::read(text).with_context(|| text.display().to_string())?;
            let cosines = nzip_quantize::embedding_cosines(original, other, &companions, &[sentences])
                .with_context(|| text.display().to_string())?;
            table.row(cosine_row(&cosines, &label(text)));
            all.extend(cosines);
        }
        if self.texts.len() > 1 {
            table.row(cosine_row(&all, "all"));
        }
        Ok(table.render())
    }

    /// A table of the bits that the model needs for each byte of the texts.
    fn bits(&self) -> anyhow::Result<String> {
        let (models, hash) = self.models()?;
        let mut table = Table::new([
            ("bytes", Align::Right),
            ("coded", Align::Right),
            ("bits/byte", Align::Right),
            ("text", Align::Left),
        ]);
        let (mut all, mut all_coded) = (0, 0);
        for text in &self.texts {
            let raw = std::fs::read(text).with_context(|| text.display().to_string())?;
            let coded = coded(&raw, &models, hash).with_context(|| text.display().to_string())?;
            table.row(row(raw.len(), coded, &label(text)));
            (all, all_coded) = (all + raw.len(), all_coded + coded);
        }
        if self.texts.len() > 1 {
            table.row(row(all, all_coded, "all"));
        }
        Ok(table.render())
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

fn row(raw: usize, coded: usize, name: &str) -> [String; 4] {
    let bits = 8.0 * coded as f64 / raw.max(1) as f64;
    [raw.to_string(), coded.to_string(), format!("{bits:.4}"), name.to_string()]
}

fn cosine_row(cosines: &[f64], name: &str) -> [String; 4] {
    let mean = cosines.iter().sum::<f64>() / cosines.len().max(1) as f64;
    let least = cosines.iter().copied().fold(f64::INFINITY, f64::min);
    [cosines.len().to_string(), format!("{mean:.5}"), format!("{least:.5}"), name.to_string()]
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

/// A table of the differences between two checkpoints.
fn differences(original: &[u8], other: &[u8]) -> anyhow::Result<String> {
    let mut table = Table::new([
        ("error", Align::Right),
        ("largest", Align::Right),
        ("cosine", Align::Right),
        ("tensor", Align::Left),
    ]);
    for (name, difference) in nzip_quantize::compare(original, other)? {
        match difference {
            Some(d) => table.row([
                format!("{:.5}", d.relative_error),
                format!("{:.2e}", d.max_error),
                format!("{:.6}", d.cosine),
                name,
            ]),
            None => table.row(["-".into(), "-".into(), "-".into(), name]),
        }
    }
    Ok(table.render())
}
