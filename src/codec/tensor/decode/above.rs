//! Decodes symbols whose tables depend on the row above.

use crate::codec::tensor::stored::{Sequence, TableMap};
use crate::coder::rans::{Contexts, Decoder, MANY};
use crate::error::Result;
use crate::kernel::Kernel;

/// Decodes rows of `groups` symbols, at least [`MANY`], each with the table that `map` gives for the symbol
/// above it; zeros are above the first row. `contexts` is memory for the tables.
///
/// # Errors
///
/// Those of [`Sequence::decode`].
pub fn decode_below(
    sequence: &Sequence<'_>,
    decoder: &Decoder,
    kernel: Kernel,
    groups: usize,
    map: &TableMap,
    contexts: &mut Vec<u8>,
    symbols: &mut [u8],
) -> Result<()> {
    let mut runs = sequence.runs(symbols.len())?;
    // A run begins with the first lane, and is no longer than a row, so that all above it is known.
    let run = groups / MANY * MANY;
    for start in (0..symbols.len()).step_by(run) {
        let end = (start + run).min(symbols.len());
        contexts.clear();
        let first = groups.clamp(start, end);
        contexts.resize(first - start, map[0]);
        contexts.extend(
            symbols[first.saturating_sub(groups)..end.saturating_sub(groups)]
                .iter()
                .map(|s| map[usize::from(*s)]),
        );
        runs.decode(decoder, kernel, Contexts::Many(contexts), &mut symbols[start..end])?;
    }
    runs.finish()
}
