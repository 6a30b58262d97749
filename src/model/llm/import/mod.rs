//! Imports models from files of other programs into the canonical weight file.
//!
//! Floating point is only used here, and only as IEEE additions, multiplications, divisions and roundings of
//! doubles in a fixed order: the same source gives the same bytes on every machine.

mod config;
mod quantize;
mod rows;
mod vocabulary;

use super::weights::{Layer, Matrix, Scale, Shape, Weights};
use crate::error::{Error, ErrorKind, Result};
use crate::tensor::gguf::Gguf;
use crate::tensor::{Layout, TensorInfo};
use config::Config;
use quantize::{gains, int8_rows, rope_table, scale_of};

/// The most tokens of a window, unless the caller or the model says otherwise.
pub const DEFAULT_CONTEXT: usize = 2048;
/// log2(e) and ln(2).
const LOG2_E: f64 = std::f64::consts::LOG2_E;
const LN_2: f64 = std::f64::consts::LN_2;

/// Converts a GGUF file.
///
/// # Errors
/// Those of the file's parser; `NewerVersion` for another architecture or an unknown quantisation; `Corrupt`
/// where tensors are missing or have other shapes than the metadata say, or the tokenizer contradicts itself.
pub fn from_gguf(file: &[u8], context: Option<usize>) -> Result<Weights> {
    let gguf = Gguf::read(file)?;
    let config = Config::from_gguf(&gguf)?;
    let vocabulary = vocabulary::from_gguf(&gguf)?;
    let source = Source { file, layout: &gguf.layout, huggingface: false };
    build(&source, &config, vocabulary, context)
}

/// Converts a safetensors file with its `config.json` and `tokenizer.json`.
///
/// # Errors
/// See [`from_gguf`].
pub fn from_safetensors(
    file: &[u8],
    config: &[u8],
    tokenizer: &[u8],
    context: Option<usize>,
) -> Result<Weights> {
    let layout = Layout::read(file)?;
    let config = Config::from_json(config)?;
    let vocabulary = vocabulary::from_json(tokenizer, config.vocab, config.start)?;
    let source = Source { file, layout: &layout, huggingface: true };
    build(&source, &config, vocabulary, context)
}

/// The tensors of a file.
struct Source<'a> {
    file: &'a [u8],
    layout: &'a Layout,
    /// Whether names and the order of rows follow Hugging Face's files; otherwise they follow GGUF.
    huggingface: bool,
}

/// The name of a tensor in GGUF and in Hugging Face's files, without the layer.
type Name = (&'static str, &'static str);

const ATTENTION_NORM: Name = ("attn_norm", "input_layernorm");
const QUERY: Name = ("attn_q", "self_attn.q_proj");
const KEY: Name = ("attn_k", "self_attn.k_proj");
const VALUE: Name = ("attn_v", "self_attn.v_proj");
const OUTPUT: Name = ("attn_output", "self_attn.o_proj");
const HIDDEN_NORM: Name = ("ffn_norm", "post_attention_layernorm");
const GATE: Name = ("ffn_gate", "mlp.gate_proj");
const UP: Name = ("ffn_up", "mlp.up_proj");
const DOWN: Name = ("ffn_down", "mlp.down_proj");
/// The names of tensors outside of layers.
const EMBEDDING: Name = ("token_embd", "embed_tokens");
const FINAL_NORM: Name = ("output_norm", "norm");
const ROPE_FACTORS: &str = "rope_freqs.weight";

impl<'a> Source<'a> {
    /// The full name of a tensor.
    fn name(&self, layer: Option<usize>, name: Name) -> String {
        match (self.huggingface, layer) {
            (true, Some(n)) => format!("model.layers.{n}.{}.weight", name.1),
            (true, None) => format!("model.{}.weight", name.1),
            (false, Some(n)) => format!("blk.{n}.{}.weight", name.0),
            (false, None) => format!("{}.weight", name.0),
        }
    }

    /// Finds a tensor of this shape and its bytes.
    fn tensor(&self, name: &str, shape: &[usize]) -> Result<(&'a TensorInfo, &'a [u8])> {
        let missing = || Error::corrupt(format!("tensor {name:?} is missing"));
        let info = self.layout.find(name).ok_or_else(missing)?;
        if !info.shape.iter().copied().eq(shape.iter().map(|&n| n as u64)) {
            let found = &info.shape;
            return Err(Error::corrupt(format!(
                "tensor {name:?}: shape {shape:?} expected, {found:?} found"
            )));
        }
        let bytes = self.file.get(info.start as usize..info.end() as usize);
        Ok((info, bytes.ok_or_else(missing)?))
    }

    /// The elements of a vector.
    fn vector(&self, name: &str, len: usize) -> Result<Vec<f64>> {
        let (info, bytes) = self.tensor(name, &[len])?;
        rows::row(info.dtype, bytes, len).map_err(|e| e.within(name))
    }

