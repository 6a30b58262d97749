//! The `circuit` codec: records, a hidden Chow-Liu tree and a range coder in equal-info windows.

pub mod layout;

use std::ops::Range;
use std::sync::Arc;

use rayon::prelude::*;

use super::Codec;
use super::acceleration::{Accelerator, WindowModel};
use super::block::{BlockCodec, BlockJob, BlockParams, LoadedModel, ModelMemory, ModelUse, UnitKind};
use super::window::{
    Cutting, EncodedWindow, WindowCoder, WindowJob, WindowLimits, WindowedBlock, max_window_raw,
};
use super::windowed;
use crate::coder::range::{BitDecoder, BitEncoder, Part as CoderPart};
use crate::error::{Error, Result};
use crate::format::block::BlockHeader;
use crate::format::consts::MAX_WINDOW_PAYLOAD;
use crate::kernel::Kernel;
use crate::model::circuit::{LANES, Model, PerLane, Visits, Walk, Weights, walk};
use crate::progress::Meter;
use layout::{Arrangement, Known, Layout, detect};

/// log2 of the number of parts of the coding range, which the symbols of a choice share.
const PRECISION: usize = 20;
type Part = CoderPart<PRECISION>;

/// The number of groups of [`LANES`] records whose choices are computed, in parallel, before any of them is
/// coded.
const GROUPS: usize = 32;

/// Memory of a circuit in addition to its parameters, in bytes.
const FIXED: u64 = 1 << 20;

/// The codec `circuit`.
pub struct Circuit;

impl BlockCodec for Circuit {
    fn id(&self) -> Codec {
        Codec::Circuit
    }

    fn name(&self) -> &'static str {
        "circuit"
    }

    fn units(&self) -> UnitKind {
        UnitKind::Windows
    }

    fn model_use(&self) -> ModelUse {
        ModelUse::Required(Codec::Circuit)
    }

    fn model_wanted(&self) -> String {
        "codec circuit needs a model, which `nzip train --circuit` learns".into()
    }

    fn params(&self, header: &BlockHeader) -> Result<Option<Arc<dyn BlockParams>>> {
        if header.units.chained() {
            return Err(self.unknown());
        }
        let Some(params) = header.params.as_deref() else { return Ok(None) };
        Ok(Some(Arc::new(Arrangement::parse(Some(params))?)))
    }

    fn recognises(&self, weights: &[u8]) -> bool {
        Weights::recognise(weights)
    }

    fn model_memory(&self, weights: &[u8]) -> ModelMemory {
        memory_of(weights)
    }

    fn load(&self, weights: &[u8], accelerator: Option<&dyn Accelerator>) -> Result<LoadedModel> {
        let model = WindowModel::Circuit(Model::new(&Weights::from_bytes(weights)?)?);
        Ok(LoadedModel { windows: model.coder(accelerator)?, network: None })
    }

    fn decode(&self, jobs: &mut [&mut BlockJob<'_>]) {
        windowed::decode(jobs);
    }
}

/// The memory that the circuit of a weight file takes, in bytes (approximate).
pub fn memory_of(weights: &[u8]) -> ModelMemory {
    // One byte each in the parsed file; then two for each use: upwards, downwards and, in turn, while they
    // are expanded.
    let parameters = Weights::declared(weights);
    ModelMemory {
        loaded: (4 * parameters).saturating_add(FIXED),
        loading: (6 * parameters).saturating_add(FIXED),
    }
}

impl BlockParams for Arrangement {}

impl WindowCoder for Model {
    fn cutting(&self, head: &[u8], _chained: bool) -> Cutting {
        let width = self.width();
        let found = detect(head, self.patch).filter(|l| l.width == width);
        found.unwrap_or_else(|| Layout::records(width)).cutting()
    }

    fn fits(&self, cutting: &Cutting, raw: &[u8]) -> bool {
        Arrangement::parse(cutting.params.as_deref()).is_ok_and(|a| a.fits(raw))
    }

    fn encode(
        &self,
        blocks: &[&[u8]],
        cutting: &Cutting,
        limits: WindowLimits,
        meter: Meter<'_>,
    ) -> Result<Vec<Vec<EncodedWindow>>> {
        let arrangement = Arrangement::parse(cutting.params.as_deref())?;
        encode_counted(self, &arrangement, blocks, limits, meter)
    }

