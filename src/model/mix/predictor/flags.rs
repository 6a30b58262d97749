//! Flags: bytes that a long match expects are coded by one decision.

use super::{FLAG_PLACES, Predictor};
use crate::model::mix::context;
use crate::model::mix::history::mix_hash;
use crate::model::mix::light::flag::{self, Expected, Flags};
use crate::model::mix::matcher::Matcher;

impl Predictor {
    /// Codes whether the byte that a long match expects comes, if such a flag is due. If it does, the byte is complete
    /// and returned; otherwise, [`Predictor::begin_byte`] must follow. `coder` encodes or decodes the flag: it gets
    /// the probability, in 1/65536, that the byte comes, and the byte; it returns 1 if it comes, else 0.
    #[inline(always)]
    pub fn code_flag<const A: bool>(&mut self, coder: impl FnOnce(u32, u8) -> u32) -> Option<u8> {
        let (byte, p) = self.due?;
        let came = coder(p, byte) & 1;
        self.learn_flag::<A>(came);
        if came != 0 {
            self.seen += 8;
            self.push::<A>(byte);
            self.end_byte::<A>();
            return Some(byte);
        }
        self.refused = true;
        for matcher in &mut self.matchers {
            if matcher.expectation().is_some_and(|(other, _)| other == byte) {
                matcher.refuse();
            }
        }
        self.load_contexts();
        None
    }

    #[inline(always)]
    pub(super) fn learn_flag<const A: bool>(&mut self, came: u32) {
        if let Some(flags) = &mut self.flags {
            flags.learn::<A>(came);
        }
    }

    /// Finds out whether the next byte begins with a flag.
    #[inline(always)]
    pub(super) fn seek_flag<const A: bool>(&mut self) {
        (self.due, self.doubtful) = (None, None);
        let (Some(rule), Some(flags)) = (self.shape.flags, &mut self.flags) else { return };
        let [short, long] = &self.matchers;
        let is_due = |m: &Matcher| {
            m.expectation().is_some() && flag::is_due(rule.shortest.into(), m.length(), m.misses())
        };
        // The longer order leads where both would.
        let (m, other) = match (is_due(long), is_due(short)) {
            (true, _) => (long, short),
            (false, true) => (short, long),
            (false, false) => return,
        };
        let Some((byte, place)) = m.expectation() else { return };
        let agreement = other.expectation().map_or(0, |(other, _)| 1 + usize::from(other == byte));
        let expected = Expected { byte, place: place << 2 | agreement, class: m.class() };
        let h = &self.history;
        let hashed = |context| Flags::<2, FLAG_PLACES>::hashed(context, byte);
        let places = [
            flags.places(expected, h),
            [
                ((m.class() << 4 | other.class()) as usize) << 2 | agreement,
                hashed(mix_hash(h.c4, h.c8 & 0xffff)),
                hashed(mix_hash(h.word_or_gap(), h.words[0])),
                hashed(mix_hash(h.tag, h.word_or_gap())),
                hashed(mix_hash(h.shape, h.c4 & 0xff)),
                hashed(mix_hash(h.above(), h.c4 & 0xff)),
                hashed(mix_hash(mix_hash(h.field, h.first.into()), h.prefix)),
                hashed(context::selector(self.shape.kind, h) as u32),
            ],
        ];
        let p = flags.predict::<A>(expected, places, self.tables);
        if p + (u32::from(rule.doubt) << 5) >= 65536 {
            self.due = Some((byte, p));
        } else {
            self.doubtful = Some(byte);
        }
    }

    /// Whether the byte after this one will most likely begin with a flag and need no slots.
    #[inline(always)]
    pub(super) fn goes_on(&self, byte: u8) -> bool {
        let Some(rule) = self.shape.flags else { return false };
        let goes_on = |m: &Matcher| {
            m.expectation().is_some_and(|(expected, _)| expected == byte)
                && flag::is_due(rule.shortest.into(), m.length() + 1, m.misses())
        };
        self.matchers.iter().any(goes_on)
    }
}
