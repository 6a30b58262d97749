//! The adaptive stage (`formats/lm.md`, section "Adaptive stage"): a small online-learned mixer per
//! window that corrects the frozen network with what the window itself has shown. All state of one
//! window is in [`Adaptive`], at most 24 KiB.

use super::kernel::prefetch;
use super::step::WeightSums;
use super::tables::{squash, stretch};
use crate::error::Result;

/// Inputs of the mixer: network, match, contexts of order 1 and 2, bias.
const INPUTS: usize = 5;
const NETWORK: usize = 0;
const MATCH: usize = 1;
const ORDER1: usize = 2;
const ORDER2: usize = 3;
const BIAS: usize = 4;

/// The constant input, in Q8 octaves.
const BIAS_INPUT: i32 = 256;
/// Mixer weights are Q16 and stay within ±4.
const WEIGHT_MAX: i32 = 1 << 18;
/// Weight changes are input (Q8) times error (Q16) over 2^this.
const RATE_SHIFT: u32 = 16;

/// Bytes that a match must have in common to be followed.
const MATCH_MIN: usize = 5;
/// Longest match length that is told apart.
const MATCH_MAX: usize = 32;
const MATCH_LOG2: u32 = 12;
/// Confidence classes of a match; class 0 means that there is none.
const MATCH_CLASSES: usize = 16;
/// Adaptation of a class's confidence.
const CONFIDENCE_SHIFT: u32 = 6;

const COUNTERS_LOG2: u32 = 11;
/// Counts at which counters stop to slow down.
const COUNT_LIMIT: u16 = 14;

/// Limits of the final probability, in 1/65536.
const P_MIN: i32 = 4;
const P_MAX: i32 = 65536 - P_MIN;

/// What one window has taught so far.
#[derive(Debug, Clone)]
pub struct Adaptive {
    /// Two sets of weights that add up: by node of the byte, and by match class.
    by_node: [[i32; INPUTS]; 256],
    by_match: [[i32; INPUTS]; MATCH_CLASSES],
    contexts: [[u16; 1 << COUNTERS_LOG2]; 2],
    matches: MatchModel,
}

const _: () = assert!(size_of::<Adaptive>() <= 24 << 10);

/// Everything between a prediction and its update.
#[derive(Debug, Clone, Copy)]
struct Prediction {
    node: usize,
    class: usize,
    slots: [usize; 2],
    inputs: [i32; INPUTS],
    p: i32,
}

impl Default for Adaptive {
    /// The state at the start of a window.
    fn default() -> Self {
        let mut node = [0; INPUTS];
        node[NETWORK] = 1 << 16;
        let mut class = [0; INPUTS];
        class[MATCH] = 1 << 14;
        Self {
            by_node: [node; 256],
            by_match: [class; MATCH_CLASSES],
            contexts: [[counter::NEW; 1 << COUNTERS_LOG2]; 2],
            matches: MatchModel::new(),
        }
    }
}

impl Adaptive {
    /// Codes one byte as eight decisions, most significant bit first. `history` holds the raw bytes
    /// of the window before it, one more than at the last call; `decide` gets the probability of 1 in
    /// 1/65536 and returns the bit: the one to be encoded, or the one decoded.
    ///
    /// # Errors
    /// Those of `decide`.
    #[inline]
    pub fn code_byte(
        &mut self,
        sums: WeightSums<'_>,
        history: &[u8],
        mut decide: impl FnMut(u32, u32) -> Result<bool>,
    ) -> Result<u8> {
        self.matches.advance(history);
        let context = context_hashes(history);
        let mut node = 1;
        for depth in 0..8 {
            let prediction = self.predict(sums, node, &context);
            if depth < 7 {
                self.prefetch(2 * node, &context);
            }
            let bit = decide(depth, prediction.p as u32)?;
            self.update(&prediction, bit);
            node = 2 * node + usize::from(bit);
        }
        Ok((node & 255) as u8)
    }

    /// Asks for what the next decision will need whichever way this one goes. With many lanes the
    /// states do not fit the nearer caches.
    #[inline]
    fn prefetch(&self, child: usize, context: &[u32; 2]) {
        prefetch(&self.by_node[child]);
        prefetch(&self.by_node[child + 1]);
        for (counters, &context) in self.contexts.iter().zip(context) {
            prefetch(&counters[slot(context, child)]);
        }
    }

