//! Gated logistic mixing in two layers (Mattern 2013 names the family; Mahoney's PAQ8 the practice).

use super::kernel;
use super::logistic::Tables;

/// One set family: vectors of weights, one of which a context selects for each bit.
struct Family {
    weights: Vec<i32>,
    selected: usize,
    output: i32,
    p: i32,
}

/// The first layer's set families and the second layer that mixes their outputs.
pub struct Mixer {
    inputs: Vec<i32>,
    families: Vec<Family>,
    finals: Vec<i32>,
    final_inputs: Vec<i32>,
    final_selected: usize,
    p: i32,
    rate: i32,
    avx2: bool,
}

/// Learning rate of the second layer.
const FINAL_RATE: i32 = 6;

impl Mixer {
    /// `inputs` rounded up to a multiple of eight; `sizes` are the families' selector counts;
    /// `start` is the first weight of every input (Q16).
    pub fn new(inputs: usize, sizes: &[usize], final_size: usize, start: i32) -> Self {
        let inputs = inputs.next_multiple_of(8);
        let families = sizes
            .iter()
            .map(|&n| Family { weights: vec![start; n * inputs], selected: 0, output: 0, p: 32768 })
            .collect();
        let width = sizes.len().next_multiple_of(8);
        Self {
            inputs: vec![0; inputs],
            families,
            finals: vec![65536 / sizes.len() as i32; final_size * width],
            final_inputs: vec![0; width],
            final_selected: 0,
            p: 32768,
            rate: 16,
            avx2: kernel::has_avx2(),
        }
    }

    /// The input vector, to be filled for the next bit.
    #[inline(always)]
    pub fn inputs(&mut self) -> &mut [i32] {
        &mut self.inputs
    }

    /// Sets the learning rate of the first layer (1..=64).
    pub fn set_rate(&mut self, rate: i32) {
        self.rate = rate;
    }

    #[inline(always)]
    fn dot(&self, weights: &[i32], inputs: &[i32]) -> i32 {
        #[cfg(target_arch = "x86_64")]
        if self.avx2 {
            // SAFETY: `avx2` is set only where the processor has it.
            return unsafe { kernel::avx2::dot(weights, inputs) };
        }
        kernel::dot_scalar(weights, inputs)
    }

    /// Mixes: the logit of the next bit in Q8 octaves. `select` has one selector for each family.
    #[inline(always)]
    pub fn mix(&mut self, tables: &Tables, select: &[usize], final_select: usize) -> i32 {
        let n = self.inputs.len();
        for (i, &at) in select.iter().enumerate() {
            let family = &self.families[i];
            let sum = self.dot(&family.weights[at * n..(at + 1) * n], &self.inputs);
            let logit = (sum >> 8).clamp(-4095, 4095);
            let family = &mut self.families[i];
            family.selected = at;
            family.output = logit;
            family.p = tables.squash(logit) as i32;
            self.final_inputs[i] = logit;
        }
        self.final_selected = final_select;
        let width = self.final_inputs.len();
        let sum = self.dot(&self.finals[final_select * width..(final_select + 1) * width], &self.final_inputs);
        let logit = (sum >> 8).clamp(-4095, 4095);
        self.p = tables.squash(logit) as i32;
        logit
    }

    /// Learns from the bit that came.
    #[inline(always)]
    pub fn update(&mut self, bit: u32) {
        let target = (bit << 16) as i32;
        let n = self.inputs.len();
        let avx2 = self.avx2;
        for family in &mut self.families {
            let error = ((target - family.p) * self.rate) >> 4;
            if error != 0 {
                let range = family.selected * n..(family.selected + 1) * n;
                train(&mut family.weights[range], &self.inputs, error, avx2);
            }
        }
        let width = self.final_inputs.len();
        let range = self.final_selected * width..(self.final_selected + 1) * width;
        let error = ((target - self.p) * FINAL_RATE) >> 4;
        train(&mut self.finals[range], &self.final_inputs, error, avx2);
    }
}

#[inline(always)]
fn train(weights: &mut [i32], inputs: &[i32], error: i32, avx2: bool) {
    #[cfg(target_arch = "x86_64")]
    if avx2 {
        // SAFETY: `avx2` is set only where the processor has it.
        unsafe { kernel::avx2::train(weights, inputs, error) };
        return;
    }
    let _ = avx2;
    kernel::train_scalar(weights, inputs, error);
}
