//! Expects the samples of pictures and the like from their neighbours: by how much each neighbour counts is learned
//! ([`squares`]), and so is how far samples lie from what is expected of them ([`residuals`]).

mod kernel;
mod residuals;
mod squares;

use kernel::{TAPS, Taps};
use residuals::Residuals;
use squares::{LeastSquares, Pace};

use super::context::Kind;

/// The number of classes of recent errors.
const ENERGIES: usize = 32;
/// The most channels.
const CHANNELS: usize = 4;

/// A neighbour: how many samples back it lies, and how many channels before the sample's own its channel is.
#[derive(Clone, Copy, Default)]
struct Neighbour {
    back: usize,
    channel: usize,
}

/// What is expected of the next byte.
#[derive(Debug, Clone, Copy, Default)]
pub struct Expected {
    /// The byte.
    pub byte: u8,
    /// The sample to which it belongs, in 1/16, plus one half: the byte is that of its integer part.
    pub sample: u32,
    /// The class of the errors in the neighbourhood, below 32.
    pub energy: u32,
}

/// The model of the samples of a block. Samples are counted from its start, in rows of `stride` samples.
pub struct Samples {
    /// The bytes of a sample, 1 or 2; low bytes come first.
    bytes: usize,
    /// The number of channels, whose samples take turns, and the number of samples in a row.
    channels: usize,
    stride: usize,
    neighbours: [Neighbour; TAPS],
    /// Whether neighbours count by how far they lie from the samples before them, and not from the base of their channel.
    steps: bool,
    squares: Vec<LeastSquares>,
    residuals: Residuals,
    /// The values of the neighbours, relative to the bases of their channels, and the base of the next sample.
    x: Taps,
    base: i32,
    /// The last errors, a ring.
    errors: Vec<u16>,
    /// The next sample's expected value in 1/16, and what is expected of the next byte.
    sample: i32,
    expected: Expected,
}

impl Samples {
    /// The model for a kind; `None` for kinds that hold no samples.
    pub fn new(kind: Kind) -> Option<Self> {
        let (bytes, channels, stride) = match kind {
            Kind::Bytes { width, stride } => (1, width, stride),
            Kind::Words { stride } => (2, 1, stride / 2),
            Kind::Audio { channels } => (2, channels, 2 * channels),
            _ => return None,
        };
        let steps = matches!(kind, Kind::Audio { .. });
        let pace = Pace {
            precision: if bytes == 1 { 14 } else { 6 },
            window: if steps { 9 } else { 11 },
            turns: if steps { 4 } else { 8 },
        };
        let mut samples = Self {
            bytes,
            channels,
            stride,
            neighbours: if steps { earlier(channels) } else { neighbours(channels, stride) },
            steps,
            squares: (0..channels).map(|_| LeastSquares::new(pace)).collect(),
            residuals: Residuals::new(channels * bytes * ENERGIES * 4),
            x: [0; TAPS],
            base: 0,
            errors: vec![0; (stride + channels + 1).next_power_of_two()],
            sample: 0,
            expected: Expected::default(),
        };
        samples.select_byte(&[]);
        Some(samples)
    }

    /// What is expected of the next byte.
    #[inline(always)]
    pub fn expected(&self) -> Expected {
        self.expected
    }

    /// The logit in Q8 octaves that the next bit is a 1; see [`Residuals::logit`].
    #[inline(always)]
    pub fn logit(&self, c0: u32, position: u32) -> i32 {
        self.residuals.logit(c0, position)
    }

    /// How the bits of the byte so far compare with those of the expected one, with the expected one's next three bits:
    /// 0..192.
    #[inline(always)]
    pub fn relation(&self, c0: u32, position: u32) -> usize {
        let expected = u32::from(self.expected.byte);
        let so_far = (expected | 256) >> (8 - position);
        let relation = match c0.cmp(&so_far) {
            std::cmp::Ordering::Equal => 0,
            std::cmp::Ordering::Greater => 1,
            std::cmp::Ordering::Less => 2,
        };
        let next = expected << 2 >> (7 - position) & 7;
        ((relation * 8 + position) * 8 + next) as usize
    }

