//! The adaptive stage (`formats/lm.md`, section "Adaptive stage"): a small mixer that learns while it codes,
//! and corrects the frozen network by what the window itself has shown.
//!
//! A byte is coded as eight binary decisions. For each of them the network, the experts (a match model and
//! four tables of guesses, each of which expects a whole byte or nothing) and a counter give log-odds; their
//! weighted sum, squashed, is the probability that is coded. The weights then move along the gradient of the
//! coding cost, which is input times error (logistic mixing as in Mahoney's PAQ). All state of a window is in
//! [`Adaptive`]: at most 24 KiB, so that the states of many lanes fit into a processor's cache.

use crate::error::Result;
use crate::kernel::prefetch;
use crate::model::fixed::{hash, probability_of_one, squash, stretch};

/// The number of inputs of the mixer: the network, the match, one for each table of guesses, the counter of
/// the byte so far, a bias.
const INPUTS: usize = 8;
const NETWORK: usize = 0;
/// The first of the [`EXPERTS`].
const MATCH: usize = 1;
const ORDER0: usize = 6;
const BIAS: usize = 7;

/// The constant input, in Q8 octaves.
const BIAS_INPUT: i16 = 256;
/// The largest magnitude of a weight: weights are Q13 and stay within ±2. Three of them are added for each
/// input.
const WEIGHT_MAX: i32 = 1 << 14;
/// A weight changes by input (Q8) times error (Q15) over 2^this, and after [`FAST_BYTES`] by half of that.
const RATE_SHIFT: u32 = 18;
const FAST_BYTES: usize = 8192;

/// The number of experts, which expect whole bytes: the match and the tables of guesses.
const EXPERTS: usize = 1 + GUESSES;
/// A confidence moves by its distance from the outcome over 2^this.
const CONFIDENCE_SHIFT: u32 = 6;

/// The fewest equal bytes before a match that is followed.
const MATCH_MIN: usize = 5;
/// The greatest match length that is distinguished.
const MATCH_MAX: usize = 32;
const MATCH_LOG2: u32 = 12;
/// Confidence classes of a match; class 0 stands for no match.
const MATCH_CLASSES: usize = 16;

/// The number of tables of guesses: by the last 2, 3 and 4 bytes, and by the letters of the word so far.
const GUESSES: usize = 4;
const GUESS_LOG2: [u32; GUESSES] = [9, 10, 10, 10];
const GUESS_START: [usize; GUESSES] = [0, 512, 1536, 2560];
const GUESS_ENTRIES: usize = 3584;
/// The number of confidence classes of a guess: the counts 0..=7 of how often it was right.
const GUESS_COUNTS: usize = 8;

/// The count at which a counter adapts slowest.
const COUNT_LIMIT: u16 = 14;

/// Limits of the final probability, in 1/65536.
const P_MIN: i32 = 4;
const P_MAX: i32 = 65536 - P_MIN;

type Inputs = [i16; INPUTS];

/// The state of one window: what its bytes have taught so far.
#[derive(Debug, Clone)]
pub struct Adaptive {
    /// Three sets of weights, of which one row each is selected and added up: by node of the byte, by last
    /// byte, by class of the match.
    by_node: [Inputs; 256],
    by_last: [Inputs; 256],
    by_match: [Inputs; MATCH_CLASSES],
    order0: [u16; 256],
    guesses: [Guess; GUESS_ENTRIES],
    /// The probability in 1/65536 that an expected bit comes: by class of the match, then for each table of
    /// guesses by count.
    confidence: [u16; MATCH_CLASSES + GUESSES * GUESS_COUNTS],
    matches: MatchModel,
    /// A hash of the letters since the last byte that is not one.
    word: u32,
}

const _: () = assert!(size_of::<Adaptive>() <= 24 << 10);

