//! Language models of the Llama family (Touvron et al., "LLaMA", 2023), in safetensors files as Hugging Face names their
//! tensors.

use super::attention::Heads;
use super::product::Matrix;
use super::random::Random;
use super::sentences::spread;
use super::tape::{Node, Parameters, Tape};
use crate::bad_argument;
use nzip::Result;
use nzip::internal::model::llm::{Tokenizer, Weights};
use serde_json::Value;

/// The tokens of a window.
const WINDOW: usize = 256;
/// The most bytes of a piece of text whose tokens are taken, and the most such pieces.
const PIECE: usize = 1 << 16;
const PIECES: usize = 64;
/// The table of tokens, by which models of this kind are known.
const WORDS: &str = "model.embed_tokens.weight";

/// The numbers of a layer's tensors.
struct Layer {
    norm: usize,
    query: usize,
    key: usize,
    value: usize,
    mixed: usize,
    hidden_norm: usize,
    gate: usize,
    up: usize,
    down: usize,
}

/// A language model.
pub struct Llama {
    /// The number of the table of tokens.
    pub words: usize,
    layers: Vec<Layer>,
    norm: usize,
    head: usize,
    heads: Heads,
    epsilon: f32,
    base: f32,
    start: u32,
    window: usize,
    tokenizer: Tokenizer,
}

impl Llama {
    /// Whether tensors of these names are such a model.
    pub fn is_likely<'a>(mut names: impl Iterator<Item = &'a str>) -> bool {
        names.any(|n| n == WORDS)
    }

    /// Finds the tensors of the model in a safetensors file. `config` and `tokenizer` are `config.json` and
    /// `tokenizer.json`.
    ///
    /// # Errors
    /// Those of [`nzip::llm::import_safetensors`], which checks names and shapes.
    pub fn new(parameters: &Parameters, file: &[u8], config: &[u8], tokenizer: &[u8]) -> Result<Self> {
        let weights = Weights::from_bytes(&nzip::llm::import_safetensors(file, config, tokenizer, None)?)?;
        let shape = &weights.shape;
        let find = |name: &str| {
            let missing = || bad_argument(format!("tensor {name:?} is missing"));
            parameters.find(name).ok_or_else(missing)
        };
        let layer = |n: usize| {
            let find = |part: &str| find(&format!("model.layers.{n}.{part}.weight"));
            Ok(Layer {
                norm: find("input_layernorm")?,
                query: find("self_attn.q_proj")?,
                key: find("self_attn.k_proj")?,
                value: find("self_attn.v_proj")?,
                mixed: find("self_attn.o_proj")?,
                hidden_norm: find("post_attention_layernorm")?,
                gate: find("mlp.gate_proj")?,
                up: find("mlp.up_proj")?,
                down: find("mlp.down_proj")?,
            })
        };
        let words = find(WORDS)?;
        let json: Value =
            serde_json::from_slice(config).map_err(|e| bad_argument(format!("config.json: {e}")))?;
        let tied = json["tie_word_embeddings"].as_bool().unwrap_or(false);
        let head = parameters.find("lm_head.weight").filter(|_| !tied).unwrap_or(words);
        let number = |name: &str, usual: f64| json[name].as_f64().unwrap_or(usual) as f32;
        Ok(Self {
            words,
            layers: (0..shape.layers).map(layer).collect::<Result<_>>()?,
            norm: find("model.norm.weight")?,
            head,
            heads: Heads { queries: shape.heads, keys: shape.kv_heads, width: shape.head, causal: true },
            epsilon: number("rms_norm_eps", 1e-5),
            base: number("rope_theta", 10_000.0),
            start: shape.start,
            window: WINDOW.min(shape.context),
            tokenizer: weights.tokenizer,
        })
    }

    /// Texts as windows of tokens, each with the start token before it.
    pub fn encode(&self, texts: &[impl AsRef<[u8]>]) -> Vec<Vec<u32>> {
        let pieces: Vec<&[u8]> = texts.iter().flat_map(|t| t.as_ref().chunks(PIECE)).collect();
        let mut out = Vec::new();
        for piece in spread(&pieces, PIECES) {
            for tokens in self.tokenizer.encode(piece).chunks(self.window - 1) {
                out.push([&[self.start], tokens].concat());
            }
        }
        out
    }

    /// Carries the network out. The result is a row of logits for each token.
    pub fn forward(&self, tape: &mut Tape<'_>, windows: &[Vec<u32>]) -> Node {
        let mut x = tape.rows(self.words, windows.iter().flatten().copied().collect());
        for layer in &self.layers {
            let n = tape.rms_norm(x, layer.norm, self.epsilon);
            let [query, key, value] = [layer.query, layer.key, layer.value].map(|w| tape.linear(n, w, None));
            let [query, key] = [query, key].map(|n| tape.rotated(n, self.heads.width, self.base));
            let mixed = tape.attention(query, key, value, self.heads);
            let mixed = tape.linear(mixed, layer.mixed, None);
            x = tape.sum(x, mixed);
            let n = tape.rms_norm(x, layer.hidden_norm, self.epsilon);
            let (gate, up) = (tape.linear(n, layer.gate, None), tape.linear(n, layer.up, None));
            let hidden = tape.gated(gate, up);
            let down = tape.linear(hidden, layer.down, None);
            x = tape.sum(x, down);
        }
        let n = tape.rms_norm(x, self.norm, self.epsilon);
        tape.linear(n, self.head, None)
    }

    /// Errors of logits whose squares are, on the average, those of the logarithm of probabilities (Fisher information):
    /// the derivative of the cost of a token that is drawn by its probability.
    pub fn errors(logits: &Matrix, random: &mut Random) -> Matrix {
        let mut out = logits.clone();
        for row in out.values.chunks_exact_mut(logits.columns.max(1)) {
            let most = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            row.iter_mut().for_each(|v| *v = (*v - most).exp());
            let sum: f64 = row.iter().map(|v| f64::from(*v)).sum();
            let mut left = f64::from(random.share()) * sum;
            let drawn = row.iter().position(|v| {
                left -= f64::from(*v);
                left < 0.0
            });
            row.iter_mut().for_each(|v| *v = (f64::from(*v) / sum) as f32);
            row[drawn.unwrap_or(0)] -= 1.0;
        }
        out
    }
}
