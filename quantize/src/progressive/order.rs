//! The order of parts: those that save the most error for a bit first.

use super::chain::Part;

/// A part of a run: the number of the run, and that of the part in its chain.
pub type Place = (usize, usize);

/// All parts but the first of each chain, in the order in which a prefix of any length saves the most. `chains` are the
/// parts of each run with the weight of its squared errors.
pub fn order(chains: &[(&[Part], f64)]) -> Vec<Place> {
    let mut steps: Vec<(f64, Place)> = Vec::new();
    for (run, (parts, weight)) in chains.iter().enumerate() {
        // Parts that save less for a bit than one after them are worth what both save together: the convex hull.
        let mut groups: Vec<(f64, f64, usize)> = Vec::new();
        for part in parts.iter().skip(1) {
            let mut group = (weight * part.saved, part.bits, 1);
            while let Some(last) = groups.pop_if(|last| last.0 * group.1 <= group.0 * last.1) {
                group = (group.0 + last.0, group.1 + last.1, group.2 + last.2);
            }
            groups.push(group);
        }
        let mut number = 1;
        for (saved, bits, count) in groups {
            steps.extend((number..number + count).map(|n| (saved / bits, (run, n))));
            number += count;
        }
    }
    // Parts of one chain stay in order: the sort is stable, and their worth never rises.
    steps.sort_by(|a, b| b.0.total_cmp(&a.0));
    steps.into_iter().map(|s| s.1).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_saves_most_for_a_bit_comes_first() {
        let part = |bits, saved| Part { digits: Vec::new(), places: Vec::new(), bits, saved };
        let a = [part(1.0, 9.0), part(10.0, 50.0), part(10.0, 10.0), part(10.0, 30.0)];
        let b = [part(1.0, 9.0), part(10.0, 15.0), part(10.0, 2.0)];
        assert_eq!(order(&[(&a, 1.0), (&b, 2.0)]), [(0, 1), (1, 1), (0, 2), (0, 3), (1, 2)]);
    }
}
