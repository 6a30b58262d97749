//! Writing of a file of tensors, in blocks that end where tensors end.

use super::coder::{Coder, End};
use crate::codec::Codec;
use crate::codec::encoding::{self, EncodedBlock};
use crate::codec::floor::plain;
use crate::codec::hints::{BasePiece, Hint};
use crate::codec::plan::total;
use crate::codec::tensor::{copy, keep};
use crate::codec::zstd;
use crate::error::{Error, ErrorKind, Result};
use crate::format::consts::max_unpacked;
use crate::format::index::Record;
use crate::format::tensors::{self, TensorRecord};
use crate::format::varint;
use crate::progress::Meter;
use crate::stream::CodecChoice;
use crate::stream::options::CHUNK;
use crate::tensor::bases::BaseTensor;
use crate::tensor::content::Content;
use crate::tensor::form::Form;
use crate::tensor::recognise::forms;
use crate::tensor::rounding::Rounding;
use crate::tensor::stack::Stack;
use crate::tensor::{Dtype, FileKind, Layout, TensorInfo};
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::hash::Hasher;
use std::io::Write;
use std::ops::Range;
use twox_hash::XxHash3_64;

/// The number of bytes that tell whether content may be a file of tensors.
const START: usize = 16;
/// The longest block of a tensor at level 9.
const LONG_CHUNK: usize = 64 << 20;
/// Tensors of at most this many bytes may share a block.
const SMALL: u64 = 64 << 10;
/// The same for tensors that have a base: they are only coded against it in a block of their own.
const SMALL_DELTA: u64 = 1 << 10;
/// The most bytes of a block that tensors share.
const SHARED: u64 = 1 << 20;
/// A tensor of at least this many bytes may be a copy of an earlier one.
const COPIED: usize = 1 << 10;
/// The bytes at its start, in its middle and at its end that tell whether it may be one.
const SAMPLED: u64 = 4 << 10;

/// Bytes outside of tensors must be quick to decode if they are at most one part in this many of the file.
const BESIDE: u64 = 16;

/// The first level at which short files that hold more than tensors are also coded as bytes.
const BY_BYTES: u8 = 5;

/// The bytes of a base that are hashed at a time where the tensor does not need them.
const REST: usize = 4 << 20;

/// Bytes that become one block.
struct Piece {
    range: Range<u64>,
    hint: Option<Hint>,
    /// The index of an earlier piece with the same bytes, if any.
    like: Option<usize>,
    /// If the piece belongs to a single tensor: that tensor's index, and the number of its bytes before the
    /// piece.
    of: Option<(usize, u64)>,
}

impl Piece {
    /// Bytes without a type.
    fn plain(range: Range<u64>) -> Self {
        Self { range, hint: None, like: None, of: None }
    }

    /// Bytes of a tensor of an unknown type.
    fn unknown(range: Range<u64>) -> Self {
        let hint = Some(Hint { dtype: Dtype::U8, row_bytes: 0, form: None, tile: 0 });
        Self { hint, ..Self::plain(range) }
    }

    /// The length of the piece, which is at most that of a block.
    fn len(&self) -> usize {
        (self.range.end - self.range.start) as usize
    }
}

/// A block that later blocks copy.
struct Kept {
    /// Its number in the stream.
    number: u64,
    /// The hash of its raw bytes.
    hash: blake3::Hash,
    /// The block without its payload.
    block: EncodedBlock,
}

/// A base of a piece.
#[derive(Clone, Copy)]
struct PieceBase<'b> {
    tensor: &'b BaseTensor,
    /// The bytes before the piece in its tensor, and how many bytes of the tensor are coded against the base.
    from: u64,
    reach: u64,
}

/// Reads base tensors a second time, and verifies that they match their hashes.
#[derive(Default)]
struct Reread {
    hasher: blake3::Hasher,
}

