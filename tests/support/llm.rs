//! A micro Llama model, written as GGUF and as safetensors.
#![allow(dead_code)]

use std::fmt::Write;

/// D, L, A, B, H, M, V of the micro model.
const WIDTH: usize = 16;
const LAYERS: usize = 2;
const HEADS: usize = 2;
const KV_HEADS: usize = 1;
const HEAD: usize = 8;
const HIDDEN: usize = 24;
const VOCAB: usize = 300;

/// A GGUF file before it is written.
pub struct Gguf {
    pub numbers: Vec<(String, u32)>,
    pub text: Vec<(String, String)>,
    pub tokens: Vec<String>,
    pub kinds: Vec<i32>,
    pub merges: Vec<String>,
    /// Name, shape with the fastest dimension last, elements.
    pub tensors: Vec<(String, Vec<usize>, Vec<f32>)>,
}

/// The congruential generator that made the frozen micro model.
struct Random(u64);

impl Random {
    /// Uniform in -1..1 with 24 bits, so that f32 holds it exactly.
    fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        ((self.0 >> 40) as f32 - 8388608.0) / 8388608.0
    }
}

/// GPT-2's character for a byte.
pub fn character(byte: u8) -> char {
    let printable = |b: &u8| matches!(b, 0x21..=0x7E | 0xA1..=0xAC | 0xAE..=0xFF);
    if printable(&byte) {
        return byte.into();
    }
    let before = (0..byte).filter(|b| !printable(b)).count() as u32;
    char::from_u32(256 + before).unwrap()
}

fn name(text: &str) -> String {
    text.bytes().map(character).collect()
}

const WORDS: &[&str] = &[
    "he", "the", " t", " the", "in", "an", "re", "on", "er", "at", "en", "nd", " a", " w", "and", " and",
    "is", "ou", "it", "or", "ing", " s", "es", " o", "ll",
];

pub fn micro() -> Gguf {
    let mut tokens = vec!["<|endoftext|>".to_string(), "<|start|>".to_string()];
    // Bytes that have a token: some have none, as in the models that people use.
    let bytes: Vec<u8> = (0..=255).filter(|b| !matches!(b, 0..=8 | 0xC0 | 0xC1 | 0xF5..=0xFF)).collect();
    tokens.extend(bytes.iter().map(|b| name_of_byte(*b)));
    let pairs = [
        ("h", "e"),
        ("t", "he"),
        (" ", "t"),
        (" t", "he"),
        ("i", "n"),
        ("a", "n"),
        ("r", "e"),
        ("o", "n"),
        ("e", "r"),
        ("a", "t"),
        ("e", "n"),
        ("n", "d"),
        (" ", "a"),
        (" ", "w"),
        ("an", "d"),
        (" a", "nd"),
        ("i", "s"),
        ("o", "u"),
        ("i", "t"),
        ("o", "r"),
        ("in", "g"),
        (" ", "s"),
        ("e", "s"),
        (" ", "o"),
        ("l", "l"),
    ];
    tokens.extend(WORDS.iter().map(|w| name(w)));
    while tokens.len() < VOCAB {
        tokens.push(format!("<unused{}>", tokens.len()));
    }
    let words = 2 + bytes.len() + WORDS.len();
    let kinds = (0..VOCAB).map(|t| if (2..words).contains(&t) { 1 } else { 3 }).collect();
    let number = |k: &str, v: usize| (format!("llama.{k}"), v as u32);
    let numbers = vec![
        number("embedding_length", WIDTH),
        number("block_count", LAYERS),
        number("attention.head_count", HEADS),
        number("attention.head_count_kv", KV_HEADS),
        number("rope.dimension_count", HEAD),
        number("feed_forward_length", HIDDEN),
        number("context_length", 128),
        number("vocab_size", VOCAB),
    ];
    let text = [
        ("general.architecture", "llama"),
        ("tokenizer.ggml.model", "gpt2"),
        ("tokenizer.ggml.pre", "smollm"),
    ];
    Gguf {
        numbers,
        text: text.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect(),
        tokens,
        kinds,
        merges: pairs.iter().map(|(a, b)| format!("{} {}", name(a), name(b))).collect(),
        tensors: tensors(),
    }
}

fn name_of_byte(b: u8) -> String {
    character(b).to_string()
}

