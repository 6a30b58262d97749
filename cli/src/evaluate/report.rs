//! What `nzip evaluate` prints, as tables or JSON.

use crate::table::{Align, Table};
use nzip_quantize::{Difference, Predictions};
use serde::Serialize;
use std::collections::BTreeMap;

/// All that was measured. Lists of what was not are empty.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// Each tensor of the original.
    tensors: Vec<TensorRow>,
    /// The tensors of each layer together.
    layers: Vec<LayerRow>,
    pub embeddings: Vec<Cosines>,
    pub expected: Vec<Expected>,
    pub coded: Vec<Coded>,
}

/// The difference between two tensors; `null` where the other model has no such tensor.
#[derive(Debug, Serialize)]
struct TensorRow {
    name: String,
    relative_error: Option<f64>,
    max_error: Option<f64>,
    cosine: Option<f64>,
    nuclear_ratio: Option<f64>,
}

#[derive(Debug, Serialize)]
struct LayerRow {
    name: String,
    relative_error: f64,
}

/// Cosines between the embeddings of sentences.
#[derive(Debug, Serialize)]
pub struct Cosines {
    text: String,
    sentences: usize,
    mean_cosine: f64,
    least_cosine: f64,
}

/// What two language models expect of a text.
#[derive(Debug, Serialize)]
pub struct Expected {
    text: String,
    #[serde(skip)]
    sum: Predictions,
    bytes: u64,
    tokens: u64,
    bits_per_byte: f64,
    original_bits_per_byte: f64,
    perplexity: f64,
    original_perplexity: f64,
    divergence: f64,
    agreement: f64,
}

/// What a model codes a text in.
#[derive(Debug, Serialize)]
pub struct Coded {
    text: String,
    bytes: usize,
    coded_bytes: usize,
    bits_per_byte: f64,
    byte_perplexity: f64,
}

impl Cosines {
    /// Of the cosines of a text's sentences.
    pub fn new(text: String, cosines: Vec<f64>) -> Self {
        let mean_cosine = cosines.iter().sum::<f64>() / cosines.len().max(1) as f64;
        let least_cosine = cosines.iter().copied().fold(f64::INFINITY, f64::min);
        Self { text, sentences: cosines.len(), mean_cosine, least_cosine }
    }
}

impl Expected {
    /// Of sums over a text's tokens.
    pub fn new(text: String, sum: &Predictions) -> Self {
        let (bytes, tokens) = (sum.bytes.max(1) as f64, sum.tokens.max(1) as f64);
        Self {
            text,
            sum: *sum,
            bytes: sum.bytes,
            tokens: sum.tokens,
            bits_per_byte: sum.other_bits / bytes,
            original_bits_per_byte: sum.original_bits / bytes,
            perplexity: (sum.other_bits / tokens).exp2(),
            original_perplexity: (sum.original_bits / tokens).exp2(),
            divergence: sum.divergence / tokens,
            agreement: sum.agreed as f64 / tokens,
        }
    }
}

impl Coded {
    /// Of the sizes of a text.
    pub fn new(text: String, bytes: usize, coded_bytes: usize) -> Self {
        let bits_per_byte = 8.0 * coded_bytes as f64 / bytes.max(1) as f64;
        Self { text, bytes, coded_bytes, bits_per_byte, byte_perplexity: bits_per_byte.exp2() }
    }
}

impl Report {
    /// Takes the differences between two checkpoints.
    pub fn compared(&mut self, found: Vec<(String, Option<Difference>)>) {
        let mut layers: BTreeMap<(String, usize), (f64, f64)> = BTreeMap::new();
        for (name, d) in found {
            if let (Some(layer), Some(d)) = (layer_of(&name), &d) {
                let sums = layers.entry(layer).or_default();
                *sums = (sums.0 + d.square_error, sums.1 + d.square);
            }
            self.tensors.push(TensorRow {
                name,
                relative_error: d.as_ref().map(|d| d.relative_error),
                max_error: d.as_ref().map(|d| d.max_error),
                cosine: d.as_ref().map(|d| d.cosine),
                nuclear_ratio: d.and_then(|d| d.nuclear_ratio),
            });
        }
        let row = |((before, number), (off, all)): ((String, usize), (f64, f64))| LayerRow {
            name: format!("{before}{number}"),
            relative_error: if off > 0.0 { (off / all).sqrt() } else { 0.0 },
        };
        self.layers = layers.into_iter().map(row).collect();
    }

