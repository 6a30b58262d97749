//! Windows of a fixed number of bits, each of which tells where it ends (`formats/tokens.md`).
//!
//! This is block arithmetic coding (Boncelet, "Block arithmetic coding for source compression", 1993): the
//! 2^b values of a window are shared out among what may come next, in whole numbers, until one value is left.
//! Binary decisions share them out here, so that a share is never far from what the probability deserves. A
//! side that deserves none may get none: then one value stands for "the window ends here", and whatever has no
//! value of its own goes into the next window.

use super::wide::Wide;

/// The most symbols that begin in a window.
pub const MAX_SYMBOLS: u32 = 4096;
/// At the start of a symbol, a window that ends anywhere reserves a stop where there are at least this many
/// points.
const ROOMY: u64 = 64;
/// A side that deserves at least so many 1/65536 of a point gets one, in windows that end anywhere.
const DESERVING: u64 = 20480;
/// The likelihood in 1/65536 of all that a stop stands against does not fall below this.
const STEADY: u32 = 22528;
const ONE: u32 = 1 << 16;

/// Where a window may end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ends {
    /// Between symbols.
    Symbol,
    /// Before any decision.
    Bit,
}

/// The number of symbols on both sides of a decision.
pub type Halves = [u32; 2];

/// Symbols in a row, one of which is being coded: decisions halve them until one is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// The first symbol.
    pub first: u32,
    /// The number of symbols, 1 or more.
    pub len: u32,
}

impl Row {
    /// The numbers of symbols for 0 and for 1.
    pub fn halves(self) -> Halves {
        [self.len - self.len / 2, self.len / 2]
    }

    /// The half that a decision leaves.
    pub fn half(self, bit: bool) -> Self {
        let [zero, one] = self.halves();
        if bit { Self { first: self.first + zero, len: one } } else { Self { len: zero, ..self } }
    }

    /// The decision for `symbol`, which is one of the row.
    pub fn bit_of(self, symbol: u32) -> bool {
        symbol - self.first >= self.halves()[0]
    }

    /// The rest of the row after `depth` decisions for `symbol`.
    pub fn after(self, symbol: u32, depth: u32) -> Self {
        (0..depth).fold(self, |row, _| row.half(row.bit_of(symbol)))
    }
}

/// The state of a window that encoder and decoder share.
#[derive(Debug, Clone)]
struct Interval {
    ends: Ends,
    /// The code points of what has been coded so far, without the one reserved for the stop.
    points: Wide,
    /// Whether there is a stop.
    reserved: bool,
    /// How likely it was, in 1/65536, that the stop would not be needed up to here.
    odds: u32,
    /// The number of symbols that have begun.
    symbols: u32,
}

/// An event before or at a decision.
enum Plan {
    /// The window ends.
    End,
    /// The last point becomes the stop.
    Reserve,
    /// The points are shared out: so many for 0, the others for 1.
    Share(Wide),
}

impl Interval {
    fn new(bits: u32, ends: Ends) -> Self {
        Self { ends, points: Wide::power(bits), reserved: false, odds: ONE, symbols: 0 }
    }

    fn reserve(&mut self) {
        self.points = self.points.minus(Wide::ONE);
        (self.reserved, self.odds) = (true, ONE);
    }

    /// The event at the start of a symbol, if any.
    fn at_symbol(&self) -> Option<Plan> {
        let alone = self.points == Wide::ONE;
        if self.symbols == MAX_SYMBOLS || alone && self.ends == Ends::Symbol {
            return Some(Plan::End);
        }
        let roomy = self.ends == Ends::Symbol || self.points >= Wide::from(ROOMY);
        roomy.then_some(Plan::Reserve)
    }

