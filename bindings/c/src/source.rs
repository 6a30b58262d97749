//! Sources of archives.

use nz::ReadAt;
use std::ffi::c_void;
use std::io::{self, Read, Seek};

/// Reads up to `size` bytes from `offset` on into `buffer`. Returns how many: fewer only where that suits it,
/// 0 only at the end, a negative number where reading fails. It is called by the thread that calls the function
/// of the archive. It must not use the archive, and must return: no exceptions, no longjmp.
pub type nzip_readAt =
    Option<unsafe extern "C" fn(user: *mut c_void, offset: u64, buffer: *mut c_void, size: usize) -> i64>;

/// Something to read from and to seek in.
pub trait Source: Read + Seek {}

impl<T: Read + Seek> Source for T {}

/// A function of C as a source.
pub struct Callback {
    pub read_at: unsafe extern "C" fn(*mut c_void, u64, *mut c_void, usize) -> i64,
    pub user: *mut c_void,
    /// The bytes that there are.
    pub size: u64,
}

impl ReadAt for Callback {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&mut self, offset: u64, out: &mut [u8]) -> io::Result<usize> {
        // SAFETY: there is room for so many bytes; the rest is what whoever gave the function answers for.
        let n = unsafe { (self.read_at)(self.user, offset, out.as_mut_ptr().cast(), out.len()) };
        if n < 0 {
            return Err(io::Error::other(format!("read_at has returned {n} at offset {offset}")));
        }
        let n = usize::try_from(n).ok().filter(|n| *n <= out.len());
        n.ok_or_else(|| io::Error::other("read_at has returned more bytes than were wanted"))
    }
}
