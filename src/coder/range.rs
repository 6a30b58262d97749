//! Range coder for binary decisions with 16-bit probabilities (`formats/coder.md`).
//!
//! The arithmetic is that of constriction's range coder with u32 words and a u64 state (range coding: Martin,
//! "Range encoding", 1979): the state is an interval of 64-bit numbers; a symbol narrows it to its share, and
//! a word is written whenever the interval has become narrower than 2^32. This file adds the binary model,
//! the byte order of the payload, its shortest termination and the way back to an earlier state.

use std::borrow::Borrow;
use std::num::NonZeroU32;

use constriction::Pos;
use constriction::stream::Encode;
use constriction::stream::model::{EncoderModel, EntropyModel};
use constriction::stream::queue::{EncoderSituation, RangeCoderState, RangeEncoder};

use crate::error::{Error, Result};

/// Probabilities are parts of `1 << PRECISION`.
pub const PRECISION: usize = 16;
const ONE: u32 = 1 << PRECISION;

/// A binary decision: 1 owns the upper `one` of 65536 parts of the interval, 0 the rest below.
#[derive(Debug, Clone, Copy)]
struct Binary {
    one: u32,
}

impl Binary {
    fn new(one: u32) -> Self {
        debug_assert!(0 < one && one < ONE);
        Self { one }
    }

    fn interval(self, bit: bool) -> (u32, NonZeroU32) {
        let zero = ONE - self.one;
        let (start, width) = if bit { (zero, self.one) } else { (0, zero) };
        (start, NonZeroU32::new(width).expect("callers pass 1..=65535"))
    }
}

impl EntropyModel<PRECISION> for Binary {
    type Symbol = bool;
    type Probability = u32;
}

impl EncoderModel<PRECISION> for Binary {
    fn left_cumulative_and_probability(&self, symbol: impl Borrow<bool>) -> Option<(u32, NonZeroU32)> {
        Some(self.interval(*symbol.borrow()))
    }
}

/// A symbol of a choice among many: it owns the parts `start..start + width` of the `1 << P` parts of the
/// interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part<const P: usize> {
    pub symbol: u32,
    pub start: u32,
    pub width: NonZeroU32,
}

impl<const P: usize> Part<P> {
    /// The only symbol of a choice without alternatives. Coding it costs next to nothing, but it is a step
    /// like any other, in which the interval loses its last P bits.
    pub const WHOLE: Self = Self { symbol: 0, start: 0, width: NonZeroU32::MIN.saturating_mul(Self::PARTS) };
    const PARTS: NonZeroU32 = NonZeroU32::new(1 << P).expect("P is below 32");

    /// A symbol that owns the parts `start..end`.
    ///
    /// # Panics
    /// If it owns none.
    pub fn new(symbol: usize, start: u64, end: u64) -> Self {
        let width = NonZeroU32::new((end - start) as u32).expect("every symbol owns a part");
        Self { symbol: symbol as u32, start: start as u32, width }
    }
}

impl<const P: usize> EntropyModel<P> for Part<P> {
    type Symbol = u32;
    type Probability = u32;
}

impl<const P: usize> EncoderModel<P> for Part<P> {
    fn left_cumulative_and_probability(&self, _: impl Borrow<u32>) -> Option<(u32, NonZeroU32)> {
        Some((self.start, self.width))
    }
}

/// Writes binary decisions and choices among many into one payload.
#[derive(Debug, Default, Clone)]
pub struct BitEncoder(RangeEncoder<u32, u64>);

/// A state to which a [`BitEncoder`] can return.
#[derive(Debug, Clone, Copy)]
pub struct Mark {
    words: usize,
    state: RangeCoderState<u32, u64>,
    situation: EncoderSituation<u32>,
}

impl BitEncoder {
    /// Appends one decision; a 1 has the probability `one` / 65536 with `one` in 1..=65535.
    #[inline]
    pub fn encode(&mut self, bit: bool, one: u32) {
        self.0
            .encode_symbol(bit, Binary::new(one))
            .expect("a binary symbol with nonzero probability, into memory");
    }

    /// Appends a choice among many; its parts must lie within `1 << P`.
    #[inline]
    pub fn encode_part<const P: usize>(&mut self, part: Part<P>) {
        debug_assert!(u64::from(part.start) + u64::from(part.width.get()) <= 1 << P);
        self.0.encode_symbol(part.symbol, part).expect("a symbol with nonzero probability, into memory");
    }

    /// An upper bound on the length in bytes of [`BitEncoder::payload`], in constant time.
    pub fn payload_bound(&self) -> usize {
        // The interval is at least 2^32 wide, so it holds a multiple of 2^32 (maybe with a carry).
        4 * (self.0.pos().0 + 1)
    }

    /// Records the current state.
    pub fn mark(&mut self) -> Mark {
        let (words, state, situation) = std::mem::take(&mut self.0).into_raw_parts();
        let mark = Mark { words: words.len(), state, situation };
        self.0 = RangeEncoder::from_raw_parts(words, state, situation);
        mark
    }