impl Reread {
    /// The bytes of a base for a piece. Pieces must be read in order.
    fn read<'b>(&mut self, base: PieceBase<'b>, piece: &Piece, rounding: Rounding) -> Result<Cow<'b, [u8]>> {
        let place = |at: u64| rounding.base_len(at).ok_or_else(|| Error::limit("a base's length"));
        let next = base.from + piece.len() as u64;
        let (from, end, last) = (place(base.from)?, place(next)?, next == base.reach);
        let base = base.tensor;
        let bytes = base.read(from, (end - from) as usize)?;
        if let Cow::Owned(bytes) = &bytes {
            if from == 0 {
                self.hasher.reset();
            }
            self.hasher.update(bytes);
            if last {
                // What is left of a base that is longer than the tensor.
                for at in (end..base.len()).step_by(REST) {
                    self.hasher.update(&base.read(at, REST.min((base.len() - at) as usize))?);
                }
            }
            if last && *self.hasher.finalize().as_bytes() != base.hash {
                return Err(Error::new(ErrorKind::Io, "a base has changed since it was opened"));
            }
        }
        Ok(rounding.apply(bytes))
    }
}

impl Coder {
    /// The tensors of the content, if there are any and they may be coded as tensors.
    pub(super) fn layout(&self, raw: &dyn Content) -> Result<Option<Layout>> {
        if let Some(described) = &self.options.described {
            return described.layout(raw.len()).map(Some);
        }
        if !self.may_have_tensors() {
            return Ok(None);
        }
        match Layout::read_content(raw) {
            Err(e) if e.kind() == ErrorKind::Io => Err(e),
            // A file that breaks the rules of its format is coded as bytes.
            layout => Ok(layout.ok().filter(|l| !l.tensors.is_empty())),
        }
    }

    /// The encoder, set to hold back the first bytes written if they may hold tensors.
    pub(super) fn holding(mut self) -> Self {
        self.held = self.options.described.is_some() || self.may_have_tensors();
        self
    }

    fn may_have_tensors(&self) -> bool {
        match self.options.codec {
            CodecChoice::Auto => self.plan.windowed.is_none(),
            CodecChoice::Only(codec) => codec == Codec::Tensor,
        }
    }