    fn decode(&self, blocks: Vec<WindowedBlock<'_>>, memory: u64, meter: Meter<'_>) -> Result<()> {
        let mut arranged: Vec<(Arrangement, Vec<WindowJob<'_>>)> = Vec::new();
        for block in blocks {
            let arrangement =
                block.params.and_then(|p| p.downcast_ref()).copied().unwrap_or(Arrangement::Bytes);
            match arranged.iter_mut().find(|a| a.0 == arrangement) {
                Some(known) => known.1.extend(block.windows),
                None => arranged.push((arrangement, block.windows)),
            }
        }
        let bounds = Bounds { memory, meter };
        let best = Kernel::best();
        arranged.iter_mut().try_for_each(|(a, windows)| decode_within(self, a, windows, best, bounds))
    }
}

/// Codes blocks of records into windows, in parallel.
///
/// # Errors
/// `BadArgument` where a block is not whole records, or a record is too long for a window.
pub fn encode(
    model: &Model,
    arrangement: &Arrangement,
    blocks: &[&[u8]],
    limits: WindowLimits,
) -> Result<Vec<Vec<EncodedWindow>>> {
    encode_counted(model, arrangement, blocks, limits, Meter::NONE)
}

fn encode_counted(
    model: &Model,
    arrangement: &Arrangement,
    blocks: &[&[u8]],
    limits: WindowLimits,
    meter: Meter<'_>,
) -> Result<Vec<Vec<EncodedWindow>>> {
    let encode = |block: &&[u8]| encode_block(Source { model, arrangement, raw: block }, limits, meter);
    blocks.par_iter().map(encode).collect()
}

/// The first part of symbol `i` of `n`: c(i) of the specification. `before` is the sum of the weights of the
/// symbols before it, `sum` that of all weights.
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

/// The symbol that owns the part `quantile`, with its interval.
fn find(weights: impl Iterator<Item = u32> + Clone, n: usize, quantile: u32) -> Part {
    let sum: u64 = weights.clone().map(u64::from).sum();
    let (n, q) = (n as u64, u64::from(quantile));
    let (mut before, mut i) = (0u64, 0u64);
    for w in weights {
        let after = before + u64::from(w);
        // Tests c(i + 1) > q without a division: floor(a / b) + i + 1 > q is the same as a ≥ (q − i)·b.
        if i + 1 == n || i + 1 > q || after * ((1 << PRECISION) - n) >= (q - i) * sum {
            return Part::new(i as usize, start(before, i, n, sum), start(after, i + 1, n, sum));
        }
        (before, i) = (after, i + 1);
    }
    unreachable!("the last symbol was returned")
}

/// The choices of one record: for each variable that is coded, the choice of its class, then that of its
/// symbol within the class.
type Choices = Vec<[Part; 2]>;

/// Computes the choices of up to eight records in one walk of the tree.
struct Planner<'a> {
    model: &'a Model,
    /// The symbols of the records, one record after the other.
    records: Vec<u8>,
    /// The choices of each record so far.
    choices: Vec<Choices>,
}

impl walk::Coder for Planner<'_> {
    fn code(&mut self, node: usize, weights: &[PerLane]) -> Result<[u32; LANES]> {
        let (width, n) = (self.model.width(), &self.model.nodes[node]);
        let symbols = &self.model.alphabets[n.alphabet];
        let mut classes = [0; LANES];
        let records = self.records.chunks_exact(width).zip(&mut self.choices);
        for (lane, (record, choices)) in records.enumerate() {
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
            choices.push([first, second]);
        }
        Ok(classes)
    }
}

/// A block to encode, with its model and arrangement.
#[derive(Clone, Copy)]
struct Source<'a> {
    model: &'a Model,
    arrangement: &'a Arrangement,
    raw: &'a [u8],
}