    /// The event at a decision in which a 1 has the probability `one` / 65536.
    fn at_decision(&self, one: u32, halves: Halves) -> Plan {
        debug_assert!((1..ONE).contains(&one));
        // The side that is less likely, its probability and its symbols.
        let (side, minor) = if one < ONE / 2 { (1, one) } else { (0, ONE - one) };
        let points = match self.ends {
            Ends::Symbol => self.whole_share(minor, halves[side], halves[1 - side]),
            Ends::Bit => match self.fine_share(minor) {
                Ok(points) => points,
                Err(plan) => return plan,
            },
        };
        Plan::Share(if side == 0 { points } else { self.points.minus(points) })
    }

    /// The points of the less likely side where windows end between symbols. The first symbol of a window must
    /// find a point, whatever it is.
    fn whole_share(&self, minor: u32, symbols: u32, others: u32) -> Wide {
        let points = self.points.share(minor);
        if self.symbols > 1 {
            return points;
        }
        let most = self.points.minus(Wide::from(u64::from(others)).min(self.points));
        points.max(Wide::from(u64::from(symbols))).min(most)
    }

    /// The points of the less likely side where windows end anywhere, or what happens instead.
    fn fine_share(&self, minor: u32) -> Result<Wide, Plan> {
        let steady = self.after(minor) >= STEADY;
        if self.points == Wide::ONE {
            return if self.reserved && steady { Ok(Wide::ZERO) } else { Err(Plan::End) };
        }
        let points = self.points.share(minor);
        if !points.is_zero() {
            return Ok(points);
        }
        // A share of nothing means that there are few points.
        let deserved = self.points.small().unwrap_or(0) * u64::from(minor);
        match self.reserved {
            _ if deserved >= DESERVING || !steady => Ok(Wide::ONE),
            true => Ok(Wide::ZERO),
            false => Err(Plan::Reserve),
        }
    }

    /// The odds after a decision whose less likely side has no point.
    fn after(&self, minor: u32) -> u32 {
        ((u64::from(self.odds) * u64::from(ONE - minor)) >> 16) as u32
    }

    /// Goes on with a side that has `points` points; the other side has `others`.
    fn narrow(&mut self, points: Wide, others: Wide, one: u32) {
        self.points = points;
        if self.ends == Ends::Symbol {
            return;
        }
        if others.is_zero() {
            self.odds = self.after(one.min(ONE - one));
        } else {
            (self.reserved, self.odds) = (false, ONE);
        }
    }
}

/// The result of a step of an encoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coded<M> {
    /// The window goes on.
    Further,
    /// The window has ended before this step, with this value.
    Ended(Wide),
    /// The window has this value and ended at an earlier place: what came after it goes into the next one.
    Stopped(Wide, M),
}

/// The end of a document for an encoder whose window has not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Last<M> {
    /// As for steps; `Further` does not occur.
    Done(Coded<M>),
    /// [`WindowEncoder::pad`] must be called with the decisions of one more symbol.
    Pad,
}

/// Codes decisions into a window. `M` names the places between decisions.
#[derive(Debug, Clone)]
pub struct WindowEncoder<M> {
    interval: Interval,
    /// The first of the points.
    low: Wide,
    stop: Option<(Wide, M)>,
}

impl<M: Copy + PartialEq> WindowEncoder<M> {
    /// Starts a window of `bits` bits, 16..=256.
    pub fn new(bits: u32, ends: Ends) -> Self {
        Self { interval: Interval::new(bits, ends), low: Wide::ZERO, stop: None }
    }

    fn reserve(&mut self, at: M) {
        self.interval.reserve();
        self.stop = Some((self.low.plus(self.interval.points), at));
    }

    /// Starts a symbol at `at`.
    pub fn symbol(&mut self, at: M) -> Coded<M> {
        match self.interval.at_symbol() {
            Some(Plan::End) => return Coded::Ended(self.low),
            Some(_) => self.reserve(at),
            None => {}
        }
        self.interval.symbols += 1;
        Coded::Further
    }

