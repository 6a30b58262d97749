//! Reading of tensors, or some of their rows.

use super::Archive;
use super::runs::Runs;
use crate::codec::Codec;
use crate::codec::block::Block;
use crate::error::{Error, Result};
use crate::format::block::Units;
use crate::gpu::TensorBuffer;
use crate::stream::options::{CHUNK, SHORT_CONTENT};
use crate::tensor::{Dtype, Layout, TensorInfo};
use std::io::{Read, Seek};
use std::ops::Range;

/// A tensor of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoredTensor {
    /// The tensor's name.
    pub name: String,
    /// The type of its elements.
    pub dtype: Dtype,
    /// Its dimensions, the one that varies fastest last.
    pub shape: Vec<u64>,
    /// The offset of its first raw byte in the whole content.
    pub raw_start: u64,
    /// The number of its raw bytes.
    pub raw_len: u64,
    /// The number of bytes of the file that hold it. Of a block that it shares with other tensors, its share
    /// counts.
    pub stored_len: u64,
    /// How it is coded, in words.
    pub method: String,
    /// The name of the file in which it is, if the archive is a family.
    pub member: Option<String>,
}

/// The tensors that have a certain name.
#[derive(Debug, Clone, Copy)]
pub(super) enum Named {
    One(usize),
    Many,
}

/// One tensor of an [`Archive`], ready to be read.
#[derive(Debug)]
pub struct TensorReader<'a, S> {
    archive: &'a mut Archive<S>,
    number: usize,
}

impl<S: Read + Seek> Archive<S> {
    /// The tensors of the file, in the order of their bytes.
    ///
    /// A file of one block without names is decoded and searched for tensors, since a small file of tensors
    /// may be stored that way.
    ///
    /// # Errors
    ///
    /// Those of reading block headers and, where the content is searched, of [`Archive::read_range`].
    pub fn tensors(&mut self) -> Result<Vec<StoredTensor>> {
        self.look()?;
        // Many tensors may lie in one block.
        let mut last = None;
        (0..self.tensors.len()).map(|i| self.stored_tensor(i, &mut last)).collect()
    }

    /// The name, type, shape and place of the tensors that the index names. Does not read any block.
    pub fn tensor_infos(&self) -> &[TensorInfo] {
        &self.tensors
    }