fn tensors() -> Vec<(String, Vec<usize>, Vec<f32>)> {
    let mut random = Random(3);
    let mut out = Vec::new();
    let mut add = |name: String, shape: Vec<usize>, scale: f32, offset: f32| {
        let n = shape.iter().product::<usize>();
        out.push((name, shape, (0..n).map(|_| random.next() * scale + offset).collect()));
    };
    add("token_embd.weight".into(), vec![VOCAB, WIDTH], 0.9, 0.0);
    add("output_norm.weight".into(), vec![WIDTH], 0.5, 1.5);
    for n in 0..LAYERS {
        let mut layer = |name: &str, shape: Vec<usize>, scale, offset| {
            add(format!("blk.{n}.{name}.weight"), shape, scale, offset)
        };
        layer("attn_norm", vec![WIDTH], 0.5, 1.0);
        layer("attn_q", vec![HEADS * HEAD, WIDTH], 0.8, 0.0);
        layer("attn_k", vec![KV_HEADS * HEAD, WIDTH], 0.8, 0.0);
        layer("attn_v", vec![KV_HEADS * HEAD, WIDTH], 0.5, 0.0);
        layer("attn_output", vec![WIDTH, HEADS * HEAD], 0.5, 0.0);
        layer("ffn_norm", vec![WIDTH], 0.5, 1.0);
        layer("ffn_gate", vec![HIDDEN, WIDTH], 0.6, 0.0);
        layer("ffn_up", vec![HIDDEN, WIDTH], 0.6, 0.0);
        layer("ffn_down", vec![WIDTH, HIDDEN], 0.6, 0.0);
    }
    out
}

fn put_string(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(&(text.len() as u64).to_le_bytes());
    out.extend_from_slice(text.as_bytes());
}

impl Gguf {
    pub fn set_number(&mut self, key: &str, value: u32) {
        self.numbers.retain(|n| n.0 != key);
        self.numbers.push((key.into(), value));
    }

    pub fn set_text(&mut self, key: &str, value: &str) {
        self.text.retain(|t| t.0 != key);
        self.text.push((key.into(), value.into()));
    }

    /// The file's bytes; tensors as F32.
    pub fn file(&self) -> Vec<u8> {
        let mut out = b"GGUF\x03\0\0\0".to_vec();
        out.extend_from_slice(&(self.tensors.len() as u64).to_le_bytes());
        out.extend_from_slice(&(self.numbers.len() as u64 + self.text.len() as u64 + 3).to_le_bytes());
        for (key, value) in &self.numbers {
            put_string(&mut out, key);
            out.extend_from_slice(&4u32.to_le_bytes());
            out.extend_from_slice(&value.to_le_bytes());
        }
        for (key, value) in &self.text {
            put_string(&mut out, key);
            out.extend_from_slice(&8u32.to_le_bytes());
            put_string(&mut out, value);
        }
        for (key, list) in [("tokens", &self.tokens), ("merges", &self.merges)] {
            put_string(&mut out, &format!("tokenizer.ggml.{key}"));
            out.extend_from_slice(&9u32.to_le_bytes());
            out.extend_from_slice(&8u32.to_le_bytes());
            out.extend_from_slice(&(list.len() as u64).to_le_bytes());
            list.iter().for_each(|t| put_string(&mut out, t));
        }
        put_string(&mut out, "tokenizer.ggml.token_type");
        out.extend_from_slice(&9u32.to_le_bytes());
        out.extend_from_slice(&5u32.to_le_bytes());
        out.extend_from_slice(&(self.kinds.len() as u64).to_le_bytes());
        self.kinds.iter().for_each(|k| out.extend_from_slice(&k.to_le_bytes()));
        let mut offset = 0u64;
        for (name, shape, values) in &self.tensors {
            put_string(&mut out, name);
            out.extend_from_slice(&(shape.len() as u32).to_le_bytes());
            shape.iter().rev().for_each(|&d| out.extend_from_slice(&(d as u64).to_le_bytes()));
            out.extend_from_slice(&0u32.to_le_bytes());
            out.extend_from_slice(&offset.to_le_bytes());
            offset = (offset + 4 * values.len() as u64).next_multiple_of(32);
        }
        for (_, _, values) in &self.tensors {
            out.resize(out.len().next_multiple_of(32), 0);
            values.iter().for_each(|v| out.extend_from_slice(&v.to_le_bytes()));
        }
        out
    }

