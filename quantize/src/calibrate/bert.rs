//! Sentence encoders of BERT's kind: the mean of the last layer's tokens, of length 1 (Devlin et al., "BERT", 2018; Reimers
//! and Gurevych, "Sentence-BERT", 2019).

use super::attention::Heads;
use super::tape::{Node, Parameters, Tape};
use super::wordpiece::WordPiece;
use crate::bad_argument;
use nzip::Result;
use serde_json::Value;

/// The most tokens of a sentence.
const LONGEST: usize = 128;
/// The end of the name of the table of tokens, by which models of this kind are known. What stands before it stands before
/// all names.
const WORDS: &str = "embeddings.word_embeddings.weight";

/// The numbers of a weight and its bias.
type Pair = (usize, usize);

/// The numbers of a layer's tensors.
struct Layer {
    query: Pair,
    key: Pair,
    value: Pair,
    mixed: Pair,
    mixed_norm: Pair,
    hidden: Pair,
    output: Pair,
    output_norm: Pair,
}

/// An encoder.
pub struct Bert {
    /// The number of the table of tokens.
    pub words: usize,
    positions: usize,
    types: usize,
    norm: Pair,
    layers: Vec<Layer>,
    heads: Heads,
    epsilon: f32,
    longest: usize,
    tokenizer: WordPiece,
}

impl Bert {
    /// Whether tensors of these names are such a model.
    pub fn is_likely<'a>(mut names: impl Iterator<Item = &'a str>) -> bool {
        names.any(|n| n.ends_with(WORDS))
    }

    /// Finds the tensors of the model. `config` is a `config.json`, which tells the number of heads; without it, heads have
    /// 64 columns, or 32 where the model has 384 (MiniLM).
    ///
    /// # Errors
    /// [`nzip::ErrorKind::BadArgument`] where tensors are missing or have other shapes than BERT's.
    pub fn new(parameters: &Parameters, vocabulary: &[u8], config: Option<&[u8]>) -> Result<Self> {
        let first = parameters.names.iter().find(|n| n.ends_with(WORDS));
        let first = first.ok_or_else(|| bad_argument(format!("no tensor {WORDS}")))?;
        let prefix = &first[..first.len() - WORDS.len()];
        let find = Find { parameters, prefix };
        let words = find.tensor("embeddings.word_embeddings.weight", None, None)?;
        let width = parameters.matrices[words].columns;
        let config: Value = match config {
            Some(text) => {
                serde_json::from_slice(text).map_err(|e| bad_argument(format!("config.json: {e}")))?
            }
            None => Value::Null,
        };
        let heads = config["num_attention_heads"]
            .as_u64()
            .map_or(width / if width == 384 { 32 } else { 64 }, |n| n as usize);
        if heads == 0 || !width.is_multiple_of(heads) {
            return Err(bad_argument(format!("{heads} heads cannot share {width} columns")));
        }
        let act = config["hidden_act"].as_str().unwrap_or("gelu");
        if act != "gelu" {
            return Err(bad_argument(format!("the activation {act:?} is not known")));
        }
        let mut layers = Vec::new();
        while parameters
            .find(&format!("{prefix}encoder.layer.{}.output.dense.weight", layers.len()))
            .is_some()
        {
            layers.push(find.layer(layers.len(), width)?);
        }
        let positions = find.tensor("embeddings.position_embeddings.weight", None, Some(width))?;
        let tokenizer = WordPiece::read(vocabulary)?;
        let (known, rows) = (tokenizer.size(), parameters.matrices[words].rows);
        if known > rows {
            return Err(bad_argument(format!("the vocabulary has {known} tokens, the model {rows}")));
        }
        Ok(Self {
            words,
            positions,
            types: find.tensor("embeddings.token_type_embeddings.weight", None, Some(width))?,
            norm: find.norm("embeddings.LayerNorm", width)?,
            layers,
            heads: Heads { queries: heads, keys: heads, width: width / heads, causal: false },
            epsilon: config["layer_norm_eps"].as_f64().unwrap_or(1e-12) as f32,
            longest: parameters.matrices[positions].rows.min(LONGEST),
            tokenizer,
        })
    }

    /// The tokens of a sentence.
    pub fn encode(&self, sentence: &str) -> Vec<u32> {
        self.tokenizer.encode(sentence, self.longest)
    }

    /// Carries the network out. The result is a row for each sentence.
    pub fn forward(&self, tape: &mut Tape<'_>, sentences: &[Vec<u32>]) -> Node {
        let ids: Vec<u32> = sentences.iter().flatten().copied().collect();
        let places = sentences.iter().flat_map(|s| 0..s.len() as u32).collect();
        let types = vec![0; ids.len()];
        let words = tape.rows(self.words, ids);
        let places = tape.rows(self.positions, places);
        let types = tape.rows(self.types, types);
        let sum = tape.sum(words, places);
        let sum = tape.sum(sum, types);
        let mut x = tape.layer_norm(sum, self.norm.0, self.norm.1, self.epsilon);
        for layer in &self.layers {
            let [query, key, value] =
                [layer.query, layer.key, layer.value].map(|(w, b)| tape.linear(x, w, Some(b)));
            let mixed = tape.attention(query, key, value, self.heads);
            let mixed = tape.linear(mixed, layer.mixed.0, Some(layer.mixed.1));
            let sum = tape.sum(mixed, x);
            x = tape.layer_norm(sum, layer.mixed_norm.0, layer.mixed_norm.1, self.epsilon);
            let hidden = tape.linear(x, layer.hidden.0, Some(layer.hidden.1));
            let hidden = tape.gelu(hidden);
            let output = tape.linear(hidden, layer.output.0, Some(layer.output.1));
            let sum = tape.sum(output, x);
            x = tape.layer_norm(sum, layer.output_norm.0, layer.output_norm.1, self.epsilon);
        }
        let mean = tape.pool(x);
        tape.unit(mean)
    }
}

