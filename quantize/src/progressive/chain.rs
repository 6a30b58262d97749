//! A run of values as a chain of parts, each of which makes the values finer.
//!
//! The magnitudes are cut at multiples of a coarse step, and further parts halve the step: an embedded quantiser whose
//! middle level is twice as wide as the others (Taubman, "High performance scalable image compression with EBCOT", 2000).
//! Halving has two parts. The first is for values that are still zero, and tells whether they remain so and which sign they
//! have; the second is for all others, and tells the half in which they lie. The first saves about three times as much error
//! for a bit as the second, so that a model may end at either.

/// The first step in root mean squares.
const FIRST: f64 = 2.0;
/// The last step as a share of the median of the magnitudes.
const LAST: f64 = 1.0 / 16.0;
/// The most multiples of the first step.
const MOST: f64 = 126.0;
/// The most halvings.
pub const MOST_HALVINGS: usize = 18;
/// Levels whose values have a place of their own; all higher ones share the last.
const PLACES: usize = 6;
/// Bits that a part takes beside its digits: its name and places.
const OVERHEAD: f64 = 8.0 * 24.0;

/// A part of a chain: a digit for each of some values.
pub struct Part {
    pub digits: Vec<i8>,
    pub places: Places,
    /// The bits that its digits take, about.
    pub bits: f64,
    /// The squared error that it takes off.
    pub saved: f64,
}

/// Where the value for a level lies between its multiple of the step and the next one, in steps: for the lowest levels that a
/// part makes, of which the last stands for all higher ones, too.
pub type Places = Vec<f32>;

/// The number of halvings before a part.
fn halvings(part: usize) -> usize {
    part.div_ceil(2)
}

/// The lowest level that a part makes of values that are not zero.
fn lowest(part: usize) -> usize {
    if part > 0 && part.is_multiple_of(2) { 2 } else { 1 }
}

/// The values of a run as far as parts have been applied. Part 0 is for all; odd parts are for values that are zero, the even
/// parts after them for those that were not zero before the odd ones.
pub struct State {
    /// Multiples of the step, towards zero.
    levels: Vec<i32>,
    /// How often the step of each value has been halved.
    depths: Vec<u8>,
}

impl State {
    /// `n` values before any part.
    pub fn new(n: usize) -> Self {
        Self { levels: vec![0; n], depths: vec![0; n] }
    }

    /// Whether a part has a digit for a value.
    fn concerns(&self, part: usize, i: usize) -> bool {
        match (part, part % 2) {
            (0, _) => true,
            (_, 1) => self.levels[i] == 0,
            _ => self.levels[i] != 0 && usize::from(self.depths[i]) < halvings(part),
        }
    }

    /// The number of digits that a part has.
    pub fn digits(&self, part: usize) -> usize {
        (0..self.levels.len()).filter(|i| self.concerns(part, *i)).count()
    }

    /// Applies the first digits of a part. `None` for a digit that such a part cannot have.
    pub fn apply(&mut self, part: usize, digits: &[i8]) -> Option<()> {
        let fits: fn(i8) -> bool = match (part, part % 2) {
            (0, _) => |d| d > i8::MIN,
            (_, 1) => |d| (-1..=1).contains(&d),
            _ => |d| (0..=1).contains(&d),
        };
        let mut digits = digits.iter();
        for i in 0..self.levels.len() {
            if !self.concerns(part, i) {
                continue;
            }
            let Some(&digit) = digits.next() else { break };
            if !fits(digit) {
                return None;
            }
            let level = &mut self.levels[i];
            *level = 2 * *level + i32::from(digit) * if *level < 0 { -1 } else { 1 };
            self.depths[i] = halvings(part) as u8;
        }
        Some(())
    }

    /// The values, where the first step is `step` and parts have these places.
    pub fn values(&self, step: f32, places: &[&Places]) -> Vec<f32> {
        let value = |(level, depth): (&i32, &u8)| {
            let (level, depth) = (*level, usize::from(*depth));
            let magnitude = level.unsigned_abs() as usize;
            if magnitude == 0 {
                return 0.0;
            }
            // The part that made the level.
            let part = if depth > 0 { 2 * depth - usize::from(magnitude == 1) } else { 0 };
            let places = places.get(part).map_or(&[][..], |p| p);
            let place = places.get(magnitude - lowest(part)).or(places.last()).copied().unwrap_or(0.5);
            let value = f64::from(step) * (magnitude as f64 + f64::from(place)) / f64::exp2(depth as f64);
            (value * f64::from(level.signum())) as f32
        };
        self.levels.iter().zip(&self.depths).map(value).collect()
    }
}

