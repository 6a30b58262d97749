//! Codes blocks of coefficients, in either direction.

use super::contexts::{
    AC, Around, DC, Hashes, Known, LAST, LENGTH, REST, SIGN, ZERO, choice, coarse, fine, level,
};
use super::engine::{Bits, Engine};
use super::plane::Plane;
use super::predict::{Border, PLACES, Values, continued, samples, values};
use crate::error::{Error, Result};

/// The longest magnitude, in bits.
const LONGEST: usize = 15;

/// A block of zeros.
const NONE: [i16; 64] = [0; 64];

/// Codes pictures. What it learns from one serves the next.
pub struct Coder {
    engine: Engine,
}

/// The properties of a block that later blocks use as context.
#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    last: u8,
    count: u8,
    /// The difference between its mean and the prediction.
    error: i16,
}

/// The weight of each frequency's value at an edge, times 256.
fn weight(frequency: usize) -> i32 {
    if frequency == 0 { 181 } else { 256 }
}

impl Coder {
    /// Takes the memory; see [`super::memory`].
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::LimitExceeded`] where it cannot be had.
    pub fn new(log: u32) -> Result<Self> {
        Ok(Self { engine: Engine::new(log)? })
    }

    /// Codes all planes of a picture. To decode, they must hold zeros.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::Truncated`] where the coded bits end; [`crate::ErrorKind::LimitExceeded`] where memory
    /// is missing.
    pub fn picture<B: Bits>(&mut self, bits: &mut B, planes: &mut [Plane]) -> Result<()> {
        let mut seen: Vec<Vec<Seen>> = Vec::new();
        for i in 0..planes.len() {
            let (before, rest) = planes.split_at_mut(i);
            let own = self.plane(bits, before, &seen, &mut rest[0])?;
            seen.push(own);
        }
        Ok(())
    }

    fn plane<B: Bits>(
        &mut self,
        bits: &mut B,
        before: &[Plane],
        others: &[Vec<Seen>],
        plane: &mut Plane,
    ) -> Result<Vec<Seen>> {
        let short = |_| Error::limit("not enough memory for what is known of blocks");
        let (wide, high, steps) = (plane.wide, plane.high, plane.steps);
        let mut seen: Vec<Seen> = Vec::new();
        seen.try_reserve_exact(wide * high).map_err(short)?;
        let mut borders: Vec<Border> = Vec::new();
        borders.try_reserve_exact(wide).map_err(short)?;
        borders.resize(wide, Border::default());
        let class = u32::from(matches!(before.len(), 1 | 2));
        for y in 0..high {
            for x in 0..wide {
                let n = y * wide + x;
                let (done, rest) = plane.blocks.split_at_mut(n);
                // How far back each block around is, if there is one.
                let back = [
                    (1, x > 0),
                    (wide, y > 0),
                    (wide + 1, x > 0 && y > 0),
                    (wide.wrapping_sub(1), y > 0 && x + 1 < wide),
                    (2, x > 1),
                    (2 * wide, y > 1),
                ];
                let block = |i: usize| if back[i].1 { &done[n - back[i].0] } else { &NONE };
                let of = |i: usize| if back[i].1 { seen[n - back[i].0] } else { Seen::default() };
                // Places of planes of another size are scaled.
                let place = |i: usize| {
                    let plane: &Plane = before.get(before.len().checked_sub(i + 1)?)?;
                    Some((before.len() - i - 1, y * plane.high / high * plane.wide + x * plane.wide / wide))
                };
                let other = |i: usize| place(i).map_or(&NONE, |(p, n)| &before[p].blocks[n]);
                let other_seen = |i: usize| place(i).map_or(Seen::default(), |(p, n)| others[p][n]);
                let all = [of(0), of(1), of(2), of(3), other_seen(0), other_seen(1)];
                let around = Around {
                    left: block(0),
                    above: block(1),
                    corner: block(2),
                    right: block(3),
                    left2: block(4),
                    above2: block(5),
                    other: [other(0), other(1)],
                    lasts: all.map(|s| s.last.into()),
                    counts: all.map(|s| s.count.into()),
                    class,
                    steps: &steps,
                };
                let current = &mut rest[0];
                let known = self.frequencies(bits, &around, current);
                let mut v = values(current, &steps);
                v[0][0] = 0;
                let samples = samples(&v);
                let neighbours = [(x > 0).then(|| borders[x - 1].right), (y > 0).then(|| borders[x].lower)];
                let errors = [0, 1, 4, 5].map(|i| i32::from(all[i].error));
                let mean = Mean::new(&samples, neighbours, steps[0].into());
                let dc = self.mean(bits, &around, &mean, &known, errors, current[0]);
                current[0] = dc;
                let error = i32::from(dc) - mean.rounded();
                seen.push(Seen {
                    last: known.last as u8,
                    count: known.count as u8,
                    error: error.clamp(-32768, 32767) as i16,
                });
                borders[x] = Border::of(&samples, (i32::from(dc) * i32::from(steps[0])).clamp(-2047, 2047));
            }
            if bits.ended() {
                return Err(Error::truncated("coefficients of a picture end too early"));
            }
        }
        Ok(seen)
    }

    /// Codes all coefficients of a block but the mean.
    fn frequencies<B: Bits>(&mut self, bits: &mut B, around: &Around<'_>, block: &mut [i16; 64]) -> Known {
        let last = block.iter().rposition(|v| *v != 0).unwrap_or(0);
        let last = self.last(bits, around, last);
        let mut known = Known { last: last as u32, ..Known::default() };
        let mut edges = Edges::new(around);
        for k in (1..=last).rev() {
            edges.predict(&mut known, k, around.steps);
            let value = self.coefficient(bits, around, block, k, &known);
            block[k] = value;
            if value == 0 {
                known.zeros += 1;
            } else {
                known.count += 1;
                known.sum += u32::from(value.unsigned_abs());
                known.zeros = 0;
                edges.take(k, i32::from(value) * i32::from(around.steps[k]));
            }
        }
        known
    }

    fn last<B: Bits>(&mut self, bits: &mut B, around: &Around<'_>, last: usize) -> usize {
        let small =
            [around.lasts[0] as usize >> 2, around.lasts[1] as usize >> 2, around.lasts[4] as usize >> 2, 0];
        let mut read = 0;
        for half in 0..2 {
            let mut hashes = around.of_last();
            relocate(&mut hashes, if half == 0 { 0 } else { 1 + read as u32 });
            self.engine.seek(&hashes.all);
            let mut node = 1;
            for i in 0..3 {
                let place = 5 - 3 * half - i;
                let choice = choice(LAST + 3 * half + i, around.class, node, small);
                let bit = self.engine.code(bits, node, &choice, (last >> place & 1) as u32);
                node = 2 * node + bit as usize;
            }
            read = read * 8 + node - 8;
        }
        read
    }

    fn coefficient<B: Bits>(
        &mut self,
        bits: &mut B,
        around: &Around<'_>,
        block: &[i16; 64],
        k: usize,
        known: &Known,
    ) -> i16 {
        let given = i32::from(block[k]);
        let class = around.class;
        let third = level(known.from_above.unsigned_abs().max(known.from_left.unsigned_abs())) as usize;
        let fourth = known.count as usize;
        // The last one is not 0.
        if k < known.last as usize {
            let (hashes, [m1, m2]) = around.of_size(block, k, known, 0);
            self.engine.seek(&hashes.all);
            let choice = choice(AC + ZERO, class, k, [m1, m2, third, fourth]);
            if self.engine.code(bits, 1, &choice, (given == 0).into()) != 0 {
                return 0;
            }
        }
        let hashes = around.of_sign(block, k, known);
        self.engine.seek(&hashes.all);
        let small = [
            8 + (known.from_above / 4).clamp(-8, 7),
            8 + (known.from_left / 4).clamp(-8, 7),
            8 + ((known.from_above + known.from_left) / 4).clamp(-8, 7),
            fourth as i32,
        ];
        let choice_of_sign = choice(AC + SIGN, class, k, small.map(|s| s as usize));
        let sign = match self.engine.code(bits, 1, &choice_of_sign, (given < 0).into()) {
            0 => 1,
            _ => -1,
        };
        let (mut hashes, [m1, m2]) = around.of_size(block, k, known, sign);
        relocate(&mut hashes, 1);
        let small = [m1, m2, third, fourth];
        self.magnitude(bits, hashes, (AC, class, k), small, given.unsigned_abs()) * sign as i16
    }

    /// Codes a magnitude of at least 1: its length, then its bits after the leading one.
    fn magnitude<B: Bits>(
        &mut self,
        bits: &mut B,
        hashes: Hashes,
        (kind, class, k): (usize, u32, usize),
        small: [usize; 4],
        given: u32,
    ) -> i16 {
        self.engine.seek(&hashes.all);
        let mut len = 1;
        while len < LONGEST {
            let choice = choice(kind + LENGTH + (len - 1).min(6), class, k, small);
            if self.engine.code(bits, len, &choice, (given >> len > 0).into()) == 0 {
                break;
            }
            len += 1;
        }
        if len == 1 {
            return 1;
        }
        let mut value = 1;
        for i in 0..len - 1 {
            let place = len - 2 - i;
            // Of two bits and of three, each by those before it; of more, by how many came before.
            let node = match (len, i) {
                (2, _) => 15,
                (3, _) => 11 + value,
                _ => 9 + i.min(2),
            };
            let choice = choice(kind + REST + i.min(2), class, k, small);
            let bit = self.engine.code(bits, node, &choice, given >> place & 1);
            value = 2 * value + bit as usize;
        }
        value as i16
    }

    fn mean<B: Bits>(
        &mut self,
        bits: &mut B,
        around: &Around<'_>,
        mean: &Mean,
        known: &Known,
        errors: [i32; 4],
        given: i16,
    ) -> i16 {
        let error = i32::from(given) - mean.rounded();
        let class = around.class;
        let small = [
            level(mean.spread) as usize,
            level(errors[0].unsigned_abs() + errors[1].unsigned_abs()) as usize,
            level(errors[2].unsigned_abs()) as usize,
            level(known.count) as usize,
        ];
        let mut hashes = mean.contexts(around, known, errors);
        self.engine.seek(&hashes.all);
        if self.engine.code(bits, 1, &choice(DC + ZERO, class, 0, small), (error == 0).into()) != 0 {
            return mean.rounded() as i16;
        }
        let node = 2;
        let sign = match self.engine.code(bits, node, &choice(DC + SIGN, class, 0, small), (error < 0).into())
        {
            0 => 1,
            _ => -1,
        };
        relocate(&mut hashes, if sign > 0 { 1 } else { 2 });
        let magnitude = self.magnitude(bits, hashes, (DC, class, 0), small, error.unsigned_abs());
        (mean.rounded() + sign * i32::from(magnitude)) as i16
    }
}

