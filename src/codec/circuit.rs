//! The `circuit` codec: records, a hidden Chow-Liu tree and a range coder in equal-info windows.

use rayon::prelude::*;

use super::window::{EncodedWindow, WindowCoder, WindowJob, WindowLimits, max_window_raw};
use crate::coder::range::{BitDecoder, BitEncoder, Part as CoderPart};
use crate::error::{Error, Result};
use crate::model::circuit::{Kernel, LANES, Lane, Model, Walk, walk};

/// Choices have `1 << PRECISION` parts.
const PRECISION: usize = 20;
type Part = CoderPart<PRECISION>;

/// Groups of records whose choices are worked out before they are coded.
const GROUPS: usize = 32;

impl WindowCoder for Model {
    fn encode_blocks(&self, blocks: &[&[u8]], limits: WindowLimits) -> Result<Vec<Vec<EncodedWindow>>> {
        blocks.par_iter().map(|block| encode_block(self, block, limits)).collect()
    }

    fn decode_windows(&self, jobs: &mut [WindowJob<'_>]) -> Result<()> {
        let width = self.width();
        let mut jobs: Vec<_> = jobs.iter_mut().filter(|job| !job.raw.is_empty()).collect();
        if let Some(job) = jobs.iter().find(|job| !job.raw.len().is_multiple_of(width)) {
            let found = job.raw.len();
            return Err(Error::corrupt(format!("a window of {found} bytes; records take {width}")));
        }
        jobs.sort_by_key(|job| std::cmp::Reverse(job.raw.len()));
        jobs.par_chunks_mut(LANES).try_for_each(|jobs| decode_group(self, jobs))
    }

    fn record(&self) -> usize {
        self.width()
    }
}

/// Cumulative parts of a choice: where symbol i of `weight` starts, as the specification has it.
fn start(before: u64, i: u64, n: u64, sum: u64) -> u64 {
    before * ((1 << PRECISION) - n) / sum + i
}

fn part(weights: impl Iterator<Item = u32> + Clone, n: usize, chosen: usize) -> Part {
    let sum: u64 = weights.clone().map(u64::from).sum();
    let before: u64 = weights.clone().take(chosen).map(u64::from).sum();
    let own = weights.clone().nth(chosen).map_or(1, u64::from);
    let (n, i) = (n as u64, chosen as u64);
    Part::new(chosen, start(before, i, n, sum), start(before + own, i + 1, n, sum))
}

/// The symbol that owns a quantile.
fn find(weights: impl Iterator<Item = u32> + Clone, n: usize, quantile: u32) -> Part {
    let sum: u64 = weights.clone().map(u64::from).sum();
    let (n, q) = (n as u64, u64::from(quantile));
    let (mut before, mut i) = (0u64, 0u64);
    for w in weights {
        let after = before + u64::from(w);
        // c(i + 1) > q, without dividing: floor(a / b) > q − i − 1.
        if i + 1 == n || i + 1 > q || after * ((1 << PRECISION) - n) >= (q - i) * sum {
            return Part::new(i as usize, start(before, i, n, sum), start(after, i + 1, n, sum));
        }
        (before, i) = (after, i + 1);
    }
    unreachable!("the last symbol was returned")
}

/// Works out the choices of up to eight records.
struct Planner<'a> {
    model: &'a Model,
    records: &'a [u8],
    /// By record, then node: class, then symbol inside it.
    parts: Vec<[Part; 2]>,
}

impl walk::Coder for Planner<'_> {
    fn code(&mut self, node: usize, weights: &[Lane]) -> Result<[u32; LANES]> {
        let (width, n) = (self.model.width(), &self.model.nodes[node]);
        let symbols = &self.model.alphabets[n.alphabet];
        let mut classes = [0; LANES];
        for (lane, record) in self.records.chunks_exact(width).enumerate() {
            let symbol = usize::from(record[n.variable]);
            let Some(&class) = symbols.class.get(symbol) else {
                let variable = n.variable;
                return Err(Error::bad_argument(format!(
                    "circuit: symbol {symbol} of variable {variable} is outside the model's alphabet"
                )));
            };
            classes[lane] = class.into();
            let class = usize::from(class);
            let first = part(weights.iter().map(|w| w.0[lane]), weights.len(), class);
            let inside = &symbols.weights[class];
            let second = part(inside.iter().copied(), inside.len(), symbols.place[symbol].into());
            self.parts[lane * width + node] = [first, second];
        }
        Ok(classes)
    }
}