    #[inline]
    fn predict(&self, sums: WeightSums<'_>, node: usize, context: &[u32; 2]) -> Prediction {
        let slots = [0, 1].map(|i| slot(context[i], node));
        let (class, match_input) = self.matches.input(node);
        let mut inputs = [0; INPUTS];
        inputs[NETWORK] = stretch(network_probability(sums.sum(2 * node), sums.sum(2 * node + 1)));
        inputs[MATCH] = match_input;
        inputs[ORDER1] = stretch(counter::probability(self.contexts[0][slots[0]]));
        inputs[ORDER2] = stretch(counter::probability(self.contexts[1][slots[1]]));
        inputs[BIAS] = BIAS_INPUT;
        // |weight| <= 2^19 after adding, |input| < 2^12: every product is below 2^31, and after the
        // shift five of them stay far below it.
        let (a, b) = (&self.by_node[node], &self.by_match[class]);
        let dot: i32 = (0..INPUTS).map(|i| ((a[i] + b[i]) * inputs[i]) >> 8).sum();
        let p = squash((dot + (1 << 7)) >> 8).clamp(P_MIN, P_MAX);
        Prediction { node, class, slots, inputs, p }
    }

    #[inline]
    fn update(&mut self, prediction: &Prediction, bit: bool) {
        let error = (i32::from(bit) << 16) - prediction.p;
        let (a, b) = (&mut self.by_node[prediction.node], &mut self.by_match[prediction.class]);
        for i in 0..INPUTS {
            // |input| < 2^12, |error| < 2^16.
            let step = (prediction.inputs[i] * error + (1 << (RATE_SHIFT - 1))) >> RATE_SHIFT;
            a[i] = (a[i] + step).clamp(-WEIGHT_MAX, WEIGHT_MAX);
            b[i] = (b[i] + step).clamp(-WEIGHT_MAX, WEIGHT_MAX);
        }
        for (counters, &slot) in self.contexts.iter_mut().zip(&prediction.slots) {
            counters[slot] = counter::update(counters[slot], bit);
        }
        self.matches.update(prediction.node, bit);
    }
}

/// The network's probability of 1 in 1/65536 from the weight sums of both halves, 1..=65535.
#[inline]
pub fn network_probability(zero: u32, one: u32) -> i32 {
    let total = zero + one;
    let excess = (32 - total.leading_zeros()).saturating_sub(16);
    (((one >> excess) << 16) / (total >> excess)).clamp(1, 65535) as i32
}

/// Hashes of the last byte and the last two.
#[inline]
fn context_hashes(history: &[u8]) -> [u32; 2] {
    let byte = |back: usize| history.len().checked_sub(back).map_or(0, |at| u32::from(history[at]));
    let (one, two) = (byte(1), byte(2));
    [(one + 1).wrapping_mul(0x9E37_79B1), (one + two * 256 + 1).wrapping_mul(0x85EB_CA6B)]
}

/// The counter of a node of the byte in a context. Siblings are neighbours.
#[inline]
fn slot(context: u32, node: usize) -> usize {
    let key = (context ^ (node as u32 >> 1)).wrapping_mul(0x9E37_79B1);
    (key >> (33 - COUNTERS_LOG2)) as usize * 2 + (node & 1)
}

/// A probability in 12 bits above a count in 4 bits.
mod counter {
    use super::COUNT_LIMIT;

    pub const NEW: u16 = 2048 << 4;

    /// 65536 / (n + 1.5), rounded down.
    const RATE: [i32; 16] = {
        let mut rate = [0; 16];
        let mut n = 0;
        while n < 16 {
            rate[n] = 131072 / (2 * n as i32 + 3);
            n += 1;
        }
        rate
    };

    /// Probability of 1 in 1/65536.
    #[inline]
    pub fn probability(counter: u16) -> i32 {
        i32::from(counter | 15) - 7
    }

