//! Determines which sections have arrived completely, for readers that receive bytes piece by piece.

use crate::format::block::BlockHeader;
use crate::format::consts::{KIND_BLOCK, KIND_TRAILER};
use crate::format::cursor::Parse;
use crate::format::header::Header;
use crate::format::section;
use crate::format::trailer::Trailer;

/// Measures sections one after the other.
pub struct Whole {
    /// The longest section that is waited for. A longer one is passed on at once, to be refused.
    most: u64,
    /// Whether a stream header comes next.
    between_streams: bool,
    /// The least length of the next section in bytes.
    needed: usize,
    /// Whether the bytes are not sections, so that waiting for more is useless.
    broken: bool,
    /// Whether what stands behind the first stream is left alone.
    single: bool,
    /// The first stream has ended, and what stands behind it is left alone.
    ended: bool,
}

impl Whole {
    /// Starts at the beginning of a stream. `most` is the longest section to wait for.
    pub fn new(most: u64) -> Self {
        Self { most, between_streams: true, needed: 1, broken: false, single: false, ended: false }
    }

    /// The same, which takes nothing behind the first stream.
    pub fn one_stream(self) -> Self {
        Self { single: true, ..self }
    }

    /// Whether the one stream that is to be taken has ended.
    pub fn ended(&self) -> bool {
        self.ended
    }

    /// The total length of the complete sections at the start of `bytes`, which must begin where the sections
    /// counted by earlier calls end. Counts them.
    pub fn take(&mut self, bytes: &[u8]) -> usize {
        let mut at = 0;
        while !self.broken && !self.ended && bytes.len() - at >= self.needed {
            let rest = &bytes[at..];
            match self.section(rest) {
                Ok(len) if len > self.most => self.broken = true,
                Ok(len) if len <= rest.len() as u64 => {
                    self.between_streams = !self.between_streams && rest[0] == KIND_TRAILER;
                    self.ended = self.single && self.between_streams;
                    at += len as usize;
                    self.needed = 1;
                }
                Ok(len) => self.needed = len as usize,
                Err(Parse::Need(n)) => self.needed = n.max(rest.len() + 1),
                Err(Parse::Bad(_)) => self.broken = true,
            }
        }
        if self.broken { bytes.len() } else { at }
    }

    fn section(&self, bytes: &[u8]) -> Result<u64, Parse> {
        if self.between_streams {
            return Ok(Header::parse(bytes)?.1 as u64);
        }
        Ok(match bytes[0] {
            KIND_TRAILER => Trailer::parse(bytes)?.1 as u64,
            KIND_BLOCK => {
                let (header, len) = BlockHeader::parse(bytes)?;
                len as u64 + u64::from(header.payload_len)
            }
            _ => section::Start::parse(bytes)?.total(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_are_handed_on_when_they_are_whole() {
        let one = crate::compress(&[7; 5000], 1).unwrap();
        let packed = [&one[..], &one].concat();
        let mut whole = Whole::new(1 << 20);
        let (mut start, mut ends) = (0, Vec::new());
        for end in 0..=packed.len() {
            let n = whole.take(&packed[start..end]);
            if n > 0 {
                start += n;
                assert_eq!(start, end, "as soon as the last byte has come");
                ends.push(start);
            }
        }
        assert!(ends.contains(&one.len()) && ends.last() == Some(&packed.len()));
        assert_eq!(ends.len() % 2, 0);
        assert_eq!(Whole::new(1 << 20).take(&packed), packed.len());
        assert_eq!(Whole::new(1 << 20).take(b"no stream at all"), 16);
        assert_eq!(Whole::new(10).take(&packed[..packed.len() / 4]), packed.len() / 4);
    }
}
