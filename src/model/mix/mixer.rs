//! Gated logistic mixing in two layers (Mattern 2013 names the family; Mahoney's PAQ8 the practice).

use super::kernel;
use super::logistic::Tables;

/// Width of the input vector.
pub const INPUTS: usize = 32;
/// Set families of the first layer.
pub const FAMILIES: usize = 6;
/// Width of the second layer's input vector.
pub const WIDTH: usize = 16;

/// One weight vector.
pub type Weights = [i16; INPUTS];

/// The first layer's set families (each a list of weight vectors, one of which a context selects for
/// every bit) and the second layer, which mixes their outputs.
pub struct Mixer {
    inputs: Weights,
    families: [Vec<Weights>; FAMILIES],
    selected: [usize; FAMILIES],
    outputs: [i32; FAMILIES],
    finals: Vec<[i16; WIDTH]>,
    final_inputs: [i16; WIDTH],
    final_selected: usize,
    p: i32,
    rate: i32,
}

/// Learning rate of the second layer.
const FINAL_RATE: i32 = 12;

impl Mixer {
    /// Starts from `weights`, the rows of all families after one another, and the second layer's rows.
    pub fn new(sizes: [usize; FAMILIES], weights: &[Weights], finals: &[[i16; WIDTH]]) -> Self {
        let mut rest = weights;
        let families = sizes.map(|n| {
            let (head, tail) = rest.split_at(n);
            rest = tail;
            head.to_vec()
        });
        Self {
            inputs: [0; INPUTS],
            families,
            selected: [0; FAMILIES],
            outputs: [0; FAMILIES],
            finals: finals.to_vec(),
            final_inputs: [0; WIDTH],
            final_selected: 0,
            p: 32768,
            rate: 20,
        }
    }

    /// First layer's rows of all families.
    pub fn weights(&self) -> Vec<Weights> {
        self.families.concat()
    }

    /// Second layer's rows.
    pub fn finals(&self) -> &[[i16; WIDTH]] {
        &self.finals
    }

    /// The input vector, to be filled for the next bit.
    #[inline(always)]
    pub fn inputs(&mut self) -> &mut Weights {
        &mut self.inputs
    }

    /// Sets the learning rate of the first layer (1..=127).
    pub fn set_rate(&mut self, rate: i32) {
        self.rate = rate;
    }

    /// Chooses the weight vectors for the next bit.
    #[inline(always)]
    pub fn select(&mut self, select: [usize; FAMILIES], final_select: usize) {
        self.selected = select;
        self.final_selected = final_select;
        for (family, &at) in self.families.iter().zip(&select) {
            kernel::prefetch(family, at);
        }
    }

    /// Mixes: the logit of the next bit in Q8 octaves.
    #[inline(always)]
    pub fn mix<const A: bool>(&mut self, tables: &Tables) -> i32 {
        for i in 0..FAMILIES {
            let sum = dot::<A, INPUTS>(&self.families[i][self.selected[i]], &self.inputs);
            let logit = (sum >> (14 - 5)).clamp(-4095, 4095);
            self.outputs[i] = logit;
            self.final_inputs[i] = logit as i16;
        }
        let sum = dot::<A, WIDTH>(&self.finals[self.final_selected], &self.final_inputs);
        let logit = (sum >> (14 - 5)).clamp(-4095, 4095);
        self.p = tables.squash(logit) as i32;
        logit
    }

    /// Learns from the bit that came.
    #[inline(always)]
    pub fn update<const A: bool>(&mut self, bit: u32, tables: &Tables) {
        let target = (bit << 16) as i32;
        for i in 0..FAMILIES {
            let p = tables.squash(self.outputs[i]) as i32;
            let error = (((target - p) * self.rate) >> 8) as i16;
            if error != 0 {
                train::<A, INPUTS>(&mut self.families[i][self.selected[i]], &self.inputs, error);
            }
        }
        let error = (((target - self.p) * FINAL_RATE) >> 8) as i16;
        train::<A, WIDTH>(&mut self.finals[self.final_selected], &self.final_inputs, error);
    }
}

#[allow(unsafe_code)] // the call of a function that needs AVX2
#[inline(always)]
fn dot<const A: bool, const N: usize>(weights: &[i16; N], inputs: &[i16; N]) -> i32 {
    #[cfg(target_arch = "x86_64")]
    if A {
        // SAFETY: `A` is only chosen where the processor has AVX2.
        return unsafe { kernel::avx2::dot(weights, inputs) };
    }
    kernel::dot_scalar(weights, inputs)
}

#[allow(unsafe_code)] // the call of a function that needs AVX2
#[inline(always)]
fn train<const A: bool, const N: usize>(weights: &mut [i16; N], inputs: &[i16; N], error: i16) {
    #[cfg(target_arch = "x86_64")]
    if A {
        // SAFETY: `A` is only chosen where the processor has AVX2.
        unsafe { kernel::avx2::train(weights, inputs, error) };
        return;
    }
    kernel::train_scalar(weights, inputs, error);
}