    /// Learns the byte that was appended to `history` last.
    #[inline(always)]
    pub fn push<const A: bool>(&mut self, history: &[u8]) {
        let Some(&byte) = history.last() else { return };
        self.residuals.learn::<A>(byte);
        if history.len().is_multiple_of(self.bytes) {
            self.learn_sample::<A>(history);
            self.expect_sample::<A>(history);
        }
        self.select_byte(history);
    }

    /// The largest distance of a neighbour from its base that counts.
    fn limit(&self) -> i32 {
        if self.bytes == 1 { 255 } else { 4095 }
    }

    /// The sample `back` samples before the next one (1 for the last complete one); 0 before the start.
    #[inline(always)]
    fn back(&self, history: &[u8], back: usize) -> i32 {
        if self.bytes == 1 {
            return history.len().checked_sub(back).map_or(0, |at| history[at].into());
        }
        let at = (history.len() / 2).checked_sub(back).map(|at| 2 * at);
        at.map_or(0, |at| u16::from_le_bytes([history[at], history[at + 1]]).into())
    }

    #[inline(always)]
    fn learn_sample<const A: bool>(&mut self, history: &[u8]) {
        let sample = self.back(history, 1);
        let n = history.len() / self.bytes - 1;
        let (limit, relative) = (self.limit(), sample - self.base);
        let squares = &mut self.squares[n % self.stride % self.channels];
        if self.steps {
            let (x, relative) = level(&self.x, relative, limit);
            squares.learn::<A>(&x, relative);
        } else {
            squares.learn::<A>(&self.x, relative.clamp(-limit, limit));
        }
        // Errors of bytes are kept in 1/16, those of 16-bit samples in 1/4.
        let error = ((sample << 4) - self.sample).abs() >> if self.bytes == 1 { 0 } else { 2 };
        let ring = self.errors.len() - 1;
        self.errors[n & ring] = error.min(65535) as u16;
    }

    #[inline(always)]
    fn expect_sample<const A: bool>(&mut self, history: &[u8]) {
        if self.steps {
            self.look_at_steps(history);
        } else {
            self.look_around(history);
        }
        let n = history.len() / self.bytes;
        let sum = self.squares[n % self.stride % self.channels].expect::<A>(&self.x);
        let most = if self.bytes == 1 { 255 } else { 65535 };
        self.sample = (i64::from(self.base << 4) + ((sum + (1 << 11)) >> 12)).clamp(0, most << 4) as i32;
        self.expected.energy = self.energy(n);
    }

    /// Finds the neighbours' values relative to the bases of their channels, and the base of the next sample.
    #[inline(always)]
    fn look_around(&mut self, history: &[u8]) {
        let mut bases = [0; CHANNELS];
        for (channel, base) in bases[..self.channels].iter_mut().enumerate() {
            let (left, above) = (self.channels + channel, self.stride + channel);
            *base = (self.back(history, left) + self.back(history, above)) >> 1;
        }
        let limit = self.limit();
        // A loop: the closure of `map` would not be inlined.
        for i in 0..TAPS {
            let Neighbour { back, channel } = self.neighbours[i];
            let relative = self.back(history, back) - bases[channel & (CHANNELS - 1)];
            self.x[i] = relative.clamp(-limit, limit);
        }
        self.base = bases[0];
    }

    /// Finds the neighbours' values relative to the samples before them in their channels. The base is the last sample of the
    /// next one's channel.
    #[inline(always)]
    fn look_at_steps(&mut self, history: &[u8]) {
        for i in 0..TAPS {
            let back = self.neighbours[i].back;
            self.x[i] = self.back(history, back) - self.back(history, back + self.channels);
        }
        self.base = self.back(history, self.channels);
    }

    /// The class of the errors around sample `n`.
    #[inline(always)]
    fn energy(&self, n: usize) -> u32 {
        let ring = self.errors.len() - 1;
        let error = |back: usize| u32::from(self.errors[n.wrapping_sub(back) & ring]);
        let near = 2 * error(self.channels) + 2 * error(self.stride) + error(1);
        let sum = near + error(self.stride - self.channels) + error(self.stride + self.channels) + 8;
        let log = sum.ilog2();
        (2 * log + (sum >> (log - 1) & 1) - 6).min(ENERGIES as u32 - 1)
    }

