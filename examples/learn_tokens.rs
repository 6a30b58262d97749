//! How well small transformers learn a text as bytes, as plain arithmetic-coded bytes, and as tokens of equal
//! information (`docs/tokens.md`).
//!
//! `cargo run --release --features candle,built-in-models --example learn_tokens -- TEXT STEPS OUT.csv [NAME...]`
//!
//! All representations have a vocabulary of at most 257 and the same transformer, so that a step costs the same for each.
//! A line of the result is: name, steps, training operations, bits per byte of text on the held-out end. What
//! the transformer has not learned costs as much as the representation itself.

use candle_core::{D, DType, Device, Result, Tensor, Var};
use candle_nn::ops::softmax;
use candle_nn::optim::{AdamW, Optimizer, ParamsAdamW};
use nzip::Models;
use nzip::internal::SplitMix;
use nzip::internal::model::llm::BitEncoder;
use nzip::internal::model::lm::{Model, Timeline, weights::Weights};
use nzip::tokens::{Choices, Policy, Tokenizer, WindowEnds};
use std::io::Write;

const WIDTH: usize = 128;
const LAYERS: usize = 3;
const HEADS: usize = 4;
/// Tokens of a sequence, and sequences of a step.
const CONTEXT: usize = 128;
const BATCH: usize = 16;
const VOCAB: usize = 257;
/// Bytes of a document.
const DOCUMENT: usize = 4096;
const RATE: f64 = 2e-3;
const WARM_UP: usize = 40;
/// Sequences on which is measured, and how often in a run.
const HELD_OUT: usize = 64;
const MEASURES: usize = 10;

/// A text as tokens, with the number of its bytes.
struct Text {
    tokens: Vec<u32>,
    bytes: usize,
}

/// The representations, by name.
fn represent(name: &str, documents: &[&[u8]]) -> Text {
    let bytes = documents.iter().map(|d| d.len()).sum();
    let choices = Choices::new().token_bits(8);
    let equal = |choices| tokens_of(choices, documents);
    let through = choices.policy(Policy::Continue).ends(WindowEnds::Bit);
    let tokens = match name {
        "bytes" => join(documents.iter().map(|d| d.iter().map(|&b| b.into()).collect())),
        "arithmetic" => join(documents.iter().map(|d| plain(d))),
        "reset-16" => equal(choices.window_bits(16)),
        "reset-32" => equal(choices.window_bits(32)),
        "continue-16" => equal(through.window_bits(16)),
        "continue-32" => equal(through.window_bits(32)),
        other => panic!("no representation {other}"),
    };
    Text { tokens, bytes }
}

fn join(documents: impl Iterator<Item = Vec<u32>>) -> Vec<u32> {
    documents.flat_map(|d| d.into_iter().chain([256])).collect()
}

fn tokens_of(choices: Choices, documents: &[&[u8]]) -> Vec<u32> {
    let tokenizer = Tokenizer::new(&mut Models::new(), "tiny", choices).expect("tiny is built in");
    join(tokenizer.encode_batch(documents).expect("any text has tokens").into_iter())
}

/// The bytes of a document's arithmetic code, without any windows.
fn plain(document: &[u8]) -> Vec<u32> {
    static MODEL: std::sync::LazyLock<Model> = std::sync::LazyLock::new(|| {
        let mut models = Models::new();
        let hash = models.resolve("tiny").expect("tiny is built in");
        let weights = models.find(&hash).expect("tiny is built in");
        Model::new(Weights::from_bytes(&weights).expect("a weight file")).expect("memory")
    });
    let mut timeline = Timeline::new(&MODEL, 64).expect("memory");
    let mut coder = BitEncoder::default();
    for start in (0..document.len()).step_by(64) {
        let steps = (document.len() - start).min(64);
        timeline.run(document, start, steps);
        for step in 0..steps {
            let (sums, byte) = (timeline.weight_sums(step), usize::from(document[start + step]) | 256);
            for depth in 0..8 {
                let node = byte >> (8 - depth);
                let (zero, one) = (f64::from(sums.sum(2 * node)), f64::from(sums.sum(2 * node + 1)));
                let p = (65536.0 * one / (zero + one)) as u32;
                coder.encode(byte >> (7 - depth) & 1 == 1, p.clamp(1, 65535));
            }
        }
    }
    coder.payload().into_iter().map(u32::from).collect()
}