/// The first step of a run of finite values, and its parts, the coarsest first.
pub fn chain(values: &[f32]) -> (f32, Vec<Part>) {
    let square = |v: f32| f64::from(v) * f64::from(v);
    let all: f64 = values.iter().map(|v| square(*v)).sum();
    let most = values.iter().fold(0.0f64, |m, v| m.max(f64::from(v.abs())));
    let usual = FIRST * (all / values.len().max(1) as f64).sqrt();
    let step = short(usual.max(most / MOST));
    if step.is_nan() || step <= 0.0 {
        let part = Part { digits: vec![0; values.len()], places: Vec::new(), bits: OVERHEAD, saved: 0.0 };
        return (1.0, vec![part]);
    }
    let times = (f64::from(step) / (LAST * median(values))).log2().ceil();
    let most_halvings = (times.max(0.0) as usize).min(MOST_HALVINGS);
    let multiple =
        |v: f32, halvings: usize| f64::from(v.abs()) / f64::from(step) * f64::exp2(halvings as f64);
    let mut state = State::new(values.len());
    let (mut parts, mut error): (Vec<Part>, f64) = (Vec::new(), all);
    for number in 0..=2 * most_halvings {
        let depth = halvings(number);
        let is_sign = number == 0 || number % 2 == 1;
        let digit = |v: f32| {
            let m = multiple(v, depth) as i32;
            if !is_sign {
                (m & 1) as i8
            } else if v < 0.0 {
                -m as i8
            } else {
                m as i8
            }
        };
        let concerned: Vec<usize> = (0..values.len()).filter(|i| state.concerns(number, *i)).collect();
        let digits: Vec<i8> = concerned.iter().map(|i| digit(values[*i])).collect();
        // These are digits of such a part.
        let _ = state.apply(number, &digits);
        let mut sums = [(0.0, 0u64); PLACES];
        for &i in &concerned {
            let magnitude = state.levels[i].unsigned_abs() as usize;
            if magnitude > 0 {
                let (sum, count) = &mut sums[(magnitude - lowest(number)).min(PLACES - 1)];
                (*sum, *count) = (*sum + multiple(values[i], depth) - magnitude as f64, *count + 1);
            }
        }
        let mean = |(sum, count): &(f64, u64)| if *count > 0 { short(sum / *count as f64) } else { 0.5 };
        let used = sums.iter().rposition(|s| s.1 > 0).map_or(0, |i| i + 1);
        let places: Places = sums[..used].iter().map(mean).collect();
        let all_places: Vec<&Places> = parts.iter().map(|p| &p.places).chain([&places]).collect();
        let now = state.values(step, &all_places);
        let left: f64 = now.iter().zip(values).map(|(a, b)| square(a - b)).sum();
        parts.push(Part { bits: entropy(&digits) + OVERHEAD, digits, places, saved: error - left });
        error = left;
    }
    (step, parts)
}

/// The median of the magnitudes that are not zero; some are not.
fn median(values: &[f32]) -> f64 {
    let mut all: Vec<f32> = values.iter().map(|v| v.abs()).filter(|v| *v > 0.0).collect();
    let middle = all.len() / 2;
    f64::from(*all.select_nth_unstable_by(middle, f32::total_cmp).1)
}

/// The entropy of all digits in bits.
fn entropy(digits: &[i8]) -> f64 {
    let mut counts = [0u64; 256];
    digits.iter().for_each(|d| counts[usize::from(*d as u8)] += 1);
    crate::entropy::bits(&counts)
}

/// A number of four digits, which takes little room as text.
fn short(x: f64) -> f32 {
    format!("{x:.3e}").parse().unwrap_or(x as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values that follow a bell curve of deviation 1.
    fn bell(n: usize, seed: u64) -> Vec<f32> {
        let mut random = nzip::internal::SplitMix(seed);
        let mut share = || (random.next_u64() >> 40) as f32 / (1 << 24) as f32;
        (0..n).map(|_| (0..12).map(|_| share()).sum::<f32>() - 6.0).collect()
    }

    fn off(a: &[f32], b: &[f32]) -> f64 {
        a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2)).sum()
    }

    #[test]
    fn each_part_takes_error_off_and_parts_restore_what_they_say() {
        let values = bell(20_000, 7);
        let (step, parts) = chain(&values);
        let places: Vec<&Places> = parts.iter().map(|p| &p.places).collect();
        let mut state = State::new(values.len());
        let mut before: f64 = values.iter().map(|v| f64::from(v * v)).sum();
        for (number, part) in parts.iter().enumerate() {
            assert_eq!(state.digits(number), part.digits.len());
            state.apply(number, &part.digits).unwrap();
            let after = off(&state.values(step, &places), &values);
            assert!(
                after < before && (before - after - part.saved).abs() < 1e-6 * before,
                "{number}: {after}"
            );
            before = after;
        }
        // A step of a thirty-second of the root mean square, and twice that around zero.
        assert!(before < 1.2 * 20_000.0 / (12.0 * 1024.0), "{before}");
    }

    #[test]
    fn digits_that_a_part_cannot_have_are_refused() {
        let mut state = State::new(3);
        assert!(state.apply(0, &[-128]).is_none() && state.apply(0, &[0, 5, -2]).is_some());
        assert_eq!((state.digits(1), state.digits(2)), (1, 2));
        assert!(state.apply(1, &[2]).is_none() && state.apply(1, &[1]).is_some());
        assert!(state.apply(2, &[-1]).is_none() && state.apply(2, &[1, 0]).is_some());
        let half = vec![0.5];
        assert_eq!(state.values(2.0, &[&half, &half, &half]), [1.5, 11.5, -4.5]);
    }

    #[test]
    fn outliers_and_zeros_have_parts_too() {
        let mut values = bell(5_000, 3);
        values[9] = 5e4;
        values[10..1000].fill(0.0);
        let (step, parts) = chain(&values);
        let mut state = State::new(values.len());
        parts.iter().enumerate().for_each(|(n, p)| state.apply(n, &p.digits).unwrap());
        let places: Vec<&Places> = parts.iter().map(|p| &p.places).collect();
        let now = state.values(step, &places);
        assert!(now[10..1000].iter().all(|v| *v == 0.0) && (now[9] - 5e4).abs() < 1.0);
        assert!(off(&now[1000..], &values[1000..]) / 4000.0 < 2e-3);
        assert_eq!(chain(&[0.0; 50]).1.len(), 1);
    }
}
