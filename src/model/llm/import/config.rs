//! The parameters of a network, from the metadata of a GGUF file or from `config.json`.

use super::super::weights::Shape;
use super::newer;
use crate::error::{Error, Result};
use crate::tensor::gguf::Gguf;
use crate::tensor::json::Json;
use std::collections::HashMap;

/// The parameters that the tensors themselves do not tell.
pub struct Config {
    /// The sizes; vocabulary, context and start token are filled in later.
    pub shape: Shape,
    /// The declared size of the vocabulary; 0 if there is none.
    pub vocab: usize,
    /// The longest context that the model was made for.
    pub context: usize,
    /// The number that norms add to the mean square.
    pub epsilon: f64,
    /// The base of the frequencies of the rotary embedding, and the number by which positions are divided.
    pub rope_base: f64,
    pub rope_divisor: f64,
    /// Whether the head uses the weights of the embedding.
    pub tied: bool,
    /// The start token, where the file names one.
    pub start: Option<u32>,
}

impl Config {
    /// Reads the metadata of GGUF.
    ///
    /// # Errors
    /// `NewerVersion` for another architecture, `Corrupt` where a value is missing.
    pub fn from_gguf(gguf: &Gguf<'_>) -> Result<Self> {
        let architecture = gguf.get("general.architecture").and_then(|v| v.as_str());
        if architecture != Some("llama") {
            return Err(newer(format!("architecture {:?}", architecture.unwrap_or("none"))));
        }
        let key = |name: &str| format!("llama.{name}");
        let number = |name: &str| gguf.get(&key(name)).and_then(|v| v.as_u64());
        let size = |name: &str| size(&key(name), number(name));
        if number("expert_count").is_some_and(|n| n > 0) {
            return Err(newer("mixtures of experts".into()));
        }
        let scaling = gguf.get("llama.rope.scaling.type").and_then(|v| v.as_str()).unwrap_or("none");
        let divisor = match scaling {
            "none" => 1.0,
            "linear" => float(gguf.get("llama.rope.scaling.factor").and_then(|v| v.as_f64()), 1.0)?,
            other => return Err(newer(format!("rope scaling {other:?}"))),
        };
        let heads = size("attention.head_count")?;
        let width = size("embedding_length")?;
        let head = match number("attention.key_length").or(number("rope.dimension_count")) {
            Some(n) => self::size("width of a head", Some(n))?,
            None => width / heads,
        };
        for name in ["attention.key_length", "attention.value_length", "rope.dimension_count"] {
            if number(name).is_some_and(|n| n != head as u64) {
                return Err(newer(format!("{} other than {head}", key(name))));
            }
        }
        let kv_heads =
            number("attention.head_count_kv").map_or(Ok(heads), |n| self::size("key heads", Some(n)))?;
        let shape = shape(width, size("block_count")?, heads, kv_heads, head, size("feed_forward_length")?);
        Ok(Self {
            shape,
            vocab: number("vocab_size").map_or(Ok(0), |n| self::size("vocabulary", Some(n)))?,
            context: size("context_length")?,
            epsilon: float(
                gguf.get("llama.attention.layer_norm_rms_epsilon").and_then(|v| v.as_f64()),
                1e-5,
            )?,
            rope_base: float(gguf.get("llama.rope.freq_base").and_then(|v| v.as_f64()), 10000.0)?,
            rope_divisor: divisor,
            tied: false,
            start: None,
        })
    }

    /// Reads `config.json`.
    ///
    /// # Errors
    /// See [`Self::from_gguf`].
    pub fn from_json(text: &[u8]) -> Result<Self> {
        let fields = Fields::read(text)?;
        if fields.text.get("model_type").map(String::as_str) != Some("llama") {
            return Err(newer(format!("model type {:?}", fields.text.get("model_type"))));
        }
        if fields.other.contains(&"rope_scaling".to_string()) {
            return Err(newer("rope scaling".into()));
        }
        for name in ["attention_bias", "mlp_bias"] {
            if fields.flags.get(name) == Some(&true) {
                return Err(newer(name.into()));
            }
        }
        let number = |name: &str| fields.numbers.get(name).copied();
        let size = |name: &str| {
            let whole = number(name).filter(|v| v.fract() == 0.0 && (0.0..4e9).contains(v));
            size(name, whole.map(|v| v as u64))
        };
        let (width, heads) = (size("hidden_size")?, size("num_attention_heads")?);
        let kv_heads = number("num_key_value_heads").map_or(Ok(heads), |_| size("num_key_value_heads"))?;
        let head = number("head_dim").map_or(Ok(width / heads), |_| size("head_dim"))?;
        let layers = size("num_hidden_layers")?;
        Ok(Self {
            shape: shape(width, layers, heads, kv_heads, head, size("intermediate_size")?),
            vocab: size("vocab_size")?,
            context: size("max_position_embeddings")?,
            epsilon: float(number("rms_norm_eps"), 1e-5)?,
            rope_base: float(number("rope_theta"), 10000.0)?,
            rope_divisor: 1.0,
            tied: fields.flags.get("tie_word_embeddings").copied().unwrap_or(false),
            start: number("bos_token_id").map(|v| v as u32),
        })
    }
}

/// The members of a JSON object that are numbers, strings and flags, and the names of all other members that
/// are not null.
#[derive(Default)]
struct Fields {
    numbers: HashMap<String, f64>,
    text: HashMap<String, String>,
    flags: HashMap<String, bool>,
    other: Vec<String>,
}

impl Fields {
    fn read(text: &[u8]) -> Result<Self> {
        let mut f = Self::default();
        let mut json = Json::new(text);
        json.object(|json, key| {
            if json.next_is(b'"') {
                f.text.insert(key, json.string()?);
            } else if json.next_is(b't') || json.next_is(b'f') {
                f.flags.insert(key, json.boolean()?);
            } else if json.next_is(b'n') {
                json.skip()?;
            } else if json.next_is(b'{') || json.next_is(b'[') {
                f.other.push(key);
                json.skip()?;
            } else {
                f.numbers.insert(key, json.number()?);
            }
            Ok(())
        })?;
        json.end()?;
        Ok(f)
    }
}

/// The sizes that are known so far.
fn shape(width: usize, layers: usize, heads: usize, kv_heads: usize, head: usize, hidden: usize) -> Shape {
    Shape { vocab: 0, width, layers, heads, kv_heads, head, hidden, context: 0, start: 0 }
}

/// A size that must be present and in range.
fn size(name: &str, value: Option<u64>) -> Result<usize> {
    let value = value.filter(|v| (1..=1 << 30).contains(v));
    value.map(|v| v as usize).ok_or_else(|| Error::corrupt(format!("{name}: a size expected")))
}

/// A number that is finite and not negative.
fn float(value: Option<f64>, default: f64) -> Result<f64> {
    let value = value.unwrap_or(default);
    if value.is_finite() && value >= 0.0 {
        return Ok(value);
    }
    Err(Error::corrupt(format!("a parameter of {value}")))
}