/// A transformer without biases, whose head is its embedding.
struct Transformer {
    embedding: Var,
    positions: Var,
    layers: Vec<[Var; 4]>,
    mask: Tensor,
}

impl Transformer {
    fn new() -> Result<Self> {
        let mut rng = SplitMix(1);
        let mut matrix = |rows: usize, cols: usize, deviation: f64| {
            let mut normal =
                || (0..12).map(|_| (rng.next_u64() >> 40) as f64 / (1u64 << 24) as f64).sum::<f64>() - 6.0;
            let numbers: Vec<f32> = (0..rows * cols).map(|_| (normal() * deviation) as f32).collect();
            Var::from_vec(numbers, (rows, cols), &Device::Cpu)
        };
        let (embedding, positions) = (matrix(VOCAB, WIDTH, 0.05)?, matrix(CONTEXT, WIDTH, 0.05)?);
        let inner = (WIDTH as f64).powf(-0.5);
        let mut layer = || -> Result<[Var; 4]> {
            Ok([
                matrix(WIDTH, 3 * WIDTH, inner)?,
                matrix(WIDTH, WIDTH, inner * 0.4)?,
                matrix(WIDTH, 4 * WIDTH, inner)?,
                matrix(4 * WIDTH, WIDTH, inner * 0.2)?,
            ])
        };
        let layers = (0..LAYERS).map(|_| layer()).collect::<Result<_>>()?;
        let allowed = |i: usize| if i % CONTEXT <= i / CONTEXT { 0f32 } else { -1e9 };
        let mask: Vec<f32> = (0..CONTEXT * CONTEXT).map(allowed).collect();
        Ok(Self {
            embedding,
            positions,
            layers,
            mask: Tensor::from_vec(mask, (CONTEXT, CONTEXT), &Device::Cpu)?,
        })
    }

    fn variables(&self) -> Vec<Var> {
        [self.embedding.clone(), self.positions.clone()]
            .into_iter()
            .chain(self.layers.iter().flatten().cloned())
            .collect()
    }

    /// Training operations of a token: two for each weight forwards, four backwards.
    fn operations(&self) -> f64 {
        let weights: usize = self.variables().iter().map(|v| v.elem_count()).sum();
        6.0 * (weights + LAYERS * CONTEXT * WIDTH) as f64
    }

    /// The mean cost of a token in nats.
    fn loss(&self, sequences: &[&[u32]]) -> Result<Tensor> {
        let n = sequences.len();
        let flat = |from: usize| -> Result<Tensor> {
            let tokens: Vec<u32> =
                sequences.iter().flat_map(|s| s[from..from + CONTEXT].iter().copied()).collect();
            Tensor::from_vec(tokens, n * CONTEXT, &Device::Cpu)
        };
        let embedded = self.embedding.index_select(&flat(0)?, 0)?.reshape((n, CONTEXT, WIDTH))?;
        let mut x = embedded.broadcast_add(&self.positions)?.reshape((n * CONTEXT, WIDTH))?;
        for [attention, out, up, down] in &self.layers {
            let parts = norm(&x)?.matmul(attention)?;
            let part = |i: usize| {
                let part = parts.narrow(1, i * WIDTH, WIDTH)?.reshape((n, CONTEXT, HEADS, WIDTH / HEADS))?;
                part.transpose(1, 2)?.contiguous()
            };
            let (query, key, value) = (part(0)?, part(1)?, part(2)?);
            let scores = (query.matmul(&key.t()?.contiguous()?)? * ((WIDTH / HEADS) as f64).powf(-0.5))?;
            let mixed = softmax(&scores.broadcast_add(&self.mask)?, D::Minus1)?.matmul(&value)?;
            let mixed = mixed.transpose(1, 2)?.contiguous()?.reshape((n * CONTEXT, WIDTH))?;
            x = (x + mixed.matmul(out)?)?;
            x = (&x + norm(&x)?.matmul(up)?.relu()?.sqr()?.matmul(down)?)?;
        }
        let logits = norm(&x)?.matmul(&self.embedding.t()?)?;
        candle_nn::loss::cross_entropy(&logits, &flat(1)?)
    }
}

