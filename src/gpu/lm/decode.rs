//! Decoding windows of `lm` blocks on a GPU, a lane each.

use super::pack::Packed;
use super::run::{Batch, Direction, Lane, Raw, Runner};
use crate::codec::window::WindowJob;
use crate::gpu::context::Gpu;
use crate::gpu::fault::Outcome;
use crate::gpu::words::to_bytes;

/// Decodes the windows of all jobs; returns the numbers of those whose payload no encoder writes.
pub fn decode(gpu: &Gpu, packed: &Packed, jobs: &mut [&mut WindowJob<'_>]) -> Outcome<Vec<usize>> {
    let mut order: Vec<usize> = (0..jobs.len()).collect();
    order.sort_by_key(|&i| std::cmp::Reverse(jobs[i].raw.len()));
    let runner = Runner::new(gpu, packed, Direction::Decode)?;
    let mut corrupt = Vec::new();
    let mut pending: Option<(&[usize], Batch)> = None;
    let mut rest = &order[..];
    while !rest.is_empty() {
        let lanes: Vec<_> = rest.iter().map(|&i| lane(jobs[i])).collect();
        let count = runner.batch(lanes.iter().copied());
        let batch = runner.launch(&lanes[..count])?;
        let (windows, later) = rest.split_at(count);
        rest = later;
        // What came before is read back while this batch runs.
        if let Some((windows, batch)) = pending.replace((windows, batch)) {
            collect(&runner, batch, jobs, windows, &mut corrupt)?;
        }
    }
    if let Some((windows, batch)) = pending {
        collect(&runner, batch, jobs, windows, &mut corrupt)?;
    }
    Ok(corrupt)
}

fn lane<'a>(job: &'a WindowJob<'_>) -> Lane<'a> {
    let payload_words = job.payload.len().div_ceil(4);
    Lane { raw: Raw::Wanted(job.raw.len()), payload: job.payload, payload_words }
}

fn collect(
    runner: &Runner<'_>,
    batch: Batch,
    jobs: &mut [&mut WindowJob<'_>],
    windows: &[usize],
    corrupt: &mut Vec<usize>,
) -> Outcome<()> {
    runner.finish(batch, |lane, finished| {
        if finished.result[0] != 0 {
            corrupt.push(windows[lane]);
            return 0;
        }
        let out = &mut *jobs[windows[lane]].raw;
        to_bytes(finished.data, out);
        out.len()
    })
}