    /// Codes a decision at `at`; a 1 has the probability `one` / 65536 with `one` in 1..=65535.
    pub fn decide(&mut self, bit: bool, one: u32, halves: Halves, at: M) -> Coded<M> {
        let zero = loop {
            match self.interval.at_decision(one, halves) {
                Plan::End => return Coded::Ended(self.low),
                Plan::Reserve => self.reserve(at),
                Plan::Share(zero) => break zero,
            }
        };
        let rest = self.interval.points.minus(zero);
        let (points, others) = if bit { (rest, zero) } else { (zero, rest) };
        if points.is_zero() {
            // Wherever a side has no point, there is a stop.
            return self.stop.map_or(Coded::Ended(self.low), |(value, at)| Coded::Stopped(value, at));
        }
        if bit {
            self.low = self.low.plus(zero);
        }
        self.interval.narrow(points, others, one);
        Coded::Further
    }

    /// The place to which the encoder may have to return.
    pub fn stop_place(&self) -> Option<M> {
        self.stop.map(|(_, at)| at)
    }

    /// Ends the window where the document ends, at the start of a symbol that does not exist.
    pub fn finish(&mut self, at: M) -> Last<M> {
        let reserved = self.interval.reserved;
        match self.interval.at_symbol() {
            Some(Plan::End) => return Last::Done(Coded::Ended(self.low)),
            Some(_) => {
                self.reserve(at);
                return Last::Done(Coded::Ended(self.low.plus(self.interval.points)));
            }
            None => {}
        }
        match self.stop {
            Some((value, at)) if reserved => Last::Done(Coded::Stopped(value, at)),
            _ => Last::Pad,
        }
    }

    /// Codes a decision that decoders will discard; gives the bit, or the value where the window has ended.
    /// That takes at most six decisions, fewer than any symbol has.
    pub fn pad(&mut self, one: u32, halves: Halves) -> Result<bool, Wide> {
        let zero = match self.interval.at_decision(one, halves) {
            Plan::End => return Err(self.low),
            Plan::Reserve => return Err(self.low.plus(self.interval.points).minus(Wide::ONE)),
            Plan::Share(zero) => zero,
        };
        let rest = self.interval.points.minus(zero);
        let bit = rest < zero;
        if bit {
            self.low = self.low.plus(zero);
        }
        let (points, others) = if bit { (rest, zero) } else { (zero, rest) };
        self.interval.narrow(points, others, one);
        Ok(bit)
    }
}

/// Decodes the decisions of a window.
#[derive(Debug, Clone)]
pub struct WindowDecoder {
    interval: Interval,
    /// The window's value, counted from the first of the points.
    place: Wide,
}

impl WindowDecoder {
    /// Starts a window of `bits` bits (16..=256) with this value, which is below 2^`bits`.
    pub fn new(bits: u32, ends: Ends, value: Wide) -> Self {
        Self { interval: Interval::new(bits, ends), place: value }
    }

    /// Whether the point that becomes the stop is the window's value.
    fn stops(&mut self) -> bool {
        self.interval.reserve();
        self.place == self.interval.points
    }

    /// Starts a symbol; false where the window has ended before it.
    pub fn symbol(&mut self) -> bool {
        let ended = match self.interval.at_symbol() {
            Some(Plan::End) => true,
            Some(_) => self.stops(),
            None => false,
        };
        self.interval.symbols += 1;
        !ended
    }

    /// Decodes a decision, as in encoding; `None` where the window has ended before it.
    pub fn decide(&mut self, one: u32, halves: Halves) -> Option<bool> {
        let zero = loop {
            match self.interval.at_decision(one, halves) {
                Plan::End => return None,
                Plan::Reserve if self.stops() => return None,
                Plan::Reserve => {}
                Plan::Share(zero) => break zero,
            }
        };
        let rest = self.interval.points.minus(zero);
        let bit = self.place >= zero;
        if bit {
            self.place = self.place.minus(zero);
        }
        let (points, others) = if bit { (rest, zero) } else { (zero, rest) };
        self.interval.narrow(points, others, one);
        Some(bit)
    }
}
