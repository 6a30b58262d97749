//! `nzip tokens encode`.

use super::file;
use super::side::{EndsName, Given, PolicyName, Side, beside};
use crate::failure::usage;
use crate::files::{is_dash, label};
use crate::identity::Identity;
use crate::input::Input;
use crate::names;
use crate::output::{Making, Output};
use crate::resources::Resources;
use anyhow::Context;
use clap::{Args, ValueHint};
use nzip::tokens::Tokenizer;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

/// Documents are coded together until they have so many bytes.
const BATCH: usize = 32 << 20;

#[derive(Debug, Args)]
pub struct EncodeArguments {
    /// Files, each a document; - is standard input [default: -]
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// File to write: .npy, any other name for plain numbers, - for standard output; choices go to OUT.json
    #[arg(short, long, value_name = "OUT")]
    output: PathBuf,
    /// File of choices to write instead of OUT.json
    #[arg(long, value_name = "FILE")]
    side: Option<PathBuf>,
    /// Overwrite files
    #[arg(short, long)]
    force: bool,
    /// Bits of a window, 16 to 256
    #[arg(short = 'b', long, value_name = "BITS", default_value_t = 16, value_hint = ValueHint::Other)]
    window_bits: u32,
    /// Bits of a token, 8 to 16 [default: those of a window, if they are not more than 16; otherwise 16]
    #[arg(short = 'v', long, value_name = "BITS", value_hint = ValueHint::Other)]
    token_bits: Option<u32>,
    /// What the model knows at the start of a window
    #[arg(long, value_enum, default_value_t = PolicyName::Reset)]
    policy: PolicyName,
    /// Where windows end
    #[arg(long, value_enum, default_value_t = EndsName::Symbol)]
    ends: EndsName,
    /// Let a byte-level model learn from each document while it codes it (with --policy continue)
    #[arg(long)]
    adaptive: bool,
    /// Special tokens, after all others; the first one ends documents
    #[arg(long, value_name = "N", default_value_t = 1, value_hint = ValueHint::Other)]
    special: u32,
    /// Take each line, with its line feed, as a document
    #[arg(long)]
    lines: bool,
    #[command(flatten)]
    resources: Resources,
}

impl EncodeArguments {
    /// Writes the tokens and the file beside them.
    pub fn run(self) -> anyhow::Result<()> {
        let stdout = is_dash(&self.output);
        let side_path = match &self.side {
            Some(path) => path.clone(),
            None if stdout => {
                return Err(usage("tokens on standard output need --side FILE for the choices"));
            }
            None => beside(&self.output),
        };
        let mut read = self.resources.files();
        read.extend(self.files.iter().filter_map(|f| Identity::of(f)));
        let making = Making { force: self.force, read: &read, ..Making::default() };
        let mut out = if stdout { Output::stdout(true)? } else { Output::made(&self.output, &making)? };
        let mut side_file = Output::made(&side_path, &making)?;
        let mut writer = self.writer()?;
        let stdin = [PathBuf::from("-")];
        let files = if self.files.is_empty() { &stdin[..] } else { &self.files };
        for path in files {
            let text = read_all(path).with_context(|| label(path))?;
            if self.lines {
                text.split_inclusive(|&b| b == b'\n').try_for_each(|line| writer.add(line))?;
            } else {
                writer.add(&text)?;
            }
        }
        writer.flush()?;
        writer.side.raw_hash = writer.hash.finalize().to_hex().to_string();
        if !stdout && file::is_npy(&self.output) {
            out.write_all(&file::npy_header(writer.side.width()?, writer.side.tokens))?;
        }
        out.write_all(&writer.bytes)?;
        side_file.write_all(writer.side.to_json()?.as_bytes())?;
        out.finish(None, false)?;
        side_file.finish(None, false)
    }

    fn writer(&self) -> anyhow::Result<Writer> {
        let given = Given {
            window_bits: self.window_bits,
            token_bits: self.token_bits.unwrap_or_else(|| self.window_bits.min(16)),
            adaptive: self.adaptive,
            special: self.special,
        };
        let mut loaded = self.resources.load()?;
        let hash = match loaded.model {
            Some(hash) => hash,
            None => names::resolve(&mut loaded.models, "tiny")?,
        };
        let choices = given.choices(self.policy, self.ends);
        let tokenizer = Tokenizer::with_hash(&loaded.models, &hash, choices)?;
        let tokenizer = match self.resources.memory {
            Some(memory) => tokenizer.memory(memory.0),
            None => tokenizer,
        };
        let name = loaded.models.list().into_iter().find(|m| m.hash == hash).and_then(|m| m.name);
        let side = Side::new(&tokenizer, name, (self.policy, self.ends), &given);
        let (batch, hash) = (Vec::new(), blake3::Hasher::new());
        Ok(Writer { tokenizer, side, batch, batched: 0, hash, bytes: Vec::new() })
    }
}

fn read_all(path: &Path) -> anyhow::Result<Vec<u8>> {
    let mut text = Vec::new();
    Input::open(path, true)?.reader.read_to_end(&mut text)?;
    Ok(text)
}

/// Documents on their way to tokens.
struct Writer {
    tokenizer: Tokenizer,
    side: Side,
    /// Documents that are coded next.
    batch: Vec<Vec<u8>>,
    batched: usize,
    hash: blake3::Hasher,
    /// The tokens of all others, as they are stored.
    bytes: Vec<u8>,
}

impl Writer {
    fn add(&mut self, document: &[u8]) -> anyhow::Result<()> {
        self.hash.update(document);
        self.side.raw_bytes += document.len() as u64;
        self.batch.push(document.to_vec());
        self.batched += document.len();
        if self.batched >= BATCH { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> anyhow::Result<()> {
        self.batched = 0;
        let documents: Vec<&[u8]> = self.batch.iter().map(Vec::as_slice).collect();
        let width = self.side.width()?;
        for tokens in self.tokenizer.encode_batch(&documents)? {
            let before = self.side.tokens;
            file::put(&tokens, width, &mut self.bytes);
            self.side.tokens += tokens.len() as u64;
            if let Some(end) = self.tokenizer.end_token() {
                file::put(&[end], width, &mut self.bytes);
                self.side.tokens += 1;
            }
            self.side.documents += 1;
            if let Some(list) = &mut self.side.document_tokens {
                list.push(self.side.tokens - before);
            }
        }
        self.batch.clear();
        Ok(())
    }
}
