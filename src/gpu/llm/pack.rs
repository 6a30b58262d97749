//! Packs an imported language model for its kernels: a buffer of words for the vocabulary, one for each
//! layer, and one for tables.

use crate::error::Result;
use crate::model::fixed::EXP2;
use crate::model::llm::sigmoid_table;
use crate::model::llm::weights::{LayerBits, Matrix, Scale, Shape, Weights};

/// The place of a matrix in a buffer: its weights, four columns to a word, as [four columns][row]; and at
/// `scale_at` the multipliers of all rows, followed by their offsets.
#[derive(Debug, Clone, Copy)]
pub struct PlacedMatrix {
    pub at: usize,
    pub scale_at: usize,
    pub rows: usize,
    pub cols: usize,
    pub exponent: u32,
}

impl PlacedMatrix {
    /// The number of bytes of weights, multipliers and offsets.
    pub fn bytes(&self) -> u64 {
        4 * (self.rows * self.cols.div_ceil(4) + 2 * self.rows) as u64
    }
}

/// A layer's buffer.
pub struct PackedLayer {
    pub words: Vec<u32>,
    pub bits: LayerBits,
    pub attention_norm: usize,
    pub hidden_norm: usize,
    /// Query, key, value.
    pub attention: [PlacedMatrix; 3],
    pub output: PlacedMatrix,
    /// Gate, up.
    pub hidden: [PlacedMatrix; 2],
    pub down: PlacedMatrix,
}

/// A model's buffers.
pub struct PackedLlm {
    pub shape: Shape,
    pub epsilon: u32,
    pub layers: Vec<PackedLayer>,
    /// Embedding, last gains, head.
    pub vocabulary: Vec<u32>,
    pub embedding: PlacedMatrix,
    pub final_norm: usize,
    pub head: PlacedMatrix,
    pub head_bits: u32,
    /// Powers of two, sigmoids, angles.
    pub tables: Vec<u32>,
}

impl PackedLlm {
    /// Lays weights out.
    ///
    /// # Errors
    /// `Corrupt` where a sum could overflow.
    pub fn new(weights: &Weights) -> Result<Self> {
        let mut vocabulary = Vec::new();
        let embedding = matrix(&mut vocabulary, &weights.embedding);
        let final_norm = gains(&mut vocabulary, &weights.final_norm);
        let (rows, cols) = (weights.shape.vocab, weights.shape.width);
        let at = match &weights.head {
            Some(own) => entries(&mut vocabulary, own, cols),
            None => embedding.at,
        };
        let scale_at = scale(&mut vocabulary, &weights.head_scale, weights.head_weights(), cols);
        let head = PlacedMatrix { at, scale_at, rows, cols, exponent: weights.head_scale.exponent.into() };
        let mut tables: Vec<u32> = EXP2.iter().chain(sigmoid_table()).map(|&v| v as u32).collect();
        tables.extend(weights.rope.iter().map(|[c, s]| u32::from(*c as u16) | u32::from(*s as u16) << 16));
        Ok(Self {
            shape: weights.shape,
            epsilon: weights.epsilon,
            layers: weights.layers.iter().map(layer).collect::<Result<_>>()?,
            vocabulary,
            embedding,
            final_norm,
            head,
            head_bits: weights.head_bits()?,
            tables,
        })
    }

    /// The number of lists of keys and of values for `lanes` windows.
    pub fn lists(&self, lanes: usize) -> usize {
        2 * lanes * self.shape.layers * self.shape.kv_heads
    }

    /// The number of bytes of keys and values, and of their scales, for `lanes` windows of `tokens` tokens
    /// each.
    pub fn cache_bytes(&self, lanes: usize, tokens: usize) -> u64 {
        4 * self.lists(lanes) as u64 * tokens as u64 * (self.shape.head.div_ceil(4) as u64 + 1)
    }

    /// The starts of the sigmoids and of the angles in the tables.
    pub fn tables_at() -> (usize, usize) {
        (EXP2.len(), EXP2.len() + sigmoid_table().len())
    }
}

fn layer(layer: &crate::model::llm::Layer) -> Result<PackedLayer> {
    let mut words = Vec::new();
    Ok(PackedLayer {
        bits: layer.bits()?,
        attention_norm: gains(&mut words, &layer.attention_norm),
        hidden_norm: gains(&mut words, &layer.hidden_norm),
        attention: [&layer.query, &layer.key, &layer.value].map(|m| matrix(&mut words, m)),
        output: matrix(&mut words, &layer.output),
        hidden: [&layer.gate, &layer.up].map(|m| matrix(&mut words, m)),
        down: matrix(&mut words, &layer.down),
        words,
    })
}

fn gains(words: &mut Vec<u32>, gains: &[i32]) -> usize {
    let at = words.len();
    words.extend(gains.iter().map(|&g| g as u32));
    at
}

fn matrix(words: &mut Vec<u32>, m: &Matrix) -> PlacedMatrix {
    let at = entries(words, &m.weights, m.cols);
    let scale_at = scale(words, &m.scale, &m.weights, m.cols);
    PlacedMatrix { at, scale_at, rows: m.rows, cols: m.cols, exponent: m.scale.exponent.into() }
}

fn entries(words: &mut Vec<u32>, weights: &[i8], cols: usize) -> usize {
    let at = words.len();
    for k in (0..cols).step_by(4) {
        words.extend(weights.chunks_exact(cols).map(|row| {
            let mut word = [0; 4];
            word.iter_mut().zip(&row[k..cols.min(k + 4)]).for_each(|(to, &w)| *to = w as u8);
            u32::from_le_bytes(word)
        }));
    }
    at
}

/// Appends the multipliers, then offsets that compensate for the stored low digits, which are 128 less than
/// their values.
fn scale(words: &mut Vec<u32>, scale: &Scale, weights: &[i8], cols: usize) -> usize {
    let at = words.len();
    words.extend(&scale.multipliers);
    let sum = |row: &[i8]| row.iter().map(|&w| i32::from(w)).sum::<i32>();
    words.extend(weights.chunks_exact(cols).map(|row| (128 * sum(row)) as u32));
    at
}