/// The context of a byte, which is the same for its eight decisions.
#[derive(Debug, Clone, Copy)]
struct Context {
    last: usize,
    rate_shift: u32,
    /// The byte that each expert expects, plus 256; 0 where it expects nothing.
    expected: [u16; EXPERTS],
    /// The index of each expert's confidence; that of the match is its class.
    cells: [usize; EXPERTS],
    /// The log-odds in Q8 octaves that each expert gives to the bits that it expects.
    strengths: [i16; EXPERTS],
    guesses: [GuessSlot; GUESSES],
}

/// A prediction, with what its update needs.
#[derive(Debug, Clone, Copy)]
struct Prediction {
    class: usize,
    inputs: Inputs,
    p: i32,
}

impl Default for Adaptive {
    /// The state at the start of a window.
    fn default() -> Self {
        let confidence = |class: usize| (65536 - (65536 >> (class / 2 + 2))) as u16;
        Self {
            by_node: [[7500, 0, 0, 0, 0, 0, 0, 0]; 256],
            by_last: [[0; INPUTS]; 256],
            by_match: [[0, 2048, 1500, 1500, 1500, 1500, 0, 0]; MATCH_CLASSES],
            order0: [counter::NEW; 256],
            guesses: [Guess(0); GUESS_ENTRIES],
            confidence: std::array::from_fn(|i| {
                confidence(if i < MATCH_CLASSES { i } else { i % GUESS_COUNTS })
            }),
            matches: MatchModel::new(),
            word: 0,
        }
    }
}

impl Adaptive {
    /// Codes one byte as eight decisions, most significant bit first, and learns it.
    ///
    /// `sums` returns the network's sum of weights below a node (2..=511). `history` holds the raw bytes of
    /// the window before this one: one more than at the last call. `decide` gets the number of the decision
    /// and the probability of a 1 in 1/65536 (4..=65532), and returns the bit: in encoding the byte's own, in
    /// decoding the decoded one.
    ///
    /// # Errors
    /// Those of `decide`.
    #[inline]
    pub fn code_byte(
        &mut self,
        sums: impl Fn(usize) -> u32,
        history: &[u8],
        mut decide: impl FnMut(u32, u32) -> Result<bool>,
    ) -> Result<u8> {
        let context = self.context(history);
        let mut node = 1;
        for depth in 0..8 {
            let prediction = self.predict(&sums, node, &context);
            if depth < 7 {
                // With many lanes, the states do not fit into the nearest cache. Both nodes that may follow
                // share a line.
                prefetch(&self.by_node[2 * node]);
            }
            let bit = decide(depth, prediction.p as u32)?;
            self.update(&prediction, node, &context, bit);
            node = 2 * node + usize::from(bit);
        }
        let byte = (node & 255) as u8;
        for slot in context.guesses {
            self.guesses[slot.index].learn(slot.check, byte);
        }
        Ok(byte)
    }

    /// The context of the byte that follows `history`; learns the last byte of `history`.
    #[inline]
    fn context(&mut self, history: &[u8]) -> Context {
        self.matches.advance(history);
        let recent = recent(history);
        let last = recent as u8;
        self.word = if history.is_empty() || !is_letter(last) {
            0
        } else {
            hash(self.word.wrapping_add(u32::from(last | 32) + 1))
        };
        let keys = [
            (recent & 0xFFFF).wrapping_add(2),
            (recent & 0xFF_FFFF).wrapping_add(3),
            recent.wrapping_add(4),
            self.word.wrapping_add(u32::from(last)).wrapping_add(5),
        ];
        let guesses = std::array::from_fn(|i| GuessSlot::new(i, keys[i]));
        let mut expected = [0; EXPERTS];
        let mut cells = [0; EXPERTS];
        if self.matches.length > 0 {
            (expected[0], cells[0]) = (u16::from(self.matches.expected) + 256, self.matches.class());
        }
        for (i, slot) in guesses.iter().enumerate() {
            let guess = self.guesses[slot.index];
            let count = guess.count(slot.check);
            if count > 0 {
                expected[1 + i] = u16::from(guess.byte()) + 256;
                cells[1 + i] = MATCH_CLASSES + i * GUESS_COUNTS + count;
            }
        }
        let strengths = cells.map(|cell| stretch(i32::from(self.confidence[cell])) as i16);
        let rate_shift = RATE_SHIFT + u32::from(history.len() >= FAST_BYTES);
        Context { last: usize::from(last), rate_shift, expected, cells, strengths, guesses }
    }

