//! Levels whose steps differ from row to row and from column to column, and yet are few: each step is the tensor's least
//! step times a power of two.

use crate::values::rounded;
use nzip::tensor::Dtype;

/// Up to these multiples of the step all, every 16th and every 128th are levels: outliers have few.
const ALL: i32 = 72;
const SIXTEENTHS: i32 = 640;
pub const FARTHEST: i32 = 2432;
/// The classes of places: those of one class are expected to be coded with a table of their own.
const CLASSES: usize = 16;
/// Classes to an octave of steps.
const PER_OCTAVE: f32 = 2.0;
/// The greatest step is 2 to the power of this times the least one.
const MOST_DOUBLED: f32 = 6.0;

/// The level nearest to a multiple of the step, as a multiple.
fn snapped(multiple: i32) -> i32 {
    let to = |n: i32| (multiple + n / 2 * multiple.signum()) / n * n;
    match multiple.abs() {
        0..=ALL => multiple,
        m if m <= SIXTEENTHS => to(16),
        _ => to(128).clamp(-FARTHEST, FARTHEST),
    }
}

/// The levels of a tensor, with their costs.
#[derive(Clone)]
pub struct Levels {
    pub step: f32,
    /// The number of the level for each multiple from −`FARTHEST` on.
    numbers: Vec<u8>,
    /// The value of each level.
    pub values: Vec<f32>,
    /// The number of the level that is zero.
    zero: u8,
    /// The cost of each level in bits, for each class.
    costs: Vec<[f32; 256]>,
}

/// The place of a value: how many times its step is doubled, its class, and the squared output error of an error of 1.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    doubled: i32,
    class: usize,
    pub weight: f32,
}

impl Place {
    /// The place whose step is 2^`octaves` times the least one.
    pub fn new(octaves: f32, weight: f32) -> Self {
        let o = octaves.clamp(0.0, MOST_DOUBLED);
        let class = (octaves * PER_OCTAVE + 2.5).clamp(0.0, CLASSES as f32 - 1.0) as usize;
        Self { doubled: (o + 0.5) as i32, class, weight }
    }
}

/// How often each level was taken in each class, and the sum of what it was taken for.
#[derive(Clone)]
pub struct Tally {
    counts: Vec<[f64; 256]>,
    sums: Vec<(f64, f64)>,
}

impl Tally {
    pub fn new() -> Self {
        Self { counts: vec![[0.0; 256]; CLASSES], sums: vec![(0.0, 0.0); 256] }
    }

    /// Notes that a value was given a level.
    pub fn note(&mut self, place: Place, number: u8, value: f32) {
        self.counts[place.class][usize::from(number)] += 1.0;
        let (sum, weight) = &mut self.sums[usize::from(number)];
        *sum += f64::from(value) * f64::from(place.weight);
        *weight += f64::from(place.weight);
    }

    /// Adds what another one has noted.
    pub fn add(&mut self, other: &Tally) {
        for (a, b) in self.counts.iter_mut().flatten().zip(other.counts.iter().flatten()) {
            *a += b;
        }
        for (a, b) in self.sums.iter_mut().zip(&other.sums) {
            *a = (a.0 + b.0, a.1 + b.1);
        }
    }

    /// Bits for each value, where each class has its own table.
    pub fn entropy(&self) -> f64 {
        let (mut bits, mut values) = (0.0, 0.0);
        for class in &self.counts {
            let all: f64 = class.iter().sum();
            values += all;
            bits += class.iter().filter(|n| **n > 0.0).map(|n| n * (all / n).log2()).sum::<f64>();
        }
        if values > 0.0 { bits / values } else { 0.0 }
    }
}

impl Levels {
    /// Levels that are multiples of a step. All cost the same.
    pub fn new(step: f32, dtype: Dtype) -> Self {
        let mut multiples: Vec<i32> = (-FARTHEST..=FARTHEST).map(snapped).collect();
        let all = multiples.clone();
        multiples.dedup();
        let number = |m: &i32| multiples.binary_search(m).unwrap_or(0) as u8;
        Self {
            step,
            numbers: all.iter().map(number).collect(),
            values: multiples.iter().map(|m| rounded(dtype, *m as f32 * step)).collect(),
            zero: number(&0),
            costs: vec![[0.0; 256]; CLASSES],
        }
    }

    /// The number of the level that is zero.
    pub fn zero(&self) -> u8 {
        self.zero
    }

    /// The number of the level at which squared output error and cost in bits, each worth `slope`, are least together.
    #[inline]
    pub fn choose(&self, value: f32, place: Place, slope: f32) -> u8 {
        let unit = self.step * (1 << place.doubled) as f32;
        let near = (value / unit).round();
        let costs = &self.costs[place.class];
        let (mut best, mut least) = (self.zero, f32::INFINITY);
        for candidate in [near, near - 1.0, near + 1.0] {
            let multiple = (candidate as i32).saturating_mul(1 << place.doubled).clamp(-FARTHEST, FARTHEST);
            let number = self.numbers[(multiple + FARTHEST) as usize];
            let off = value - self.values[usize::from(number)];
            let cost = place.weight * off * off + slope * costs[usize::from(number)];
            if cost < least {
                (best, least) = (number, cost);
            }
        }
        best
    }

    /// Takes costs from what was noted.
    pub fn learn(&mut self, tally: &Tally) {
        for (costs, counts) in self.costs.iter_mut().zip(&tally.counts) {
            let all = counts.iter().sum::<f64>() + 1.0;
            for (cost, count) in costs.iter_mut().zip(counts) {
                *cost = (all / (count + 0.05)).log2() as f32;
            }
        }
    }

    /// Moves levels to the means of what they were taken for; zero stays zero.
    pub fn move_to_means(&mut self, tally: &Tally, dtype: Dtype) {
        for (number, value) in self.values.iter_mut().enumerate() {
            let (sum, weight) = tally.sums[number];
            if weight > 0.0 && number != usize::from(self.zero) {
                let mean = rounded(dtype, (sum / weight) as f32);
                if mean.is_finite() {
                    *value = mean;
                }
            }
        }
    }
}
