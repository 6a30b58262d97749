//! Decodes windows of `llm` blocks: steps run on the GPU, symbols are decoded on the CPU.

use super::pack::PackedLlm;
use super::step::GpuSession;
use crate::codec::llm::windows::WindowLane;
use crate::codec::window::WindowJob;
use crate::gpu::context::Gpu;
use crate::gpu::fault::Outcome;
use crate::model::llm::{Column, Distribution, MAX_COLUMNS, Model};
use crate::progress::Meter;

/// A window that is being decoded.
struct Window<'a, 'b> {
    /// The index of its job, and the number of its raw bytes decoded so far.
    number: usize,
    len: usize,
    /// The token that it steps next.
    token: u32,
    lane: WindowLane<'a, 'b>,
}

/// Decodes the windows of all jobs, several together; returns the indices of those whose payload no encoder
/// writes. `packed` and `model` must come from the same weights.
pub fn decode(
    gpu: &Gpu,
    packed: &PackedLlm,
    model: &Model,
    jobs: &mut [&mut WindowJob<'_>],
) -> Outcome<Vec<usize>> {
    let (shape, start) = (&packed.shape, packed.shape.start);
    let mut queue: Vec<_> = jobs.iter_mut().enumerate().filter(|(_, job)| !job.raw.is_empty()).collect();
    // Windows are taken off the end: the longest first.
    queue.sort_by_key(|(_, job)| job.raw.len());
    let Some(longest) = queue.last().map(|(_, job)| job.raw.len()) else { return Ok(Vec::new()) };
    let tokens = longest.min(shape.context);
    let count = lanes(gpu, packed, tokens).min(queue.len());
    let mut session = GpuSession::new(gpu, packed, count, tokens, count)?;
    let mut next = || -> Option<Window<'_, '_>> {
        let (number, job) = queue.pop()?;
        let len = job.raw.len();
        Some(Window {
            number,
            len,
            token: start,
            lane: WindowLane::new(job.payload, &mut *job.raw, Meter::NONE),
        })
    };
    let mut windows: Vec<Option<Window<'_, '_>>> = (0..count).map(|_| next()).collect();
    let (mut corrupt, mut decoded, mut blocks) = (Vec::new(), 0, Vec::new());
    while windows.iter().any(Option::is_some) {
        let column =
            |(lane, w): (usize, &Option<Window<'_, '_>>)| w.as_ref().map(|w| Column { lane, token: w.token });
        let columns: Vec<Column> = windows.iter().enumerate().filter_map(column).collect();
        let mut weights: Vec<i32> = session.step(&columns)?.into_iter().map(|w| w as i32).collect();
        for (column, weights) in columns.iter().zip(weights.chunks_exact_mut(shape.vocab)) {
            let Some(window) = &mut windows[column.lane] else { continue };
            match window.lane.token(model, Distribution::new(weights, &mut blocks)) {
                Ok(Some(token)) if session.len(column.lane) < shape.context => {
                    window.token = token;
                    continue;
                }
                Ok(None) => decoded += window.len as u64,
                // The payload is damaged, or has more tokens than a window may have.
                Ok(Some(_)) | Err(_) => corrupt.push(window.number),
            }
            session.reset(column.lane);
            windows[column.lane] = next();
        }
    }
    gpu.count(decoded, 0, 0);
    Ok(corrupt)
}

/// The number of windows of `tokens` tokens that step together.
fn lanes(gpu: &Gpu, packed: &PackedLlm, tokens: usize) -> usize {
    let most = gpu.max_buffer() / packed.cache_bytes(1, tokens).max(1);
    usize::try_from(most).unwrap_or(MAX_COLUMNS).clamp(1, MAX_COLUMNS)
}
