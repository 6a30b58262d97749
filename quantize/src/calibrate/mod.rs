//! Texts that tell which errors of a model's weights are felt: the model is run on them in floats, and what goes into each
//! product and comes back to it is gathered.

mod attention;
mod bert;
mod compensate;
mod factor;
mod functions;
mod letters;
mod levels;
mod llama;
mod moments;
mod random;
mod seen;
mod sentences;
mod tape;
mod wordpiece;

pub mod embeddings;
pub mod product;
pub mod solve;

use crate::checkpoint::Checkpoint;
use crate::{bad_argument, values};
use bert::Bert;
use llama::Llama;
use nzip::Result;
use product::Matrix;
use random::Random;
use tape::{Node, Parameters, Tape};

/// Files that lie beside a model and tell what its tensors do not.
#[derive(Debug, Clone, Default)]
pub struct Companions {
    /// `vocab.txt`.
    pub vocabulary: Option<Vec<u8>>,
    /// `tokenizer.json`.
    pub tokenizer: Option<Vec<u8>>,
    /// `config.json`.
    pub config: Option<Vec<u8>>,
}

/// The weights of a tensor's errors: the squared error of the model's outputs is about the sum of all e²·(row·column)².
pub struct Weights {
    pub rows: Vec<f64>,
    pub columns: Vec<f64>,
}

/// A network that is known.
enum Network {
    Bert(Bert),
    Llama(Box<Llama>),
}

impl Network {
    /// Recognises a network by the names of its tensors.
    fn new(checkpoint: &Checkpoint<'_>, parameters: &Parameters, companions: &Companions) -> Result<Self> {
        let names = || parameters.names.iter().map(|n| &n[..]);
        let needed = |file: &'static str| bad_argument(format!("the model needs {file} beside it"));
        if Bert::is_likely(names()) {
            let vocabulary = companions.vocabulary.as_ref().or(companions.tokenizer.as_ref());
            let vocabulary = vocabulary.ok_or_else(|| needed("vocab.txt or tokenizer.json"))?;
            return Ok(Self::Bert(Bert::new(parameters, vocabulary, companions.config.as_deref())?));
        }
        if Llama::is_likely(names()) {
            let config = companions.config.as_ref().ok_or_else(|| needed("config.json"))?;
            let tokenizer = companions.tokenizer.as_ref().ok_or_else(|| needed("tokenizer.json"))?;
            return Ok(Self::Llama(Box::new(Llama::new(parameters, checkpoint.file(), config, tokenizer)?)));
        }
        let name = names().next().unwrap_or("no floats");
        Err(bad_argument(format!(
            "no sentence encoder of BERT's kind, and no Llama: texts cannot be run through this model ({name})"
        )))
    }

    /// Texts as sequences of tokens.
    fn encode(&self, texts: &[impl AsRef<[u8]>]) -> Vec<Vec<u32>> {
        match self {
            Self::Bert(bert) => {
                let sentences = texts.iter().flat_map(|t| sentences::sentences(t.as_ref()));
                sentences.map(|s| bert.encode(&s)).filter(|ids| ids.len() > 2).collect()
            }
            Self::Llama(llama) => llama.encode(texts),
        }
    }

    /// The number of the table of tokens.
    fn words(&self) -> usize {
        match self {
            Self::Bert(bert) => bert.words,
            Self::Llama(llama) => llama.words,
        }
    }

    fn forward(&self, tape: &mut Tape<'_>, sequences: &[Vec<u32>]) -> Node {
        match self {
            Self::Bert(bert) => bert.forward(tape, sequences),
            Self::Llama(llama) => llama.forward(tape, sequences),
        }
    }

    /// Errors of the outputs that, followed back, tell how the outputs depend on everything before them.
    fn errors(&self, outputs: &Matrix, random: &mut Random) -> Matrix {
        match self {
            Self::Bert(_) => {
                let mut errors = outputs.clone();
                errors.values.iter_mut().for_each(|e| *e = random.sign());
                errors
            }
            Self::Llama(_) => Llama::errors(outputs, random),
        }
    }
}

/// The tensors of a checkpoint that are floats of at most two dimensions. Infinities and NaN count as zero, so that they do
/// not spread.
fn parameters(checkpoint: &Checkpoint<'_>) -> Parameters {
    let usable =
        checkpoint.tensors().iter().filter(|t| values::is_float(t.dtype) && matches!(t.shape.len(), 1 | 2));
    Parameters::new(usable.map(|t| {
        let size = |i: usize| t.shape[i] as usize;
        let (rows, columns) = if t.shape.len() == 2 { (size(0), size(1)) } else { (1, size(0)) };
        let mut values = values::read(t.dtype, checkpoint.bytes(t));
        values.iter_mut().filter(|v| !v.is_finite()).for_each(|v| *v = 0.0);
        (t.name.clone(), Matrix { rows, columns, values })
    }))
}

/// Whether a safetensors file is a sentence encoder that [`embeddings::embedding_cosines`] can run.
pub fn is_sentence_encoder(file: &[u8]) -> bool {
    Checkpoint::read(file).is_ok_and(|c| Bert::is_likely(c.tensors().iter().map(|t| &t.name[..])))
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
