//! The JSON file beside a file of tokens: the model and all choices, without which tokens mean nothing.

use crate::names::hex;
use anyhow::{Context, bail};
use clap::ValueEnum;
use nzip::tokens::{Choices, Policy, Tokenizer, WindowEnds};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};

/// The version of `formats/tokens.md` that this release writes.
const VERSION: u32 = 1;

/// The state that carries over from window to window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum PolicyName {
    /// Nothing: each window decodes alone
    Reset,
    /// All of the document so far: fewer tokens
    Continue,
}

/// Where windows end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum EndsName {
    /// Between bytes, or between the tokens of an imported model
    Symbol,
    /// Anywhere: fewer tokens
    Bit,
}

/// The content of the file.
#[derive(Debug, Serialize, Deserialize)]
pub struct Side {
    format: String,
    version: u32,
    /// The model's name, if it is built in.
    pub model: Option<String>,
    /// The hash of its weights.
    pub model_hash: String,
    pub window_bits: u32,
    pub token_bits: u32,
    pub policy: PolicyName,
    pub ends: EndsName,
    pub adaptive: bool,
    pub special: u32,
    pub vocab_size: u32,
    pub end_token: Option<u32>,
    /// `u2` or `u4`, as numpy calls them, little-endian.
    pub dtype: String,
    pub tokens: u64,
    pub documents: u64,
    /// The tokens of each document, where no token ends documents.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub document_tokens: Option<Vec<u64>>,
    pub raw_bytes: u64,
    /// BLAKE3 of all documents, one after the other.
    pub raw_hash: String,
}

impl Side {
    /// Describes a run before anything has been coded.
    pub fn new(
        tokenizer: &Tokenizer,
        model: Option<&str>,
        names: (PolicyName, EndsName),
        choices: &Given,
    ) -> Self {
        let vocab_size = tokenizer.vocab_size();
        Self {
            format: "nzip tokens".into(),
            version: VERSION,
            model: model.map(Into::into),
            model_hash: hex(tokenizer.model()),
            window_bits: choices.window_bits,
            token_bits: choices.token_bits,
            policy: names.0,
            ends: names.1,
            adaptive: choices.adaptive,
            special: choices.special,
            vocab_size,
            end_token: tokenizer.end_token(),
            dtype: if vocab_size <= 1 << 16 { "u2" } else { "u4" }.into(),
            tokens: 0,
            documents: 0,
            document_tokens: tokenizer.end_token().is_none().then(Vec::new),
            raw_bytes: 0,
            raw_hash: String::new(),
        }
    }

    /// Reads the file beside `tokens`, or `side`.
    pub fn read(tokens: &Path, side: Option<&Path>) -> anyhow::Result<Self> {
        let path = side.map_or_else(|| beside(tokens), Path::to_path_buf);
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let side: Self = serde_json::from_str(&text).with_context(|| path.display().to_string())?;
        if side.format != "nzip tokens" {
            bail!("{}: does not describe tokens", path.display());
        }
        if side.version > VERSION {
            bail!("{}: needs a newer nzip (version {} of tokens)", path.display(), side.version);
        }
        Ok(side)
    }

    /// The choices for the library.
    pub fn choices(&self) -> Choices {
        let given = Given {
            window_bits: self.window_bits,
            token_bits: self.token_bits,
            adaptive: self.adaptive,
            special: self.special,
        };
        given.choices(self.policy, self.ends)
    }

    /// The width of a token in bytes.
    pub fn width(&self) -> anyhow::Result<usize> {
        match self.dtype.as_str() {
            "u2" => Ok(2),
            "u4" => Ok(4),
            other => bail!("tokens of type {other:?}; u2 and u4 are known"),
        }
    }

    /// The text of the file.
    pub fn to_json(&self) -> anyhow::Result<String> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }
}

/// The name of the file beside a file of tokens.
pub fn beside(tokens: &Path) -> PathBuf {
    let mut name = tokens.as_os_str().to_os_string();
    name.push(".json");
    name.into()
}

/// The choices that are numbers.
#[derive(Debug, Clone, Copy)]
pub struct Given {
    pub window_bits: u32,
    pub token_bits: u32,
    pub adaptive: bool,
    pub special: u32,
}

impl Given {
    /// The choices for the library.
    pub fn choices(self, policy: PolicyName, ends: EndsName) -> Choices {
        let policy = match policy {
            PolicyName::Reset => Policy::Reset,
            PolicyName::Continue => Policy::Continue,
        };
        let ends = match ends {
            EndsName::Symbol => WindowEnds::Symbol,
            EndsName::Bit => WindowEnds::Bit,
        };
        let choices = Choices::new().window_bits(self.window_bits).token_bits(self.token_bits);
        choices.policy(policy).ends(ends).adaptive(self.adaptive).special(self.special)
    }
}
