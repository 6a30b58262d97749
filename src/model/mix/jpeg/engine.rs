//! Codes single decisions: counters that contexts choose, mixed, and refined by final stages.

use crate::coder::binary::{BinaryDecoder, BinaryEncoder};
use crate::error::Result;
use crate::kernel::{Kernel, dispatch, prefetch_at};
use crate::model::mix::apm::{Apm, Counter, learn, p12};
use crate::model::mix::logistic::{TABLES, Tables};
use crate::model::mix::mixer::{FAMILIES, FINALS, Mixer, Row, Short, WIDTH};
use crate::model::mix::pages::Pages;

/// The number of contexts of each decision.
pub const CONTEXTS: usize = 23;
/// The number of vectors of the mixer's inputs: two for each context, and two more.
const VECTORS: usize = 3;
/// A mask that is XORed into stored counters, so that zeroed memory holds probabilities of one half.
const EVEN: Counter = 1 << 31;
/// The number of bits after which a counter moves slowest.
const LIMIT: u32 = 255;
/// The initial weight of a logit, in Q14.
const WEIGHT: i16 = 1200;
/// The learning rate of the mixer's first layer.
const RATE: i32 = 10;
/// A counter that has seen so many bits is trusted by half.
const TRUST: i32 = 20;
/// The number of rows in each family of the mixer's first layer.
pub const ROWS: [usize; FAMILIES] = [64, 1024, 512, 512, 512];

/// Where decisions come from or go to.
pub trait Bits {
    /// Encodes `bit`, or decodes a bit in its place, given the probability of a one in 1/65536.
    fn bit(&mut self, bit: u32, p: u32) -> u32;

    /// Whether more has been decoded than there is.
    fn ended(&self) -> bool;
}

impl Bits for BinaryEncoder {
    #[inline(always)]
    fn bit(&mut self, bit: u32, p: u32) -> u32 {
        self.encode(bit, p);
        bit
    }

    fn ended(&self) -> bool {
        false
    }
}

/// Decodes decisions.
pub struct Reading<'a> {
    pub decoder: BinaryDecoder,
    pub payload: &'a [u8],
}

impl Bits for Reading<'_> {
    #[inline(always)]
    fn bit(&mut self, _bit: u32, p: u32) -> u32 {
        self.decoder.decode(self.payload, p)
    }

    fn ended(&self) -> bool {
        self.decoder.overrun(self.payload) > crate::coder::binary::OVERRUN
    }
}

/// Selects the rows of the mixer and the contexts of the final stages for a decision.
#[derive(Debug, Clone, Copy, Default)]
pub struct Choice {
    pub rows: [usize; FAMILIES],
    pub finals: [usize; 2],
    pub stages: [usize; 2],
}

/// The state of all that adapts.
pub struct Engine {
    /// For each context, 2^`log` lines: a check value, and the counters of nodes 1..=15.
    lines: Pages<[Counter; 16]>,
    log: u32,
    at: [usize; CONTEXTS],
    mixer: Mixer,
    stages: [Apm; 2],
    tables: &'static Tables,
    kernel: Kernel,
}

/// The number of contexts of each final stage.
pub const STAGES: usize = 4096;

/// Memory in bytes that an engine with 2^`log` lines for each context takes.
pub fn memory(log: u32) -> u64 {
    ((CONTEXTS as u64) << (log + 6)) + (1 << 20)
}

impl Engine {
    /// Takes the memory; `log` in 4..=24.
    pub fn new(log: u32) -> Result<Self> {
        let mut row = Row::splat(0);
        row.0.as_flattened_mut()[..2 * CONTEXTS].iter_mut().step_by(2).for_each(|w| *w = WEIGHT);
        let mut last = Short([0; WIDTH]);
        last.0[..FAMILIES].fill((1 << 14) / FAMILIES as i16);
        let rows = vec![row; ROWS.iter().sum()];
        let mut mixer = Mixer::new(ROWS, &rows, &vec![last; FINALS]);
        mixer.set_rate(RATE);
        Ok(Self {
            lines: Pages::new(CONTEXTS << log)?,
            log,
            at: [0; CONTEXTS],
            mixer,
            stages: [Apm::new(STAGES, &TABLES, 6)?, Apm::new(STAGES, &TABLES, 6)?],
            tables: &TABLES,
            kernel: Kernel::best(),
        })
    }

