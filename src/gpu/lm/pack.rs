//! Packs a language model for its kernels: constants of the shader, and one buffer of words.

use crate::gpu::context::Gpu;
use crate::gpu::fault::Outcome;
use crate::gpu::lanes::LANES;
use crate::gpu::words::to_words;
use crate::model::fixed::{EXP2, LOG2, SQUASH};
use crate::model::lm::weights::{Config, Matrix, Weights};
use std::fmt::Write;
use std::sync::OnceLock;

/// The threads of a workgroup. Every GPU supports this many.
pub const THREADS: usize = 256;

/// The constants and weights of a model.
pub struct PackedLm {
    config: Config,
    words: Vec<u32>,
    /// The constants of the shader: offsets into `words`.
    constants: String,
    /// `words` on the GPU.
    buffer: OnceLock<Outcome<wgpu::Buffer>>,
}

/// Offsets into a lane's state, in words.
const STATE_PARTS: [(&str, usize); 10] = [
    ("BY_NODE", 1024),
    ("BY_LAST", 1024),
    ("BY_MATCH", 64),
    ("ORDER0", 128),
    ("GUESSES", 1792),
    ("CONFIDENCE", 24),
    ("MATCHES", 2048),
    ("SCALARS", 4),
    ("CODER", 16),
    ("RECENT", 3),
];

impl PackedLm {
    /// Lays out weights that have passed [`Weights::check`].
    pub fn new(weights: &Weights) -> Self {
        let mut packed = Self {
            config: weights.config.clone(),
            words: Vec::new(),
            constants: String::new(),
            buffer: OnceLock::new(),
        };
        packed.part("SQUASH", SQUASH.chunks(2).map(|p| p[0] as u32 | (p[1] as u32) << 16));
        packed.part("EXP2", EXP2.iter().map(|&e| e as u32));
        packed.part("LOG2", to_words(LOG2));
        packed.tables(weights);
        let input = packed.words.len();
        packed.constant("INPUT", input);
        packed.matrix(&weights.input, false);
        packed.layers(weights);
        let head = packed.words.len();
        packed.constant("HEAD", head);
        packed.matrix(&weights.head, true);
        packed.shape();
        packed
    }

    /// The buffer `model` of the shader, on the only GPU with which this model is used.
    pub fn buffer(&self, gpu: &Gpu) -> Outcome<&wgpu::Buffer> {
        self.buffer.get_or_init(|| gpu.upload(&self.words)).as_ref().map_err(Clone::clone)
    }

    fn constant(&mut self, name: &str, value: usize) {
        writeln!(self.constants, "const {name}: u32 = {value}u;").expect("into memory");
    }

    fn part(&mut self, name: &str, words: impl Iterator<Item = u32>) {
        self.constant(name, self.words.len());
        self.words.extend(words);
    }

    /// Appends, for each table, its order, the binary logarithm of its number of rows, and its start; then
    /// the tables.
    fn tables(&mut self, weights: &Weights) {
        let info = self.words.len();
        self.constant("TABLE_INFO", info);
        let mut start = info + 3 * weights.tables.len();
        for (config, table) in weights.config.tables.iter().zip(&weights.tables) {
            self.words.extend([u32::from(config.order), u32::from(config.log2_rows), start as u32]);
            start += table.len().div_ceil(4);
        }
        for table in &weights.tables {
            let bytes: Vec<u8> = table.iter().map(|&w| w as u8).collect();
            self.words.extend(to_words(&bytes));
        }
    }

    fn layers(&mut self, weights: &Weights) {
        let first = self.words.len();
        self.constant("LAYER", first);
        for (l, layer) in weights.layers.iter().enumerate() {
            let parts =
                [("GATES", &layer.gates), ("OUT", &layer.out), ("UP", &layer.up), ("DOWN", &layer.down)];
            for (name, matrix) in parts {
                if l == 0 {
                    self.constant(name, self.words.len() - first);
                }
                self.matrix(matrix, true);
            }
            if l == 0 {
                self.constant("LAYER_WORDS", self.words.len() - first);
            }
        }
    }

    /// Appends a matrix: four columns to a word, [four columns][row]; then the offset and the shift of each
    /// row. The stored low digit of a two-digit activation is 128 less than its value; the offset compensates
    /// for that.
    fn matrix(&mut self, matrix: &Matrix, two_digits: bool) {
        for k in (0..matrix.cols).step_by(4) {
            for row in matrix.weights.chunks_exact(matrix.cols) {
                let mut word = [0; 4];
                for (to, &w) in word.iter_mut().zip(&row[k..matrix.cols.min(k + 4)]) {
                    *to = w as u8;
                }
                self.words.push(u32::from_le_bytes(word));
            }
        }
        for (r, row) in matrix.weights.chunks_exact(matrix.cols).enumerate() {
            let round = if matrix.shift[r] == 0 { 0 } else { 1 << (matrix.shift[r] - 1) };
            let sum: i32 = row.iter().map(|&w| i32::from(w)).sum();
            let digits = if two_digits { 128 * sum } else { 0 };
            self.words.push(matrix.bias[r].wrapping_add(round).wrapping_add(digits) as u32);
        }
        self.words.extend(matrix.shift.iter().map(|&s| u32::from(s)));
    }

