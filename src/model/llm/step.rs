//! The integer step of the network over columns (`formats/llm.md`, "Step").
//!
//! A column is a token of a window: in decoding, the columns are one token of each of many windows; in
//! encoding, they may also be many tokens of one window in order. The results do not depend on which columns
//! step together. All products multiply int8 weights by int16 activations: before a product, each column is
//! narrowed to the bits that its matrix allows, and the shift becomes part of the scale of the results.

use super::kernel::{BLOCK, Blocked, Columns, Outputs, elementwise as e, product};
use super::model::{Linear, Model};
use super::tables::sigmoid_table;
use super::weights::{Scale, Shape};
use crate::error::{Error, Result};
use crate::kernel::Kernel;
use crate::model::fixed::Aligned;

/// The most columns that step together.
pub const MAX_COLUMNS: usize = 32;
/// The largest magnitudes of queries and keys: with heads of at most 128 entries, no score exceeds 32 bits.
const QUERY: i32 = (1 << 23) - 1;
const KEY: i32 = (1 << 22) - 1;
/// The largest magnitude of values, Q12.
const VALUE: i32 = (1 << 27) - 1;

/// The keys or values of one head at all positions, as int8, and for each position the magnitude for which
/// 127 stands.
#[derive(Debug)]
struct Cached {
    numbers: Blocked,
    scales: Vec<i32>,
}

/// The keys and values of a window's tokens, which is all that the network remembers of them.
#[derive(Debug)]
struct Window {
    len: usize,
    /// By layer and head. Keys have a row for each position, values a column.
    keys: Vec<Cached>,
    values: Vec<Cached>,
}

impl Window {
    fn new(shape: &Shape, tokens: usize) -> Result<Self> {
        let make = |rows, cols| -> Result<Vec<Cached>> {
            let count = shape.layers * shape.kv_heads;
            let one = || Ok(Cached { numbers: Blocked::zeroed(rows, cols)?, scales: vec![0; tokens] });
            (0..count).map(|_| one()).collect()
        };
        Ok(Self { len: 0, keys: make(tokens, shape.head)?, values: make(shape.head, tokens)? })
    }
}

/// A token that steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    /// The number of its window.
    pub lane: usize,
    /// The token, below the size of the vocabulary.
    pub token: u32,
}

/// Windows that step together, with the scratch numbers of a step.
#[derive(Debug)]
pub struct Session<'m> {
    model: &'m Model,
    windows: Vec<Window>,
    /// The most tokens of a window.
    tokens: usize,
    /// The position of each column of this step in its window.
    at: Vec<usize>,
    /// Residual streams, Q12.
    x: Vec<i32>,
    /// One column before it is narrowed.
    wide: Vec<i32>,
    /// All columns narrowed for the next product, and the shift of each.
    narrow: Aligned<i16>,
    shifts: Vec<u32>,
    /// The results of products.
    sums: Vec<i32>,
    more_sums: Vec<i32>,
    logits: Vec<i32>,
    /// The attention of one group of heads: scores, then sums over values; narrowed queries; weights of
    /// values.
    scores: Vec<i32>,
    queries: Vec<i16>,
    weights: Vec<i16>,
}

impl<'m> Session<'m> {
    /// The memory that a session takes in addition to its windows, in bytes (approximate).
    pub fn fixed_bytes(model: &Model) -> usize {
        let s = &model.shape;
        let wide = s.width.max(s.hidden).max(s.heads * s.head) + 2 * s.kv_heads * s.head + 4 * BLOCK;
        let scores = s.heads / s.kv_heads * s.context.max(s.head).next_multiple_of(BLOCK);
        MAX_COLUMNS * (4 * s.vocab.next_multiple_of(BLOCK) + 14 * wide) + 8 * scores
    }

