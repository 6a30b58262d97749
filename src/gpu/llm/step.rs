//! Steps columns on the GPU, one operation per dispatch. `model::llm::Session` gives the same weights.

use super::pack::{PackedLayer, PackedLlm, PlacedMatrix};
use crate::gpu::context::{Gpu, Shader};
use crate::gpu::fault::{Fault, Outcome};
use crate::model::llm::{Column, MAX_COLUMNS};
use std::fmt::Write;

// No kernel needs a bound on its iterations: within the limits of shapes, a thread makes at most about 9,000
// in a dispatch, in a product of 32,768 columns.

const SOURCE: [&str; 4] = [
    include_str!("../wide.wgsl"),
    include_str!("signed.wgsl"),
    include_str!("step.wgsl"),
    include_str!("attend.wgsl"),
];
/// The threads of a workgroup.
const THREADS: usize = 256;
/// The most workgroups of a dispatch.
const MAX_GROUPS: usize = 65_535;

/// The kernels, and the bindings that each uses.
const KERNELS: [(&str, &[u32]); 8] = [
    ("embed", &[0, 1, 3, 5]),
    ("norm", &[0, 1, 5]),
    ("narrow", &[1, 5]),
    ("gate", &[1, 4, 5]),
    ("product", &[0, 1, 3, 5]),
    ("powers", &[1, 4, 5]),
    ("remember", &[1, 2, 3, 4, 5]),
    ("attend", &[1, 2, 3, 4, 5]),
];
const EMBED: usize = 0;
const NORM: usize = 1;
const NARROW: usize = 2;
const GATE: usize = 3;
const PRODUCT: usize = 4;
const POWERS: usize = 5;
const REMEMBER: usize = 6;
const ATTEND: usize = 7;

/// The constants of an operation: `Op` in `step.wgsl`.
#[derive(Debug, Clone, Copy, Default)]
struct Op {
    size: usize,
    source: usize,
    source_stride: usize,
    target: usize,
    target_stride: usize,
    other: usize,
    bits: u32,
    weights_at: usize,
    scale_at: usize,
    rows: usize,
    exponent: u32,
    adds: bool,
    layer: usize,
    epsilon: u32,
}

impl Op {
    fn words(&self) -> [u32; 16] {
        [
            self.size as u32,
            self.source as u32,
            self.source_stride as u32,
            self.target as u32,
            self.target_stride as u32,
            self.other as u32,
            self.bits,
            self.weights_at as u32,
            self.scale_at as u32,
            self.rows as u32,
            self.exponent,
            self.adds.into(),
            self.layer as u32,
            self.epsilon,
            0,
            0,
        ]
    }
}

/// The number of workgroups of an operation.
#[derive(Debug, Clone, Copy)]
enum Groups {
    /// This many for each column.
    Columns(usize),
    /// As many as give each pair of one of this many rows and four columns a thread.
    Rows(usize),
}

impl Groups {
    fn count(self, columns: usize) -> usize {
        match self {
            Groups::Columns(each) => each * columns,
            Groups::Rows(rows) => (rows * columns.div_ceil(4)).div_ceil(THREADS),
        }
    }
}

/// The layout of the working memory: the starts of its parts, and the distances between columns, in words.
struct WorkMemory {
    columns: usize,
    tokens: usize,
    x: usize,
    wide: usize,
    wide_stride: usize,
    act: usize,
    shift: usize,
    sums: usize,
    sums_stride: usize,
    more: usize,
    scores: usize,
    logits: usize,
    words: usize,
}

impl WorkMemory {
    fn new(packed: &PackedLlm, columns: usize, tokens: usize) -> Self {
        let s = &packed.shape;
        let columns = columns.next_multiple_of(4);
        let (queries, keys) = (s.heads * s.head, s.kv_heads * s.head);
        let wide_stride = s.width.max(s.hidden).max(queries);
        let sums_stride = (queries + 2 * keys).max(s.hidden);
        let mut words = 0;
        let mut part = |size: usize| {
            words += columns * size;
            words - columns * size
        };
        Self {
            columns,
            tokens,
            x: part(s.width),
            wide: part(wide_stride),
            wide_stride,
            act: part(2 * wide_stride.div_ceil(4)),
            shift: part(1),
            sums: part(sums_stride),
            sums_stride,
            more: part(sums_stride),
            scores: part(s.heads * tokens),
            logits: part(s.vocab),
            words,
        }
    }

    /// The constants of the shader.
    fn constants(&self, packed: &PackedLlm, lanes: usize) -> String {
        let s = &packed.shape;
        let (sigmoid, rope) = PackedLlm::tables_at();
        let words = s.head.div_ceil(4);
        let constants = [
            ("COLUMNS", self.columns),
            ("TOKENS", self.tokens),
            ("ACT", self.act),
            ("SHIFT", self.shift),
            ("LAYERS", s.layers),
            ("HEADS", s.heads),
            ("KV_HEADS", s.kv_heads),
            ("HEAD", s.head),
            ("HEAD_WORDS", words),
            ("SCALES", packed.lists(lanes) * self.tokens * words),
            ("EXP2", 0),
            ("SIGMOID", sigmoid),
            ("ROPE", rope),
        ];
        let mut text = String::new();
        for (name, value) in constants {
            writeln!(text, "const {name}: u32 = {value}u;").expect("into memory");
        }
        text
    }
}

