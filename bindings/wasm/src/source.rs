//! A file of which JavaScript supplies the parts that are read.
//!
//! Reading a part that is not there fails, and notes which one it was. JavaScript fetches it, which may take its
//! time, and has the same work done again.

use nzip::ReadAt;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
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

/// The file, as far as its parts are there.
pub struct Supplied {
    parts: Rc<RefCell<Parts>>,
    size: u64,
}

impl Supplied {
    pub fn new(parts: Rc<RefCell<Parts>>, size: u64) -> Self {
        Self { parts, size }
    }
}

impl ReadAt for Supplied {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&mut self, offset: u64, out: &mut [u8]) -> io::Result<usize> {
        let mut parts = self.parts.borrow_mut();
        let Some(bytes) = parts.at(offset) else {
            parts.missing.get_or_insert((offset, out.len() as u64));
            return Err(io::Error::other("a part that is still to be fetched"));
        };
        let n = bytes.len().min(out.len());
        out[..n].copy_from_slice(&bytes[..n]);
        Ok(n)
    }
}
