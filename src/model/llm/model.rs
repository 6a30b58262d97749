//! A model that is ready to run: its weights are laid out for the kernels, and checked not to overflow.

use super::kernel::{BLOCK, Blocked};
use super::tokens::Tokenizer;
use super::weights::{Layer, LayerBits, Matrix, Scale, Shape, Weights};
use crate::error::Result;
use crate::kernel::Kernel;

/// A matrix laid out for the kernels.
#[derive(Debug)]
pub(super) struct Linear {
    pub weights: Blocked,
    pub scale: Scale,
}

impl Linear {
    fn new(m: Matrix) -> Result<Self> {
        Ok(Self { weights: Blocked::new(&m.weights, m.cols)?, scale: m.scale })
    }
}

/// A layer with its matrices laid out for the kernels.
#[derive(Debug)]
pub(super) struct ReadyLayer {
    pub bits: LayerBits,
    /// The gains (Q20) of the norm before attention.
    pub attention_norm: Vec<i32>,
    pub query: Linear,
    pub key: Linear,
    pub value: Linear,
    pub output: Linear,
    /// The gains (Q20) of the norm before the feed-forward part.
    pub hidden_norm: Vec<i32>,
    pub gate: Linear,
    pub up: Linear,
    pub down: Linear,
}

impl ReadyLayer {
    fn new(l: Layer) -> Result<Self> {
        Ok(Self {
            bits: l.bits()?,
            attention_norm: l.attention_norm,
            query: Linear::new(l.query)?,
            key: Linear::new(l.key)?,
            value: Linear::new(l.value)?,
            output: Linear::new(l.output)?,
            hidden_norm: l.hidden_norm,
            gate: Linear::new(l.gate)?,
            up: Linear::new(l.up)?,
            down: Linear::new(l.down)?,
        })
    }
}

/// A model ready to run. No sum of its products can overflow.
#[derive(Debug)]
pub struct Model {
    pub(super) shape: Shape,
    pub(super) kernel: Kernel,
    pub(super) epsilon: u32,
    pub(super) embedding: Linear,
    pub(super) layers: Vec<ReadyLayer>,
    pub(super) final_norm: Vec<i32>,
    /// The head's own weights; `None` where it uses those of the embedding.
    pub(super) head: Option<Blocked>,
    pub(super) head_scale: Scale,
    pub(super) head_bits: u32,
    pub(super) rope: Vec<[i16; 2]>,
    pub(super) tokenizer: Tokenizer,
}

impl Model {
    /// Lays weights out for the fastest kernel of this machine.
    ///
    /// # Errors
    /// `Corrupt` where a sum could overflow; `LimitExceeded` where memory is missing.
    pub fn new(weights: Weights) -> Result<Self> {
        Self::with_kernel(weights, Kernel::best())
    }

    /// Lays weights out for the given kernel.
    ///
    /// # Errors
    /// Those of [`Model::new`].
    pub fn with_kernel(weights: Weights, kernel: Kernel) -> Result<Self> {
        let head_bits = weights.head_bits()?;
        let head = weights.head.as_ref().map(|w| Blocked::new(w, weights.shape.width)).transpose()?;
        Ok(Self {
            shape: weights.shape,
            kernel,
            epsilon: weights.epsilon,
            embedding: Linear::new(weights.embedding)?,
            layers: weights.layers.into_iter().map(ReadyLayer::new).collect::<Result<_>>()?,
            final_norm: weights.final_norm,
            head,
            head_scale: weights.head_scale,
            head_bits,
            rope: weights.rope,
            tokenizer: weights.tokenizer,
        })
    }

    /// The sizes of the network.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// The vocabulary.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// The kernel that the model runs with.
    pub fn kernel(&self) -> Kernel {
        self.kernel
    }

    /// The bytes that the keys and values of a window of `tokens` tokens take.
    pub fn cache_bytes(&self, tokens: usize) -> usize {
        let s = &self.shape;
        tokens.next_multiple_of(BLOCK) * s.layers * s.kv_heads * (2 * s.head.next_multiple_of(BLOCK) + 8)
    }
}