    /// Makes room for `lanes` windows of at most `tokens` tokens and for [`MAX_COLUMNS`] columns.
    ///
    /// # Errors
    /// `LimitExceeded` where memory is missing.
    pub fn new(model: &'m Model, lanes: usize, tokens: usize) -> Result<Self> {
        let s = &model.shape;
        let tokens = tokens.clamp(1, s.context).next_multiple_of(BLOCK);
        let heads = s.heads * s.head;
        let wide = s.width.max(s.hidden).max(heads);
        // Products write whole blocks; three of them lie next to each other for attention.
        let rows = (wide.max(s.hidden) + 3 * BLOCK).max(heads + 2 * s.kv_heads * s.head + 3 * BLOCK);
        let rows = rows.next_multiple_of(BLOCK);
        let vocab = s.vocab.next_multiple_of(BLOCK);
        let mut logits = Vec::new();
        logits
            .try_reserve_exact(MAX_COLUMNS * vocab)
            .map_err(|_| Error::limit("no memory for an llm's logits"))?;
        logits.resize(MAX_COLUMNS * vocab, 0);
        Ok(Self {
            model,
            windows: (0..lanes).map(|_| Window::new(s, tokens)).collect::<Result<_>>()?,
            tokens,
            at: Vec::new(),
            x: vec![0; MAX_COLUMNS * s.width],
            wide: vec![0; wide],
            narrow: Aligned::zeroed(MAX_COLUMNS * wide)?,
            shifts: vec![0; MAX_COLUMNS],
            sums: vec![0; MAX_COLUMNS * rows],
            more_sums: vec![0; MAX_COLUMNS * rows],
            logits,
            scores: vec![0; s.heads / s.kv_heads * tokens.max(pad(s.head))],
            queries: vec![0; s.heads / s.kv_heads * s.head],
            weights: vec![0; s.heads / s.kv_heads * tokens],
        })
    }

    /// Forgets a window's tokens.
    pub fn reset(&mut self, lane: usize) {
        self.windows[lane].len = 0;
    }

    /// The number of tokens of a window so far.
    pub fn len(&self, lane: usize) -> usize {
        self.windows[lane].len
    }

    /// Removes a window; the last one takes its place.
    pub fn swap_remove(&mut self, lane: usize) {
        self.windows.swap_remove(lane);
    }

    /// The logits of the vocabulary after column `c` of the last step, in Q8 octaves.
    pub fn logits(&mut self, c: usize) -> &mut [i32] {
        let vocab = self.model.shape.vocab;
        &mut self.logits[c * vocab.next_multiple_of(BLOCK)..][..vocab]
    }

    /// The input of the head in column `c` of the last step: D numbers, and the number of bits by which they
    /// were narrowed from Q16.
    pub fn hidden(&self, c: usize) -> (&[i16], u32) {
        let width = self.model.shape.width;
        (&self.narrow[c * width..][..width], self.shifts[c])
    }

    /// The kernel that the model runs with.
    pub fn kernel(&self) -> Kernel {
        self.model.kernel
    }

    /// Steps at most [`MAX_COLUMNS`] columns; those of one window must be in the order of its text.
    ///
    /// # Panics
    /// If there are more columns, or a window would have more tokens, than there is room for.
    pub fn step(&mut self, columns: &[Column]) {
        self.feed(columns);
        self.head(columns.len());
    }

    /// Steps columns without computing their logits.
    ///
    /// # Panics
    /// See [`Self::step`].
    pub fn feed(&mut self, columns: &[Column]) {
        assert!(columns.len() <= MAX_COLUMNS);
        self.embed(columns);
        for layer in 0..self.model.layers.len() {
            self.attention(layer, columns);
            self.feed_forward(layer, columns.len());
        }
    }

    /// Starts the residual streams with the rows of the embedding, and gives each column its position.
    fn embed(&mut self, columns: &[Column]) {
        let (model, width) = (self.model, self.model.shape.width);
        let Linear { weights, scale } = &model.embedding;
        self.at.clear();
        for (c, column) in columns.iter().enumerate() {
            let window = &mut self.windows[column.lane];
            assert!(window.len < self.tokens);
            self.at.push(window.len);
            window.len += 1;
            let token = column.token as usize;
            let x = &mut self.x[c * width..][..width];
            x.iter_mut().enumerate().for_each(|(i, x)| *x = weights.get(token, i).into());
            let multiplier = i64::from(scale.multipliers[token]);
            for x in x {
                let value =
                    (((i64::from(*x) * multiplier) << 12) + (1 << (scale.exponent - 1))) >> scale.exponent;
                *x = value.clamp((-e::RESIDUAL).into(), e::RESIDUAL.into()) as i32;
            }
        }
    }

    /// Norms all columns and narrows them to `bits` bits for the next products.
    fn norm(&mut self, gains: &[i32], bits: u32, count: usize) {
        let (model, width) = (self.model, self.model.shape.width);
        for c in 0..count {
            let wide = &mut self.wide[..width];
            e::norm(model.kernel, &self.x[c * width..][..width], gains, model.epsilon, wide);
            self.shifts[c] = e::narrow(model.kernel, wide, bits, &mut self.narrow[c * width..][..width]);
        }
    }