    /// The probability of the bit at a node of the byte.
    #[inline]
    fn predict(&self, sums: &impl Fn(usize) -> u32, node: usize, context: &Context) -> Prediction {
        let depth = node.ilog2();
        let mut inputs = [0; INPUTS];
        inputs[NETWORK] = stretch(probability_of_one(sums(2 * node), sums(2 * node + 1))) as i16;
        for (i, input) in inputs[MATCH..][..EXPERTS].iter_mut().enumerate() {
            let expected = usize::from(context.expected[i]);
            let strength = context.strengths[i];
            let signed = if expected >> (7 - depth) & 1 == 1 { strength } else { -strength };
            *input = if expected >> (8 - depth) == node { signed } else { 0 };
        }
        inputs[ORDER0] = stretch(counter::probability(self.order0[node])) as i16;
        inputs[BIAS] = BIAS_INPUT;
        let active = usize::from(context.expected[0]) >> (8 - depth) == node;
        let class = if active { context.cells[0] } else { 0 };
        // |weight| <= 2^14 and |input| < 2^12, so the sum of the 24 products is below 2^31.
        let sum = dot(&self.by_node[node], &inputs)
            + dot(&self.by_last[context.last], &inputs)
            + dot(&self.by_match[class], &inputs);
        let p = squash((sum + (1 << 12)) >> 13).clamp(P_MIN, P_MAX);
        Prediction { class, inputs, p }
    }

    /// Learns the bit that was coded.
    #[inline]
    fn update(&mut self, prediction: &Prediction, node: usize, context: &Context, bit: bool) {
        // Half of the error fits into 16 bits.
        let error = ((i32::from(bit) << 16) - prediction.p) >> 1;
        let round = 1 << (context.rate_shift - 1);
        let steps = prediction.inputs.map(|x| (i32::from(x) * error + round) >> context.rate_shift);
        learn(&mut self.by_node[node], &steps);
        learn(&mut self.by_last[context.last], &steps);
        learn(&mut self.by_match[prediction.class], &steps);
        self.order0[node] = counter::update(self.order0[node], bit);
        let child = 2 * node + usize::from(bit);
        let depth = node.ilog2();
        for (&expected, &cell) in context.expected.iter().zip(&context.cells) {
            let expected = usize::from(expected);
            if expected >> (8 - depth) == node {
                let p = i32::from(self.confidence[cell]);
                let target = if expected >> (7 - depth) == child { 65535 } else { 0 };
                self.confidence[cell] = (p + ((target - p) >> CONFIDENCE_SHIFT)).clamp(64, 65535 - 64) as u16;
            }
        }
    }
}

#[inline]
fn dot(weights: &Inputs, inputs: &Inputs) -> i32 {
    weights.iter().zip(inputs).map(|(&w, &x)| i32::from(w) * i32::from(x)).sum()
}

/// Moves weights by `steps`, within their limits.
#[inline]
fn learn(weights: &mut Inputs, steps: &[i32; INPUTS]) {
    for (w, step) in weights.iter_mut().zip(steps) {
        *w = (i32::from(*w) + step).clamp(-WEIGHT_MAX, WEIGHT_MAX) as i16;
    }
}

/// The last four bytes, the newest in the lowest bits; 0 where there are none.
#[inline]
fn recent(history: &[u8]) -> u32 {
    if let Some(&bytes) = history.last_chunk() {
        return u32::from_be_bytes(bytes);
    }
    history.iter().fold(0, |recent, &byte| recent << 8 | u32::from(byte))
}

/// Whether a byte counts as a letter: ASCII letters, and all bytes of other scripts in UTF-8.
#[inline]
fn is_letter(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte >= 128
}

