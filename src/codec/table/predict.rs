//! Predicts a column of numbers from others of the same row, as a sum of products found by least squares.
//!
//! The search uses doubles, but only the four basic operations in a fixed order, so every machine finds the
//! same prediction. Only integers are stored.

use super::schema::{Prediction, Term};

/// The largest number of columns that are searched together.
pub const MOST_COLUMNS: usize = 8;
/// The largest number of products in a prediction.
const TERMS: usize = 3;
/// The most rows that a prediction is fitted to.
const SAMPLE: usize = 3000;
/// The bound on the bits of the largest product times its coefficient.
const BITS: i32 = 58;

/// A column's numbers, row by row; a cell that is not a number repeats the number before it.
pub struct Series {
    pub numbers: Vec<i64>,
}

impl Series {
    pub fn new(numbers: impl Iterator<Item = Option<i64>>) -> Self {
        let mut numbers: Vec<Option<i64>> = numbers.collect();
        let mut last = numbers.iter().flatten().next().copied().unwrap_or(0);
        for n in &mut numbers {
            last = n.unwrap_or(last);
            *n = Some(last);
        }
        Self { numbers: numbers.into_iter().flatten().collect() }
    }

    /// The difference of each row from the row before; the first row repeats that of the second.
    pub fn steps(&self) -> Vec<i64> {
        let steps: Vec<i64> = self.numbers.windows(2).map(|w| w[1].wrapping_sub(w[0])).collect();
        steps.first().copied().into_iter().chain(steps.iter().copied()).collect()
    }

    fn most(&self) -> u64 {
        self.numbers.iter().map(|n| n.unsigned_abs()).max().unwrap_or(0)
    }
}

/// A fitted prediction: `(constant + Σ terms) >> shift`.
pub struct Fit {
    constant: i64,
    shift: u8,
    /// The coefficient of each product, and its factors as indices into the list of candidates.
    terms: Vec<(i64, Vec<usize>)>,
    /// For every row, the number minus its prediction.
    pub above: Vec<i64>,
}

impl Fit {
    /// The candidates that the prediction uses, each once.
    pub fn uses(&self) -> Vec<usize> {
        let mut all: Vec<usize> = self.terms.iter().flat_map(|(_, f)| f.iter().copied()).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// The prediction in the form of the schema, with turn 0 for the caller to replace. `columns` maps
    /// candidates to columns.
    pub fn prediction(&self, columns: &[usize]) -> Prediction {
        let term = |(c, f): &(i64, Vec<usize>)| Term {
            coefficient: *c,
            factors: f.iter().map(|&f| columns[f]).collect(),
        };
        let terms = self.terms.iter().map(term).collect();
        Prediction::Terms { turn: 0, constant: self.constant, shift: self.shift, terms }
    }
}

/// All products of one to three factors out of `allowed`, except those that could reach 2^46.
fn products(series: &[&Series], allowed: &[usize]) -> Vec<Vec<usize>> {
    let most: Vec<u64> = series.iter().map(|s| s.most()).collect();
    let mut all: Vec<Vec<usize>> = Vec::new();
    for (i, &a) in allowed.iter().enumerate() {
        all.push(vec![a]);
        for (j, &b) in allowed.iter().enumerate().skip(i) {
            all.push(vec![a, b]);
            all.extend(allowed.iter().skip(j).map(|&c| vec![a, b, c]));
        }
    }
    let fits = |p: &Vec<usize>| {
        p.iter().try_fold(1u64, |x, &f| x.checked_mul(most[f].max(1))).is_some_and(|x| x < 1 << 46)
    };
    all.retain(fits);
    all
}

/// Finds a prediction of the candidate `target` from the candidates `allowed`; `None` where there is none, or
/// where the numbers are too few or too large.
pub fn fit(series: &[&Series], target: usize, allowed: &[usize]) -> Option<Fit> {
    let rows = series[target].numbers.len();
    let step = rows.div_ceil(SAMPLE).max(1);
    let sample: Vec<usize> = (0..rows).step_by(step).collect();
    let products = products(series, allowed);
    let of = |p: &[usize], row: usize| p.iter().map(|&f| series[f].numbers[row] as f64).product::<f64>();
    let wanted: Vec<f64> = sample.iter().map(|&r| series[target].numbers[r] as f64).collect();
    if series[target].most() >= 1 << 46 || sample.len() < 32 {
        return None;
    }
    let vectors: Vec<Vec<f64>> =
        products.iter().map(|p| sample.iter().map(|&r| of(p, r)).collect()).collect();
    // Outliers, such as typing errors, must not distort the fit: first rows far from the median are left out,
    // then rows far from the first fit.
    let middle = median(wanted.clone());
    let mut used = near(wanted.iter().map(|w| (w - middle).abs()).collect(), 12.0);
    let mut chosen = choose(&mut vectors.clone(), &wanted, &used);
    for round in 0..2 {
        let solved = solve(&vectors, &wanted, &chosen, &used)?;
        let off: Vec<f64> =
            (0..sample.len()).map(|r| (wanted[r] - value(&vectors, &chosen, &solved, r)).abs()).collect();
        used = near(off, 6.0);
        if round == 0 {
            chosen = choose(&mut vectors.clone(), &wanted, &used);
        }
    }
    let solved = solve(&vectors, &wanted, &chosen, &used)?;
    let terms: Vec<(f64, Vec<usize>)> =
        solved[1..].iter().zip(&chosen).map(|(&c, &i)| (c, products[i].clone())).collect();
    quantise(series, target, solved[0], &terms)
}

fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}

/// For each distance, whether it is at most `times` their median (plus 1).
fn near(off: Vec<f64>, times: f64) -> Vec<bool> {
    let far = times * median(off.clone()) + 1.0;
    off.into_iter().map(|o| o <= far).collect()
}

