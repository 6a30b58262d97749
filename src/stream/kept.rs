//! Members of a family that a reader keeps which reads front to back, because later ones may be coded against them.

use super::inner::{InnerPart, check_base, may_be_base};
use crate::codec::block::Block;
use crate::codec::buffer;
use crate::error::{Error, Result};
use crate::format::member::MemberSection;
use crate::tensor::bases::Bases;
use std::ops::Range;

/// A stream that is a member.
struct Kept {
    /// The raw offset of its first byte in the file.
    start: u64,
    raw: Vec<u8>,
    depth: u64,
    /// The raw ranges in the file that may not belong to bases.
    unfit: Vec<Range<u64>>,
}

/// The members so far.
#[derive(Default)]
pub(super) struct KeptMembers {
    /// The raw bytes of the file that have been decoded, and at the start of the current stream.
    position: u64,
    start: u64,
    /// The member section of the current stream.
    section: Option<MemberSection>,
    /// All members, while they take little memory.
    kept: Vec<Kept>,
    held: u64,
    dropped: bool,
}

impl KeptMembers {
    /// The memory that they take, in bytes.
    pub fn held(&self) -> u64 {
        self.held
    }

    /// Notes the start of a stream.
    pub fn stream(&mut self) {
        (self.start, self.section) = (self.position, None);
    }

    /// Notes the member section of the current stream.
    pub fn member(&mut self, section: MemberSection) {
        if !self.dropped {
            self.held += (section.memory() + size_of::<Kept>()) as u64;
            let (raw, depth, unfit) = (Vec::new(), section.depth, Vec::new());
            self.kept.push(Kept { start: self.start, raw, depth, unfit });
        }
        self.section = Some(section);
    }

    /// Notes a block of the current stream, whose first raw byte in it is at `raw_start`.
    pub fn block(&mut self, block: &Block, raw_start: u64) {
        if self.section.is_none() || may_be_base(block) {
            return;
        }
        if let Some(last) = self.kept.last_mut() {
            let from = self.start + raw_start;
            last.unfit.push(from..from + u64::from(block.header.raw_len));
            self.held += size_of::<Range<u64>>() as u64;
        }
    }

    /// Takes decoded bytes of the current stream. Members that take more than `most` bytes of memory are dropped.
    pub fn take(&mut self, raw: &[u8], most: u64) {
        self.position += raw.len() as u64;
        let Some(last) = self.kept.last_mut().filter(|_| self.section.is_some()) else { return };
        let before = last.raw.capacity();
        let fits = self.held + raw.len() as u64 <= most && last.raw.try_reserve(raw.len()).is_ok();
        self.held += (last.raw.capacity() - before) as u64;
        if !fits {
            *self = Self { kept: Vec::new(), held: 0, dropped: true, section: self.section.take(), ..*self };
            return;
        }
        last.raw.extend_from_slice(raw);
    }

    /// The base of a block of the current stream that lies in an earlier one; `None` where the block has none, or it was
    /// given. It may take `room` bytes, which becomes less.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::Corrupt`] where the base breaks a rule; [`crate::ErrorKind::LimitExceeded`] where members have
    /// been dropped, or there is no room.
    pub fn base(&self, block: &Block, given: &Bases, room: &mut u64) -> Result<Option<Bases>> {
        let Some(section) = self.section.as_ref().filter(|s| s.depth > 0) else { return Ok(None) };
        let part = InnerPart::find(section, self.start, block, &block.all_units(), given)?;
        let Some(part) = part else { return Ok(None) };
        if self.dropped {
            return Err(Error::limit(
                "earlier files of a family take more than a quarter of the memory cap; read at random, they do not",
            ));
        }
        let len = part.len();
        let left = room.checked_sub(len);
        *room =
            left.ok_or_else(|| Error::limit(format!("a base of {len} bytes; the memory cap leaves {room}")))?;
        let (mut bytes, mut at) = (Vec::new(), part.range.start);
        buffer::reserve_exact(&mut bytes, len as usize)?;
        while at < part.range.end {
            let (next, piece) = self.piece(at, &part.range, section.depth)?;
            bytes.extend_from_slice(piece);
            at = next;
        }
        Ok(Some(part.bases(bytes)))
    }

    /// The bytes of a base from `at` on, as far as they lie in one stream.
    fn piece(&self, at: u64, range: &Range<u64>, depth: u64) -> Result<(u64, &[u8])> {
        let number = self.kept.partition_point(|k| k.start + k.raw.len() as u64 <= at);
        let Some(kept) = self.kept.get(number).filter(|k| k.start <= at) else {
            return check_base(None, true, depth).map(|()| (range.end, &[][..]));
        };
        let end = range.end.min(kept.start + kept.raw.len() as u64);
        let touches = kept.unfit.partition_point(|r| r.end <= at);
        let fits = kept.unfit.get(touches).is_none_or(|r| r.start >= end);
        check_base(Some(kept.depth), fits, depth)?;
        Ok((end, &kept.raw[(at - kept.start) as usize..(end - kept.start) as usize]))
    }
}