    fn shape(&mut self) {
        let config = self.config.clone();
        let shape = [
            ("WIDTH", config.width),
            ("STATE", config.state),
            ("HIDDEN", config.hidden),
            ("LAYERS", config.layers),
            ("TABLES", config.tables.len()),
            ("TABLE_WIDTH", config.table_width),
            ("THREADS", THREADS),
        ];
        for (name, value) in shape {
            self.constant(name, value);
        }
        let mut at = config.layers * config.state;
        for (name, words) in STATE_PARTS {
            self.constant(name, at);
            at += words;
        }
        self.constant("STATE_WORDS", at);
    }

    /// The number of words of a lane's state.
    pub fn state_words(&self) -> usize {
        self.config.layers * self.config.state + STATE_PARTS.iter().map(|p| p.1).sum::<usize>()
    }

    /// The largest number of columns of a matrix.
    fn columns(&self) -> usize {
        let c = &self.config;
        [c.tables.len() * c.table_width, c.width, c.state, c.hidden].into_iter().max().unwrap_or(0)
    }

    /// The number of words, of four u32 each, of a workgroup's activations.
    pub fn act_words(&self) -> usize {
        self.columns().div_ceil(4) * (LANES / 4) * 2
    }

    fn product_words(&self) -> usize {
        let c = &self.config;
        [3 * c.state, c.width, c.hidden, 256].into_iter().max().unwrap_or(0) * LANES
    }

    /// The number of words of a workgroup's scratch memory: residual stream, last product, tree of weights.
    pub fn scratch_words(&self) -> usize {
        self.config.width * LANES + self.product_words() + 512 * LANES
    }

    /// The shader's constants for workgroups.
    pub fn constants(&self) -> String {
        let product = self.config.width * LANES;
        let tree = product + self.product_words();
        let mut text = self.constants.clone();
        let own = [
            ("LANES", LANES),
            ("PRODUCT", product),
            ("TREE", tree),
            ("SCRATCH_WORDS", self.scratch_words()),
            ("ACT_WORDS", self.act_words()),
        ];
        for (name, value) in own {
            writeln!(text, "const {name}: u32 = {value}u;").expect("into memory");
        }
        text
    }

    /// The rows and columns of every matrix.
    fn shapes(&self) -> Vec<(usize, usize)> {
        let c = &self.config;
        let layer = [(3 * c.state, c.width), (c.width, c.state), (c.hidden, c.width), (c.width, c.hidden)];
        let mut shapes = vec![(c.width, c.tables.len() * c.table_width)];
        shapes.extend(std::iter::repeat_n(layer, c.layers).flatten());
        shapes.push((256, c.width));
        shapes
    }

    /// The number of bytes of weights, offsets and shifts that a workgroup reads in a step, by the formula of
    /// `formats/gpu.md`.
    #[cfg(test)]
    pub fn step_bytes(&self) -> u64 {
        self.shapes().iter().map(|&(r, c)| 4 * (r * c.div_ceil(4) + 2 * r) as u64).sum()
    }

    /// An upper bound on the loop iterations of one thread in a step.
    pub fn step_iterations(&self) -> usize {
        let c = &self.config;
        let products = self.shapes().into_iter().map(|(rows, columns)| {
            let tiles = (rows * LANES / 8).div_ceil(THREADS);
            tiles * (1 + columns.div_ceil(4))
        });
        // The element-wise parts: quads of rows and lanes with four rows of four lanes each, and sums over
        // rows.
        let quads = |rows: usize| (rows.div_ceil(4) * LANES / 4).div_ceil(THREADS) * 21;
        let rows = |rows: usize| (rows * LANES).div_ceil(THREADS) + THREADS / LANES;
        let norm = rows(c.width) + 27 + quads(c.width);
        let layer = 2 * norm + quads(c.state) + quads(c.hidden) + 2 * rows(c.width);
        let embed = (c.tables.len() * LANES).div_ceil(THREADS) * 9 + quads(c.tables.len() * c.table_width);
        let tree = 3 * rows(256) + 8 * (1 + rows(128));
        let adaptive = 8 * (5 + 4 + 4 + 5 + 1) + 64;
        products.sum::<usize>() + c.layers * layer + norm + rows(c.width) + embed + tree + adaptive
    }
}
