//! Decodes tiles of `tensor` blocks on a GPU.

use super::pack::{Exception, LEFT, PackedBlock, TILE_WORDS, entry, fits};
use crate::codec::tensor::TileDecoder;
use crate::codec::tensor::tiles::decode_on_cpu;
use crate::error::Result;
use crate::format::block::{BlockHeader, Units};
use crate::gpu::context::{Gpu, Reading, Shader};
use crate::gpu::device::TensorBuffer;
use crate::gpu::fault::{Fault, Outcome};
use crate::gpu::words::{to_bytes, to_words};
use std::ops::Range;

/// The raw bytes of a batch, which is read back as a whole.
const BATCH_RAW: usize = 16 << 20;
/// Batches have a multiple of this many tiles, so that each starts at a word of the result.
const ALIGNED: usize = 4;
/// The threads of a workgroup of `merge` and `except`.
const THREADS: usize = 256;

/// The most tiles of a batch: the workgroups of a dispatch.
const MAX_TILES: usize = 65535 / ALIGNED * ALIGNED;

/// The kernels, in order, and the bindings that each uses.
const KERNELS: [&str; 3] = ["symbols", "except", "merge"];
const USES: [&[u32]; 3] = [&[0, 1, 2, 3, 4, 7], &[3, 5, 7], &[0, 1, 3, 5, 6, 7]];
const SOURCE: [&str; 3] =
    [include_str!("tiles.wgsl"), include_str!("symbols.wgsl"), include_str!("merge.wgsl")];

/// Copies verified raw bytes to the GPU.
pub fn upload(gpu: &Gpu, raw: &[u8]) -> Outcome<TensorBuffer> {
    let buffer = gpu.upload(&to_words(raw).collect::<Vec<_>>())?;
    gpu.check()?;
    Ok(TensorBuffer { buffer, len: raw.len() as u64 })
}

/// Decodes some tiles of a block whose parameters fit, with the same results as
/// [`crate::codec::tensor::tiles::decode`].
pub fn tiles(
    gpu: &Gpu,
    decoder: &TileDecoder,
    header: &BlockHeader,
    payload: &[u8],
    units: Range<usize>,
    raw: &mut [u8],
) -> Outcome<(usize, Result<()>)> {
    tiles_in_batches(gpu, decoder, header, payload, units, raw, BATCH_RAW)
}

/// Does the same in batches of about `batch` raw bytes.
pub fn tiles_in_batches(
    gpu: &Gpu,
    decoder: &TileDecoder,
    header: &BlockHeader,
    payload: &[u8],
    units: Range<usize>,
    raw: &mut [u8],
    batch: usize,
) -> Outcome<(usize, Result<()>)> {
    let run = TileRun::new(gpu, decoder, header, payload, units.clone(), raw.len())?;
    let decoded = run.decode(raw, batch)?;
    Ok(decode_on_cpu(decoder, header, payload, units.clone(), raw, |i| decoded[i - units.start]))
}

/// Decodes the same tiles and leaves their raw bytes on the GPU.
pub fn resident(
    gpu: &Gpu,
    decoder: &TileDecoder,
    header: &BlockHeader,
    payload: &[u8],
    units: Range<usize>,
) -> Outcome<Result<TensorBuffer>> {
    let len: usize = units.clone().map(|i| header.units.unit(i, header.raw_len).0).sum();
    let mut raw = Vec::new();
    if let Err(e) = crate::codec::buffer::resize(&mut raw, len) {
        return Ok(Err(e));
    }
    let run = TileRun::new(gpu, decoder, header, payload, units.clone(), len)?;
    let decoded = run.decode(&mut raw, BATCH_RAW)?;
    let (_, result) =
        decode_on_cpu(decoder, header, payload, units.clone(), &mut raw, |i| decoded[i - units.start]);
    if let Err(e) = result {
        return Ok(Err(e));
    }
    for (i, _) in decoded.iter().enumerate().filter(|d| !d.1) {
        let tile = run.range(i);
        let words = tile.start / 4..tile.end.div_ceil(4);
        let bytes = &raw[4 * words.start..len.min(4 * words.end)];
        gpu.write_at(&run.raw, words.start, &to_words(bytes).collect::<Vec<_>>());
    }
    gpu.check()?;
    Ok(Ok(TensorBuffer { buffer: run.raw, len: len as u64 }))
}

/// The tiles of one call.
struct TileRun<'a> {
    gpu: &'a Gpu,
    decoder: &'a TileDecoder,
    header: &'a BlockHeader,
    payload: &'a [u8],
    units: Range<usize>,
    /// The raw bytes of a tile, and of all tiles.
    tile: usize,
    len: usize,
    block: PackedBlock,
    model: wgpu::Buffer,
    raw: wgpu::Buffer,
    shaders: Vec<Shader>,
}

/// Tiles whose work has been started.
struct TileBatch {
    tiles: Range<usize>,
    raw: Reading,
    corrupt: Reading,
    /// For each tile, whether the GPU decodes it.
    taken: Vec<bool>,
}