/// Finds tensors by name.
struct Find<'a> {
    parameters: &'a Parameters,
    prefix: &'a str,
}

impl Find<'_> {
    /// The number of a tensor with that many rows and columns.
    fn tensor(&self, name: &str, rows: Option<usize>, columns: Option<usize>) -> Result<usize> {
        let name = format!("{}{name}", self.prefix);
        let number =
            self.parameters.find(&name).ok_or_else(|| bad_argument(format!("tensor {name:?} is missing")))?;
        let found = &self.parameters.matrices[number];
        let fits = |wanted: Option<usize>, n: usize| n > 0 && wanted.is_none_or(|w| w == n);
        if !fits(rows, found.rows) || !fits(columns, found.columns) {
            let (r, c) = (found.rows, found.columns);
            return Err(bad_argument(format!(
                "tensor {name:?} has {r} × {c} values, which does not fit the others"
            )));
        }
        Ok(number)
    }

    /// A weight and its bias.
    fn pair(&self, name: &str, rows: Option<usize>, columns: usize) -> Result<Pair> {
        let weight = self.tensor(&format!("{name}.weight"), rows, Some(columns))?;
        let rows = self.parameters.matrices[weight].rows;
        Ok((weight, self.tensor(&format!("{name}.bias"), Some(1), Some(rows))?))
    }

    fn norm(&self, name: &str, width: usize) -> Result<Pair> {
        let vector = |part: &str| self.tensor(&format!("{name}.{part}"), Some(1), Some(width));
        Ok((vector("weight")?, vector("bias")?))
    }

    fn layer(&self, number: usize, width: usize) -> Result<Layer> {
        let name = |part: &str| format!("encoder.layer.{number}.{part}");
        let square = |part: &str| self.pair(&name(part), Some(width), width);
        let hidden = self.pair(&name("intermediate.dense"), None, width)?;
        Ok(Layer {
            query: square("attention.self.query")?,
            key: square("attention.self.key")?,
            value: square("attention.self.value")?,
            mixed: square("attention.output.dense")?,
            mixed_norm: self.norm(&name("attention.output.LayerNorm"), width)?,
            hidden,
            output: self.pair(&name("output.dense"), Some(width), self.parameters.matrices[hidden.0].rows)?,
            output_norm: self.norm(&name("output.LayerNorm"), width)?,
        })
    }
}
