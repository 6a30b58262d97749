//! Texts that tell which errors of a model's weights are felt: the model is run on them in floats, and what goes into each
//! product and comes back to it is gathered.

mod attention;
mod bert;
mod compensate;
mod factor;
mod functions;
mod letters;
mod levels;
mod moments;
mod product;
mod random;
mod seen;
mod sentences;
mod tape;
mod wordpiece;

pub mod embeddings;
pub mod solve;

use crate::checkpoint::Checkpoint;
use crate::{bad_argument, values};
use bert::Bert;
use nzip::Result;
use product::Matrix;
use tape::{Node, Parameters, Tape};

/// Files that lie beside a model and tell what its tensors do not.
#[derive(Debug, Clone, Default)]
pub struct Companions {
    /// `vocab.txt` or `tokenizer.json`.
    pub vocabulary: Option<Vec<u8>>,
    /// `config.json`.
    pub config: Option<Vec<u8>>,
}

/// A network that is known.
enum Network {
    Bert(Bert),
}

impl Network {
    /// Recognises a network by the names of its tensors.
    fn new(parameters: &Parameters, companions: &Companions) -> Result<Self> {
        let vocabulary = companions.vocabulary.as_deref();
        if Bert::is_likely(parameters) {
            let vocabulary = vocabulary.ok_or_else(|| {
                bad_argument("a sentence encoder needs vocab.txt or tokenizer.json beside it")
            })?;
            return Ok(Self::Bert(Bert::new(parameters, vocabulary, companions.config.as_deref())?));
        }
        let name = parameters.names.first().map_or("no tensors", |n| n);
        Err(bad_argument(format!(
            "the model is neither a sentence encoder of BERT's kind nor of the Llama family (it has {name:?}), so that texts cannot be run through it"
        )))
    }

    /// Texts as sequences of tokens.
    fn encode(&self, texts: &[impl AsRef<[u8]>]) -> Vec<Vec<u32>> {
        match self {
            Self::Bert(bert) => {
                let sentences = texts.iter().flat_map(|t| sentences::sentences(t.as_ref()));
                sentences.map(|s| bert.encode(&s)).filter(|ids| ids.len() > 2).collect()
            }
        }
    }

    fn forward(&self, tape: &mut Tape<'_>, sequences: &[Vec<u32>]) -> Node {
        match self {
            Self::Bert(bert) => bert.forward(tape, sequences),
        }
    }
}

/// The tensors of a checkpoint that are floats of at most two dimensions.
fn parameters(checkpoint: &Checkpoint<'_>) -> Parameters {
    let usable =
        checkpoint.tensors().iter().filter(|t| values::is_float(t.dtype) && matches!(t.shape.len(), 1 | 2));
    Parameters::new(usable.map(|t| {
        let size = |i: usize| t.shape[i] as usize;
        let (rows, columns) = if t.shape.len() == 2 { (size(0), size(1)) } else { (1, size(0)) };
        (t.name.clone(), Matrix { rows, columns, values: values::read(t.dtype, checkpoint.bytes(t)) })
    }))
}

/// Cuts sequences into batches of at most `most` tokens, or of one sequence.
fn batches(sequences: &[Vec<u32>], most: usize) -> Vec<&[Vec<u32>]> {
    let (mut out, mut start, mut sum) = (Vec::new(), 0, 0);
    for (i, s) in sequences.iter().enumerate() {
        if sum > 0 && sum + s.len() > most {
            out.push(&sequences[start..i]);
            (start, sum) = (i, 0);
        }
        sum += s.len();
    }
    if start < sequences.len() {
        out.push(&sequences[start..]);
    }
    out
}
