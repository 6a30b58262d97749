//! Searches the budget with which a file takes a given size.

use crate::{Outcome, TensorReport, bad_argument};
use nzip::Result;

/// A size is met once it is used up to one part in so many.
pub const CLOSE: u64 = 200;

/// What a search is for, and where it starts.
pub struct Search {
    /// The most bytes of the file as `.nz`, at this level.
    pub bytes: u64,
    pub level: u8,
    /// The first budget in bytes, and how many bytes lower each further one aims.
    pub first: f64,
    pub margin: f64,
    /// The most files that are made.
    pub tries: usize,
}

impl Search {
    /// The largest file that fits. Entropies only foretell what the codec makes of values, so the budget is moved until the
    /// true size fits. `make` makes the file for a budget.
    ///
    /// # Errors
    ///
    /// [`nzip::ErrorKind::BadArgument`] with the least size that was seen where none fits; those of `make` and of compressing.
    pub fn run(&self, make: impl Fn(f64) -> Result<(Vec<u8>, Vec<TensorReport>)>) -> Result<Outcome> {
        let Self { bytes, level, first, margin, tries } = *self;
        let mut best: Option<Outcome> = None;
        // Budgets that turned out to be small enough and too large.
        let (mut fits, mut exceeds) = (0.0, f64::INFINITY);
        let mut least = u64::MAX;
        let mut budget = first;
        for _ in 0..tries {
            let (file, tensors) = make(budget)?;
            let stored = nzip::compress(&file, level)?.len() as u64;
            let again = best.as_ref().is_some_and(|b| b.stored == stored);
            least = least.min(stored);
            if stored > bytes {
                exceeds = budget;
            } else {
                fits = budget;
                if best.as_ref().is_none_or(|b| b.stored < stored) {
                    best = Some(Outcome { file, tensors, stored });
                }
                if stored >= bytes - bytes / CLOSE {
                    break;
                }
            }
            if budget == 0.0 || again {
                break;
            }
            budget += bytes as f64 - stored as f64 - margin;
            if budget <= fits {
                // A last look at the least possible, where nothing has fitted yet.
                budget = if best.is_some() { (fits + exceeds.min(2.0 * first)) / 2.0 } else { 0.0 };
            } else if budget >= exceeds {
                budget = (fits + exceeds) / 2.0;
            }
        }
        best.ok_or_else(|| {
            bad_argument(format!("{bytes} bytes cannot be met: the least possible are {least}"))
        })
    }
}