    /// Forgets everything since `mark`, which must come from this encoder's past. Words that have been
    /// written never change, since the coder holds back those that a carry may reach; so removing the later
    /// ones restores the state exactly.
    pub fn rewind(&mut self, mark: &Mark) {
        let (mut words, _, _) = std::mem::take(&mut self.0).into_raw_parts();
        words.truncate(mark.words);
        self.0 = RangeEncoder::from_raw_parts(words, mark.state, mark.situation);
    }

    /// The shortest byte string that decodes to all decisions so far where bits past its end read as zero.
    pub fn payload(&self) -> Vec<u8> {
        let (words, state, situation) = self.0.clone().into_raw_parts();
        if state.range().get() == u64::MAX {
            return Vec::new(); // nothing was encoded
        }
        let held = match situation {
            EncoderSituation::Inverted(held, first) => (held.get(), first),
            EncoderSituation::Normal => (0, 0),
        };
        shortest_payload(words.into_iter(), held, state.lower(), state.range().get())
    }
}

/// The shortest byte string that stands for a number in an encoder's interval. The numbers of the interval
/// consist of `words`; then `held.0` words that a carry may still reach (the first is `held.1`, the others
/// are all ones); then 64 bits in `lower..lower + range`, which may carry.
pub fn shortest_payload(
    words: impl Iterator<Item = u32>,
    held: (usize, u32),
    lower: u64,
    range: u64,
) -> Vec<u8> {
    let (carry, tail) = roundest(lower, range);
    let mut bytes = Vec::with_capacity(4 * words.size_hint().0 + 16);
    let mut put = |word: u32| bytes.extend_from_slice(&word.to_be_bytes());
    words.for_each(&mut put);
    if held.0 > 0 {
        put(held.1.wrapping_add(u32::from(carry)));
        for _ in 1..held.0 {
            put(if carry { 0 } else { u32::MAX });
        }
    }
    bytes.extend_from_slice(&tail.to_be_bytes());
    let len = bytes.iter().rposition(|&b| b != 0).map_or(0, |last| last + 1);
    bytes.truncate(len);
    bytes
}

/// The number in `lower..lower + range` with the most trailing zero bits, as the carry out of 64 bits and the
/// low 64 bits. Trailing zeros need not be stored.
fn roundest(lower: u64, range: u64) -> (bool, u64) {
    let (lower, last) = (u128::from(lower), u128::from(lower) + u128::from(range) - 1);
    let value = (0..=64).rev().map(|t| (lower + (1 << t) - 1) >> t << t).find(|&v| v <= last);
    let value = value.unwrap_or(lower); // t = 0 always fits
    (value >> 64 != 0, value as u64)
}

/// The big-endian words of a payload, followed by endless zeros.
#[derive(Debug, Clone)]
struct PayloadWords<'a> {
    rest: &'a [u8],
    /// Bytes past the payload's end that have been read.
    past: usize,
}

impl PayloadWords<'_> {
    #[inline(always)]
    fn next(&mut self) -> u64 {
        match self.rest.split_first_chunk() {
            Some((word, rest)) => {
                self.rest = rest;
                u32::from_be_bytes(*word).into()
            }
            None => self.last(),
        }
    }

    #[cold]
    fn last(&mut self) -> u64 {
        let mut word = [0; 4];
        word[..self.rest.len()].copy_from_slice(self.rest);
        self.past = self.past.saturating_add(4 - self.rest.len());
        self.rest = &[];
        u32::from_be_bytes(word).into()
    }
}

/// Reads binary decisions and choices among many from one payload.
///
/// Of the interval's lower end and the payload's number, only the difference matters.
#[derive(Debug, Clone)]
pub struct BitDecoder<'a> {
    words: PayloadWords<'a>,
    /// The payload's number less the interval's lower end.
    point: u64,
    /// The interval's width; at least 2^32.
    range: u64,
}

impl<'a> BitDecoder<'a> {
    /// Starts at the first bit of `payload`; bits past its end read as zero.
    pub fn new(payload: &'a [u8]) -> Self {
        let mut words = PayloadWords { rest: payload, past: 0 };
        let point = words.next() << 32 | words.next();
        Self { words, point, range: u64::MAX }
    }

    /// Decodes the next decision; a 1 has the probability `one` / 65536 with `one` in 1..=65535, as in
    /// encoding.
    ///
    /// # Errors
    /// `Corrupt` where the payload lies outside of all intervals that an encoder can produce.
    #[inline(always)]
    pub fn decode(&mut self, one: u32) -> Result<bool> {
        let binary = Binary::new(one);
        let bit = self.decode_part::<PRECISION>(|part| {
            let bit = part >= ONE - one;
            let (start, width) = binary.interval(bit);
            Part { symbol: bit.into(), start, width }
        })?;
        Ok(bit != 0)
    }