fn plan(model: &Model, records: &[u8]) -> Result<Vec<[Part; 2]>> {
    let count = records.len() / model.width();
    let parts = vec![[Part::WHOLE; 2]; count * model.width()];
    let mut planner = Planner { model, records, parts };
    Walk::new(model, Kernel::best())?.run(&mut planner)?;
    Ok(planner.parts)
}

fn encode_block(model: &Model, block: &[u8], limits: WindowLimits) -> Result<Vec<EncodedWindow>> {
    let width = model.width();
    if !block.len().is_multiple_of(width) {
        let len = block.len();
        return Err(Error::bad_argument(format!("circuit: {len} bytes are not whole records of {width}")));
    }
    let most_raw = limits.raw.min(max_window_raw(limits.payload));
    let (mut windows, mut coder, mut raw_len) = (Vec::new(), BitEncoder::default(), 0);
    for batch in block.chunks(GROUPS * LANES * width) {
        let planned: Vec<Vec<[Part; 2]>> =
            batch.par_chunks(LANES * width).map(|records| plan(model, records)).collect::<Result<_>>()?;
        for record in planned.iter().flat_map(|p| p.chunks_exact(width)) {
            let mark = coder.mark();
            let put = |coder: &mut BitEncoder| {
                for &[class, symbol] in record {
                    coder.encode_part(class);
                    // Left out where the class has but one.
                    if symbol != Part::WHOLE {
                        coder.encode_part(symbol);
                    }
                }
            };
            put(&mut coder);
            let full = coder.payload_bound() > limits.payload && coder.payload().len() > limits.payload;
            if full || raw_len + width > most_raw {
                if raw_len == 0 {
                    let (limit, raw) = (limits.payload, most_raw);
                    return Err(Error::bad_argument(format!(
                        "circuit: a record does not fit a window of {limit} payload and {raw} raw bytes"
                    )));
                }
                coder.rewind(&mark);
                windows.push(EncodedWindow { raw_len, payload: coder.payload() });
                (coder, raw_len) = (BitEncoder::default(), 0);
                put(&mut coder);
            }
            raw_len += width;
        }
    }
    if raw_len > 0 {
        windows.push(EncodedWindow { raw_len, payload: coder.payload() });
    }
    if let Some(w) = windows.iter().find(|w| w.payload.len() > limits.payload) {
        let (found, limit) = (w.payload.len(), limits.payload);
        return Err(Error::bad_argument(format!("circuit: a record of {found} bytes; windows hold {limit}")));
    }
    Ok(windows)
}

/// Reads the choices of up to eight windows.
struct Reader<'a, 'j, 'p> {
    model: &'a Model,
    jobs: &'a mut [&'j mut WindowJob<'p>],
    coders: Vec<BitDecoder<'p>>,
    record: usize,
}

impl walk::Coder for Reader<'_, '_, '_> {
    fn code(&mut self, node: usize, weights: &[Lane]) -> Result<[u32; LANES]> {
        let (width, n) = (self.model.width(), &self.model.nodes[node]);
        let symbols = &self.model.alphabets[n.alphabet];
        let mut classes = [0; LANES];
        for (lane, (job, coder)) in self.jobs.iter_mut().zip(&mut self.coders).enumerate() {
            let Some(record) = job.raw.get_mut(self.record * width..).filter(|r| !r.is_empty()) else {
                continue;
            };
            let class =
                coder.decode_part(|q| find(weights.iter().map(|w| w.0[lane]), weights.len(), q))? as usize;
            let inside = &symbols.weights[class];
            let place = match inside.len() {
                1 => 0,
                len => coder.decode_part(|q| find(inside.iter().copied(), len, q))? as usize,
            };
            record[n.variable] = symbols.members[class][place];
            classes[lane] = class as u32;
        }
        Ok(classes)
    }
}

/// Steps up to eight windows together, the longest first.
fn decode_group(model: &Model, jobs: &mut [&mut WindowJob<'_>]) -> Result<()> {
    let records = jobs[0].raw.len() / model.width();
    let coders = jobs.iter().map(|job| BitDecoder::new(job.payload)).collect();
    let mut walk = Walk::new(model, Kernel::best())?;
    let mut reader = Reader { model, jobs, coders, record: 0 };
    for record in 0..records {
        reader.record = record;
        walk.run(&mut reader)?;
    }
    Ok(())
}