    /// The tensor with this name.
    ///
    /// ```
    /// # use std::io::Cursor;
    /// use nzip::tensor::Dtype;
    /// let raw: Vec<u8> = (0..4000u32).flat_map(|i| (i as f32 * 0.5).to_le_bytes()).collect();
    /// let packed = nzip::compress_with(&raw, nzip::Options::new().tensor(Dtype::F32, &[40, 100], 0))?;
    /// let mut archive = nzip::Archive::new(Cursor::new(packed))?;
    /// let rows = archive.tensor("data")?.rows(3..5)?;
    /// assert_eq!(rows, raw[3 * 400..5 * 400]);
    /// # Ok::<(), nzip::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::BadArgument`] where no tensor has this name, or more than one; those of
    /// [`Archive::tensors`]. Of a family, `MEMBER:NAME` tells tensors of the same name apart: the file, or a
    /// folder in which it is the only one with such a tensor.
    pub fn tensor(&mut self, name: &str) -> Result<TensorReader<'_, S>> {
        self.look()?;
        match self.names.get(name).copied() {
            Some(Named::One(number)) => Ok(TensorReader { archive: self, number }),
            found => match self.tensor_of_member(name)[..] {
                [number] => Ok(TensorReader { archive: self, number }),
                [] if found.is_none() => Err(Error::bad_argument(format!("no tensor is called {name:?}"))),
                _ => Err(Error::bad_argument(format!("more than one tensor is called {name:?}"))),
            },
        }
    }

    /// The tensors for which `MEMBER:NAME` stands, where `MEMBER` is the name of a file of a family, or of a folder that
    /// holds it.
    fn tensor_of_member(&self, name: &str) -> Vec<usize> {
        let cuts = name.match_indices(':').map(|(at, _)| (&name[..at], &name[at + 1..]));
        let cuts = cuts.filter(|(_, rest)| self.names.contains_key(*rest)).collect::<Vec<_>>();
        let found = self.tensors.iter().enumerate().filter(|(_, t)| {
            let member = self.member_of(t);
            let is_in = |of: &str| {
                member
                    .and_then(|m| m.strip_prefix(of))
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            };
            cuts.iter().any(|(of, rest)| t.name == *rest && is_in(of))
        });
        found.map(|(number, _)| number).collect()
    }

    /// The index in [`Archive::tensors`] of the tensor with this name.
    ///
    /// # Errors
    ///
    /// Those of [`Archive::tensor`].
    pub fn tensor_number(&mut self, name: &str) -> Result<usize> {
        Ok(self.tensor(name)?.number)
    }

    /// The tensor with this index in [`Archive::tensors`], for tensors whose name is not unique.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::BadArgument`] where there is no such tensor; those of [`Archive::tensors`].
    pub fn tensor_at(&mut self, number: usize) -> Result<TensorReader<'_, S>> {
        self.look()?;
        let count = self.tensors.len();
        if number >= count {
            return Err(Error::bad_argument(format!("tensor {number} of {count}")));
        }
        Ok(TensorReader { archive: self, number })
    }

    /// Records tensors.
    pub(super) fn name(&mut self, tensors: Vec<TensorInfo>) {
        self.names.clear();
        for (number, t) in tensors.iter().enumerate() {
            let entry = self.names.entry(t.name.clone());
            entry.and_modify(|e| *e = Named::Many).or_insert(Named::One(number));
        }
        self.tensors = tensors;
    }

    /// Searches the content for tensors, if the file is one block and names none.
    pub(crate) fn look(&mut self) -> Result<()> {
        if let Some(e) = &self.names_error {
            return Err(e.again());
        }
        if self.looked || !self.tensors.is_empty() || self.block_count() != 1 || self.len() > CHUNK as u64 {
            return Ok(());
        }
        let place = self.streams.iter().position(|s| !s.blocks.is_empty()).unwrap_or(0);
        let header = self.own_header(place, 0)?.0;
        let quick = [Codec::Store.id(), Codec::Zstd.id()].contains(&header.codec);
        // Encoders try other codecs for short contents, where they cost little time.
        if quick || self.len() <= SHORT_CONTENT && header.model.is_none() {
            let raw = self.read_range(0..self.len())?;
            self.name(Layout::read(&raw).map(|l| l.tensors).unwrap_or_default());
        }
        self.looked = true;
        Ok(())
    }

    fn stored_tensor(
        &mut self,
        number: usize,
        last: &mut Option<((usize, usize), String)>,
    ) -> Result<StoredTensor> {
        let t = self.tensors[number].clone();
        let (mut stored_len, mut methods) = (0, Vec::new());
        for (stream, block) in self.blocks_of(&(t.start..t.end())) {
            let place = self.streams[stream].blocks[block];
            let part = t.end().min(place.raw_end()) - t.start.max(place.raw_start);
            stored_len +=
                (u128::from(place.stored_len) * u128::from(part) / u128::from(place.raw_len)) as u64;
            let method = match last {
                Some((of, method)) if *of == (stream, block) => method.clone(),
                _ => {
                    self.expect_headers(stream, block)?;
                    let header = self.own_header(stream, block)?.0;
                    Block::check(header).map_or_else(|_| "?".into(), |block| self.described(stream, &block))
                }
            };
            *last = Some(((stream, block), method.clone()));
            if !methods.contains(&method) {
                methods.push(method);
            }
        }
        let member = self.member_of(&t).map(String::from);
        let TensorInfo { name, dtype, shape, start, len } = t;
        let method = methods.join("; ");
        Ok(StoredTensor { member, name, dtype, shape, raw_start: start, raw_len: len, stored_len, method })
    }
}

impl<S: Read + Seek> Archive<S> {
    /// How a block is coded, with the member that holds its base.
    fn described(&self, stream: usize, block: &Block) -> String {
        let described = block.describe();
        self.base_name(stream, block).map_or(described.clone(), |name| format!("{described} in {name}"))
    }
}