impl<'a> TileRun<'a> {
    fn new(
        gpu: &'a Gpu,
        decoder: &'a TileDecoder,
        header: &'a BlockHeader,
        payload: &'a [u8],
        units: Range<usize>,
        len: usize,
    ) -> Outcome<Self> {
        let Units::Tiles { raw: tile, .. } = &header.units else {
            return Err(Fault::new("a block without tiles is not for the GPU"));
        };
        let tile = *tile as usize;
        if !fits(decoder.params()) || !tile.is_multiple_of(decoder.params().group) {
            return Err(Fault::new("tensors of this kind are not for the GPU"));
        }
        let source = SOURCE.concat();
        let shaders: Vec<Shader> =
            KERNELS.iter().map(|name| gpu.shader(&source, name)).collect::<Outcome<_>>()?;
        let block = PackedBlock::new(decoder);
        let model = gpu.upload(&block.model)?;
        let raw = gpu.zeroed(len.div_ceil(4))?;
        Ok(Self { gpu, decoder, header, payload, units, tile, len, block, model, raw, shaders })
    }

    /// The raw bytes of tile i of this call.
    fn range(&self, i: usize) -> Range<usize> {
        i * self.tile..self.len.min((i + 1) * self.tile)
    }

    /// Decodes all tiles in batches of about `batch` raw bytes. Returns for each tile whether it has been
    /// decoded.
    fn decode(&self, raw: &mut [u8], batch: usize) -> Outcome<Vec<bool>> {
        let step = (batch / self.tile).next_multiple_of(ALIGNED).clamp(ALIGNED, MAX_TILES);
        let mut batches = Vec::new();
        let mut payload = self.payload;
        for start in (0..self.units.len()).step_by(step) {
            let tiles = start..self.units.len().min(start + step);
            batches.push(self.launch(tiles, &mut payload)?);
        }
        let (mut decoded, mut bytes) = (Vec::new(), 0);
        for batch in batches {
            let range = self.range(batch.tiles.start).start..self.range(batch.tiles.end - 1).end;
            let words = self.gpu.finish_read(batch.raw)?;
            to_bytes(&words, &mut raw[range]);
            let corrupt = self.gpu.finish_read(batch.corrupt)?;
            for ((i, taken), corrupt) in batch.tiles.zip(batch.taken).zip(corrupt) {
                let done = taken && corrupt == 0;
                bytes += if done { self.range(i).len() as u64 } else { 0 };
                decoded.push(done);
            }
        }
        self.gpu.count(bytes, 0, 0);
        Ok(decoded)
    }

    /// Starts the work on some tiles. Takes their payloads off the start of `rest`.
    fn launch(&self, tiles: Range<usize>, rest: &mut &[u8]) -> Outcome<TileBatch> {
        let element = self.decoder.params().group;
        let (mut entries, mut taken) = (Vec::new(), Vec::new());
        let (mut payload, mut exceptions) = (Vec::new(), Vec::new());
        let mut numbers = 0;
        for i in tiles.clone() {
            let unit = self.units.start + i;
            let (bytes, after) = rest.split_at(self.header.units.payload_len(unit).unwrap_or(0) as usize);
            *rest = after;
            let (first, len) = ((unit * self.tile / element) as u64, self.range(i).len());
            let found = entry(self.decoder, bytes, first, len, payload.len(), numbers, &mut exceptions);
            taken.push(found.is_some());
            entries.extend(found.unwrap_or(LEFT));
            if found.is_some() {
                payload.extend_from_slice(bytes);
                numbers += len / element;
            }
        }
        let raw = self.range(tiles.start).start..self.range(tiles.end - 1).end;
        let corrupt = self.dispatch(
            &entries,
            &to_words(&payload).collect::<Vec<_>>(),
            &exceptions,
            numbers,
            raw.clone(),
        )?;
        Ok(TileBatch {
            raw: self.gpu.start_read_from(&self.raw, raw.start / 4, raw.len().div_ceil(4))?,
            corrupt: self.gpu.start_read(&corrupt, tiles.len())?,
            tiles,
            taken,
        })
    }

    fn dispatch(
        &self,
        entries: &[u32],
        payload: &[u32],
        exceptions: &[Exception],
        numbers: usize,
        raw: Range<usize>,
    ) -> Outcome<wgpu::Buffer> {
        let (gpu, element) = (self.gpu, self.decoder.params().group);
        let tiles = entries.len() / TILE_WORDS;
        let mut uniform = self.block.uniform.clone();
        let elements = raw.len() / element;
        uniform.extend([self.tile / element, elements, raw.start / 4, exceptions.len()].map(|n| n as u32));
        let pairs: Vec<u32> = exceptions.iter().flat_map(|e| [e.0, e.1]).chain([0, 0]).collect();
        let (payload, entries) = (gpu.upload(payload)?, gpu.upload(entries)?);
        let (numbers, corrupt) = (gpu.zeroed(numbers)?, gpu.zeroed(tiles)?);
        let (pairs, uniform) = (gpu.upload(&pairs)?, gpu.uniform(&uniform)?);
        let buffers = [&payload, &entries, &self.model, &numbers, &corrupt, &pairs, &self.raw, &uniform];
        let groups = |threads: usize| threads.div_ceil(THREADS);
        let workgroups = [tiles, groups(exceptions.len()), groups(raw.len().div_ceil(4))];
        for (i, (shader, count)) in self.shaders.iter().zip(workgroups).enumerate().filter(|k| k.1.1 > 0) {
            let used: Vec<_> = USES[i].iter().map(|&b| (b, buffers[b as usize])).collect();
            gpu.dispatch(shader, &gpu.bind_numbered(shader, &used), count as u32, 1);
        }
        Ok(corrupt)
    }
}