    /// Decodes the next choice among many; `owner` returns the symbol that owns a part below `1 << P`.
    ///
    /// # Errors
    /// See [`BitDecoder::decode`].
    #[inline(always)]
    pub fn decode_part<const P: usize>(&mut self, owner: impl FnOnce(u32) -> Part<P>) -> Result<u32> {
        let scale = self.range >> P;
        let part = self.point / scale;
        if part >> P != 0 {
            return Err(outside());
        }
        let Part { symbol, start, width } = owner(part as u32);
        self.point -= scale * u64::from(start);
        self.range = scale * u64::from(width.get());
        if self.range >> 32 == 0 {
            self.range <<= 32;
            self.point = self.point << 32 | self.words.next();
        }
        Ok(symbol)
    }
}

#[cold]
fn outside() -> Error {
    Error::corrupt("range coder: the payload is not one that an encoder writes")
}

impl BitDecoder<'_> {
    /// Ends decoding.
    ///
    /// # Errors
    /// `Corrupt` where payload is left; `Truncated` where more than 12 bytes, the state and a word, have been read past its end,
    /// which whoever drops no more zeros there than that takes for a payload that has been cut.
    pub fn finish(self) -> Result<()> {
        let words = self.words;
        if !words.rest.is_empty() {
            return Err(Error::corrupt("range coder: payload is left after the last symbol"));
        }
        if words.past > 12 {
            Err(Error::truncated("range coder: the payload ends too early"))
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::SplitMix;
    use proptest::prelude::*;

    fn encode(decisions: &[(bool, u32)]) -> BitEncoder {
        let mut encoder = BitEncoder::default();
        for &(bit, one) in decisions {
            encoder.encode(bit, one);
        }
        encoder
    }

    fn decodes(payload: &[u8], decisions: &[(bool, u32)]) -> bool {
        let mut decoder = BitDecoder::new(payload);
        decisions.iter().all(|&(bit, one)| decoder.decode(one).is_ok_and(|found| found == bit))
    }

    /// Decisions that are mostly the likely one, with some extreme probabilities.
    fn decisions(len: usize) -> impl Strategy<Value = Vec<(bool, u32)>> {
        let one = prop_oneof![4u32..=65532, Just(4), Just(65532), Just(1), Just(65535), Just(32768)];
        prop::collection::vec((any::<u16>(), one), 0..len)
            .prop_map(|v| v.into_iter().map(|(draw, one)| (u32::from(draw) < one, one)).collect())
    }

    proptest! {
        #[test]
        fn round_trip(decisions in decisions(400)) {
            let encoder = encode(&decisions);
            let payload = encoder.payload();
            prop_assert!(payload.len() <= encoder.payload_bound());
            prop_assert!(decodes(&payload, &decisions));
        }

        #[test]
        fn no_shorter_payload_decodes(decisions in decisions(60)) {
            let payload = encode(&decisions).payload();
            if let Some((_, shorter)) = payload.split_last() {
                // The only candidates are the neighbours on either side of the truncated value.
                prop_assert!(!decodes(shorter, &decisions));
                let mut above = shorter.to_vec();
                for byte in above.iter_mut().rev() {
                    *byte = byte.wrapping_add(1);
                    if *byte != 0 { break; }
                }
                prop_assert!(!decodes(&above, &decisions));
            }
        }

        #[test]
        fn rewind_restores(head in decisions(80), tail in decisions(80), other in decisions(80)) {
            let mut encoder = encode(&head);
            let mark = encoder.mark();
            for &(bit, one) in &tail { encoder.encode(bit, one); }
            encoder.rewind(&mark);
            for &(bit, one) in &other { encoder.encode(bit, one); }
            let straight = encode(&[head, other].concat());
            prop_assert_eq!(encoder.payload(), straight.payload());
        }

        #[test]
        fn garbage_never_panics(payload in prop::collection::vec(any::<u8>(), 0..40), decisions in decisions(400)) {
            decodes(&payload, &decisions);
        }
    }

    #[test]
    fn choices_without_alternatives_are_steps() {
        let (mut encoder, mut rng) = (BitEncoder::default(), SplitMix(1));
        let steps: Vec<(bool, u32)> =
            (0..500).map(|_| (rng.below(2) == 1, 1 + rng.below(65535) as u32)).collect();
        for &(decision, one) in &steps {
            encoder.encode(decision, one);
            encoder.encode_part(Part::<24>::WHOLE);
        }
        let payload = encoder.payload();
        let mut decoder = BitDecoder::new(&payload);
        for (decision, one) in steps {
            assert_eq!(decoder.decode(one).unwrap(), decision);
            assert_eq!(decoder.decode_part(|_| Part::<24>::WHOLE).unwrap(), 0);
        }
    }

    #[test]
    fn carries_reach_held_back_words() {
        // Walk towards the middle of the unit interval from below, so that words are held back,
        // then resolve the carry upwards or downwards.
        for last in [false, true] {
            let mut decisions = vec![(false, 32768)];
            decisions.extend([(true, 65535 / 2 + 1); 200]);
            decisions.extend([(last, 32768); 3]);
            let payload = encode(&decisions).payload();
            assert!(decodes(&payload, &decisions));
        }
    }

    #[test]
    fn nothing_encoded_is_an_empty_payload() {
        assert!(encode(&[]).payload().is_empty());
    }
}
