//! Sources of archives.

use std::ffi::c_void;
use std::io::{self, Read, Seek, SeekFrom};

/// Reads up to `size` bytes from `offset` on into `buffer`. Returns how many: fewer only where that suits it,
/// 0 only at the end, a negative number where reading fails. It is called by the thread that calls the function
/// of the archive. It must not use the archive, and must return: no exceptions, no longjmp.
pub type nzip_readAt =
    Option<unsafe extern "C" fn(user: *mut c_void, offset: u64, buffer: *mut c_void, size: usize) -> i64>;

/// Something to read from and to seek in.
pub trait Source: Read + Seek {}

impl<T: Read + Seek> Source for T {}

/// A function of C as a reader.
pub struct Callback {
    pub read_at: unsafe extern "C" fn(*mut c_void, u64, *mut c_void, usize) -> i64,
    pub user: *mut c_void,
    /// The bytes that there are.
    pub size: u64,
    pub position: u64,
}

impl Read for Callback {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.size.saturating_sub(self.position)).unwrap_or(usize::MAX);
        let wanted = out.len().min(left);
        if wanted == 0 {
            return Ok(0);
        }
        // SAFETY: there is room for so many bytes; the rest is what whoever gave the function answers for.
        let n = unsafe { (self.read_at)(self.user, self.position, out.as_mut_ptr().cast(), wanted) };
        if n < 0 {
            return Err(io::Error::other(format!("read_at has returned {n} at offset {}", self.position)));
        }
        let n = usize::try_from(n).ok().filter(|n| *n <= wanted);
        let n = n.ok_or_else(|| io::Error::other("read_at has returned more bytes than were wanted"))?;
        self.position += n as u64;
        Ok(n)
    }
}

impl Seek for Callback {
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
