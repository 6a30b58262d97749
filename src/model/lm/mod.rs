//! The byte-level language model (`formats/lm.md`): its weight file, the integer step of the network and the
//! adaptive stage.
//!
//! The network is a stack of gated recurrences akin to the minGRU (Feng et al., "Were RNNs all we needed?",
//! 2024): the gates of a layer depend on its input alone and not on its state. So a step over many columns is
//! one product for each matrix, whether the columns are windows side by side ([`Lanes`]) or successive bytes
//! of one window ([`Timeline`]); only the recurrence itself goes byte by byte. [`Single`] steps one window by
//! itself.

mod adaptive;
mod kernel;
mod seeded;
mod single;
mod step;
pub mod weights;

pub use adaptive::Adaptive;
pub use single::{Single, Sums};
pub use step::{Lanes, MAX_COLUMNS, Model, Timeline, WeightSums};

#[cfg(test)]
mod tests {
    use super::weights::{Config, TableConfig, Weights};
    use super::*;
    use crate::kernel::Kernel;

    /// The weights of all symbols that a kernel gives: for lanes side by side, for time steps, and for a window alone.
    fn all(weights: &Weights, kernel: Kernel) -> Vec<Vec<u32>> {
        let model = Model::with_kernel(weights.clone(), kernel).unwrap();
        let window: Vec<u8> = (0..40u32).map(|i| (i * i / 7 % 90 + 32) as u8).collect();
        let of = |sums: WeightSums<'_>| (0..=255).map(|s| sums.weight(s)).collect();
        let mut found = Vec::new();
        for count in [1, 3, 11] {
            let mut lanes = Lanes::new(&model, count).unwrap();
            for at in 0..12 {
                (0..count).for_each(|lane| lanes.set_history(lane, &window[lane..lane + at]));
                lanes.step();
                found.extend((0..count).map(|lane| of(lanes.weight_sums(lane))));
            }
            let mut timeline = Timeline::new(&model, count).unwrap();
            timeline.run(&window, 0, count);
            found.extend((0..count).map(|column| of(timeline.weight_sums(column))));
        }
        let mut single = Single::new(&model).unwrap();
        found.extend((0..window.len()).map(|at| single.step(&window[..at])[256..].to_vec()));
        found
    }

    #[test]
    fn all_kernels_give_the_same_bits() {
        for (i, (width, state, hidden)) in
            [(2, 2, 2), (14, 10, 22), (34, 18, 6), (50, 66, 130)].into_iter().enumerate()
        {
            let tables = vec![TableConfig { order: 1, log2_rows: 8 }, TableConfig { order: 2, log2_rows: 6 }];
            let config = Config { width, state, hidden, layers: 2, table_width: 6, tables };
            let weights = Weights::seeded(config, i as u64);
            let scalar = all(&weights, Kernel::Scalar);
            for kernel in Kernel::supported() {
                assert!(all(&weights, kernel) == scalar, "{kernel:?}");
            }
        }
    }
}
