//! Writes files with holes: whole pieces of zeros take no space on disk.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};

/// Bytes of a piece. File systems keep holes of whole pages.
const PIECE: usize = 4096;
const ZEROS: [u8; PIECE] = [0; PIECE];

/// How far a new, empty file has been written, and how many zeros after that have been left out.
#[derive(Debug, Default)]
pub struct Holes {
    /// Bytes so far, zeros included.
    len: u64,
    /// Zeros at the end that the file does not have yet.
    pending: u64,
}

impl Holes {
    /// Writes all of `bytes` after what was written before, leaving out pieces of zeros.
    ///
    /// # Errors
    ///
    /// Those of seeking and writing.
    pub fn write_all(&mut self, file: &mut File, bytes: &[u8]) -> io::Result<()> {
        let first = ((PIECE as u64 - self.len % PIECE as u64) as usize).min(bytes.len());
        // The bytes before the first boundary, then whole pieces and the rest.
        let (head, rest) = bytes.split_at(if self.len.is_multiple_of(PIECE as u64) { 0 } else { first });
        self.put(file, head)?;
        let mut rest = rest;
        while !rest.is_empty() {
            let zeros = rest.chunks_exact(PIECE).take_while(|p| **p == ZEROS).count() * PIECE;
            self.pending += zeros as u64;
            self.len += zeros as u64;
            rest = &rest[zeros..];
            let others = rest.chunks(PIECE).take_while(|p| **p != ZEROS).map(<[u8]>::len).sum();
            self.put(file, &rest[..others])?;
            rest = &rest[others..];
        }
        Ok(())
    }

    fn put(&mut self, file: &mut File, bytes: &[u8]) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        let pending = std::mem::take(&mut self.pending);
        if pending > 0 {
            file.seek(SeekFrom::Current(i64::try_from(pending).map_err(io::Error::other)?))?;
        }
        file.write_all(bytes)?;
        self.len += bytes.len() as u64;
        Ok(())
    }

    /// Sets the file's length, in case it ends with zeros.
    ///
    /// # Errors
    ///
    /// Those of the file.
    pub fn finish(self, file: &File) -> io::Result<()> {
        if self.pending > 0 { file.set_len(self.len) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_the_same_however_they_come() {
        let mut content = vec![0; 3 * PIECE + 100];
        content.extend([1, 2, 3]);
        content.resize(9 * PIECE + 7, 0);
        content.push(4);
        content.resize(12 * PIECE + 5, 0);
        for step in [1000, PIECE, 2 * PIECE + 1, content.len()] {
            let path = tempfile::NamedTempFile::new().unwrap();
            let (mut file, mut holes) = (path.reopen().unwrap(), Holes::default());
            content.chunks(step).for_each(|piece| holes.write_all(&mut file, piece).unwrap());
            holes.finish(&file).unwrap();
            assert!(std::fs::read(path.path()).unwrap() == content, "{step}");
        }
    }
}
