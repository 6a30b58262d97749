//! A file of which JavaScript supplies the parts that are read.
//!
//! Reading a part that is not there fails, and notes which one it was. JavaScript fetches it, which may take its
//! time, and has the same work done again.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{self, Read, Seek, SeekFrom};
use std::rc::Rc;

/// The bytes that are kept from one piece of work to the next.
const KEPT: usize = 8 << 20;

/// The parts that are there.
#[derive(Default)]
pub struct Parts {
    parts: BTreeMap<u64, Vec<u8>>,
    held: usize,
    /// The first part that was missing.
    missing: Option<(u64, u64)>,
}

impl Parts {
    /// Adds a part.
    pub fn supply(&mut self, offset: u64, bytes: &[u8]) {
        self.held += bytes.len();
        if let Some(old) = self.parts.insert(offset, bytes.to_vec()) {
            self.held -= old.len();
        }
    }

    /// The part that was missing, if one was.
    pub fn missing(&mut self) -> Option<(u64, u64)> {
        self.missing.take()
    }

    /// Some work is done: what was read for it is dropped if it is much.
    pub fn done(&mut self) {
        if self.held > KEPT {
            self.parts.clear();
            self.held = 0;
        }
    }

    fn at(&self, offset: u64) -> Option<&[u8]> {
        let mut before = self.parts.range(..=offset).rev();
        before.find_map(|(start, part)| part.get((offset - start) as usize..).filter(|rest| !rest.is_empty()))
    }
}

/// A reader of the parts.
pub struct Supplied {
    parts: Rc<RefCell<Parts>>,
    size: u64,
    position: u64,
}

impl Supplied {
    pub fn new(parts: Rc<RefCell<Parts>>, size: u64) -> Self {
        Self { parts, size, position: 0 }
    }
}

impl Read for Supplied {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let wanted = (out.len() as u64).min(self.size.saturating_sub(self.position));
        if wanted == 0 {
            return Ok(0);
        }
        let mut parts = self.parts.borrow_mut();
        let Some(bytes) = parts.at(self.position) else {
            parts.missing.get_or_insert((self.position, wanted));
            return Err(io::Error::other("a part that is still to be fetched"));
        };
        let n = bytes.len().min(wanted as usize);
        out[..n].copy_from_slice(&bytes[..n]);
        self.position += n as u64;
        Ok(n)
    }
}

impl Seek for Supplied {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let (base, offset) = match to {
            SeekFrom::Start(at) => (at, 0),
            SeekFrom::End(offset) => (self.size, offset),
            SeekFrom::Current(offset) => (self.position, offset),
        };
        let bad = || io::Error::new(io::ErrorKind::InvalidInput, "a place before the first byte");
        self.position = base.checked_add_signed(offset).ok_or_else(bad)?;
        Ok(self.position)
    }
}
