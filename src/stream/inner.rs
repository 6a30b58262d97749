//! Bases that lie in earlier streams of the same file (`formats/family.md`), as both readers see them.

use crate::codec::Codec;
use crate::codec::block::Block;
use crate::codec::tensor::{base_of, is_widened};
use crate::error::{Error, Result};
use crate::format::checksum::hex;
use crate::format::member::MemberSection;
use crate::tensor::bases::Bases;
use std::ops::Range;

/// The most raw bytes of a plain block that may be a base: reading any byte of it decodes all before it.
const MOST_PLAIN: u32 = 1 << 20;

/// The part of a base that units of a block need.
pub(super) struct InnerPart {
    hash: [u8; 32],
    /// The length of the whole base in bytes, and how many of them come before the part.
    len: u64,
    before: u64,
    /// The raw range of the part in the file.
    pub range: Range<u64>,
}

impl InnerPart {
    /// Finds the part of its base that some units of a block need, with the section of the block's stream, whose first
    /// raw byte in the file is at `start`. `None` where the block has no base, the base is among those given, or it is not
    /// in the file.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::Corrupt`] where the base is too short.
    pub fn find(
        section: &MemberSection,
        start: u64,
        block: &Block,
        units: &Range<usize>,
        given: &Bases,
    ) -> Result<Option<Self>> {
        let Some(reference) = base_of(block).filter(|r| given.find(&r.hash).is_none()) else {
            return Ok(None);
        };
        let Some(range) = section.find(&reference.hash, start) else { return Ok(None) };
        let len = range.end - range.start;
        let place = |at: u64| {
            let at = reference.offset.checked_add(at).and_then(|at| reference.rounding.base_len(at));
            let hash = hex(&reference.hash);
            at.filter(|at| *at <= len).ok_or_else(|| Error::corrupt(format!("the base {hash} is too short")))
        };
        place(block.header.raw_len.into())?;
        let raw_of = |units: Range<usize>| units.map(|i| block.unit(i).0 as u64).sum::<u64>();
        let from = raw_of(0..units.start);
        let (from, to) = (place(from)?, place(from + raw_of(units.clone()))?);
        let range = range.start + from..range.start + to;
        Ok(Some(Self { hash: reference.hash, len, before: from, range }))
    }

    /// The bytes of the part.
    pub fn len(&self) -> u64 {
        self.range.end - self.range.start
    }

    /// Bases that take the place of those that were given: the part, of which these are the bytes.
    pub fn bases(&self, bytes: Vec<u8>) -> Bases {
        Bases::part(self.hash, self.len, self.before, bytes)
    }
}

/// Whether bytes of this block may be those of a base in the same file: they decode in little time, and a base
/// is never much longer than what is coded against it.
pub(super) fn may_be_base(block: &Block) -> bool {
    match block.codec.id() {
        Codec::Tensor => !is_widened(block),
        Codec::Zstd | Codec::Store => block.header.raw_len <= MOST_PLAIN,
        _ => false,
    }
}

/// Checks that bytes may belong to a base for a stream of this depth: the depth of the stream in which they lie, if it is
/// a member, and whether their block fits.
///
/// # Errors
///
/// [`crate::ErrorKind::Corrupt`] where they may not.
pub(super) fn check_base(of: Option<u64>, fits: bool, depth: u64) -> Result<()> {
    match of {
        Some(of) if of < depth && fits => Ok(()),
        Some(of) if of < depth => Err(Error::corrupt("a base in a block that may not be one")),
        _ => Err(Error::corrupt(format!("a base in a stream whose depth is not below {depth}"))),
    }
}