/// Picks products one after the other, each time the one that explains most of the remainder, and projects it
/// out of all others. Overwrites the vectors.
fn choose(vectors: &mut [Vec<f64>], wanted: &[f64], used: &[bool]) -> Vec<usize> {
    let mut left = wanted.to_vec();
    let count = used.iter().filter(|&&u| u).count().max(1) as f64;
    let centre = |v: &mut Vec<f64>| {
        let mean = v.iter().zip(used).filter(|(_, u)| **u).map(|(x, _)| x).sum::<f64>() / count;
        v.iter_mut().zip(used).for_each(|(x, &u)| *x = if u { *x - mean } else { 0.0 });
    };
    centre(&mut left);
    vectors.iter_mut().for_each(centre);
    let whole: Vec<f64> = vectors.iter().map(|v| dot(v, v)).collect();
    let (mut chosen, mut size) = (Vec::new(), dot(&left, &left));
    for _ in 0..TERMS {
        let mut best = (0.0, usize::MAX);
        for (i, v) in vectors.iter().enumerate() {
            let own = dot(v, v);
            // A product that is nearly a combination of the chosen ones has nothing of its own left.
            if own > whole[i] * 1e-9 && own > 0.0 && !chosen.contains(&i) {
                let with = dot(v, &left);
                let gain = with * with / own;
                if gain > best.0 {
                    best = (gain, i);
                }
            }
        }
        // A product must reduce the remaining sum of squares by a twentieth.
        if best.1 == usize::MAX || best.0 * 20.0 < size {
            break;
        }
        chosen.push(best.1);
        size -= best.0;
        let taken = vectors[best.1].clone();
        let own = dot(&taken, &taken);
        let remove = |v: &mut Vec<f64>| {
            let share = dot(v, &taken) / own;
            v.iter_mut().zip(&taken).for_each(|(x, t)| *x -= share * t);
        };
        remove(&mut left);
        vectors.iter_mut().for_each(remove);
    }
    chosen
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

fn value(vectors: &[Vec<f64>], chosen: &[usize], solved: &[f64], row: usize) -> f64 {
    chosen.iter().zip(&solved[1..]).fold(solved[0], |sum, (&i, c)| sum + c * vectors[i][row])
}

/// Solves the least-squares problem over the used rows: the constant, then one coefficient for each chosen
/// product. `None` where the system is singular.
fn solve(vectors: &[Vec<f64>], wanted: &[f64], chosen: &[usize], used: &[bool]) -> Option<Vec<f64>> {
    if chosen.is_empty() {
        return None;
    }
    // Every product is scaled to about 1, so that elimination loses no digits.
    let scale: Vec<f64> =
        chosen.iter().map(|&i| vectors[i].iter().fold(1.0, |m: f64, x| m.max(x.abs()))).collect();
    let n = chosen.len() + 1;
    let column = |j: usize, row: usize| if j == 0 { 1.0 } else { vectors[chosen[j - 1]][row] / scale[j - 1] };
    let mut system = vec![vec![0.0; n + 1]; n];
    for row in (0..wanted.len()).filter(|&r| used[r]) {
        for (i, line) in system.iter_mut().enumerate() {
            let x = column(i, row);
            (0..n).for_each(|j| line[j] += x * column(j, row));
            line[n] += x * wanted[row];
        }
    }
    for i in 0..n {
        let pivot = (i..n).max_by(|&a, &b| system[a][i].abs().total_cmp(&system[b][i].abs()))?;
        system.swap(i, pivot);
        if system[i][i].abs() < 1e-9 {
            return None;
        }
        for j in 0..n {
            if j != i {
                let share = system[j][i] / system[i][i];
                let above = system[i].clone();
                system[j].iter_mut().zip(&above).for_each(|(x, a)| *x -= share * a);
            }
        }
    }
    let mut solved: Vec<f64> = (0..n).map(|i| system[i][n] / system[i][i]).collect();
    solved[1..].iter_mut().zip(&scale).for_each(|(c, s)| *c /= s);
    Some(solved)
}

/// Rounds a prediction to integers, and computes what it leaves of every row.
fn quantise(series: &[&Series], target: usize, constant: f64, terms: &[(f64, Vec<usize>)]) -> Option<Fit> {
    let size =
        |(c, f): &(f64, Vec<usize>)| f.iter().map(|&f| series[f].most() as f64).product::<f64>() * c.abs();
    let largest = terms.iter().map(size).fold(constant.abs().max(1.0), f64::max);
    // The largest part then has BITS − 4 bits, so the sum stays far below 64 bits.
    let exponent = (largest.to_bits() >> 52) as i32 - 1023;
    let shift = (BITS - 4 - exponent).clamp(0, 40);
    let unit = (1u64 << shift) as f64;
    let round = |x: f64| {
        let y = x * unit;
        if y < 0.0 { -((-y + 0.5) as i64) } else { (y + 0.5) as i64 }
    };
    let terms: Vec<(i64, Vec<usize>)> = terms.iter().map(|(c, f)| (round(*c), f.clone())).collect();
    // Half a unit is added because the shift rounds down.
    let constant = round(constant) + (1i64 << shift >> 1);
    let predicted = |row: usize| {
        let term =
            |(c, f): &(i64, Vec<usize>)| f.iter().fold(*c, |p, &f| p.wrapping_mul(series[f].numbers[row]));
        terms.iter().map(term).fold(constant, i64::wrapping_add) >> shift
    };
    let above =
        series[target].numbers.iter().enumerate().map(|(r, &n)| n.wrapping_sub(predicted(r))).collect();
    Some(Fit { constant, shift: shift as u8, terms, above })
}