/// The byte that came last in a context: the byte in bits 8..16, a check of the context in bits 4..8, and in
/// bits 0..4 a count of how often the guess was right, which wrong guesses lower.
#[derive(Debug, Clone, Copy)]
struct Guess(u16);

/// The index of a context's guess, and the check of the context.
#[derive(Debug, Clone, Copy)]
struct GuessSlot {
    index: usize,
    check: u16,
}

impl GuessSlot {
    #[inline]
    fn new(table: usize, key: u32) -> Self {
        let (key, log2) = (hash(key), GUESS_LOG2[table]);
        let check = (key >> (28 - log2)) as u16 & 15;
        Self { index: GUESS_START[table] + (key >> (32 - log2)) as usize, check }
    }
}

impl Guess {
    #[inline]
    fn byte(self) -> u8 {
        (self.0 >> 8) as u8
    }

    /// The count; 0 where the entry belongs to another context.
    #[inline]
    fn count(self, check: u16) -> usize {
        if self.0 >> 4 & 15 == check { usize::from(self.0 & 15) } else { 0 }
    }

    #[inline]
    fn learn(&mut self, check: u16, byte: u8) {
        let (old, count) = (self.byte(), self.count(check) as u16);
        let (byte, count) = if count > 0 && old == byte {
            (old, (count + 1).min(GUESS_COUNTS as u16 - 1))
        } else if count > 2 {
            (old, count / 2)
        } else {
            (byte, 1)
        };
        self.0 = u16::from(byte) << 8 | check << 4 | count;
    }
}

/// A counter of bits: a 12-bit probability above a 4-bit count. It moves by about 1 / (count + 1.5) of its
/// distance from each bit, so it starts as the mean of the bits and ends as a running average.
mod counter {
    use super::COUNT_LIMIT;

    /// A counter that has seen no bit.
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

    /// The probability of 1 in 1/65536.
    #[inline]
    pub fn probability(counter: u16) -> i32 {
        i32::from(counter | 15) - 7
    }

    /// The counter after one more bit.
    #[inline]
    pub fn update(counter: u16, bit: bool) -> u16 {
        let (p, n) = (i32::from(counter >> 4), counter & 15);
        let target = if bit { 4095 } else { 0 };
        let p = p + (((target - p) * RATE[usize::from(n)] + (1 << 15)) >> 16);
        (p as u16) << 4 | (n + 1).min(COUNT_LIMIT)
    }
}

/// Finds the last place in the window that follows the same bytes as the current one, and expects the byte
/// that came there.
#[derive(Debug, Clone)]
struct MatchModel {
    /// The low 16 bits of the position after the last [`MATCH_MIN`] bytes, by their hash.
    table: [u16; 1 << MATCH_LOG2],
    /// The position of the expected byte.
    position: usize,
    /// The number of equal bytes known to stand before it; 0 where nothing is expected.
    length: usize,
    expected: u8,
}

impl MatchModel {
    fn new() -> Self {
        Self { table: [0; 1 << MATCH_LOG2], position: 0, length: 0, expected: 0 }
    }

    /// Processes the last byte of `history` and determines what is expected next.
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

    /// The class of confidence: 1..=15 while a match is followed, otherwise 0.
    #[inline]
    fn class(&self) -> usize {
        match self.length {
            0 => 0,
            length @ ..16 => (length - MATCH_MIN + 1).min(11),
            length => 12 + (length - 16) / 5,
        }
    }
}

/// The number of bytes before `position` that equal those at the end of `history`, at most [`MATCH_MAX`]; 0
/// where there are fewer than [`MATCH_MIN`], or nothing lies at `position`.
#[inline]
fn common_suffix(history: &[u8], position: usize) -> usize {
    if position == 0 || position >= history.len() {
        return 0;
    }
    let pairs = history[..position].iter().rev().zip(history.iter().rev());
    let length = pairs.take(MATCH_MAX).take_while(|(a, b)| a == b).count();
    if length < MATCH_MIN { 0 } else { length }
}