    /// Takes bytes while content is held back. Releases them once the content does not start like a file of
    /// tensors or becomes too long. Returns how many bytes were taken.
    pub(super) fn hold(&mut self, bytes: &[u8], to: &mut dyn Write) -> Result<usize> {
        let most = usize::try_from(self.options.resources.memory / 2).unwrap_or(usize::MAX);
        let described = self.options.described.is_some();
        if described && bytes.len() > most.saturating_sub(self.raw.len()) {
            return Err(Error::limit(format!(
                "a described tensor that comes in pieces; at most {most} bytes are held back"
            )));
        }
        // First only as many bytes as tell what it is, then all of them.
        let missing = START.saturating_sub(self.raw.len());
        let taken = if missing > 0 { bytes.len().min(missing) } else { bytes.len() };
        let start = if self.raw.is_empty() { bytes } else { &self.raw[..] };
        let likely = described || start.len() < START || Layout::is_likely(start);
        if !likely || taken > most.saturating_sub(self.raw.len()) {
            self.release(to)?;
            return self.take(bytes, to);
        }
        self.options.resources.progress.take(taken as u64);
        self.raw.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    /// Codes the bytes that have been held back, without looking for tensors.
    pub(super) fn release(&mut self, to: &mut dyn Write) -> Result<()> {
        if !std::mem::take(&mut self.held) {
            return Ok(());
        }
        let raw = std::mem::take(&mut self.raw);
        let mut rest = &raw[..];
        while rest.len() >= self.batch {
            let done = self.encode(&rest[..self.batch], End::Open, to)?;
            rest = &rest[done..];
        }
        self.raw = rest.to_vec();
        Ok(())
    }

    /// Codes the whole content. If a file fits into one block and the blocks of its tensors turn out larger,
    /// it becomes a plain block without names instead, since tensors that resemble each other are smaller
    /// together; an archive then finds the tensors by looking at the content.
    ///
    /// Bytes are read once for coding, checking and hashing, batch by batch, so what is written is consistent
    /// even if the file changes in the meantime.
    pub(super) fn encode_tensors(
        &mut self,
        raw: &dyn Content,
        layout: &Layout,
        to: &mut dyn Write,
    ) -> Result<()> {
        if self.weighs {
            // The bytes outside of tensors are too few for a model to pay.
            self.plan = self.plan.without_models();
        }
        let forms = forms(layout, raw);
        // What a long tensor learns about itself is stored once per block.
        let most = if self.plan.level < 9 { CHUNK } else { LONG_CHUNK };
        let bases = self.options.resources.bases.names();
        let base = |t: &TensorInfo| {
            let tensor: &BaseTensor = bases.get(t.name.as_str())?;
            Some((tensor, tensor.reach(t.dtype, &t.shape)?))
        };
        let reach = |t: &TensorInfo| base(t).map(|b| b.1);
        let mut pieces = pieces(raw.len(), layout, &forms, self.chunk.min(most), reach);
        find_copies(raw, &mut pieces)?;
        let originals: HashSet<usize> = pieces.iter().filter_map(|p| p.like).collect();
        let names = record(layout)?;
        let beside: u64 = pieces.iter().filter(|p| p.hint.is_none()).map(|p| p.len() as u64).sum();
        let few = beside.saturating_mul(BESIDE) <= raw.len();
        // Tensors that the caller has described could not be found again without their names.
        let compared = self.plan.only.is_none()
            && self.options.described.is_none()
            && raw.len() <= self.chunk.min(CHUNK) as u64;
        let base_of = |p: &Piece| {
            let (number, from) = p.of?;
            let (tensor, reach) = base(&layout.tensors[number])?;
            Some(PieceBase { tensor, from, reach }).filter(|b| b.from + p.len() as u64 <= b.reach)
        };
        let progress = self.options.resources.progress.clone();
        let mut reread = Reread::default();
        let (mut held, mut floor, mut whole) = (Vec::new(), Vec::new(), Vec::new());
        // For blocks that have copies: their number, and what a copy repeats.
        let mut kept: HashMap<usize, Kept> = HashMap::new();
        let (mut at, mut blocks, mut buffer) = (0, 0, Vec::new());
        self.out.start(to)?;
        while at < pieces.len() {
            let mut end = at;
            while end < pieces.len()
                && (end == at || pieces[end].range.end - pieces[at].range.start <= self.batch as u64)
            {
                end += 1;
            }
            let batch = &pieces[at..end];
            let start = batch[0].range.start;
            let all = raw.read_in(start..batch[batch.len() - 1].range.end, &mut buffer)?;
            let bytes = |p: &Piece| &all[(p.range.start - start) as usize..][..p.len()];
            let rounding = |p: &Piece, base: &BaseTensor| {
                let dtype = p.hint.map_or(Dtype::U8, |h| h.dtype);
                base.rounding(dtype, bytes(p))
            };
            let based = batch
                .iter()
                .map(|p| base_of(p).map(|base| reread.read(base, p, rounding(p, base.tensor))).transpose());
            let based = based.collect::<Result<Vec<_>>>()?;
            let numbers = |i: usize| {
                let p = &batch[i];
                let base = based[i].as_deref().zip(base_of(p));
                let base = base.map(|(bytes, base)| BasePiece {
                    bytes,
                    rounding: rounding(p, base.tensor),
                    hash: base.tensor.hash,
                    offset: base.from,
                });
                encoding::Content { numbers: p.hint, base, ..encoding::Content::bytes(bytes(p)) }
            };
            let is_copy = |p: &Piece| p.like.is_some_and(|l| l >= at || kept.contains_key(&l));
            let copies: Vec<bool> = batch.iter().map(is_copy).collect();
            let work: Vec<_> = (0..batch.len()).filter(|i| !copies[*i]).map(numbers).collect();
            let (plan, hasher) = (&self.plan, &mut self.hasher);
            let hash = || {
                hasher.update(all);
            };
            let counted = progress.work(all.len() as u64);
            let encode = || rayon::join(|| plan.encode_numbers(&work, few, counted.meter()), hash);
            let coded = self.pool.run(encode)?.0?;
            counted.finish();
            let mut coded = coded.into_iter();
            for (i, is_copy) in (at..end).zip(copies) {
                let piece = &pieces[i];
                let source = piece.like.filter(|_| is_copy).and_then(|l| kept.get(&l));
                let source = source.filter(|s| s.hash == blake3::hash(bytes(piece)));
                let mut block = match source.and_then(|s| copy(&s.block, s.number)) {
                    Some(block) => block,
                    // The original turned out not to be a tensor block, or one of the two has changed since
                    // they were compared.
                    None if is_copy => plan.encode_numbers(&[numbers(i - at)], few, Meter::NONE)?.remove(0),
                    None => coded.next().ok_or_else(|| Error::bad_argument("a piece that was not coded"))?,
                };
                if originals.contains(&i) && keep(&mut block) {
                    let block = EncodedBlock { payload: Vec::new(), ..block.clone() };
                    kept.insert(i, Kept { number: blocks, hash: blake3::hash(bytes(piece)), block });
                }
                blocks += 1;
                if compared {
                    held.push(block);
                } else {
                    self.out.block(block, false, &self.options, to)?;
                }
            }
            if compared {
                // The whole file is one batch.
                floor.push(plain(all, self.plan.level)?);
                if matches!(layout.kind, FileKind::Torch | FileKind::Onnx) && self.plan.level >= BY_BYTES {
                    let bytes =
                        || self.plan.encode_numbers(&[encoding::Content::bytes(all)], false, Meter::NONE);
                    whole = self.pool.run(bytes)??;
                }
            }
            at = end;
        }
        if compared {
            let least = (total(&held) + names.bytes.len()).min(total(&floor));
            if !whole.is_empty() && total(&whole) + names.bytes.len() < least / 16 * 15 {
                self.out.blocks(whole, &self.options, to)?;
                self.records.push(names);
                return Ok(());
            }
            if total(&floor) < total(&held) + names.bytes.len() {
                return self.out.blocks(floor, &self.options, to);
            }
            self.out.blocks(held, &self.options, to)?;
        }
        self.records.push(names);
        Ok(())
    }
}

/// Cuts the content where tensors start and end, where blocks would become too long, and where a base ends: `reach` is how
/// many bytes of a tensor it reaches.
fn pieces(
    len: u64,
    layout: &Layout,
    forms: &[Option<Form>],
    most: usize,
    reach: impl Fn(&TensorInfo) -> Option<u64>,
) -> Vec<Piece> {
    let may_share = |t: &TensorInfo| t.len <= if reach(t).is_some() { SMALL_DELTA } else { SMALL };
    let (mut pieces, mut at) = (Vec::new(), 0);
    let mut unknown = layout.unknown.iter().map(|t| t.start).peekable();
    // The bytes between tensors, including tensors of unknown types.
    let mut between = |range: Range<u64>, pieces: &mut Vec<Piece>| {
        let cut = |range: Range<u64>| cut(range, 1, most);
        let (mut start, mut kind): (u64, fn(Range<u64>) -> Piece) = (range.start, Piece::plain);
        while let Some(next) = unknown.next_if(|s| *s < range.end) {
            pieces.extend(cut(start..next.max(start)).map(kind));
            (start, kind) = (next.max(start), Piece::unknown);
        }
        pieces.extend(cut(start..range.end).map(kind));
    };
    let tensors = layout.tensors.iter().zip(forms).enumerate().map(|(i, (t, form))| (i, t, form));
    let mut tensors = tensors.filter(|t| t.1.len > 0).peekable();
    while let Some((number, t, form)) = tensors.next() {
        between(at..t.start, &mut pieces);
        let (start, mut end) = (t.start, t.end());
        let (group, mut row) = (t.dtype.group().1, t.row_bytes());
        while may_share(t)
            && let Some((_, next, _)) = tensors.next_if(|(_, n, f)| {
                n.dtype == t.dtype
                    && *f == form
                    && n.start == end
                    && may_share(n)
                    && n.end() - start <= SHARED
            })
        {
            (end, row) = (next.end(), 0);
        }
        let of = |s: u64| (end == t.end()).then_some((number, s - start));
        let mut put = |range: Range<u64>, hint| {
            let of = of(range.start);
            pieces.push(Piece { range, hint: Some(hint), like: None, of });
        };
        let hint = Hint { dtype: t.dtype, row_bytes: 0, form: *form, tile: 0 };
        if let Some(stack) = Stack::of(t).filter(|_| end == t.end() && form.is_none_or(|f| f.rows == 1)) {
            // Each matrix has blocks of its own.
            let hint = Hint { row_bytes: stack.row, tile: stack.chunk as u32, ..hint };
            for matrix in (start..end).step_by(stack.matrix as usize) {
                cut(matrix..matrix + stack.matrix, stack.row, most).for_each(|range| put(range, hint));
            }
        } else {
            // A multiple of the bands of rows, or of the rows, or of the groups: the longest of these that fits
            // into a block.
            let band = form.map_or(1, |f| u64::from(f.rows).max(1));
            let band = (row > 0 && row * band <= most as u64).then_some(row * band);
            let row = band.unwrap_or(row);
            let unit = if (1..=most as u64).contains(&row) { row } else { group };
            let row_bytes = if unit == row && row > 0 { t.row_bytes() } else { 0 };
            let split = reach(t).filter(|_| end == t.end()).map_or(end, |reach| start + reach);
            let ranges = cut(start..split, unit, most).chain(cut(split..end, unit, most));
            ranges.for_each(|range| put(range, Hint { row_bytes, ..hint }));
        }
        at = end;
    }
    between(at..len, &mut pieces);
    pieces
}

/// Cuts a range into blocks of at most `most` bytes, all but the last of a multiple of `unit` bytes.
fn cut(range: Range<u64>, unit: u64, most: usize) -> impl Iterator<Item = Range<u64>> {
    let step = (most as u64 / unit).max(1) * unit;
    range.clone().step_by(step as usize).map(move |s| s..(s + step).min(range.end))
}

/// Notes which pieces have the same bytes as an earlier one.
fn find_copies(raw: &dyn Content, pieces: &mut [Piece]) -> Result<()> {
    let fits = |p: &Piece| p.hint.is_some() && p.len() >= COPIED;
    let samples = pieces.iter().map(|p| if fits(p) { sample(raw, &p.range).map(Some) } else { Ok(None) });
    let samples = samples.collect::<Result<Vec<_>>>()?;
    let mut counts: HashMap<u64, usize> = HashMap::new();
    samples.iter().flatten().for_each(|s| *counts.entry(*s).or_default() += 1);
    let (mut seen, mut buffer) = (HashMap::<u64, usize>::new(), Vec::new());
    for (i, sample) in samples.into_iter().enumerate() {
        if sample.is_none_or(|s| counts[&s] == 1) {
            continue;
        }
        let (range, hint) = (pieces[i].range.clone(), pieces[i].hint);
        let bytes = raw.read_in(range, &mut buffer)?;
        let first = *seen.entry(XxHash3_64::oneshot(bytes)).or_insert(i);
        let same =
            first != i && pieces[first].hint == hint && *raw.read(pieces[first].range.clone())? == *bytes;
        pieces[i].like = same.then_some(first);
    }
    Ok(())
}

/// A hash of the length of a range and of some of its bytes.
fn sample(raw: &dyn Content, range: &Range<u64>) -> Result<u64> {
    let len = range.end - range.start;
    let n = SAMPLED.min(len);
    let mut hash = XxHash3_64::with_seed(len);
    for at in [0, (len - n) / 2, len - n] {
        hash.write(&raw.read(range.start + at..range.start + at + n)?);
    }
    Ok(hash.finish())
}

/// The index record that names the tensors.
fn record(layout: &Layout) -> Result<Record> {
    let tensors = layout.tensors.iter().map(|t| TensorRecord {
        name: t.name.clone(),
        dtype: t.dtype.id(),
        shape: t.shape.clone(),
        start: t.start,
        len: t.len,
    });
    let plain = tensors::put(&tensors.collect::<Vec<_>>());
    let mut bytes = Vec::new();
    varint::put(&mut bytes, plain.len() as u64);
    let mut frame = zstd::compress(&plain, 19)?;
    if plain.len() as u64 > max_unpacked(frame.len() as u64) {
        // Names that are nearly all the same: no reader accepts that many bytes from so few.
        frame = zstd::uncompressed(&plain);
    }
    bytes.extend(frame);
    Ok(Record { tag: tensors::TAG, bytes })
}
