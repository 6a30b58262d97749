//! Sources that are read at offsets, as seekable readers.

use std::io::{self, Read, Seek, SeekFrom};

/// Something of which bytes can be read at any offset: a file behind a protocol, a function of another language.
/// [`Seekable`] makes a reader of it.
pub trait ReadAt {
    /// The number of bytes that there are.
    fn size(&self) -> u64;

    /// Reads bytes from an offset on, and gives their number: fewer than there is room for only where that suits
    /// it, 0 only at the end.
    ///
    /// # Errors
    ///
    /// Those of the source.
    fn read_at(&mut self, offset: u64, out: &mut [u8]) -> io::Result<usize>;
}

/// A source as a seekable reader, which [`crate::Archive`] and [`crate::Decoder`] take.
///
/// ```
/// use nzip::{Archive, ReadAt, Seekable};
/// use std::io;
///
/// /// A file in two halves.
/// struct Halves(Vec<u8>, Vec<u8>);
///
/// impl ReadAt for Halves {
///     fn size(&self) -> u64 {
///         (self.0.len() + self.1.len()) as u64
///     }
///
///     fn read_at(&mut self, offset: u64, out: &mut [u8]) -> io::Result<usize> {
///         let all = self.0.iter().chain(&self.1).skip(offset as usize);
///         Ok(out.iter_mut().zip(all).map(|(to, from)| *to = *from).count())
///     }
/// }
///
/// let mut first = nzip::compress(b"once upon a time", 1)?;
/// let second = first.split_off(9);
/// let mut archive = Archive::new(Seekable::new(Halves(first, second)))?;
/// assert_eq!(archive.read_range(5..9)?, b"upon");
/// # Ok::<(), nzip::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Seekable<R> {
    source: R,
    position: u64,
}

impl<R> Seekable<R> {
    /// A reader that stands at the first byte.
    pub fn new(source: R) -> Self {
        Self { source, position: 0 }
    }

    /// The source.
    pub fn get_ref(&self) -> &R {
        &self.source
    }

    /// The source. The position stays.
    pub fn get_mut(&mut self) -> &mut R {
        &mut self.source
    }

    /// The source.
    pub fn into_inner(self) -> R {
        self.source
    }
}

impl<R: ReadAt> Read for Seekable<R> {
    /// Reads at the position; nothing at the end and behind it. A source that gives more bytes than there is
    /// room for gives an error.
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.source.size().saturating_sub(self.position)).unwrap_or(usize::MAX);
        let wanted = out.len().min(left);
        if wanted == 0 {
            return Ok(0);
        }
        let n = self.source.read_at(self.position, &mut out[..wanted])?;
        if n > wanted {
            return Err(io::Error::other("a source has given more bytes than were wanted"));
        }
        self.position += n as u64;
        Ok(n)
    }
}

impl<R: ReadAt> Seek for Seekable<R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.position = moved(self.position, self.source.size(), to)?;
        Ok(self.position)
    }
}

/// The place to which a reader of `size` bytes moves that stands at `position`. It may lie behind the end.
///
/// # Errors
///
/// A place before the first byte, or behind the largest offset.
pub(crate) fn moved(position: u64, size: u64, to: SeekFrom) -> io::Result<u64> {
    let (base, offset) = match to {
        SeekFrom::Start(at) => (at, 0),
        SeekFrom::End(offset) => (size, offset),
        SeekFrom::Current(offset) => (position, offset),
    };
    let bad = || io::Error::new(io::ErrorKind::InvalidInput, "a place before the first byte");
    base.checked_add_signed(offset).ok_or_else(bad)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives at most three bytes at a time.
    struct Slow(&'static [u8]);

    impl ReadAt for Slow {
        fn size(&self) -> u64 {
            self.0.len() as u64
        }

        fn read_at(&mut self, offset: u64, out: &mut [u8]) -> io::Result<usize> {
            let n = out.len().min(3);
            out[..n].copy_from_slice(&self.0[offset as usize..][..n]);
            Ok(n)
        }
    }

    #[test]
    fn a_source_reads_like_a_file() {
        let mut reader = Seekable::new(Slow(b"0123456789"));
        let mut text = String::new();
        assert_eq!(reader.seek(SeekFrom::End(-4)).unwrap(), 6);
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "6789");
        assert_eq!(reader.seek(SeekFrom::Current(-9)).unwrap(), 1);
        let mut piece = [0; 5];
        reader.read_exact(&mut piece).unwrap();
        assert_eq!(&piece, b"12345");
        assert!(reader.seek(SeekFrom::End(-11)).is_err() && reader.seek(SeekFrom::Current(-7)).is_err());
        assert_eq!(reader.stream_position().unwrap(), 6, "a failed move moves nothing");
        assert_eq!(reader.seek(SeekFrom::Start(1 << 60)).unwrap(), 1 << 60);
        assert_eq!(reader.read(&mut piece).unwrap(), 0);
        assert!(
            reader.seek(SeekFrom::Current(i64::MAX)).is_ok()
                && reader.seek(SeekFrom::Current(i64::MAX)).is_err()
        );
    }

    #[test]
    fn more_bytes_than_wanted_are_an_error() {
        struct Wrong;
        impl ReadAt for Wrong {
            fn size(&self) -> u64 {
                4
            }
            fn read_at(&mut self, _: u64, out: &mut [u8]) -> io::Result<usize> {
                Ok(out.len() + 1)
            }
        }
        assert!(Seekable::new(Wrong).read(&mut [0; 9]).is_err());
    }
}
