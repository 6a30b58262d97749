//! The content of a file of tensors, wherever it is.

use crate::error::{Error, Result};
use crate::format::cursor::{Parse, Parsed};
use std::borrow::Cow;
use std::ops::Range;

/// The bytes of a header that are read first.
const HEAD: u64 = 64 << 10;

/// The content of a whole file, which is read in parts, in any order.
pub trait Content: Send + Sync {
    /// The length in bytes. It does not change, whatever happens to the file.
    fn len(&self) -> u64;

    /// The bytes of a range. Two calls may return different bytes if the file is written to in between.
    ///
    /// # Errors
    ///
    /// Those of reading, also where the file has become shorter; [`crate::ErrorKind::BadArgument`] for a
    /// range that ends past the content; [`crate::ErrorKind::LimitExceeded`] where memory is missing.
    fn read(&self, range: Range<u64>) -> Result<Cow<'_, [u8]>>;

    /// The same bytes, in `buffer` where they are not in memory yet. A buffer that is used for many ranges takes new
    /// memory for the longest one only.
    ///
    /// # Errors
    ///
    /// Those of [`Content::read`].
    fn read_in<'a>(&'a self, range: Range<u64>, buffer: &'a mut Vec<u8>) -> Result<&'a [u8]> {
        match self.read(range)? {
            Cow::Borrowed(bytes) => Ok(bytes),
            Cow::Owned(bytes) => {
                *buffer = bytes;
                Ok(buffer)
            }
        }
    }
}

impl Content for &[u8] {
    fn len(&self) -> u64 {
        <[u8]>::len(self) as u64
    }

    fn read(&self, range: Range<u64>) -> Result<Cow<'_, [u8]>> {
        let (start, end) = (usize::try_from(range.start), usize::try_from(range.end));
        let bytes = start.ok().zip(end.ok()).and_then(|(start, end)| self.get(start..end));
        bytes.map(Cow::Borrowed).ok_or_else(|| outside(&range, <[u8]>::len(self) as u64))
    }
}

impl Content for Vec<u8> {
    fn len(&self) -> u64 {
        Content::len(&self.as_slice())
    }

    fn read(&self, range: Range<u64>) -> Result<Cow<'_, [u8]>> {
        let (start, end) = (usize::try_from(range.start), usize::try_from(range.end));
        let bytes = start.ok().zip(end.ok()).and_then(|(start, end)| self.get(start..end));
        bytes.map(Cow::Borrowed).ok_or_else(|| outside(&range, Vec::len(self) as u64))
    }
}

/// The error for a range that is not inside the content.
pub fn outside(range: &Range<u64>, len: u64) -> Error {
    Error::bad_argument(format!("bytes {}..{} of a file of {len}", range.start, range.end))
}

/// Parses the structure at the start of a range, reading no more of the range than the parser asks for.
///
/// # Errors
///
/// Those of the parser and of reading; [`crate::ErrorKind::Truncated`] where the range ends inside `what`.
pub fn parse<T>(
    content: &dyn Content,
    range: Range<u64>,
    what: &str,
    mut parser: impl FnMut(&[u8]) -> Parsed<T>,
) -> Result<T> {
    let len = range.end - range.start;
    let mut have = HEAD.min(len);
    loop {
        let bytes = content.read(range.start..range.start + have)?;
        match parser(&bytes) {
            // If a count is only read later, the parser may ask for a little more each time.
            Err(Parse::Need(n)) if n as u64 <= len && have < len => {
                have = (n as u64).max(2 * have).min(len);
            }
            parsed => return parsed.map_err(|e| e.at_end(what)),
        }
    }
}
