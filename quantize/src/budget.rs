//! One budget for all tensors: each takes the point at which a bit saves as much error as it does in every other tensor
//! (Shoham and Gersho, "Efficient bit allocation for an arbitrary set of quantizers", 1988).

use crate::Work;
use crate::points::Point;

/// A tensor with its points; none where it is kept.
pub struct Part {
    points: Vec<Point>,
    elements: f64,
    /// The weight of its relative squared error. It is an error of a matrix's outputs, whatever the matrix's size.
    weight: f64,
}

impl Part {
    /// The part for a tensor, which has `fixed` as its only point where that is given.
    pub fn new(work: &Work<'_>, fixed: Option<Point>) -> Self {
        let all = || work.candidate.as_ref().map_or_else(|_| Vec::new(), |c| c.points.clone());
        let points = fixed.map_or_else(all, |p| vec![p]);
        Self { points, elements: work.elements as f64, weight: work.weight }
    }

    /// The point of least cost where a bit is worth `slope` of weighted relative squared error.
    fn at(&self, slope: f64) -> Option<Point> {
        let cost = |p: &Point| self.weight * p.error + slope * self.elements * p.bits;
        self.points.iter().copied().min_by(|a, b| cost(a).total_cmp(&cost(b)))
    }
}

/// A point for each part that is not kept, of at most `bits` in all where that is possible.
pub fn choose(parts: &[Part], bits: f64) -> Vec<Option<Point>> {
    let at = |slope: f64| parts.iter().map(|p| p.at(slope)).collect::<Vec<Option<Point>>>();
    let total = |slope: f64| -> f64 {
        parts.iter().map(|p| p.at(slope).map_or(0.0, |point| p.elements * point.bits)).sum()
    };
    // log2 of the slope: errors are at most about 1, and no tensor has 2^40 elements.
    let (mut low, mut high) = (-80.0, 8.0);
    for _ in 0..60 {
        let middle = (low + high) / 2.0;
        if total(f64::exp2(middle)) > bits { low = middle } else { high = middle }
    }
    at(f64::exp2(high))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(weight: f64) -> Part {
        let points =
            (0..8).map(|i| Point { step: 1.0, plain: false, bits: f64::from(i), error: 0.25f64.powi(i) });
        Part { points: points.collect(), elements: 100.0, weight }
    }

    #[test]
    fn what_weighs_more_gets_more_bits() {
        let choice = choose(&[part(1.0), part(16.0)], 600.0);
        let bits: Vec<f64> = choice.iter().map(|c| c.unwrap().bits).collect();
        assert_eq!(bits, [2.0, 4.0]);
    }

    #[test]
    fn a_bit_goes_where_it_is_needed_least_often() {
        let choice = choose(&[part(1.0), Part { elements: 1600.0, ..part(1.0) }], 400.0 + 3200.0);
        let bits: Vec<f64> = choice.iter().map(|c| c.unwrap().bits).collect();
        assert_eq!(bits, [4.0, 2.0]);
    }

    #[test]
    fn a_budget_that_is_too_small_gives_the_least() {
        assert_eq!(choose(&[part(1.0)], -5.0)[0].unwrap().bits, 0.0);
    }
}