impl<S: Read + Seek> TensorReader<'_, S> {
    /// The name, type, shape and place.
    pub fn info(&self) -> &TensorInfo {
        &self.archive.tensors[self.number]
    }

    /// The bytes of all elements.
    ///
    /// # Errors
    ///
    /// Those of [`Archive::read_range`].
    pub fn read(&mut self) -> Result<Vec<u8>> {
        let len = self.info().len;
        if len > self.archive.options.resources.memory {
            let cap = self.archive.options.resources.memory;
            return Err(Error::limit(format!("a tensor of {len} bytes; the cap is {cap}")));
        }
        let mut out = Vec::new();
        crate::codec::buffer::resize(&mut out, len as usize)?;
        self.read_into(&mut out)?;
        Ok(out)
    }

    /// Decodes all elements into `out`, which must have exactly their length.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::BadArgument`] for another length, and all errors of decoding.
    pub fn read_into(&mut self, out: &mut [u8]) -> Result<()> {
        let (start, len) = (self.info().start, self.info().len);
        if out.len() as u64 != len {
            return Err(Error::bad_argument(format!(
                "room for {len} bytes expected, for {} given",
                out.len()
            )));
        }
        self.archive.read_into(start, out)
    }

    /// Decodes all elements into a buffer of the GPU given by [`crate::DecodeOptions::device`]. A tensor that
    /// is one block of tiles for which there are kernels is decoded there; any other is decoded as by
    /// [`Self::read`] and copied. `nzip::wgpu30` gives access to the buffer's memory.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::BadArgument`] where the archive has no GPU; [`crate::ErrorKind::Device`] where the
    /// GPU fails; those of [`Self::read`].
    pub fn read_to_gpu(&mut self) -> Result<TensorBuffer> {
        let device = self.archive.options.resources.device.clone();
        let gpu = device.opened().ok_or_else(|| Error::bad_argument("no GPU was given to the archive"))?;
        let range = self.info().start..self.info().end();
        if let Some(buffer) = self.archive.resident(range)? {
            return Ok(buffer);
        }
        gpu.upload(&self.read()?)
    }

    /// The number of rows, which is the first dimension; 1 for tensors with fewer than two dimensions.
    pub fn row_count(&self) -> u64 {
        let t = self.info();
        if t.shape.len() < 2 { 1 } else { t.shape[0] }
    }

    /// The bytes of some rows. Decodes the tiles that they touch.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::BadArgument`] for rows that do not exist, and all errors of decoding.
    pub fn rows(&mut self, rows: Range<u64>) -> Result<Vec<u8>> {
        let range = self.range_of(rows)?;
        self.archive.read_range(range)
    }

    /// Decodes some rows into `out`, which must have exactly their length.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::BadArgument`] for another length, and those of [`Self::rows`].
    pub fn rows_into(&mut self, rows: Range<u64>, out: &mut [u8]) -> Result<()> {
        let Range { start, end } = self.range_of(rows)?;
        if out.len() as u64 != end - start {
            let given = out.len();
            return Err(Error::bad_argument(format!(
                "room for {} bytes expected, for {given} given",
                end - start
            )));
        }
        self.archive.read_into(start, out)
    }

    /// The raw range of some rows.
    fn range_of(&self, rows: Range<u64>) -> Result<Range<u64>> {
        let count = self.row_count();
        if rows.start > rows.end || rows.end > count {
            return Err(Error::bad_argument(format!("rows {}..{} of {count}", rows.start, rows.end)));
        }
        let (start, row) = (self.info().start, self.info().row_bytes());
        Ok(start + rows.start * row..start + rows.end * row)
    }

    /// The bytes of rows in any order, one directly after the other. Each tile that they touch is decoded
    /// only once.
    ///
    /// # Errors
    ///
    /// See [`Self::rows`].
    pub fn gather(&mut self, rows: &[u64]) -> Result<Vec<u8>> {
        let (count, start, row) = (self.row_count(), self.info().start, self.info().row_bytes());
        if let Some(bad) = rows.iter().find(|r| **r >= count) {
            return Err(Error::bad_argument(format!("row {bad} of {count}")));
        }
        let bytes = (rows.len() as u64).saturating_mul(row);
        self.archive.allow(bytes, "rows")?;
        let starts: Vec<u64> = rows.iter().map(|r| start + r * row).collect();
        self.archive.read_runs(&starts, row)
    }

    /// The bytes of a part of the tensor: of the elements whose index in each dimension lies in the range
    /// given for it, in the tensor's order. Dimensions without a range are taken whole. Each tile that they
    /// touch is decoded only once.
    ///
    /// Of a cache of keys [layers, heads, tokens, dimension], `slice(&[3..4, 0..heads, 512..768])` gives the
    /// keys of 256 tokens in layer 3.
    ///
    /// ```
    /// # use std::io::Cursor;
    /// use nzip::tensor::Dtype;
    /// let raw: Vec<u8> = (0..24u16).flat_map(|i| i.to_le_bytes()).collect();
    /// let packed = nzip::compress_with(&raw, nzip::Options::new().tensor(Dtype::U16, &[2, 3, 4], 0))?;
    /// let mut archive = nzip::Archive::new(Cursor::new(packed))?;
    /// let part = archive.tensor("data")?.slice(&[1..2, 1..3])?;
    /// assert_eq!(part, raw[2 * 16..]);
    /// # Ok::<(), nzip::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::BadArgument`] for more ranges than dimensions, for indices that do not exist, and
    /// where the elements of a row do not start and end at whole bytes or blocks;
    /// [`crate::ErrorKind::LimitExceeded`] for a result larger than the memory cap; all errors of decoding.
    pub fn slice(&mut self, ranges: &[Range<u64>]) -> Result<Vec<u8>> {
        let runs = Runs::of(self.info(), ranges)?;
        // A place and an order for each run, as well as the result.
        self.archive.allow(runs.count.saturating_mul(runs.len.saturating_add(16)), "a part")?;
        let starts = runs.starts(self.info().start);
        self.archive.read_runs(&starts, runs.len)
    }
}

