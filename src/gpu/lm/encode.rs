//! Encodes `lm` blocks on a GPU, one lane per block: one window of every block at a time.

use super::run::{LmKernel, RESULT_WORDS};
use crate::codec::window::{EncodedWindow, WindowLimits};
use crate::coder::range::shortest_payload;
use crate::gpu::fault::{Fault, Outcome};
use crate::gpu::lanes::{Finished, LaneJob, batch_len, finish, launch, longest_first};

/// Cuts every block into windows and codes them. The limits must have been checked.
pub fn encode(
    kernel: &LmKernel<'_>,
    blocks: &[&[u8]],
    limits: WindowLimits,
) -> Outcome<Vec<Vec<EncodedWindow>>> {
    let mut windows: Vec<Vec<EncodedWindow>> = blocks.iter().map(|_| Vec::new()).collect();
    let mut rest = blocks.to_vec();
    loop {
        // The blocks with the most bytes left would finish last, so their windows are coded first.
        let mut order = longest_first(rest.iter().map(|block| block.len()));
        order.retain(|&i| !rest[i].is_empty());
        if order.is_empty() {
            return Ok(windows);
        }
        let jobs: Vec<_> = order.iter().map(|&i| job(rest[i], limits)).collect();
        let jobs = &jobs[..batch_len(kernel, &jobs)];
        let mut found = Vec::with_capacity(jobs.len());
        finish(kernel, launch(kernel, jobs)?, |lane, finished| {
            found.push(window(&finished, &jobs[lane]));
            finished.result[2] as usize
        })?;
        for (&i, window) in order.iter().zip(found) {
            let window = window?;
            rest[i] = &rest[i][window.raw_len..];
            windows[i].push(window);
        }
    }
}

fn job(rest: &[u8], limits: WindowLimits) -> LaneJob<'_> {
    let raw_len = rest.len().min(limits.raw);
    LaneJob { input: &rest[..raw_len], raw_len, payload_words: limits.payload / 4 }
}

/// The window of a lane. Its payload is made from the state in which the kernel left the encoder
/// (`encode.wgsl`).
fn window(finished: &Finished<'_, RESULT_WORDS>, job: &LaneJob<'_>) -> Outcome<EncodedWindow> {
    let [_, _, raw_len, written, held, first, low0, low1, range0, range1] = *finished.result;
    let wide = |low: u32, high: u32| u64::from(high) << 32 | u64::from(low);
    let (raw_len, held, payload_words) = (raw_len as usize, held as usize, job.payload_words);
    // A byte costs at most eight decisions of 14 bits.
    if !(1..=job.raw_len).contains(&raw_len) || held > 4 * raw_len + 2 {
        return Err(Fault::new("GPU: a window of a length that cannot be"));
    }
    // Words that are missing would be zeros at the end, which payloads do not store.
    let words = &finished.output[..payload_words.min(written as usize)];
    let zeros = (written as usize - words.len()).min(payload_words);
    let words = words.iter().copied().chain(std::iter::repeat_n(0, zeros));
    let payload = shortest_payload(words, (held, first), wide(low0, low1), wide(range0, range1));
    Ok(EncodedWindow { raw_len, payload })
}