impl Source<'_> {
    /// The choices of some records, in order. A walk visits the same nodes for all of its records, so records
    /// are grouped by which of their variables exist.
    fn plan(self, records: Range<usize>) -> Result<Vec<Choices>> {
        let mut kinds: Vec<(Known, Vec<usize>)> = Vec::new();
        for record in records.clone() {
            let known = self.arrangement.known(self.raw.len(), record);
            match kinds.iter_mut().find(|k| k.0 == known) {
                Some(kind) => kind.1.push(record),
                None => kinds.push((known, vec![record])),
            }
        }
        let visits: Vec<Visits> =
            kinds.iter().map(|(known, _)| Visits::new(self.model, |v| known.has(v))).collect();
        let groups: Vec<(&Visits, &[usize])> =
            visits.iter().zip(&kinds).flat_map(|(v, k)| k.1.chunks(LANES).map(move |r| (v, r))).collect();
        let coded: Vec<Vec<Choices>> = groups
            .par_iter()
            .map(|(visits, records)| self.plan_group(visits, records))
            .collect::<Result<_>>()?;
        let mut planned = vec![Vec::new(); records.len()];
        for ((_, group), choices) in groups.into_iter().zip(coded) {
            group.iter().zip(choices).for_each(|(record, c)| planned[record - records.start] = c);
        }
        Ok(planned)
    }

    fn plan_group(self, visits: &Visits, records: &[usize]) -> Result<Vec<Choices>> {
        let mut bytes = vec![0; records.len() * self.model.width()];
        for (out, &record) in bytes.chunks_exact_mut(self.model.width()).zip(records) {
            self.arrangement.gather(self.raw, record, out);
        }
        let choices = records.iter().map(|_| Vec::with_capacity(visits.known())).collect();
        let mut planner = Planner { model: self.model, records: bytes, choices };
        Walk::new(self.model, Kernel::best())?.run(visits, &mut planner)?;
        Ok(planner.choices)
    }
}

fn put(coder: &mut BitEncoder, unit: &[Choices]) {
    for &[class, symbol] in unit.iter().flatten() {
        coder.encode_part(class);
        // The choice of the symbol is left out where its class has a single symbol.
        if symbol != Part::WHOLE {
            coder.encode_part(symbol);
        }
    }
}

/// Codes a block into windows of whole units. A unit that is too long for W gets a window of its own.
fn encode_block(source: Source<'_>, limits: WindowLimits, meter: Meter<'_>) -> Result<Vec<EncodedWindow>> {
    let Source { model, arrangement, raw } = source;
    let bad = |e: Error| Error::bad_argument(format!("circuit: {e}"));
    let records = arrangement.records(raw.len(), model.width()).map_err(bad)?;
    let (unit_len, per_unit) = (arrangement.unit(model.width()), arrangement.records_of_unit());
    let most_raw = limits.raw.min(max_window_raw(limits.payload));
    let batch = (GROUPS * LANES / per_unit).max(1) * per_unit;
    let mut lens = raw.chunks(unit_len).map(<[u8]>::len);
    let (mut windows, mut coder, mut raw_len) = (Vec::new(), BitEncoder::default(), 0);
    for first in (0..records).step_by(batch) {
        let planned = source.plan(first..(first + batch).min(records))?;
        for (unit, len) in planned.chunks(per_unit).zip(lens.by_ref()) {
            let mark = coder.mark();
            put(&mut coder, unit);
            let full = coder.payload_bound() > limits.payload && coder.payload().len() > limits.payload;
            if (full || raw_len + len > most_raw) && raw_len > 0 {
                coder.rewind(&mark);
                windows.push(EncodedWindow { raw_len, payload: coder.payload() });
                (coder, raw_len) = (BitEncoder::default(), 0);
                put(&mut coder, unit);
            }
            raw_len += len;
            meter.advance(len);
        }
    }
    if raw_len > 0 {
        windows.push(EncodedWindow { raw_len, payload: coder.payload() });
    }
    let most = MAX_WINDOW_PAYLOAD as usize;
    if let Some(w) = windows.iter().find(|w| w.payload.len() > most) {
        let found = w.payload.len();
        return Err(Error::bad_argument(format!("circuit: a record of {found} bytes; windows hold {most}")));
    }
    Ok(windows)
}

/// A window that is being decoded.
struct Open<'j, 'p> {
    raw: &'j mut [u8],
    records: usize,
    coder: BitDecoder<'p>,
    /// The symbols of the record that is being decoded; meaningless while `walks` is false.
    record: Vec<u8>,
    /// The variables of the next record that exist, until its walk begins.
    waits: Option<Known>,
    /// Whether the current walk decodes a record of this window.
    walks: bool,
}

/// Decodes the choices of up to eight windows in one walk of the tree.
struct Reader<'a, 'j, 'p> {
    model: &'a Model,
    windows: Vec<Open<'j, 'p>>,
}

impl walk::Coder for Reader<'_, '_, '_> {
    fn code(&mut self, node: usize, weights: &[PerLane]) -> Result<[u32; LANES]> {
        let n = &self.model.nodes[node];
        let symbols = &self.model.alphabets[n.alphabet];
        let mut classes = [0; LANES];
        for (lane, window) in self.windows.iter_mut().enumerate().filter(|(_, w)| w.walks) {
            let coder = &mut window.coder;
            let class =
                coder.decode_part(|q| find(weights.iter().map(|w| w.0[lane]), weights.len(), q))? as usize;
            let inside = &symbols.weights[class];
            let place = match inside.len() {
                1 => 0,
                len => coder.decode_part(|q| find(inside.iter().copied(), len, q))? as usize,
            };
            window.record[n.variable] = symbols.members[class][place];
            classes[lane] = class as u32;
        }
        Ok(classes)
    }
}

