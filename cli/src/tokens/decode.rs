//! `nzip tokens decode`.

use super::file;
use super::side::Side;
use crate::files::{is_dash, label};
use crate::identity::Identity;
use crate::input::Input;
use crate::names;
use crate::output::{Making, Output};
use crate::resources::Resources;
use anyhow::{Context, bail, ensure};
use clap::Args;
use nzip::tokens::Tokenizer;
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

/// Documents are decoded together until they have so many tokens.
const BATCH: usize = 4 << 20;

#[derive(Debug, Args)]
pub struct DecodeArguments {
    /// File of tokens; - is standard input, with --side
    #[arg(value_name = "TOKENS")]
    file: PathBuf,
    /// File of choices instead of TOKENS.json
    #[arg(long, value_name = "FILE")]
    side: Option<PathBuf>,
    /// File to write all documents to, one after the other [default: standard output]
    #[arg(short, long, value_name = "OUT", conflicts_with = "folder")]
    output: Option<PathBuf>,
    /// Folder to write each document to, as a file of its number
    #[arg(long, value_name = "FOLDER")]
    folder: Option<PathBuf>,
    /// Decode tokens that a model has made: do not compare the text with what was encoded
    #[arg(long)]
    any: bool,
    /// Overwrite files
    #[arg(short, long)]
    force: bool,
    #[command(flatten)]
    resources: Resources,
}

impl DecodeArguments {
    /// Writes the text.
    pub fn run(self) -> anyhow::Result<()> {
        let side = Side::read(&self.file, self.side.as_deref())?;
        let tokens = read_tokens(&self.file, &side)?;
        let mut loaded = self.resources.load()?;
        let hash = names::resolve(&mut loaded.models, &side.model_hash)?;
        let tokenizer = Tokenizer::with_hash(&loaded.models, &hash, side.choices())?;
        let tokenizer = match self.resources.memory {
            Some(memory) => tokenizer.memory(memory.0),
            None => tokenizer,
        };
        let documents = documents(&tokenizer, &side, &tokens)?;
        let mut place = self.place()?;
        let (mut hash, mut number, mut at) = (blake3::Hasher::new(), 0, 0);
        while at < documents.len() {
            let mut end = at + 1;
            let mut size = documents[at].len();
            while end < documents.len() && size + documents[end].len() <= BATCH {
                size += documents[end].len();
                end += 1;
            }
            for raw in tokenizer.decode_batch(&documents[at..end])? {
                hash.update(&raw);
                place.put(&raw, number)?;
                number += 1;
            }
            at = end;
        }
        if !self.any && hash.finalize().to_hex().as_str() != side.raw_hash {
            bail!(
                "{}: the text differs from what was encoded (--any decodes other tokens)",
                label(&self.file)
            );
        }
        place.finish()
    }

    fn place(&self) -> anyhow::Result<Place> {
        let mut read = self.resources.files();
        read.extend(Identity::of(&self.file));
        let making = Making { force: self.force, read: &read, ..Making::default() };
        Ok(match (&self.folder, &self.output) {
            (Some(folder), _) => {
                fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
                Place::Folder(folder.clone(), self.force)
            }
            (None, Some(path)) if !is_dash(path) => Place::File(Output::made(path, &making)?),
            _ => Place::File(Output::stdout(false)?),
        })
    }
}

/// Where text goes.
enum Place {
    File(Output),
    Folder(PathBuf, bool),
}

impl Place {
    fn put(&mut self, raw: &[u8], number: usize) -> anyhow::Result<()> {
        match self {
            Self::File(out) => Ok(out.write_all(raw)?),
            Self::Folder(folder, force) => {
                let mut out = Output::file(&folder.join(format!("{number:08}")), *force)?;
                out.write_all(raw)?;
                out.finish(None, false)
            }
        }
    }

    fn finish(self) -> anyhow::Result<()> {
        match self {
            Self::File(out) => out.finish(None, false),
            Self::Folder(..) => Ok(()),
        }
    }
}

/// The tokens of a file.
pub fn read_tokens(path: &Path, side: &Side) -> anyhow::Result<Vec<u32>> {
    let mut bytes = Vec::new();
    Input::open(path, true)?.reader.read_to_end(&mut bytes).with_context(|| label(path))?;
    file::parse(&bytes, side.width()?).with_context(|| label(path))
}

/// The documents: as tokens end them, or as the file of choices lists them.
pub fn documents<'t>(
    tokenizer: &Tokenizer,
    side: &Side,
    tokens: &'t [u32],
) -> anyhow::Result<Vec<&'t [u32]>> {
    let Some(list) = &side.document_tokens else { return Ok(tokenizer.documents(tokens)) };
    let (mut out, mut rest) = (Vec::new(), tokens);
    for &len in list {
        let len = usize::try_from(len)?;
        let (document, after) =
            rest.split_at_checked(len).context("fewer tokens than the documents listed have")?;
        out.push(document);
        rest = after;
    }
    ensure!(rest.is_empty(), "{} tokens more than the documents listed have", rest.len());
    Ok(out)
}