    /// The same model as safetensors, `config.json` and `tokenizer.json`.
    pub fn huggingface(&self) -> (Vec<u8>, Vec<u8>, Vec<u8>) {
        let rename = |name: &str| {
            let pairs = [
                ("blk.", "model.layers."),
                ("token_embd", "model.embed_tokens"),
                ("output_norm", "model.norm"),
                ("attn_norm", "input_layernorm"),
                ("attn_output", "self_attn.o_proj"),
                ("attn_q", "self_attn.q_proj"),
                ("attn_k", "self_attn.k_proj"),
                ("attn_v", "self_attn.v_proj"),
                ("ffn_norm", "post_attention_layernorm"),
                ("ffn_gate", "mlp.gate_proj"),
                ("ffn_up", "mlp.up_proj"),
                ("ffn_down", "mlp.down_proj"),
            ];
            pairs.iter().fold(name.to_string(), |n, (a, b)| n.replace(a, b))
        };
        let (mut header, mut data) = (String::from("{"), Vec::new());
        for (i, (name, shape, values)) in self.tensors.iter().enumerate() {
            let start = data.len();
            let turning = name.contains("attn_q") || name.contains("attn_k");
            for r in 0..values.len() / WIDTH {
                // Pairs of values that are rotated together are half a head apart in these files.
                let from = if turning {
                    r / HEAD * HEAD + r % HEAD % (HEAD / 2) * 2 + r % HEAD / (HEAD / 2)
                } else {
                    r
                };
                values[from * WIDTH..][..WIDTH].iter().for_each(|v| data.extend_from_slice(&v.to_le_bytes()));
            }
            values[values.len() / WIDTH * WIDTH..]
                .iter()
                .for_each(|v| data.extend_from_slice(&v.to_le_bytes()));
            let comma = if i > 0 { "," } else { "" };
            let end = data.len();
            write!(
                header,
                "{comma}\"{}\":{{\"dtype\":\"F32\",\"shape\":{shape:?},\"data_offsets\":[{start},{end}]}}",
                rename(name)
            )
            .unwrap();
        }
        header.push('}');
        let mut file = (header.len() as u64).to_le_bytes().to_vec();
        file.extend_from_slice(header.as_bytes());
        file.extend_from_slice(&data);
        let config = format!(
            "{{\"model_type\":\"llama\",\"hidden_size\":{WIDTH},\"num_hidden_layers\":{LAYERS},\
             \"num_attention_heads\":{HEADS},\"num_key_value_heads\":{KV_HEADS},\"intermediate_size\":{HIDDEN},\
             \"max_position_embeddings\":128,\"vocab_size\":{VOCAB},\"rms_norm_eps\":1e-05,\"rope_theta\":10000.0,\
             \"tie_word_embeddings\":true,\"rope_scaling\":null,\"bos_token_id\":1}}"
        );
        let mut tokenizer = String::from("{\"added_tokens\":[");
        let special = |t: usize| self.kinds[t] != 1;
        let quoted = |s: &str| format!("{s:?}").replace("\\'", "'");
        let mut comma = "";
        for t in (0..self.tokens.len()).filter(|&t| special(t)) {
            write!(
                tokenizer,
                "{comma}{{\"id\":{t},\"content\":{},\"special\":true}}",
                quoted(&self.tokens[t])
            )
            .unwrap();
            comma = ",";
        }
        tokenizer += "],\"pre_tokenizer\":{\"type\":\"Digits\",\"individual_digits\":true},\"model\":{\"type\":\"BPE\",\"vocab\":{";
        comma = "";
        for t in (0..self.tokens.len()).filter(|&t| !special(t)) {
            write!(tokenizer, "{comma}{}:{t}", quoted(&self.tokens[t])).unwrap();
            comma = ",";
        }
        tokenizer += "},\"merges\":[";
        comma = "";
        for (i, m) in self.merges.iter().enumerate() {
            // Merges are written in both forms that exist.
            match m.split_once(' ').filter(|_| i % 2 == 0) {
                Some((a, b)) => write!(tokenizer, "{comma}[{},{}]", quoted(a), quoted(b)).unwrap(),
                None => write!(tokenizer, "{comma}{}", quoted(m)).unwrap(),
            }
            comma = ",";
        }
        tokenizer += "]}}";
        (file, config.into_bytes(), tokenizer.into_bytes())
    }
}

/// Text-like bytes with repeats, and some bytes that have no token.
pub fn sample(len: usize) -> Vec<u8> {
    let mut random = Random(11);
    let mut below = |n: usize| ((random.next() + 1.0) * 0.5 * n as f32) as usize % n;
    let mut bytes = Vec::new();
    while bytes.len() < len {
        match below(12) {
            0 if bytes.len() > 40 => {
                let from = below(bytes.len() - 30);
                let to = from + 10 + below(20);
                bytes.extend_from_within(from..to);
            }
            1 => bytes.extend([b'0' + below(10) as u8, b',', b' ']),
            2 => bytes.push([0, 5, 0xC0, 0xFF, 0xE9, b'\n'][below(6)]),
            _ => bytes.extend_from_slice(WORDS[below(WORDS.len())].as_bytes()),
        }
    }
    bytes.truncate(len);
    bytes
}
