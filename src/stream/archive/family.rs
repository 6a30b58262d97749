//! Files of a family: streams of which later ones are coded against earlier ones (`formats/family.md`).

use super::{Archive, Fetched, place_name};
use crate::codec::block::Block;
use crate::codec::tensor::base_of;
use crate::error::{Error, Result};
use crate::format::checksum::hex;
use crate::progress::Progress;
use crate::stream::content::FileContent;
use crate::stream::inner::{InnerPart, check_base, may_be_base};
use crate::tensor::TensorInfo;
use crate::tensor::bases::Bases;
use crate::tensor::content::Content;
use std::fs::File;
use std::io::{Read, Seek};
use std::ops::Range;

/// The bytes that are decoded at a time to verify a family.
const PIECE: u64 = 16 << 20;

/// A file of a family.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Member {
    /// Its name: a relative path whose parts are separated by `/`, and which never leads upwards.
    pub name: String,
    /// The number of its stream in the archive.
    pub stream: usize,
    /// The offset of its first byte in the content of the archive.
    pub raw_start: u64,
    /// The number of its bytes.
    pub raw_len: u64,
    /// The number of bytes of the archive that hold it.
    pub stored_len: u64,
    /// The BLAKE3 of its bytes, if the archive has it.
    pub hash: Option<[u8; 32]>,
    /// The most other members that are read, one for the other, in order to read a part of this one.
    pub depth: u64,
    /// The members that its tensors are coded against, by their numbers among the members, in rising order.
    pub bases: Vec<usize>,
}

impl<S: Read + Seek> Archive<S> {
    /// The files of a family, in the order of their bytes; empty where the archive is none.
    pub fn members(&self) -> Vec<Member> {
        let mut numbers = vec![None; self.streams.len()];
        let members = self.streams.iter().enumerate().filter(|(_, s)| s.member.is_some());
        members.clone().enumerate().for_each(|(number, (stream, _))| numbers[stream] = Some(number));
        let of = |(stream, s): (usize, &super::map::StreamMap)| {
            let section = s.member.as_ref()?;
            let starts = section.bases.iter().filter_map(|b| s.raw_start.checked_sub(b.back));
            let mut bases: Vec<usize> = starts.filter_map(|at| numbers[self.stream_at(at)]).collect();
            bases.sort_unstable();
            bases.dedup();
            Some(Member {
                name: section.name.clone(),
                stream,
                raw_start: s.raw_start,
                raw_len: s.raw_len,
                stored_len: s.stored_len,
                hash: s.hash,
                depth: section.depth,
                bases,
            })
        };
        members.filter_map(of).collect()
    }

    /// Says that a file holds the bytes of a member, by its number in [`Archive::members`]: bases in this member are then
    /// read from the file, which is quicker than decoding them. Should the file have other bytes, reading what is coded
    /// against them fails.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::BadArgument`] where there is no such member, or it has another length; those of the file.
    pub fn restored(&mut self, member: usize, file: File) -> Result<()> {
        let members = self.members();
        let member = members.get(member).ok_or_else(|| Error::bad_argument(format!("no member {member}")))?;
        let content = FileContent::new(&file)?;
        if content.len() != member.raw_len {
            let (name, expected, found) = (&member.name, member.raw_len, content.len());
            return Err(Error::bad_argument(format!("{name}: {expected} bytes expected, {found} found")));
        }
        self.restored.insert(member.stream, content);
        Ok(())
    }

    /// Whether blocks may be coded against earlier streams, so that reading front to back keeps these in memory.
    pub(in crate::stream) fn has_inner_bases(&self) -> bool {
        self.streams.iter().filter_map(|s| s.member.as_ref()).any(|m| m.depth > 0)
    }

    /// The name of the member in which the base of a block lies, if it lies in the archive.
    pub(super) fn base_name(&self, stream: usize, block: &Block) -> Option<&str> {
        let reference = base_of(block)?;
        let s = &self.streams[stream];
        let range = s.member.as_ref()?.find(&reference.hash, s.raw_start)?;
        Some(&self.streams[self.stream_at(range.start)].member.as_ref()?.name)
    }

