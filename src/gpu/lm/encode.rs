//! Encoding `lm` blocks on a GPU, a lane each: one window of every block at a time.

use super::pack::Packed;
use super::run::{Direction, Finished, Lane, Raw, Runner};
use crate::codec::window::{EncodedWindow, WindowLimits};
use crate::coder::range::shortest_payload;
use crate::gpu::context::Gpu;
use crate::gpu::fault::{Fault, Outcome};

/// Cuts every block into windows and codes them; the limits have been checked.
pub fn encode(
    gpu: &Gpu,
    packed: &Packed,
    blocks: &[&[u8]],
    limits: WindowLimits,
) -> Outcome<Vec<Vec<EncodedWindow>>> {
    let mut windows: Vec<Vec<EncodedWindow>> = blocks.iter().map(|_| Vec::new()).collect();
    let mut rest = blocks.to_vec();
    let runner = Runner::new(gpu, packed, Direction::Encode)?;
    loop {
        // Blocks that have most left are the last to end: theirs are the windows to go on with.
        let mut order: Vec<usize> = (0..rest.len()).filter(|&i| !rest[i].is_empty()).collect();
        if order.is_empty() {
            return Ok(windows);
        }
        order.sort_by_key(|&i| std::cmp::Reverse(rest[i].len()));
        let lanes: Vec<_> = order.iter().map(|&i| lane(rest[i], limits)).collect();
        let lanes = &lanes[..runner.batch(lanes.iter().copied())];
        let mut found = Vec::with_capacity(lanes.len());
        runner.finish(runner.launch(lanes)?, |lane, finished| {
            found.push(window(&finished, &lanes[lane]));
            finished.result[0] as usize
        })?;
        for (&i, window) in order.iter().zip(found) {
            let window = window?;
            rest[i] = &rest[i][window.raw_len..];
            windows[i].push(window);
        }
    }
}

fn lane(rest: &[u8], limits: WindowLimits) -> Lane<'_> {
    let raw = Raw::Known(&rest[..rest.len().min(limits.raw)]);
    Lane { raw, payload: &[], payload_words: limits.payload / 4 }
}

/// The window of a lane, its payload made from the state in which the kernel left it (`encode.wgsl`).
fn window(finished: &Finished<'_>, lane: &Lane<'_>) -> Outcome<EncodedWindow> {
    let [raw_len, written, held, first, low0, low1, range0, range1] = finished.result;
    let wide = |low: u32, high: u32| u64::from(high) << 32 | u64::from(low);
    let (raw_len, held, payload_words) = (raw_len as usize, held as usize, lane.payload_words);
    // A byte costs at most eight decisions of 14 bits.
    if !(1..=lane.raw.len()).contains(&raw_len) || held > 4 * raw_len + 2 {
        return Err(Fault::new("GPU: a window of a length that cannot be"));
    }
    // Words that are not there are zeros at the end, which no payload has.
    let words = &finished.data[..payload_words.min(written as usize)];
    let zeros = (written as usize - words.len()).min(payload_words);
    let words = words.iter().copied().chain(std::iter::repeat_n(0, zeros));
    let payload = shortest_payload(words, (held, first), wide(low0, low1), wide(range0, range1));
    Ok(EncodedWindow { raw_len, payload })
}
