//! The contexts of decisions about coefficients.

use super::engine::{CONTEXTS, Choice};
use super::predict::{PLACES, ZIGZAG};

/// The blocks around a block, all zeros where there is none, and what is known of them.
pub struct Around<'a> {
    pub left: &'a [i16; 64],
    pub above: &'a [i16; 64],
    pub corner: &'a [i16; 64],
    pub right: &'a [i16; 64],
    pub left2: &'a [i16; 64],
    pub above2: &'a [i16; 64],
    /// The blocks at the same place of the last two planes before, the last first.
    pub other: [&'a [i16; 64]; 2],
    /// The last place and the number of coefficients that are not 0, means excluded, of the block to the left,
    /// above, at the corner, above to the right, and the other two.
    pub lasts: [u32; 6],
    pub counts: [u32; 6],
    /// 0 for brightness, 1 for colour.
    pub class: u32,
    pub steps: &'a [u16; 64],
}

/// Collects the hashes of contexts.
pub struct Hashes {
    pub all: [u32; CONTEXTS],
    count: usize,
    salt: u32,
}

impl Hashes {
    /// Starts; `salt` is in all contexts.
    pub fn new(salt: u32) -> Self {
        Self { all: [0; CONTEXTS], count: 0, salt: salt.wrapping_mul(0x85EB_CA6B) }
    }

    /// Adds a context of four values below 256.
    #[inline(always)]
    pub fn add(&mut self, [a, b, c, d]: [u32; 4]) {
        let key = a | b << 8 | c << 16 | d << 24;
        let hash = key.wrapping_mul(0x9E37_79B1) ^ self.salt;
        self.all[self.count] = (hash ^ hash >> 15).wrapping_mul(0x85EB_CA6B);
        self.count += 1;
    }
}

/// A magnitude in classes: 0..=3 as they are, then two for each octave.
pub fn level(magnitude: u32) -> u32 {
    if magnitude < 4 {
        return magnitude;
    }
    let log = magnitude.ilog2();
    2 * log + (magnitude >> (log - 1) & 1)
}

/// A number in classes: up to 7 as it is, then four for each octave; negative ones apart.
pub fn fine(value: i32) -> u32 {
    let magnitude = value.unsigned_abs();
    let class = if magnitude < 8 {
        magnitude
    } else {
        let log = magnitude.ilog2();
        4 * log - 4 + (magnitude >> (log - 2) & 3)
    };
    2 * class + u32::from(value < 0)
}

/// The same with two classes for each octave.
pub fn coarse(value: i32) -> u32 {
    2 * level(value.unsigned_abs()) + u32::from(value < 0)
}

fn at(block: &[i16; 64], k: usize) -> u32 {
    block[k].unsigned_abs().into()
}

/// 0 for 0, 1 for positive and 2 for negative numbers.
fn sign(value: i16) -> u32 {
    u32::from(value > 0) + 2 * u32::from(value < 0)
}

fn few(value: i16, most: i16) -> u32 {
    (value.clamp(-most, most) + most) as u32
}

/// The coded part of a block, and predictions of the next coefficient.
#[derive(Debug, Clone, Copy, Default)]
pub struct Known {
    pub last: u32,
    /// The number of coefficients so far that are not 0, and the sum of their magnitudes.
    pub count: u32,
    pub sum: u32,
    /// The number of zeros since the last of them.
    pub zeros: u32,
    /// The coefficient, in quarters, at which the block continues the one above, and the one to the left.
    pub from_above: i32,
    pub from_left: i32,
}

/// The magnitudes of the coefficients beside a place, towards higher frequencies: (1, 0), (0, 1), (1, 1), (2, 0),
/// (0, 2).
fn beside(block: &[i16; 64], k: usize) -> [u32; 5] {
    let (u, v) = PLACES[k];
    [(1, 0), (0, 1), (1, 1), (2, 0), (0, 2)].map(|(du, dv)| {
        let (u, v) = (u + du, v + dv);
        if u < 8 && v < 8 { at(block, ZIGZAG[v][u]) } else { 0 }
    })
}

/// The sum of magnitudes at a place, with weight 2, and at places beside it.
fn region(block: &[i16; 64], k: usize) -> u32 {
    let (u, v) = PLACES[k];
    let mut sum = 2 * at(block, k);
    for (du, dv) in [(0, 1), (1, 0), (2, 1), (1, 2)] {
        let (u, v) = (u + du, v + dv);
        if (1..9).contains(&u) && (1..9).contains(&v) && (u, v) != (1, 1) {
            sum += at(block, ZIGZAG[v - 1][u - 1]);
        }
    }
    sum
}

