//! Allocation of memory whose size a file declares.

use crate::error::{Error, Result};

/// Makes `raw` exactly `len` bytes long.
///
/// # Errors
///
/// [`crate::ErrorKind::LimitExceeded`] where the memory cannot be had.
pub fn resize(raw: &mut Vec<u8>, len: usize) -> Result<()> {
    let short = || Error::limit(format!("not enough memory for {len} bytes"));
    if raw.capacity() == 0 {
        // Memory that the system hands out as zeros is first touched by the threads that fill it.
        *raw = bytemuck::allocation::try_zeroed_vec(len).map_err(|()| short())?;
        return Ok(());
    }
    raw.try_reserve_exact(len.saturating_sub(raw.len())).map_err(|_| short())?;
    raw.resize(len, 0);
    Ok(())
}

/// Makes room for `more` bytes.
///
/// # Errors
///
/// [`crate::ErrorKind::LimitExceeded`] where the memory cannot be had.
pub fn reserve(raw: &mut Vec<u8>, more: usize) -> Result<()> {
    // Not exactly `more`: a buffer that several blocks are appended to must not be moved for each of them.
    raw.try_reserve(more).map_err(|_| Error::limit(format!("not enough memory for {more} bytes")))
}

/// Makes room for exactly `more` bytes.
///
/// # Errors
///
/// [`crate::ErrorKind::LimitExceeded`] where the memory cannot be had.
pub fn reserve_exact(raw: &mut Vec<u8>, more: usize) -> Result<()> {
    raw.try_reserve_exact(more).map_err(|_| Error::limit(format!("not enough memory for {more} bytes")))
}