fn norm(x: &Tensor) -> Result<Tensor> {
    x.broadcast_div(&(x.sqr()?.mean_keepdim(D::Minus1)? + 1e-6)?.sqrt()?)
}

/// Learns a representation; reports bits per byte of text along the way.
fn learn(name: &str, text: &Text, held_out: &Text, steps: usize, out: &mut impl Write) -> Result<()> {
    let model = Transformer::new()?;
    let mut optimizer =
        AdamW::new(model.variables(), ParamsAdamW { lr: 0.0, beta2: 0.98, ..Default::default() })?;
    let mut rng = SplitMix(2);
    let per_byte = held_out.tokens.len() as f64 / held_out.bytes as f64;
    let stride = (held_out.tokens.len() - CONTEXT - 1) / HELD_OUT;
    for step in 0..=steps {
        if step % (steps / MEASURES).max(1) == 0 || step == steps {
            let mut sum = 0.0;
            for group in (0..HELD_OUT).collect::<Vec<_>>().chunks(BATCH) {
                let sequences: Vec<&[u32]> =
                    group.iter().map(|i| &held_out.tokens[i * stride..][..=CONTEXT]).collect();
                sum += f64::from(model.loss(&sequences)?.to_dtype(DType::F32)?.to_scalar::<f32>()?)
                    * group.len() as f64;
            }
            let bits = sum / HELD_OUT as f64 / std::f64::consts::LN_2 * per_byte;
            let operations = model.operations() * (step * BATCH * CONTEXT) as f64;
            writeln!(out, "{name},{step},{operations:.4e},{bits:.4},{:.4}", 8.0 * per_byte)?;
            println!(
                "{name:12} step {step:5}: {bits:.4} bits per byte of text ({:.4} not learned)",
                8.0 * per_byte
            );
        }
        let along = step as f64 / steps as f64;
        let rate = (step as f64 / WARM_UP as f64).min(1.0) * (0.1 + 0.9 * (1.0 - along));
        optimizer.set_learning_rate(RATE * rate);
        let starts = (0..BATCH).map(|_| rng.below((text.tokens.len() - CONTEXT - 1) as u64) as usize);
        let sequences: Vec<&[u32]> = starts.map(|s| &text.tokens[s..][..=CONTEXT]).collect();
        optimizer.backward_step(&model.loss(&sequences)?)?;
    }
    Ok(())
}

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [text, steps, out, names @ ..] = &arguments[..] else {
        return Err("TEXT STEPS OUT.csv [NAME...] are wanted".into());
    };
    let raw = std::fs::read(text)?;
    let documents: Vec<&[u8]> = raw.chunks_exact(DOCUMENT).collect();
    let (learned, held_out) = documents.split_at(documents.len() * 9 / 10);
    let mut out = std::fs::OpenOptions::new().create(true).append(true).open(out)?;
    let all = ["bytes", "arithmetic", "reset-16", "reset-32", "continue-16", "continue-32"].map(String::from);
    for name in if names.is_empty() { &all[..] } else { names } {
        let (learned, held_out) = (represent(name, learned), represent(name, held_out));
        println!("{name}: {} bytes, {} tokens", learned.bytes, learned.tokens.len());
        learn(name, &learned, &held_out, steps.parse()?, &mut out)?;
    }
    Ok(())
}