    /// The tables for people.
    pub fn tables(&self) -> String {
        let tables = [self.tensors(), self.layers(), self.embeddings(), self.expected(), self.coded()];
        tables.into_iter().flatten().collect::<Vec<_>>().join("\n")
    }

    fn tensors(&self) -> Option<String> {
        let headings = [right("error"), right("largest"), right("cosine"), right("nuclear"), left("tensor")];
        let mut table = Table::new(headings);
        for t in &self.tensors {
            let show = |v: Option<f64>, f: fn(f64) -> String| v.map_or("-".into(), f);
            table.row([
                show(t.relative_error, |v| format!("{v:.5}")),
                show(t.max_error, |v| format!("{v:.2e}")),
                show(t.cosine, |v| format!("{v:.6}")),
                show(t.nuclear_ratio, |v| format!("{v:.4}")),
                t.name.clone(),
            ]);
        }
        (!self.tensors.is_empty()).then(|| table.render())
    }

    fn layers(&self) -> Option<String> {
        let mut table = Table::new([right("error"), left("layer")]);
        self.layers.iter().for_each(|l| table.row([format!("{:.5}", l.relative_error), l.name.clone()]));
        (!self.layers.is_empty()).then(|| table.render())
    }

    fn embeddings(&self) -> Option<String> {
        let mut table = Table::new([right("sentences"), right("mean cosine"), right("least"), left("text")]);
        let row = |c: &Cosines| {
            let (mean, least) = (format!("{:.5}", c.mean_cosine), format!("{:.5}", c.least_cosine));
            [c.sentences.to_string(), mean, least, c.text.clone()]
        };
        self.embeddings.iter().for_each(|c| table.row(row(c)));
        if self.embeddings.len() > 1 {
            let sentences = self.embeddings.iter().map(|c| c.sentences).sum::<usize>();
            let sum = self.embeddings.iter().map(|c| c.mean_cosine * c.sentences as f64).sum::<f64>();
            let mean_cosine = sum / sentences.max(1) as f64;
            let least_cosine = self.embeddings.iter().fold(f64::INFINITY, |m, c| m.min(c.least_cosine));
            table.row(row(&Cosines { text: "all".into(), sentences, mean_cosine, least_cosine }));
        }
        (!self.embeddings.is_empty()).then(|| table.render())
    }

    fn expected(&self) -> Option<String> {
        let numbers =
            ["bytes", "tokens", "bits/byte", "original", "perplexity", "original", "KL bits", "same top"];
        let headings: Vec<_> = numbers.into_iter().map(right).chain([left("text")]).collect();
        let mut table = Table::new(headings);
        let row = |e: &Expected| {
            vec![
                e.bytes.to_string(),
                e.tokens.to_string(),
                format!("{:.4}", e.bits_per_byte),
                format!("{:.4}", e.original_bits_per_byte),
                format!("{:.3}", e.perplexity),
                format!("{:.3}", e.original_perplexity),
                format!("{:.4}", e.divergence),
                format!("{:.2}%", 100.0 * e.agreement),
                e.text.clone(),
            ]
        };
        let mut sum = Predictions::default();
        for e in &self.expected {
            sum.add(&e.sum);
            table.row(row(e));
        }
        if self.expected.len() > 1 {
            table.row(row(&Expected::new("all".into(), &sum)));
        }
        (!self.expected.is_empty()).then(|| table.render())
    }

    fn coded(&self) -> Option<String> {
        let mut table = Table::new([right("bytes"), right("coded"), right("bits/byte"), left("text")]);
        let row = |c: &Coded| {
            [
                c.bytes.to_string(),
                c.coded_bytes.to_string(),
                format!("{:.4}", c.bits_per_byte),
                c.text.clone(),
            ]
        };
        self.coded.iter().for_each(|c| table.row(row(c)));
        if self.coded.len() > 1 {
            let sum = |f: fn(&Coded) -> usize| self.coded.iter().map(f).sum();
            table.row(row(&Coded::new("all".into(), sum(|c| c.bytes), sum(|c| c.coded_bytes))));
        }
        (!self.coded.is_empty()).then(|| table.render())
    }
}

fn right(name: &'static str) -> (&'static str, Align) {
    (name, Align::Right)
}

fn left(name: &'static str) -> (&'static str, Align) {
    (name, Align::Left)
}

/// The layer that a tensor belongs to: its name up to the first part that is a number, and that number.
fn layer_of(name: &str) -> Option<(String, usize)> {
    let mut before = String::new();
    for part in name.split('.') {
        if let Ok(number) = part.parse() {
            return Some((before, number));
        }
        before += &format!("{part}.");
    }
    None
}