    #[inline]
    pub fn update(counter: u16, bit: bool) -> u16 {
        let (p, n) = (i32::from(counter >> 4), counter & 15);
        let target = if bit { 4095 } else { 0 };
        let p = p + (((target - p) * RATE[usize::from(n)] + (1 << 15)) >> 16);
        (p as u16) << 4 | (n + 1).min(COUNT_LIMIT)
    }
}

/// Finds the last place in the window that was preceded by the same bytes and predicts that the
/// future repeats, too.
#[derive(Debug, Clone)]
struct MatchModel {
    /// By hash of the last [`MATCH_MIN`] bytes: the low 16 bits of the position after them.
    table: [u16; 1 << MATCH_LOG2],
    /// Probability in 1/65536 that an expected bit comes, by class.
    confidence: [u16; MATCH_CLASSES],
    /// Position of the expected byte.
    position: usize,
    /// Bytes known to be equal before it, 0 where nothing is expected.
    length: usize,
    expected: u8,
}

impl MatchModel {
    fn new() -> Self {
        let confidence = std::array::from_fn(|class| (65536 - (65536 >> (class / 2 + 2))) as u16);
        Self { table: [0; 1 << MATCH_LOG2], confidence, position: 0, length: 0, expected: 0 }
    }

    /// Goes on to the next byte, whose predecessors are `history`.
    #[inline]
    fn advance(&mut self, history: &[u8]) {
        let Some(&last) = history.last() else { return };
        if self.length > 0 && self.expected == last {
            self.length = (self.length + 1).min(MATCH_MAX);
            self.position += 1;
        } else {
            self.length = 0;
        }
        if let Some(recent) = history.last_chunk::<MATCH_MIN>() {
            let key =
                u32::from_le_bytes([recent[0], recent[1], recent[2], recent[3]]).wrapping_mul(0x9E37_79B1);
            let key = (key ^ u32::from(recent[4])).wrapping_mul(0x85EB_CA6B);
            let entry = &mut self.table[(key >> (32 - MATCH_LOG2)) as usize];
            if self.length == 0 {
                let distance = usize::from((history.len() as u16).wrapping_sub(*entry));
                self.position = history.len().saturating_sub(distance);
                self.length = common_suffix(history, self.position);
            }
            *entry = history.len() as u16;
        }
        if self.length > 0 {
            self.expected = history[self.position];
        }
    }

    /// Class and mixer input for a node of the byte.
    #[inline]
    fn input(&self, node: usize) -> (usize, i32) {
        match self.expected_bit(node) {
            None => (0, 0),
            Some(bit) => {
                let class = self.class();
                let log_odds = stretch(i32::from(self.confidence[class]));
                (class, if bit { log_odds } else { -log_odds })
            }
        }
    }

    #[inline]
    fn class(&self) -> usize {
        match self.length {
            0 => 0,
            length @ ..16 => (length - MATCH_MIN + 1).min(11),
            length => 12 + (length - 16) / 5,
        }
    }

    /// The bit that the expected byte has at a node, if the byte agrees with the node's prefix.
    #[inline]
    fn expected_bit(&self, node: usize) -> Option<bool> {
        let depth = node.ilog2();
        let expected = usize::from(self.expected) | 256;
        (self.length > 0 && expected >> (8 - depth) == node).then(|| expected >> (7 - depth) & 1 == 1)
    }

    #[inline]
    fn update(&mut self, node: usize, bit: bool) {
        if let Some(expected) = self.expected_bit(node) {
            let confidence = &mut self.confidence[self.class()];
            let target = if bit == expected { 65535 } else { 0 };
            let p = i32::from(*confidence);
            *confidence = (p + ((target - p) >> CONFIDENCE_SHIFT)).clamp(64, 65535 - 64) as u16;
        }
    }
}

/// How many bytes before `position` equal those at the end of `history`, up to [`MATCH_MAX`]; 0
/// where there are fewer than [`MATCH_MIN`] or nothing lies at `position`.
#[inline]
fn common_suffix(history: &[u8], position: usize) -> usize {
    if position == 0 || position >= history.len() {
        return 0;
    }
    let pairs = history[..position].iter().rev().zip(history.iter().rev());
    let length = pairs.take(MATCH_MAX).take_while(|(a, b)| a == b).count();
    if length < MATCH_MIN { 0 } else { length }
}
