//! Text as tokens of equal information, for those who train language models on compressed text
//! (`formats/tokens.md`).
//!
//! A model that ships or was imported compresses text into windows of a few bits each, and the windows are
//! the tokens: each says about as much as any other, and any sequence of tokens is some text. The idea is
//! that of Lester et al., "Training LLMs over Neurally Compressed Text" (2024).
//!
//! ```
//! use nzip::Models;
//! use nzip::tokens::{Choices, Tokenizer};
//! # if Models::new().list().iter().all(|m| m.stored_len.is_none()) { return Ok(()) }
//! let tokenizer = Tokenizer::new(&mut Models::new(), "tiny", Choices::new())?;
//! let tokens = tokenizer.encode(b"The quick brown fox jumps over the lazy dog.")?;
//! assert!(tokens.len() < 22);
//! assert_eq!(tokenizer.decode(&tokens)?, b"The quick brown fox jumps over the lazy dog.");
//! # Ok::<(), nzip::Error>(())
//! ```

mod anew;
mod choices;
mod document;
mod llm;
mod lm;
mod writer;

pub use choices::{Choices, Policy, WindowEnds};

use crate::codec::Codec;
use crate::error::{Error, Result};
use crate::model;
use crate::models::Models;
use document::{Budget, check, put_tokens};
use std::sync::Arc;

/// The memory in bytes that models, their states and decoded text may take by default.
const MEMORY: u64 = 1 << 30;

/// The model of a tokenizer.
enum Model {
    /// A byte-level model.
    Lm(Arc<model::lm::Model>),
    /// An imported model.
    Llm(Box<model::llm::Model>),
}

/// Turns text into tokens and back. The same model and choices give the same tokens on every machine.
pub struct Tokenizer {
    model: Model,
    hash: [u8; 32],
    choices: Choices,
    memory: u64,
}

impl std::fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let hash = crate::format::checksum::hex(&self.hash);
        f.debug_struct("Tokenizer").field("model", &hash).field("choices", &self.choices).finish()
    }
}