    /// The attention of a layer: computes and stores keys and values, then lets every column attend.
    fn attention(&mut self, number: usize, columns: &[Column]) {
        let (model, shape) = (self.model, &self.model.shape);
        let (layer, count) = (&model.layers[number], columns.len());
        let (queries, keys) = (shape.heads * shape.head, shape.kv_heads * shape.head);
        self.norm(&layer.attention_norm, layer.bits.attention, count);
        let x = Columns { x: &self.narrow, stride: shape.width, count };
        let (key_at, value_at) = (pad(queries), pad(queries) + pad(keys));
        let stride = value_at + pad(keys);
        for (linear, at) in [(&layer.query, 0), (&layer.key, key_at), (&layer.value, value_at)] {
            linear_into(model.kernel, linear, x, &self.shifts, &mut self.sums[at..], stride);
        }
        for (c, column) in columns.iter().enumerate() {
            let sums = &mut self.sums[c * stride..][..stride];
            let angles = &model.rope[self.at[c] * shape.head / 2..][..shape.head / 2];
            let (query, rest) = sums.split_at_mut(key_at);
            for head in query[..queries].chunks_exact_mut(shape.head) {
                e::rotate(model.kernel, head, angles, QUERY);
            }
            let (key, value) = rest.split_at_mut(value_at - key_at);
            let window = &mut self.windows[column.lane];
            for (h, head) in key[..keys].chunks_exact_mut(shape.head).enumerate() {
                e::rotate(model.kernel, head, angles, KEY);
                let cached = &mut window.keys[number * shape.kv_heads + h];
                remember(model.kernel, head, cached, self.at[c], |at, i| (at, i));
            }
            for (h, head) in value[..keys].chunks_exact_mut(shape.head).enumerate() {
                head.iter_mut().for_each(|v| *v = (*v).clamp(-VALUE, VALUE));
                let cached = &mut window.values[number * shape.kv_heads + h];
                remember(model.kernel, head, cached, self.at[c], |at, i| (i, at));
            }
        }
        for (c, column) in columns.iter().enumerate() {
            for h in 0..shape.kv_heads {
                self.attend(number, c, column.lane, h, stride);
            }
            let heads = &self.more_sums[c * stride..][..queries];
            let out = &mut self.narrow[c * queries..][..queries];
            self.shifts[c] = e::narrow(model.kernel, heads, layer.bits.output, out);
        }
        self.add_product(&layer.output, queries, count);
    }

    /// The attention of column `c` for the heads that share the keys and values `h`: reads queries from
    /// `sums`, writes results to `more_sums`.
    fn attend(&mut self, number: usize, c: usize, lane: usize, h: usize, stride: usize) {
        let (kernel, shape) = (self.model.kernel, &self.model.shape);
        let (size, group) = (shape.head, shape.heads / shape.kv_heads);
        let window = &self.windows[lane];
        let (keys, values) =
            (&window.keys[number * shape.kv_heads + h], &window.values[number * shape.kv_heads + h]);
        let positions = self.at[c] + 1;
        let queries = &self.sums[c * stride + h * group * size..][..group * size];
        let narrow = &mut self.queries[..group * size];
        let mut shifts = [0u32; 128];
        for (g, query) in queries.chunks_exact(size).enumerate() {
            shifts[g] = e::narrow(kernel, query, 15, &mut narrow[g * size..][..size]);
        }
        let padded = pad(positions);
        let scores = &mut self.scores[..group * padded];
        let x = Columns { x: narrow, stride: size, count: group };
        let mut out = Outputs { sums: scores, stride: padded };
        product(kernel, &keys.numbers, padded / BLOCK, size / 2, x, &mut out);
        let mut totals = [(0u64, 0u32); 128];
        for g in 0..group {
            let scores = &mut self.scores[g * padded..][..positions];
            let most = e::scores(kernel, scores, &keys.scales[..positions], 28 - shifts[g]);
            let total = e::powers(kernel, scores, most);
            let weights = &mut self.weights[g * padded..][..padded];
            weights[positions..].fill(0);
            let shift =
                e::value_weights(kernel, scores, &values.scales[..positions], &mut weights[..positions]);
            totals[g] = (total, shift);
        }
        let x = Columns { x: &self.weights, stride: padded, count: group };
        let mut out = Outputs { sums: &mut self.scores, stride: pad(size) };
        product(kernel, &values.numbers, pad(size) / BLOCK, positions.div_ceil(2), x, &mut out);
        for (g, &(total, shift)) in totals[..group].iter().enumerate() {
            let sums = &self.scores[g * pad(size)..][..size];
            let out = &mut self.more_sums[c * stride + (h * group + g) * size..][..size];
            e::divide(kernel, sums, total, shift, out);
        }
    }