impl Around<'_> {
    fn weighted(&self, k: usize) -> u32 {
        3 * (at(self.left, k) + at(self.above, k)) + at(self.corner, k) + at(self.right, k)
    }

    /// The contexts of whether a coefficient is 0 (`sign` 0) and of its magnitude given its sign (1 or −1).
    pub fn of_size(&self, block: &[i16; 64], k: usize, known: &Known, sign: i32) -> (Hashes, [usize; 2]) {
        let [a, b, c, d, e] = beside(block, k);
        let around = self.weighted(k);
        let inside = 2 * (a + b) + c + d + e;
        let seen = |p: i32| if sign == 0 { p.abs() } else { p * sign };
        let (above, left) = (seen(known.from_above), seen(known.from_left));
        let both = seen(known.from_above + known.from_left);
        let mut h = Hashes::new(1 + k as u32 + 64 * self.class);
        let (other, older) = (at(self.other[0], k), at(self.other[1], k));
        let next = |i: usize| if k + i < 64 { at(block, k + i) } else { 0 };
        let m1 = level(around);
        let m2 = level(inside);
        h.add([m1, level(inside + around), 0, 0]);
        h.add([1, at(self.left, k).min(15), at(self.above, k).min(15), 0]);
        h.add([2, inside.min(40), 0, 0]);
        h.add([3, m1, m2, 0]);
        h.add([4, known.count, known.last >> 2, 0]);
        h.add([5, fine(above), 0, 0]);
        h.add([6, fine(left), 0, 0]);
        h.add([7, coarse(above), coarse(left), 0]);
        h.add([8, a.min(7), b.min(7), c.min(7)]);
        h.add([9, other.min(15), m1, 0]);
        h.add([10, other.min(7), older.min(7), m2]);
        h.add([11, level(known.sum), m1, 0]);
        h.add([12, level(region(self.left, k)), level(region(self.above, k)), 0]);
        h.add([
            13,
            at(self.corner, k).min(3) | at(self.right, k).min(3) << 2,
            at(self.left2, k).min(3),
            at(self.above2, k).min(3),
        ]);
        h.add([14, known.zeros, known.last, 0]);
        h.add([15, next(1).min(7), next(2).min(7), next(3).min(3)]);
        h.add([16, level(around + 2 * inside), level(known.sum), known.count.min(7)]);
        h.add([17, coarse(above), m1, 0]);
        h.add([18, coarse(left), m1, 0]);
        h.add([19, level(a + d), level(b + e), m1 >> 1]);
        h.add([20, level(self.counts[0] + self.counts[1]), known.count, 0]);
        h.add([21, fine(both), m2, 0]);
        h.add([22, level(region(self.other[0], k)), m2, m1]);
        (h, [m1 as usize, m2 as usize])
    }

    /// The contexts of a coefficient's sign.
    pub fn of_sign(&self, block: &[i16; 64], k: usize, known: &Known) -> Hashes {
        let mut h = Hashes::new(201 + k as u32 + 64 * self.class);
        let (above, left) = (known.from_above, known.from_left);
        let (u, v) = PLACES[k];
        let value = |u: usize, v: usize| if u < 8 && v < 8 { block[ZIGZAG[v][u]] } else { 0 };
        let signs = sign(self.left[k]) + 3 * sign(self.above[k]);
        let other = sign(self.other[0][k]) + 3 * sign(self.other[1][k]);
        h.add([0, fine(above), 0, 0]);
        h.add([1, fine(left), 0, 0]);
        h.add([2, coarse(above), coarse(left), 0]);
        h.add([3, signs, sign(self.corner[k]), sign(self.right[k])]);
        h.add([4, few(self.left[k], 3), few(self.above[k], 3), 0]);
        h.add([5, sign(value(u + 1, v)), sign(value(u, v + 1)), sign(value(u + 1, v + 1))]);
        h.add([6, sign(value(u + 2, v)), sign(value(u, v + 2)), 0]);
        h.add([7, other, 0, 0]);
        h.add([8, other, coarse(above + left), 0]);
        h.add([9, fine(above + left), 0, 0]);
        h.add([10, coarse(above), signs, 0]);
        h.add([11, coarse(left), signs, 0]);
        h.add([12, few(self.other[0][k], 7), 0, 0]);
        h.add([13, sign(value(u + 2, v)), coarse(left), 0]);
        h.add([14, sign(value(u, v + 2)), coarse(above), 0]);
        h.add([15, 0, 0, 0]);
        h
    }

    /// The contexts of the last place.
    pub fn of_last(&self) -> Hashes {
        let mut h = Hashes::new(401 + self.class);
        let [l, a, c, r, o, p] = self.lasts;
        let [nl, na, nc, nr, no, np] = self.counts;
        h.add([0, 0, 0, 0]);
        h.add([1, l, 0, 0]);
        h.add([2, a, 0, 0]);
        h.add([3, l >> 2, a >> 2, 0]);
        h.add([4, (l + a) >> 1, 0, 0]);
        h.add([5, (3 * (l + a) + c + r) >> 3, 0, 0]);
        h.add([6, o, 0, 0]);
        h.add([7, o >> 1, (l + a) >> 3, 0]);
        h.add([8, level(nl + na), level(nc + nr), 0]);
        h.add([9, level(nl), level(na), 0]);
        h.add([10, o >> 1, p >> 2, 0]);
        h.add([11, level(no), level(nl + na), 0]);
        h.add([12, level(no), level(np), level(nl + na) >> 1]);
        h.add([13, (3 * (nl + na) + nc + nr) >> 2, 0, 0]);
        h.add([14, l.max(a), l.min(a) >> 2, 0]);
        h
    }
}

/// The kinds of decisions.
pub const AC: usize = 0;
pub const DC: usize = 12;
pub const LAST: usize = 24;
/// Within them: whether it is 0, the sign, the flags of the magnitude's length, and its bits.
pub const ZERO: usize = 0;
pub const SIGN: usize = 1;
pub const LENGTH: usize = 2;
pub const REST: usize = 9;

/// The choice for a decision of a kind, by the place and four small contexts (below 16, 16, 16 and 8).
pub fn choice(kind: usize, class: u32, k: usize, small: [usize; 4]) -> Choice {
    let rough = match kind {
        LAST.. => 3,
        _ => [0, 1, 2, 2, 2, 2, 2, 2, 2, 3, 3, 3][kind % 12],
    };
    let class = class as usize;
    Choice {
        rows: [
            kind * 2 + class,
            (k * 4 + rough) * 2 + class,
            small[0].min(15) * 32 + kind,
            small[1].min(15) * 32 + kind,
            small[2].min(15) * 32 + kind,
        ],
        finals: [kind * 8 + small[3].min(7), k * 4 + rough],
        stages: [kind * 64 + k, kind * 128 + small[0].min(15) * 8 + small[1].min(15) / 2],
    }
}