impl<S: Read + Seek> Archive<S> {
    /// Fails where `what` of this many bytes is more than the memory cap allows.
    pub(super) fn allow(&self, bytes: u64, what: &str) -> Result<()> {
        let cap = self.options.resources.memory;
        if bytes > cap {
            return Err(Error::limit(format!("{what} of {bytes} bytes; the cap is {cap}")));
        }
        Ok(())
    }

    /// The bytes of runs of `len` bytes that start at these raw offsets, one directly after the other. Runs
    /// whose tiles touch are read together.
    fn read_runs(&mut self, starts: &[u64], len: u64) -> Result<Vec<u8>> {
        let mut out = Vec::new();
        crate::codec::buffer::resize(&mut out, starts.len() * len as usize)?;
        // The indices in `starts`, in the order of the file.
        let mut order: Vec<usize> = (0..starts.len()).collect();
        order.sort_unstable_by_key(|i| starts[*i]);
        let mut at = 0;
        while at < order.len() {
            let first = starts[order[at]];
            let mut end = at + 1;
            let mut span = self.tiles_around(first..first + len)?;
            while end < order.len() {
                let next = starts[order[end]];
                if next >= span.end {
                    break;
                }
                if next + len > span.end {
                    span.end = span.end.max(self.tiles_around(next..next + len)?.end);
                }
                end += 1;
            }
            let last = starts[order[end - 1]];
            let read = self.read_range(first..last + len)?;
            for i in &order[at..end] {
                let from = (starts[*i] - first) as usize;
                let to = *i * len as usize;
                out[to..to + len as usize].copy_from_slice(&read[from..from + len as usize]);
            }
            at = end;
        }
        Ok(out)
    }

    /// The raw range of the tiles (or other units) that a range touches. Does not read their payload.
    fn tiles_around(&mut self, range: Range<u64>) -> Result<Range<u64>> {
        let mut around = range.clone();
        for (stream, block) in self.blocks_of(&range) {
            let place = self.streams[stream].blocks[block];
            let size = match &self.checked(stream, block)?.0.header.units {
                Units::Tiles { raw, .. } => u64::from(*raw),
                _ => place.raw_len,
            };
            let inside = |at: u64| at.clamp(place.raw_start, place.raw_end()) - place.raw_start;
            around.start = around.start.min(place.raw_start + inside(range.start) / size * size);
            let end = (inside(range.end).div_ceil(size) * size).min(place.raw_len);
            around.end = around.end.max(place.raw_start + end);
        }
        Ok(around)
    }
}