/// An operation, ready to be dispatched.
struct PreparedOp {
    kernel: usize,
    bound: wgpu::BindGroup,
    groups: Groups,
}

/// Windows that step together on a GPU.
pub struct GpuSession<'a> {
    gpu: &'a Gpu,
    packed: &'a PackedLlm,
    work_memory: WorkMemory,
    shaders: Vec<Shader>,
    program: Vec<PreparedOp>,
    columns: wgpu::Buffer,
    work: wgpu::Buffer,
    /// The number of tokens of each window so far.
    lens: Vec<usize>,
}

impl<'a> GpuSession<'a> {
    /// Room for `lanes` windows of at most `tokens` tokens and for `columns` columns, up to [`MAX_COLUMNS`].
    pub fn new(
        gpu: &'a Gpu,
        packed: &'a PackedLlm,
        lanes: usize,
        tokens: usize,
        columns: usize,
    ) -> Outcome<Self> {
        let tokens = tokens.clamp(1, packed.shape.context);
        let work_memory = WorkMemory::new(packed, columns.min(MAX_COLUMNS), tokens);
        let source = work_memory.constants(packed, lanes) + &SOURCE.concat();
        let shaders = KERNELS.iter().map(|k| gpu.shader(&source, k.0)).collect::<Outcome<Vec<_>>>()?;
        let most = [packed.shape.vocab, packed.shape.hidden, packed.shape.width]
            .map(|rows| Groups::Rows(rows).count(work_memory.columns));
        // Offsets in a shader have 32 bits.
        let cache = packed.cache_bytes(lanes, tokens) / 4;
        if most.iter().any(|m| *m > MAX_GROUPS) || cache >= 1 << 30 || work_memory.words >= 1 << 30 {
            return Err(Fault::new("a language model too large for a GPU's limits"));
        }
        let mut builder = Builder {
            gpu,
            packed,
            work_memory: &work_memory,
            shaders: &shaders,
            columns: gpu.zeroed(1 + 3 * work_memory.columns)?,
            work: gpu.zeroed(work_memory.words)?,
            cache: gpu.zeroed(cache as usize)?,
            tables: gpu.upload(&packed.tables)?,
            program: Vec::new(),
        };
        builder.step()?;
        let Builder { columns, work, program, .. } = builder;
        Ok(Self { gpu, packed, work_memory, shaders, program, columns, work, lens: vec![0; lanes] })
    }

    /// Removes all tokens of a window.
    pub fn reset(&mut self, lane: usize) {
        self.lens[lane] = 0;
    }

    /// The number of tokens of a window so far.
    pub fn len(&self, lane: usize) -> usize {
        self.lens[lane]
    }

    /// Steps columns; those of one window must be in the order of its text. Returns for each column the
    /// weights of the vocabulary for the token that follows.
    ///
    /// # Panics
    /// If there are more columns or longer windows than there is room for, or a token is not in the
    /// vocabulary.
    pub fn step(&mut self, columns: &[Column]) -> Outcome<Vec<u32>> {
        assert!(columns.len() <= self.work_memory.columns);
        let mut words = vec![columns.len() as u32];
        for column in columns {
            let len = &mut self.lens[column.lane];
            assert!(*len < self.work_memory.tokens && (column.token as usize) < self.packed.shape.vocab);
            words.extend([column.lane as u32, column.token, *len as u32]);
            *len += 1;
        }
        self.gpu.write(&self.columns, &words);
        let steps = self
            .program
            .iter()
            .map(|p| (&self.shaders[p.kernel], &p.bound, p.groups.count(columns.len()) as u32));
        self.gpu.dispatch_sequence(steps);
        self.gpu.count(0, 0, self.weight_bytes() * columns.len().div_ceil(4) as u64);
        let (start, len) = (self.work_memory.logits, columns.len() * self.packed.shape.vocab);
        self.gpu.finish_read(self.gpu.start_read_from(&self.work, start, len)?)
    }

    /// The number of bytes of matrices that four columns read in a step.
    fn weight_bytes(&self) -> u64 {
        let layer = |l: &PackedLayer| {
            let all = l.attention.iter().chain(&l.hidden).chain([&l.output, &l.down]);
            all.map(PlacedMatrix::bytes).sum::<u64>()
        };
        self.packed.layers.iter().map(layer).sum::<u64>() + self.packed.head.bytes()
    }
}