    /// The name of the member in which a tensor is.
    pub(super) fn member_of(&self, tensor: &TensorInfo) -> Option<&str> {
        let stream = self.streams.get(self.stream_at(tensor.start))?;
        stream.member.as_ref().map(|m| m.name.as_str())
    }

    /// The stream that holds a raw byte.
    fn stream_at(&self, at: u64) -> usize {
        let after = self.streams.partition_point(|s| s.raw_start + s.raw_len <= at);
        after.min(self.streams.len().saturating_sub(1))
    }

    /// The part of a base in an earlier stream that some units of a block need; `None` where the block has no base,
    /// or the base was given, or is not in the archive.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::Corrupt`] where the base is too short.
    pub(super) fn inner_part(
        &self,
        stream: usize,
        block: &Block,
        units: &Range<usize>,
    ) -> Result<Option<InnerPart>> {
        let s = &self.streams[stream];
        let Some(section) = s.member.as_ref().filter(|m| m.depth > 0) else { return Ok(None) };
        InnerPart::find(section, s.raw_start, block, units, &self.options.resources.bases)
    }

    /// Checks whether a block may belong to a base for a stream of this depth.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::Corrupt`] where it may not.
    pub(super) fn check_base(&self, stream: usize, block: &Block, depth: u64) -> Result<()> {
        let of = self.streams[stream].member.as_ref().map(|m| m.depth);
        check_base(of, may_be_base(block), depth)
    }

    /// Reads the parts of bases that blocks need; `taken` bytes of memory are in use besides. Gives for each block
    /// what takes the place of the bases that were given.
    pub(super) fn inner_bases(&mut self, batch: &[Fetched], taken: u64) -> Result<Vec<Option<Bases>>> {
        let taken = batch.iter().fold(taken, |sum, f| sum.saturating_add(f.held()));
        let mut found = Vec::with_capacity(batch.len());
        for f in batch {
            let Some(part) = &f.base else {
                found.push(None);
                continue;
            };
            let bytes = self.read_base(f.stream, part, taken);
            let bytes =
                bytes.map_err(|e| e.within("a base").within(place_name(f.stream, f.number, &f.place)))?;
            found.push(Some(part.bases(bytes)));
        }
        Ok(found)
    }

    /// Reads the part of a base, while `taken` bytes of memory are in use. Depths fall from base to base, so it comes to
    /// an end.
    fn read_base(&mut self, stream: usize, part: &InnerPart, taken: u64) -> Result<Vec<u8>> {
        let base = self.stream_at(part.range.start);
        if let Some(file) = self.restored.get(&base) {
            let start = self.streams[base].raw_start;
            let read = file.read(part.range.start - start..part.range.end - start);
            return Ok(read?.into_owned());
        }
        let depth = self.streams[stream].member.as_ref().map(|m| m.depth);
        let asking = std::mem::replace(&mut self.asking, depth);
        // The bytes of bases are not those that were asked for.
        let progress = std::mem::replace(&mut self.options.resources.progress, Progress::new());
        let before = self.taken;
        self.taken = before.saturating_add(taken);
        let read = self.range(part.range.clone());
        (self.asking, self.taken, self.options.resources.progress) = (asking, before, progress);
        read
    }

    /// Decodes all streams by ranges, and compares their hashes. Returns the number of raw bytes.
    pub(super) fn verify_by_ranges(&mut self) -> Result<u64> {
        let piece = PIECE.min((self.options.resources.memory / 16).max(1));
        for number in 0..self.streams.len() {
            let mut at = self.streams[number].raw_start;
            let end = at + self.streams[number].raw_len;
            let mut hasher = blake3::Hasher::new();
            while at < end {
                let next = (at + piece).min(end);
                hasher.update(&self.range(at..next)?);
                at = next;
            }
            let (expected, found) = (self.streams[number].hash, *hasher.finalize().as_bytes());
            if let Some(expected) = expected.filter(|e| *e != found) {
                let (expected, found) = (hex(&expected), hex(&found));
                let e = Error::corrupt(format!("stream hash: {expected} expected, {found} found"));
                return Err(e.within(format!("stream {number}")));
            }
        }
        Ok(self.len())
    }
}