    /// The rows of a matrix as int8, and for each row the factor by which its weights are to be multiplied.
    /// `head` is the width of heads whose rows are rearranged into pairs that rotate together: Hugging Face's
    /// files keep the two halves of a head apart.
    fn matrix(
        &self,
        name: &str,
        rows: usize,
        cols: usize,
        head: Option<usize>,
    ) -> Result<(Vec<i8>, Vec<f64>)> {
        let (info, bytes) = self.tensor(name, &[rows, cols])?;
        let len = bytes.len() / rows;
        let order = |r: usize| match head.filter(|_| self.huggingface) {
            Some(h) => r / h * h + r % h / 2 + r % 2 * (h / 2),
            None => r,
        };
        int8_rows(rows, cols, |r| rows::row(info.dtype, &bytes[order(r) * len..][..len], cols))
            .map_err(|e| e.within(name))
    }

    /// Reads a layer.
    fn layer(&self, n: usize, s: &Shape) -> Result<Layer> {
        let (d, q, kv) = (s.width, s.heads * s.head, s.kv_heads * s.head);
        // The factors between number formats; `formats/llm.md` lists them.
        let matrix = |name, rows, cols, head: Option<usize>, factor: f64| -> Result<Matrix> {
            let name = self.name(Some(n), name);
            let (weights, scales) = self.matrix(&name, rows, cols, head)?;
            let scale = scale_of(&scales, factor).map_err(|e| e.within(&name))?;
            Ok(Matrix { rows, cols, scale, weights })
        };
        let norm = |name| gains(&self.vector(&self.name(Some(n), name), d)?);
        let of_query = 256.0 * LOG2_E / (127.0 * (s.head as f64).sqrt());
        Ok(Layer {
            attention_norm: norm(ATTENTION_NORM)?,
            query: matrix(QUERY, q, d, Some(s.head), of_query)?,
            key: matrix(KEY, kv, d, Some(s.head), 1.0 / 16.0)?,
            value: matrix(VALUE, kv, d, None, 1.0 / 16.0)?,
            output: matrix(OUTPUT, d, q, None, 1.0)?,
            hidden_norm: norm(HIDDEN_NORM)?,
            gate: matrix(GATE, s.hidden, d, None, LOG2_E / 16.0)?,
            up: matrix(UP, s.hidden, d, None, 1.0 / 16.0)?,
            down: matrix(DOWN, d, s.hidden, None, LN_2 / 4.0)?,
        })
    }
}

/// Reads all tensors.
fn build(
    source: &Source<'_>,
    config: &Config,
    vocabulary: vocabulary::Vocabulary,
    context: Option<usize>,
) -> Result<Weights> {
    let vocab = vocabulary.tokenizer.vocab();
    if config.vocab != 0 && config.vocab != vocab {
        let declared = config.vocab;
        return Err(Error::corrupt(format!(
            "a vocabulary of {declared} tokens is declared, {vocab} are there"
        )));
    }
    let most = config.context.min(16384);
    let context = context.unwrap_or(DEFAULT_CONTEXT.min(most));
    if !(2..=most).contains(&context) {
        return Err(Error::bad_argument(format!("context: 2..={most} expected, {context} given")));
    }
    let shape = Shape { vocab, context, start: vocabulary.start, ..config.shape };
    // The limits of the weight file are checked before any tensor is touched.
    shape.check_limits()?;
    let name = source.name(None, EMBEDDING);
    let (weights, scales) = source.matrix(&name, vocab, shape.width, None)?;
    let scale = scale_of(&scales, 1.0)?;
    let embedding = Matrix { rows: vocab, cols: shape.width, scale, weights };
    let layers = (0..shape.layers).map(|n| source.layer(n, &shape)).collect::<Result<_>>()?;
    let final_norm = gains(&source.vector(&source.name(None, FINAL_NORM), shape.width)?)?;
    let name = if source.huggingface { "lm_head.weight" } else { "output.weight" };
    let (head, scales) = match source.layout.find(name).filter(|_| !config.tied) {
        Some(_) => {
            let (weights, scales) = source.matrix(name, vocab, shape.width, None)?;
            (Some(weights), scales)
        }
        None => (None, scales),
    };
    let head_scale: Scale = scale_of(&scales, LOG2_E / 256.0)?;
    let rope = rope_table(&shape, config, source)?;
    let epsilon = (config.epsilon * 4_294_967_296.0).round().clamp(0.0, f64::from(u32::MAX)) as u32;
    let tokenizer = vocabulary.tokenizer;
    let new = Weights { shape, epsilon, embedding, layers, final_norm, head_scale, head, rope, tokenizer };
    // Weights that could not be run are not written either.
    new.head_bits()?;
    new.layers.iter().try_for_each(|l| l.bits().map(drop))?;
    Ok(new)
}

/// The error for things that a later version may know.
fn newer(what: String) -> Error {
    Error::new(ErrorKind::NewerVersion, format!("needs a newer nzip ({what})"))
}