    /// Finds the lines of contexts, given their hashes.
    pub fn seek(&mut self, hashes: &[u32; CONTEXTS]) {
        for (i, hash) in hashes.iter().enumerate() {
            self.at[i] = i << self.log | (hash >> (32 - self.log)) as usize;
            prefetch_at(&self.lines, self.at[i]);
        }
    }

    /// Codes a decision at a node, 1..=15, of the contexts' lines.
    pub fn code<B: Bits>(&mut self, bits: &mut B, node: usize, choice: &Choice, bit: u32) -> u32 {
        dispatch!(
            self.kernel,
            scalar: self.code_with::<false, B>(bits, node, choice, bit),
            avx2: code_avx2(self, bits, node, choice, bit),
            v128: self.code_with::<true, B>(bits, node, choice, bit),
        )
    }

    #[inline(always)]
    fn code_with<const A: bool, B: Bits>(
        &mut self,
        bits: &mut B,
        node: usize,
        choice: &Choice,
        bit: u32,
    ) -> u32 {
        let node = node & 15;
        self.mixer.select(choice.rows, choice.finals);
        let inputs = self.mixer.inputs().0.as_flattened_mut();
        for (input, at) in inputs.as_chunks_mut::<2>().0.iter_mut().zip(self.at) {
            let counter = self.lines[at][node] ^ EVEN;
            let (logit, seen) = (self.tables.stretch(p12(counter)), (counter & 1023) as i32);
            // How far a counter can be trusted depends on the bits that it has seen.
            *input = [logit as i16, (logit * seen / (seen + TRUST)) as i16];
        }
        inputs[2 * CONTEXTS] = 256;
        let logit = self.mixer.mix::<A, VECTORS>();
        let refined = [0, 1].map(|i| self.stages[i].refine(logit, choice.stages[i]));
        let plain = self.tables.squash(logit);
        let p = ((plain + refined[0] + 2 * refined[1]) >> 2).clamp(16, 65520);
        let bit = bits.bit(bit, p);
        self.mixer.update::<A, VECTORS>(bit, self.tables);
        self.stages.iter_mut().for_each(|s| s.update(bit));
        for at in self.at {
            let counter = &mut self.lines[at][node];
            *counter ^= EVEN;
            learn(counter, bit, LIMIT);
            *counter ^= EVEN;
        }
        bit
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn code_avx2<B: Bits>(engine: &mut Engine, bits: &mut B, node: usize, choice: &Choice, bit: u32) -> u32 {
    engine.code_with::<true, B>(bits, node, choice, bit)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Decisions that depend on little, coded with a kernel.
    fn coded(kernel: Kernel) -> Vec<u8> {
        let mut engine = Engine { kernel, ..Engine::new(5).unwrap() };
        let (mut encoder, mut seed) = (BinaryEncoder::new(Vec::new()), 1u32);
        let mut random = || {
            seed = seed.wrapping_mul(0x0019_660D).wrapping_add(0x3C6E_F35F);
            seed >> 8
        };
        for i in 0..4000 {
            if i % 3 == 0 {
                engine.seek(&std::array::from_fn(|_| (random() % 50) << 24));
            }
            let rows = std::array::from_fn(|f| random() as usize % ROWS[f]);
            let small = |random: &mut dyn FnMut() -> u32| random() as usize % 256;
            let finals = [small(&mut random), small(&mut random)];
            let choice = Choice { rows, finals, stages: finals };
            let bit = (rows[0] as u32 ^ random()) % 5 / 4;
            engine.code(&mut encoder, 1 + i % 15, &choice, bit);
        }
        encoder.finish()
    }

    #[test]
    fn all_kernels_code_the_same_bits() {
        let scalar = coded(Kernel::Scalar);
        assert!(scalar.len() > 200);
        for kernel in Kernel::supported() {
            assert!(coded(kernel) == scalar, "{kernel:?}");
        }
    }
}
