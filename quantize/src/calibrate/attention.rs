//! Attention over the tokens of each sequence, rotary positions, and their derivatives.

use super::product::{Matrix, product_into};
use rayon::prelude::*;

/// How the columns of queries, keys and values are heads.
#[derive(Debug, Clone, Copy)]
pub struct Heads {
    /// The number of heads of queries.
    pub queries: usize,
    /// The number of heads of keys and values, which divides that of queries.
    pub keys: usize,
    /// The columns of a head.
    pub width: usize,
    /// Whether a token sees only itself and those before it.
    pub causal: bool,
}

impl Heads {
    /// What dot products are multiplied by.
    fn scale(self) -> f32 {
        1.0 / (self.width as f32).sqrt()
    }

    /// The columns of a head of queries, and those of its keys and values.
    fn columns(self, head: usize) -> ((usize, usize), (usize, usize)) {
        let of_key = head / (self.queries / self.keys);
        ((head * self.width, self.width), (of_key * self.width, self.width))
    }
}

/// The first row of each sequence and its number of rows.
fn spans(lengths: &[usize]) -> Vec<(usize, usize)> {
    let mut first = 0;
    let span = |&n: &usize| {
        first += n;
        (first - n, n)
    };
    lengths.iter().map(span).collect()
}

/// The share that each token (row) takes from each other one (column).
fn shares(query: &Matrix, key: &Matrix, span: (usize, usize), head: usize, heads: Heads) -> Matrix {
    let (of_query, of_key) = heads.columns(head);
    let mut out = Matrix::zeros(span.1, span.1);
    let (q, k) = (query.part(span, of_query), key.part(span, of_key));
    product_into(&mut out.values, span.1, q, k.turned(), heads.scale(), false);
    for r in 0..span.1 {
        let seen = if heads.causal { r + 1 } else { span.1 };
        let row = out.row_mut(r);
        let most = row[..seen].iter().copied().fold(f32::NEG_INFINITY, f32::max);
        row[..seen].iter_mut().for_each(|v| *v = (*v - most).exp());
        let sum: f32 = row[..seen].iter().sum();
        row[..seen].iter_mut().for_each(|v| *v /= sum);
        row[seen..].fill(0.0);
    }
    out
}

/// The parts of a matrix that belong to the sequences.
fn parts<'a>(out: &'a mut Matrix, spans: &[(usize, usize)]) -> Vec<&'a mut [f32]> {
    let (mut rest, columns) = (&mut out.values[..], out.columns);
    let take = |&(_, n): &(usize, usize)| {
        let (part, left) = std::mem::take(&mut rest).split_at_mut(n * columns);
        rest = left;
        part
    };
    spans.iter().map(take).collect()
}

/// The values that each token takes from those that it sees, head after head.
pub fn forward([query, key, value]: [&Matrix; 3], lengths: &[usize], heads: Heads) -> Matrix {
    let mut out = Matrix::zeros(query.rows, query.columns);
    let spans = spans(lengths);
    parts(&mut out, &spans).into_par_iter().zip(&spans).for_each(|(out, &span)| {
        for head in 0..heads.queries {
            let (of_query, of_key) = heads.columns(head);
            let shares = shares(query, key, span, head, heads);
            let to = &mut out[of_query.0..];
            product_into(to, query.columns, shares.view(), value.part(span, of_key), 1.0, false);
        }
    });
    out
}

/// The errors of queries, keys and values.
pub fn backward(
    [query, key, value]: [&Matrix; 3],
    lengths: &[usize],
    heads: Heads,
    back: &Matrix,
) -> [Matrix; 3] {
    let mut out = [query, key, value].map(|m| Matrix::zeros(m.rows, m.columns));
    let [to_query, to_key, to_value] = &mut out;
    let spans = spans(lengths);
    let all = parts(to_query, &spans).into_par_iter().zip(parts(to_key, &spans)).zip(parts(to_value, &spans));
    all.zip(&spans).for_each(|(((to_query, to_key), to_value), &span)| {
        for head in 0..heads.queries {
            let (of_query, of_key) = heads.columns(head);
            let shares = shares(query, key, span, head, heads);
            let b = back.part(span, of_query);
            let to = &mut to_value[of_key.0..];
            product_into(to, value.columns, shares.view().turned(), b, 1.0, true);
            let mut slopes = Matrix::zeros(span.1, span.1);
            product_into(&mut slopes.values, span.1, b, value.part(span, of_key).turned(), 1.0, false);
            for r in 0..span.1 {
                let share = shares.row(r);
                let mean: f32 = slopes.row(r).iter().zip(share).map(|(a, s)| a * s).sum();
                slopes.row_mut(r).iter_mut().zip(share).for_each(|(a, s)| *a = (*a - mean) * s);
            }
            let scale = heads.scale();
            let to = &mut to_query[of_query.0..];
            product_into(to, query.columns, slopes.view(), key.part(span, of_key), scale, true);
            let to = &mut to_key[of_key.0..];
            product_into(to, key.columns, slopes.view().turned(), query.part(span, of_query), scale, true);
        }
    });
    out
}

/// Turns the pairs of each head (column i and i + head/2) by angles that grow with the position in the sequence (Su et
/// al., "RoFormer", 2021), or `back`.
pub fn rotate(x: &mut Matrix, lengths: &[usize], head: usize, base: f32, back: bool) {
    let half = head / 2;
    let rate = |i: usize| f64::from(base).powf(-((2 * i) as f64) / head as f64);
    let rates: Vec<f64> = (0..half).map(rate).collect();
    for (first, n) in spans(lengths) {
        for position in 0..n {
            let turns = rates.iter().map(|r| (r * position as f64).sin_cos());
            let turns: Vec<(f32, f32)> =
                turns.map(|(s, c)| (if back { -s } else { s } as f32, c as f32)).collect();
            for part in x.row_mut(first + position).chunks_exact_mut(head) {
                let (low, high) = part.split_at_mut(half);
                for ((a, b), (sin, cos)) in low.iter_mut().zip(high).zip(&turns) {
                    (*a, *b) = (*a * cos - *b * sin, *b * cos + *a * sin);
                }
            }
        }
    }
}