/// Moves contexts to other lines.
fn relocate(hashes: &mut Hashes, by: u32) {
    for hash in &mut hashes.all {
        *hash = (*hash ^ by).wrapping_mul(0x9E37_79B1);
    }
}

/// The conditions under which a block continues the blocks above and to the left of it: for
/// each frequency along the edge the sum of values across, times 256.
struct Edges {
    above: Values,
    left: Values,
    /// The sums of the block itself.
    columns: [i32; 8],
    rows: [i32; 8],
}

impl Edges {
    fn new(around: &Around<'_>) -> Self {
        let (a, l) = (values(around.above, around.steps), values(around.left, around.steps));
        let (mut above, mut left) = ([[0; 8]; 8], [[0; 8]; 8]);
        // Only frequencies across that are at least as high as that of the coefficient.
        for u in 0..8 {
            let (mut down, mut right) = (0, 0);
            for v in (0..8).rev() {
                let sign = if v % 2 == 0 { 1 } else { -1 };
                down += sign * weight(v) * a[v][u];
                right += sign * weight(v) * l[u][v];
                above[v][u] = down;
                left[u][v] = right;
            }
        }
        Self { above, left, columns: [0; 8], rows: [0; 8] }
    }

    fn predict(&self, known: &mut Known, k: usize, steps: &[u16; 64]) {
        let ((u, v), step) = (PLACES[k], i32::from(steps[k]).max(1));
        known.from_above = 4 * (self.above[v][u] - self.columns[u]) / (weight(v) * step);
        known.from_left = 4 * (self.left[v][u] - self.rows[v]) / (weight(u) * step);
    }