impl Tokenizer {
    /// A tokenizer of a model, given by name, file or hash as to [`Models::resolve`].
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::BadArgument`] for choices out of range, and for a model that does not fit them; those of
    /// finding and loading the model.
    pub fn new(models: &mut Models, model: &str, choices: Choices) -> Result<Self> {
        let hash = models.resolve(model)?;
        Self::with_hash(models, &hash, choices)
    }

    /// A tokenizer of the model with this hash.
    ///
    /// # Errors
    ///
    /// Those of [`Tokenizer::new`].
    pub fn with_hash(models: &Models, hash: &[u8; 32], choices: Choices) -> Result<Self> {
        choices.check()?;
        let model = match models.codec(hash)? {
            Codec::Lm => {
                let network = models.load(Codec::Lm, hash, MEMORY)?.network;
                Model::Lm(network.ok_or_else(|| Error::bad_argument("tokens: the model has no network"))?)
            }
            Codec::Llm => Model::Llm(Box::new(load_llm(models, hash)?)),
            other => {
                let name = other.name();
                return Err(Error::bad_argument(format!(
                    "tokens: a model of {name}; a language model is needed"
                )));
            }
        };
        let new = Self { model, hash: *hash, choices, memory: MEMORY };
        new.check()?;
        Ok(new)
    }

    /// Refuses choices that do not fit the model.
    fn check(&self) -> Result<()> {
        let Model::Llm(model) = &self.model else { return Ok(()) };
        if self.choices.adaptive {
            return Err(Error::bad_argument("tokens: imported models do not learn; leave adaptive out"));
        }
        let (symbols, bits) = (llm::Symbols::new(model).row().len, self.choices.window_bits);
        if self.choices.ends == WindowEnds::Symbol && bits < 32 && symbols >= 1 << bits {
            return Err(Error::bad_argument(format!(
                "tokens: windows of {bits} bits that end between the model's {symbols} symbols do not have a value for \
                 each of them; make them longer, or let them end anywhere"
            )));
        }
        Ok(())
    }

    /// The same tokenizer, which may take so many bytes of memory for states and decoded text; 1 GiB by default.
    pub fn memory(self, memory: u64) -> Self {
        Self { memory, ..self }
    }

    /// BLAKE3 of the model's weights.
    pub fn model(&self) -> &[u8; 32] {
        &self.hash
    }

    /// The choices that this was made with.
    pub fn choices(&self) -> &Choices {
        &self.choices
    }

    /// The number of different tokens, special ones included.
    pub fn vocab_size(&self) -> u32 {
        self.choices.vocab_size()
    }

    /// The token that ends documents, the first special one.
    pub fn end_token(&self) -> Option<u32> {
        (self.choices.special > 0).then(|| self.choices.first_special())
    }

    /// The tokens of a document, whole windows of them, without a special one.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::LimitExceeded`] where memory is missing.
    pub fn encode(&self, document: &[u8]) -> Result<Vec<u32>> {
        Ok(self.encode_batch(&[document])?.pop().unwrap_or_default())
    }

    /// The tokens of several documents, which are coded side by side.
    ///
    /// # Errors
    ///
    /// Those of [`Tokenizer::encode`].
    pub fn encode_batch(&self, documents: &[&[u8]]) -> Result<Vec<Vec<u32>>> {
        let values = match &self.model {
            Model::Lm(model) => {
                let lanes = self.lanes(model)?;
                match self.choices.policy {
                    Policy::Reset => anew::encode(model, &self.choices, documents, lanes)?,
                    Policy::Continue => lm::encode(model, &self.choices, documents)?,
                }
            }
            Model::Llm(model) => {
                self.llm_lanes(model)?;
                llm::encode(&llm::Symbols::new(model), &self.choices, documents)?
            }
        };
        let tokens = |values: Vec<crate::coder::Wide>| {
            let mut tokens = Vec::with_capacity(values.len() * self.choices.tokens_per_window());
            values.into_iter().for_each(|value| put_tokens(value, &self.choices, &mut tokens));
            tokens
        };
        Ok(values.into_iter().map(tokens).collect())
    }

    /// The text of a document's tokens. Any sequence of windows is the text of some document, and where it ends
    /// inside of a symbol, that symbol is left out.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::Corrupt`] for special tokens, tokens that are not in the vocabulary, and windows that
    /// are not whole; [`crate::ErrorKind::LimitExceeded`] where memory is missing.
    pub fn decode(&self, tokens: &[u32]) -> Result<Vec<u8>> {
        Ok(self.decode_batch(&[tokens])?.pop().unwrap_or_default())
    }

    /// The texts of several documents, which are decoded side by side.
    ///
    /// # Errors
    ///
    /// Those of [`Tokenizer::decode`].
    pub fn decode_batch(&self, documents: &[&[u32]]) -> Result<Vec<Vec<u8>>> {
        documents.iter().try_for_each(|tokens| check(tokens, &self.choices))?;
        let budget = Budget::new(self.memory);
        match &self.model {
            Model::Lm(model) => lm::decode(model, &self.choices, documents, self.lanes(model)?, &budget),
            Model::Llm(model) => {
                let lanes = self.llm_lanes(model)?;
                llm::decode(&llm::Symbols::new(model), &self.choices, documents, lanes, &budget)
            }
        }
    }

    /// The documents of a token sequence: what is between the tokens that end documents. The last one may lack
    /// its end; nothing after the last end is no document.
    pub fn documents<'t>(&self, tokens: &'t [u32]) -> Vec<&'t [u32]> {
        let Some(end) = self.end_token() else { return vec![tokens] };
        let mut documents: Vec<&[u32]> = tokens.split(|&t| t == end).collect();
        if documents.last().is_some_and(|d| d.is_empty()) {
            documents.pop();
        }
        documents
    }

    /// The number of documents of a thread that memory allows.
    fn lanes(&self, model: &model::lm::Model) -> Result<usize> {
        self.most_lanes(0, lm::lane_memory(model, &self.choices))
    }

    fn llm_lanes(&self, model: &model::llm::Model) -> Result<usize> {
        let (fixed, lane) = llm::memory(model);
        self.most_lanes(fixed, lane)
    }

    fn most_lanes(&self, fixed: u64, lane: u64) -> Result<usize> {
        let thread = self.memory / rayon::current_num_threads() as u64;
        match (thread.saturating_sub(fixed) / lane.max(1)) as usize {
            0 => {
                let (need, memory) = (fixed + lane, self.memory);
                Err(Error::limit(format!(
                    "tokens: {need} bytes a thread; the memory cap of {memory} leaves {thread}"
                )))
            }
            lanes => Ok(lanes),
        }
    }
}

/// Loads an imported model.
fn load_llm(models: &Models, hash: &[u8; 32]) -> Result<model::llm::Model> {
    let weights = models.find(hash)?;
    let need = Codec::Llm.object().model_memory(&weights).loading + weights.len() as u64;
    if need > 4 * MEMORY {
        return Err(Error::limit(format!(
            "tokens: loading the model takes {need} bytes, more than {}",
            4 * MEMORY
        )));
    }
    model::llm::Model::new(model::llm::Weights::from_bytes(&weights)?)
}

#[cfg(test)]
mod tests;