    /// Finds out what is expected of the next byte.
    #[inline(always)]
    fn select_byte(&mut self, history: &[u8]) {
        // The nearest integer, and two bits that tell on which side of it the value lies.
        let rounded = self.sample + 8;
        let sample = rounded >> 4;
        let n = history.len();
        let is_high = self.bytes == 2 && !n.is_multiple_of(2);
        let (byte, part) = if is_high {
            let distance = sample - i32::from(history[n - 1]) + 128;
            ((distance >> 8).clamp(0, 255), distance >> 6 & 3)
        } else {
            (sample & 255, rounded >> 2 & 3)
        };
        let channel = if self.bytes == 1 { n % self.stride % self.channels } else { n % 2 };
        let class = (channel * ENERGIES + self.expected.energy as usize) * 4 + part as usize;
        self.residuals.select(class, byte as u8, self.bytes == 2 && !is_high);
        self.expected = Expected { byte: byte as u8, sample: rounded as u32, ..self.expected };
    }
}

/// The values of neighbours and of the sample, which are learned together, at a level: loud ones are brought down to 12
/// bits, of quiet ones half of the bits that they lack are made up for. So loud places count little more than quiet ones.
#[inline(always)]
fn level(x: &Taps, sample: i32, limit: i32) -> (Taps, i32) {
    let greatest = x.iter().fold(0, |most, x| most.max(x.unsigned_abs()));
    let bits = 32 - greatest.leading_zeros();
    let (up, down) = (12u32.saturating_sub(bits) / 2, bits.saturating_sub(12));
    let moved = |x: i32| (x << up >> down).clamp(-limit, limit);
    (x.map(moved), moved(sample))
}

/// The neighbours of a sample of sound: the last ones of its channel, and of the other one where there are two.
fn earlier(channels: usize) -> [Neighbour; TAPS] {
    let own = if channels == 1 { TAPS } else { 24 };
    let mut backs = (1..=own).map(|i| i * channels).chain((0..TAPS - own).map(|i| 1 + i * channels));
    // Steps have no base, so that channels do not matter.
    std::array::from_fn(|_| Neighbour { back: backs.next().unwrap_or(1), channel: 0 })
}

/// The neighbours of a sample: those in its own row, from near to far, and in each row above it from right to left.
fn neighbours(channels: usize, stride: usize) -> [Neighbour; TAPS] {
    let mut places = Vec::with_capacity(TAPS);
    let mut add = |row: usize, to_the_left: &[std::ops::RangeInclusive<isize>]| {
        places.extend(to_the_left.iter().cloned().flatten().map(|left| (row, left)));
    };
    match channels {
        3 => {
            add(0, &[1..=6, 9..=9, 12..=12]);
            add(1, &[-6..=6]);
            add(2, &[-6..=-6, -3..=3, 6..=6]);
            add(3, &[-3..=-3, 0..=0]);
        }
        4 => {
            add(0, &[1..=8, 12..=12]);
            add(1, &[-8..=-8, -5..=5, 8..=8]);
            add(2, &[-8..=-8, -4..=-4, -1..=1, 4..=4, 8..=8]);
            add(3, &[-4..=-4, 0..=0, 4..=4]);
        }
        _ => {
            add(0, &[1..=6]);
            add(1, &[-5..=5]);
            add(2, &[-4..=4]);
            add(3, &[-2..=2]);
            add(4, &[0..=0]);
        }
    }
    let mut neighbours = [Neighbour::default(); TAPS];
    for (neighbour, (row, left)) in neighbours.iter_mut().zip(places) {
        // In short rows, some would lie ahead.
        let back = (row * stride).saturating_add_signed(left).max(1);
        *neighbour = Neighbour { back, channel: left.rem_euclid(channels as isize) as usize };
    }
    neighbours
}