    fn take(&mut self, k: usize, value: i32) {
        let ((u, v), value) = (PLACES[k], value.clamp(-2047, 2047));
        self.columns[u] += weight(v) * value;
        self.rows[v] += weight(u) * value;
    }
}

/// Predictions of a block's mean.
struct Mean {
    /// In quarters: from all samples along both edges, from those above, and from those to the left.
    all: i32,
    above: i32,
    left: i32,
    /// The middle half of all samples.
    middle: i32,
    /// The difference between the largest and the smallest, in steps.
    spread: u32,
}

/// The sum of predictions in quarters of a step: each counts twice the mean.
fn average(sum: i32, count: i32, step: i32) -> i32 {
    if count == 0 { 0 } else { (2 * sum).div_euclid(count * step) }
}

impl Mean {
    fn new(samples: &Values, [left, above]: [Option<[[i32; 2]; 8]>; 2], step: i32) -> Self {
        let step = step.max(1);
        let mut found = [0; 16];
        let mut count = 0;
        let mut sums = [0; 2];
        if let Some(outer) = left {
            for y in 0..8 {
                found[count] = continued(outer[y], [samples[y][0], samples[y][1]]);
                sums[0] += found[count];
                count += 1;
            }
        }
        if let Some(outer) = above {
            for x in 0..8 {
                found[count] = continued(outer[x], [samples[0][x], samples[1][x]]);
                sums[1] += found[count];
                count += 1;
            }
        }
        let found = &mut found[..count];
        found.sort_unstable();
        let quarter = count / 4;
        let middle: i32 = found[quarter..count - quarter].iter().sum();
        let spread = found.last().zip(found.first()).map_or(0, |(a, b)| a - b);
        let all = average(sums[0] + sums[1], count as i32, step);
        let left = if left.is_some() { average(sums[0], 8, step) } else { all };
        let above = if above.is_some() { average(sums[1], 8, step) } else { all };
        let middle = average(middle, (count - 2 * quarter) as i32, step);
        Self { all, above, left, middle, spread: (spread / step) as u32 }
    }

