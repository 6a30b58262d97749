//! Mixtures of adaptive distributions of 16 symbols.

use super::kernel::{self, Bounds, Row, Weights};
use crate::error::{Error, ErrorKind, Result};
use crate::kernel::prefetch_at;

/// The most symbols that a distribution counts, plus one.
const COUNTS: usize = 256;
/// How far a distribution moves towards a symbol, in 1/32768, by the number of symbols before: 1 / (n + 1.5), rounded.
static RATES: [i16; COUNTS] = {
    let (mut rates, mut n) = ([0; COUNTS], 0);
    while n < COUNTS {
        let divisor = 2 * n as u32 + 3;
        rates[n] = ((65536 + divisor / 2) / divisor) as i16;
        n += 1;
    }
    rates
};

/// A coder of symbols: an encoder, which is given them, or a decoder, which returns them.
pub trait Coder {
    /// Codes a symbol of a mixture. A decoder ignores `symbol`, and both return the one that is coded.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Corrupt`] for a payload that no encoder writes.
    fn symbol<const A: bool>(&mut self, symbol: usize, bounds: &Bounds) -> Result<usize>;

    /// Codes a number of `count` bits, 0..=16, all of which are equally likely.
    ///
    /// # Errors
    ///
    /// See [`Coder::symbol`].
    fn bits(&mut self, value: u32, count: u32) -> Result<u32>;
}

/// One choice among 16 symbols that is made over and over, in `K` contexts at a time.
pub struct Mixture<const K: usize> {
    /// The distributions of each context, one table after the other.
    rows: Vec<Row>,
    /// The first row of each context's table.
    starts: [usize; K],
    limits: [u16; K],
    /// By set.
    weights: Vec<Weights>,
}

impl<const K: usize> Mixture<K> {
    /// A mixture with `sizes` rows for each context, of which none counts more symbols than its limit (below 256), and with
    /// `sets` sets of weights.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::LimitExceeded`] where memory is missing.
    pub fn new(sizes: [usize; K], limits: [u16; K], sets: usize) -> Result<Self> {
        let mut starts = [0; K];
        let mut total = 0;
        for (start, size) in starts.iter_mut().zip(sizes) {
            *start = total;
            total += size;
        }
        let mut rows = Vec::new();
        let message = |e| Error::new(ErrorKind::LimitExceeded, format!("no memory for distributions: {e}"));
        rows.try_reserve_exact(total).map_err(message)?;
        rows.resize(total, Row::NEW);
        Ok(Self { rows, starts, limits, weights: vec![Weights::new(K); sets] })
    }

    /// Hints that a symbol will soon be coded in the given row of each context.
    #[inline(always)]
    pub fn prefetch(&self, contexts: [usize; K]) {
        for (start, context) in self.starts.iter().zip(contexts) {
            prefetch_at(&self.rows, start + context);
        }
    }

    /// Codes a symbol in the given row of each context, with a set of weights. `next` is told the symbol before it is
    /// learned, for hints of what comes after it: memory arrives in the meantime.
    ///
    /// # Errors
    ///
    /// See [`Coder::symbol`].
    #[inline(always)]
    pub fn code<const A: bool>(
        &mut self,
        coder: &mut impl Coder,
        symbol: usize,
        contexts: [usize; K],
        set: usize,
        next: impl FnOnce(usize),
    ) -> Result<usize> {
        let places: [usize; K] = std::array::from_fn(|k| self.starts[k] + contexts[k]);
        let weights = &mut self.weights[set];
        let rows: [&Row; K] = places.map(|place| &self.rows[place]);
        let bounds = kernel::mix::<A, K>(&rows, weights);
        let symbol = coder.symbol::<A>(symbol, &bounds)? & 15;
        next(symbol);
        kernel::follow::<A, K>(weights, &rows, symbol);
        for (k, place) in places.into_iter().enumerate() {
            let row = &mut self.rows[place];
            let rate = RATES[usize::from(row.0[0]) & (COUNTS - 1)];
            kernel::learn::<A>(row, symbol, rate, self.limits[k]);
        }
        Ok(symbol)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives symbols in turn, whatever the bounds are.
    struct Given<'a>(&'a [usize]);

    impl Coder for Given<'_> {
        fn symbol<const A: bool>(&mut self, _: usize, bounds: &Bounds) -> Result<usize> {
            assert!(bounds.0[0] == 0 && bounds.0.windows(2).all(|w| w[0] < w[1]));
            let (&first, rest) = self.0.split_first().unwrap();
            self.0 = rest;
            Ok(first)
        }

        fn bits(&mut self, _: u32, _: u32) -> Result<u32> {
            Ok(0)
        }
    }

    #[test]
    fn weights_stay_in_their_range() {
        let mut mixture = Mixture::<6>::new([1; 6], [30, 127, 255, 30, 1, 4], 1).unwrap();
        let symbols: Vec<usize> = (0..20_000).map(|i| if i % 7000 < 6000 { 3 } else { i * i % 16 }).collect();
        let mut given = Given(&symbols);
        while !given.0.is_empty() {
            mixture.code::<false>(&mut given, 0, [0; 6], 0, |_| ()).unwrap();
            let sum: u32 = mixture.weights[0].all().take(6).sum();
            assert!((65400..65536).contains(&sum), "{sum}");
        }
    }
}