/// Prepares the operations of a step.
struct Builder<'b> {
    gpu: &'b Gpu,
    packed: &'b PackedLlm,
    work_memory: &'b WorkMemory,
    shaders: &'b [Shader],
    columns: wgpu::Buffer,
    work: wgpu::Buffer,
    cache: wgpu::Buffer,
    tables: wgpu::Buffer,
    program: Vec<PreparedOp>,
}

impl Builder<'_> {
    fn add(&mut self, kernel: usize, weights: &wgpu::Buffer, op: Op, groups: Groups) -> Outcome<()> {
        let uniform = self.gpu.uniform(&op.words())?;
        let buffers = [weights, &self.work, &self.cache, &self.columns, &self.tables, &uniform];
        let used: Vec<_> = KERNELS[kernel].1.iter().map(|&b| (b, buffers[b as usize])).collect();
        let bound = self.gpu.bind_numbered(&self.shaders[kernel], &used);
        self.program.push(PreparedOp { kernel, bound, groups });
        Ok(())
    }

    /// Adds the product of a matrix and the narrowed numbers.
    fn product(
        &mut self,
        weights: &wgpu::Buffer,
        m: PlacedMatrix,
        target: usize,
        target_stride: usize,
        adds: bool,
    ) -> Outcome<()> {
        let op = Op {
            size: m.cols,
            target,
            target_stride,
            weights_at: m.at,
            scale_at: m.scale_at,
            rows: m.rows,
            exponent: m.exponent,
            adds,
            ..Op::default()
        };
        self.add(PRODUCT, weights, op, Groups::Rows(m.rows))
    }

    fn norm(&mut self, weights: &wgpu::Buffer, gains: usize, bits: u32) -> Outcome<()> {
        let (l, size) = (self.work_memory, self.packed.shape.width);
        let op = Op {
            size,
            source: l.x,
            source_stride: size,
            target: l.wide,
            target_stride: l.wide_stride,
            bits,
            weights_at: gains,
            epsilon: self.packed.epsilon,
            ..Op::default()
        };
        self.add(NORM, weights, op, Groups::Columns(1))
    }

    fn step(&mut self) -> Outcome<()> {
        let (p, l, s) = (self.packed, self.work_memory, self.packed.shape);
        let vocabulary = self.gpu.upload(&p.vocabulary)?;
        let embed = Op {
            size: s.width,
            target: l.x,
            target_stride: s.width,
            weights_at: p.embedding.at,
            scale_at: p.embedding.scale_at,
            rows: s.vocab,
            exponent: p.embedding.exponent,
            ..Op::default()
        };
        self.add(EMBED, &vocabulary, embed, Groups::Columns(1))?;
        for (number, layer) in p.layers.iter().enumerate() {
            let weights = self.gpu.upload(&layer.words)?;
            self.attention(number, layer, &weights)?;
            self.feed_forward(layer, &weights)?;
        }
        self.norm(&vocabulary, p.final_norm, p.head_bits)?;
        self.product(&vocabulary, p.head, l.logits, s.vocab, false)?;
        let powers = Op { size: s.vocab, target: l.logits, target_stride: s.vocab, ..Op::default() };
        self.add(POWERS, &vocabulary, powers, Groups::Columns(1))
    }

    fn attention(&mut self, number: usize, layer: &PackedLayer, weights: &wgpu::Buffer) -> Outcome<()> {
        let (l, s) = (self.work_memory, self.packed.shape);
        let queries = s.heads * s.head;
        self.norm(weights, layer.attention_norm, layer.bits.attention)?;
        let mut at = l.sums;
        for m in layer.attention {
            self.product(weights, m, at, l.sums_stride, false)?;
            at += m.rows;
        }
        let heads = Op {
            size: queries,
            source: l.sums,
            source_stride: l.sums_stride,
            target: l.more,
            target_stride: l.sums_stride,
            other: l.scores,
            layer: number,
            ..Op::default()
        };
        self.add(REMEMBER, weights, heads, Groups::Columns(1))?;
        self.add(ATTEND, weights, heads, Groups::Columns(s.heads))?;
        let narrow = Op { source: l.more, bits: layer.bits.output, ..heads };
        self.add(NARROW, weights, narrow, Groups::Columns(1))?;
        self.product(weights, layer.output, l.x, s.width, true)
    }

    fn feed_forward(&mut self, layer: &PackedLayer, weights: &wgpu::Buffer) -> Outcome<()> {
        let (l, s) = (self.work_memory, self.packed.shape);
        self.norm(weights, layer.hidden_norm, layer.bits.hidden)?;
        let [gate, up] = layer.hidden;
        self.product(weights, gate, l.sums, l.sums_stride, false)?;
        self.product(weights, up, l.more, l.sums_stride, false)?;
        let hidden = Op {
            size: s.hidden,
            source: l.sums,
            source_stride: l.sums_stride,
            other: l.more,
            target: l.wide,
            target_stride: l.wide_stride,
            bits: layer.bits.down,
            ..Op::default()
        };
        self.add(GATE, weights, hidden, Groups::Columns(1))?;
        self.product(weights, layer.down, l.x, s.width, true)
    }
}