/// Decodes windows into their `raw` slices, in parallel groups of up to eight windows of similar length.
///
/// # Errors
/// `Corrupt` where a window cannot hold whole records or its payload is not valid; `LimitExceeded` where
/// memory is missing; `BadArgument` for a kernel that this machine cannot run.
pub fn decode(
    model: &Model,
    arrangement: &Arrangement,
    jobs: &mut [WindowJob<'_>],
    kernel: Kernel,
) -> Result<()> {
    decode_within(model, arrangement, jobs, kernel, Bounds { memory: u64::MAX, meter: Meter::NONE })
}

/// The limits of decoding, apart from those of its windows.
#[derive(Clone, Copy)]
pub struct Bounds<'a> {
    /// Memory for messages, in bytes. It bounds how many windows are decoded at a time.
    pub memory: u64,
    /// Counts the raw bytes.
    pub meter: Meter<'a>,
}

/// Decodes windows as [`decode`] does, within bounds.
///
/// # Errors
/// Those of [`decode`].
pub fn decode_within(
    model: &Model,
    arrangement: &Arrangement,
    jobs: &mut [WindowJob<'_>],
    kernel: Kernel,
    Bounds { memory, meter }: Bounds<'_>,
) -> Result<()> {
    let mut windows = Vec::with_capacity(jobs.len());
    for job in jobs.iter_mut().filter(|job| !job.raw.is_empty()) {
        windows.push((arrangement.records(job.raw.len(), model.width())?, job));
    }
    windows.sort_by_key(|(records, _)| std::cmp::Reverse(*records));
    let one = Walk::memory(model) + (2 * LANES * model.width()) as u64;
    if one > memory {
        return Err(Error::limit(format!(
            "circuit: messages of {one} bytes; the memory cap leaves {memory}"
        )));
    }
    let groups = windows.len().div_ceil(LANES).max(1);
    let parallel = (memory / one).min(rayon::current_num_threads() as u64).max(1) as usize;
    // Where memory is short, each thread decodes several groups one after the other.
    let part = if parallel < rayon::current_num_threads() { groups.div_ceil(parallel) } else { 1 };
    windows.par_chunks_mut(part * LANES).try_for_each(|part| {
        part.chunks_mut(LANES).try_for_each(|group| {
            decode_group(model, arrangement, group, kernel)?;
            meter.advance(group.iter().map(|(_, job)| job.raw.len()).sum());
            Ok(())
        })
    })
}

/// Decodes up to eight windows record by record. Windows whose records have the same existing variables share
/// a walk; where these differ, one record number takes several walks.
fn decode_group(
    model: &Model,
    arrangement: &Arrangement,
    jobs: &mut [(usize, &mut WindowJob<'_>)],
    kernel: Kernel,
) -> Result<()> {
    let most = jobs.iter().map(|j| j.0).max().unwrap_or(0);
    let open = jobs.iter_mut().map(|(records, job)| Open {
        raw: &mut *job.raw,
        records: *records,
        coder: BitDecoder::new(job.payload),
        record: vec![0; model.width()],
        waits: None,
        walks: false,
    });
    let mut reader = Reader { model, windows: open.collect() };
    let mut walk = Walk::new(model, kernel)?;
    let mut kinds: Vec<(Known, Visits)> = Vec::new();
    for record in 0..most {
        for w in reader.windows.iter_mut() {
            w.waits = (record < w.records).then(|| arrangement.known(w.raw.len(), record));
        }
        while let Some(known) = reader.windows.iter().find_map(|w| w.waits) {
            let kind = kinds.iter().position(|k| k.0 == known).unwrap_or_else(|| {
                kinds.push((known, Visits::new(model, |v| known.has(v))));
                kinds.len() - 1
            });
            for w in reader.windows.iter_mut() {
                w.walks = w.waits == Some(known);
                w.waits = w.waits.filter(|_| !w.walks);
            }
            walk.run(&kinds[kind].1, &mut reader)?;
            for w in reader.windows.iter_mut().filter(|w| w.walks) {
                arrangement.scatter(&w.record, record, w.raw);
            }
        }
    }
    Ok(())
}
