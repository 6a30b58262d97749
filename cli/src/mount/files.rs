//! Reading the files of a mount.

use super::cache::{Cache, Piece};
use super::readers::Readers;
use super::sources::Source;
use super::tree::{Body, Kind, Tree};
use crate::content::Content;
use anyhow::bail;
use nzip::ErrorKind;
use std::ops::Range;
use std::sync::Arc;

/// The most bytes that are decoded ahead of sequential reading.
const MOST_AHEAD: u64 = 16 << 20;

/// All files, and what is needed to read them.
pub struct Files {
    /// Names and attributes.
    pub tree: Tree,
    sources: Vec<Source>,
    readers: Readers,
    cache: Cache,
}

impl Files {
    /// Files that these readers read, with this cache.
    pub fn new(tree: Tree, sources: Vec<Source>, readers: Readers, cache: Cache) -> Self {
        Self { tree, sources, readers, cache }
    }

    /// The source of a file; `None` for folders and unknown numbers.
    pub fn source(&self, number: u64) -> Option<&Source> {
        self.sources.get(self.body(number)?.source)
    }

    fn body(&self, number: u64) -> Option<&Body> {
        match &self.tree.get(number)?.kind {
            Kind::File(body) => Some(body),
            Kind::Folder(_) => None,
        }
    }

    /// The bytes of a part of a file if they are at hand; `None` where something must be read or decoded.
    pub fn at_hand(&self, number: u64, range: Range<u64>) -> Option<Vec<u8>> {
        let body = self.body(number)?;
        let (start, ranges) = body.part(range);
        let mut out = start.to_vec();
        for mut range in ranges {
            while range.start < range.end {
                let piece = self.cache.get(body.source, range.start)?;
                let part = piece.part(&range);
                out.extend_from_slice(part);
                range.start += part.len() as u64;
            }
        }
        Some(out)
    }

    /// The bytes of a part of a file, fewer where the file ends before.
    ///
    /// # Errors
    ///
    /// Those of reading and decoding.
    pub fn read(&self, number: u64, range: Range<u64>) -> anyhow::Result<Vec<u8>> {
        let Some(body) = self.body(number) else { bail!("is no file") };
        let source = &self.sources[body.source];
        let (start, ranges) = body.part(range);
        let mut out = start.to_vec();
        for range in ranges {
            match source.read_plain(&range)? {
                Some(bytes) => out.extend(bytes),
                None => self.read_packed(body.source, range, &mut out)?,
            }
        }
        Ok(out)
    }

    fn read_packed(&self, number: usize, mut range: Range<u64>, out: &mut Vec<u8>) -> anyhow::Result<()> {
        while range.start < range.end {
            match self.piece(number, range.start) {
                Ok(piece) => {
                    let part = piece.part(&range);
                    out.extend_from_slice(part);
                    range.start += part.len() as u64;
                }
                // Perhaps only what nobody wants is damaged.
                Err(_) => {
                    out.extend(self.with(number, |content| Ok(content.read_range(range.clone())?))?);
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// The piece that holds a byte of a source, from the cache or decoded.
    fn piece(&self, number: usize, at: u64) -> anyhow::Result<Arc<Piece>> {
        loop {
            if let Some(piece) = self.cache.wait(number, &(at..at + 1)) {
                return Ok(piece);
            }
            let source = &self.sources[number];
            let decoded = self.with(number, |content| {
                let range = self.range(source, content, at)?;
                let Some(claim) = self.cache.claim(number, range.clone()) else { return Ok(Err(range)) };
                let piece = claim.fulfil(content.read_range(range.clone())?);
                source.decoded(&range);
                Ok(Ok(piece))
            })?;
            match decoded {
                Ok(piece) => return Ok(piece),
                Err(range) => _ = self.cache.wait(number, &range),
            }
        }
    }

    /// The range that is decoded to read a byte. It holds that byte.
    fn range(&self, source: &Source, content: &mut Content, at: u64) -> anyhow::Result<Range<u64>> {
        let mut range = content.around(at)?;
        if !range.contains(&at) {
            bail!("ends before byte {at}");
        }
        let most = self.cache.most() / 2;
        if range.end - range.start > most {
            return Ok(at..range.end.min(at + most.max(1)));
        }
        let ahead = source.ahead(&range, MOST_AHEAD.min(most / 4));
        let wanted = range.end.saturating_add(ahead).min(content.len());
        while range.end < wanted {
            let next = content.around(range.end)?.end;
            if next <= range.end || next - range.start > most {
                break;
            }
            range.end = next;
        }
        Ok(range)
    }

    /// Reads with a share of the memory, and where that is too little with all of it.
    fn with<T>(&self, number: usize, read: impl Fn(&mut Content) -> anyhow::Result<T>) -> anyhow::Result<T> {
        let source = &self.sources[number];
        if !source.is_greedy() {
            match self.readers.with(number, source, false, &read) {
                Err(e) if is_limit(&e) => source.make_greedy(),
                other => return other,
            }
        }
        self.readers.with(number, source, true, &read)
    }
}

fn is_limit(e: &anyhow::Error) -> bool {
    e.downcast_ref::<nzip::Error>().is_some_and(|e| e.kind() == ErrorKind::LimitExceeded)
}