    /// The feed-forward part of a layer.
    fn feed_forward(&mut self, number: usize, count: usize) {
        let (model, shape) = (self.model, &self.model.shape);
        let layer = &model.layers[number];
        self.norm(&layer.hidden_norm, layer.bits.hidden, count);
        let (x, stride) = (Columns { x: &self.narrow, stride: shape.width, count }, pad(shape.hidden));
        linear_into(model.kernel, &layer.gate, x, &self.shifts, &mut self.sums, stride);
        linear_into(model.kernel, &layer.up, x, &self.shifts, &mut self.more_sums, stride);
        for c in 0..count {
            let wide = &mut self.wide[..shape.hidden];
            let (gate, up) = (&self.sums[c * stride..], &self.more_sums[c * stride..]);
            e::gate(model.kernel, &gate[..shape.hidden], &up[..shape.hidden], sigmoid_table(), wide);
            let out = &mut self.narrow[c * shape.hidden..][..shape.hidden];
            self.shifts[c] = e::narrow(model.kernel, wide, layer.bits.down, out);
        }
        self.add_product(&layer.down, shape.hidden, count);
    }

    /// Multiplies narrowed columns of `size` entries and adds the results to the residual streams.
    fn add_product(&mut self, linear: &Linear, size: usize, count: usize) {
        let (kernel, width) = (self.model.kernel, self.model.shape.width);
        let x = Columns { x: &self.narrow, stride: size, count };
        linear_into(kernel, linear, x, &self.shifts, &mut self.sums, pad(width));
        for c in 0..count {
            e::add(kernel, &mut self.x[c * width..][..width], &self.sums[c * pad(width)..][..width]);
        }
    }

    /// The logits of all columns.
    fn head(&mut self, count: usize) {
        let (model, shape) = (self.model, &self.model.shape);
        self.norm(&model.final_norm, model.head_bits, count);
        let matrix = model.head.as_ref().unwrap_or(&model.embedding.weights);
        let x = Columns { x: &self.narrow, stride: shape.width, count };
        scaled_product(
            model.kernel,
            matrix,
            &model.head_scale,
            x,
            &self.shifts,
            &mut self.logits,
            pad(shape.vocab),
        );
    }
}

/// The next multiple of [`BLOCK`].
fn pad(n: usize) -> usize {
    n.next_multiple_of(BLOCK)
}

/// Narrows a key or value of position `at` and stores it; `place` returns the row and column of entry i.
fn remember(
    kernel: Kernel,
    head: &[i32],
    cached: &mut Cached,
    at: usize,
    place: impl Fn(usize, usize) -> (usize, usize),
) {
    let mut bytes = [0i8; 128];
    let bytes = &mut bytes[..head.len()];
    cached.scales[at] = e::narrow_cached(kernel, head, bytes);
    for (i, &b) in bytes.iter().enumerate() {
        let (row, col) = place(at, i);
        let offset = cached.numbers.offset(row, col);
        cached.numbers.data[offset] = b;
    }
}

/// See [`scaled_product`].
fn linear_into(kernel: Kernel, l: &Linear, x: Columns<'_>, shifts: &[u32], out: &mut [i32], stride: usize) {
    scaled_product(kernel, &l.weights, &l.scale, x, shifts, out, stride);
}

/// The product of a matrix with columns, scaled by the multipliers of the rows and the shifts of the columns.
fn scaled_product(
    kernel: Kernel,
    matrix: &Blocked,
    scale: &Scale,
    x: Columns<'_>,
    shifts: &[u32],
    out: &mut [i32],
    stride: usize,
) {
    let blocks = matrix.rows.div_ceil(BLOCK);
    product(kernel, matrix, blocks, matrix.pairs, x, &mut Outputs { sums: out, stride });
    for (c, &shift) in shifts[..x.count].iter().enumerate() {
        let sums = &mut out[c * stride..][..matrix.rows];
        e::rescale(kernel, sums, &scale.multipliers, u32::from(scale.exponent) - shift);
    }
}

/// Turns the logits of a column into weights in place: Q22 powers of two, of which the largest is 2^22.
pub fn powers(session: &mut Session<'_>, column: usize) {
    let kernel = session.kernel();
    let logits = session.logits(column);
    let most = logits.iter().copied().max().unwrap_or(0);
    e::powers(kernel, logits, most);
}