    /// The prediction of the coefficient.
    fn rounded(&self) -> i32 {
        ((self.middle + 2) >> 2).clamp(-2047, 2047)
    }

    fn contexts(&self, around: &Around<'_>, known: &Known, errors: [i32; 4]) -> Hashes {
        let mut h = Hashes::new(601 + around.class);
        let p = 4 * self.rounded();
        let fraction = (self.middle - p).clamp(-2, 2) as u32 & 7;
        let (above, left, all) = (self.above - p, self.left - p, self.all - p);
        let beside = [around.above[0], around.left[0]].map(|v| 4 * i32::from(v) - p);
        let [l, a, o, q] = errors;
        let spread = level(self.spread);
        let size = level(l.unsigned_abs() + a.unsigned_abs());
        h.add([0, spread, 0, 0]);
        h.add([1, fine(above), 0, 0]);
        h.add([2, fine(left), 0, 0]);
        h.add([3, coarse(above), coarse(left), 0]);
        h.add([4, coarse(beside[0]), coarse(beside[1]), 0]);
        h.add([5, coarse(l), coarse(a), 0]);
        h.add([6, spread, fraction, 0]);
        h.add([7, known.count, 0, 0]);
        h.add([8, level(known.sum), spread, 0]);
        h.add([9, fine(o), 0, 0]);
        h.add([10, coarse(o), coarse(q), 0]);
        h.add([11, spread, known.count.min(15), 0]);
        h.add([12, fine(all), 0, 0]);
        h.add([13, fraction, coarse(all), 0]);
        h.add([14, size, spread, 0]);
        h.add([15, size, fraction, 0]);
        h.add([16, coarse(l), spread, 0]);
        h.add([17, coarse(a), spread, 0]);
        h.add([18, coarse(o), spread, 0]);
        h.add([19, coarse(above), spread, 0]);
        h.add([20, coarse(left), spread, 0]);
        h.add([21, fine((above + left) / 2), spread, 0]);
        h.add([22, coarse(o), size, 0]);
        h
    }
}
