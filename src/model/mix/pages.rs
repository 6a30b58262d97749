//! Large zeroed tables in memory of their own, in huge pages where the system has them. Most accesses to such
//! tables are at random places; with small pages, each would also cost a walk through the page tables.
#![allow(unsafe_code)] // anonymous mappings seen as integers

use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};

use memmap2::{MmapMut, MmapOptions};

use crate::{Error, ErrorKind, Result};

/// Types for which every pattern of bytes is a valid value, and whose alignment divides a page.
///
/// # Safety
/// Both must hold for the type.
pub unsafe trait Plain: Copy {}
// SAFETY: integers and arrays of them.
unsafe impl Plain for u8 {}
// SAFETY: as above.
unsafe impl Plain for u16 {}
// SAFETY: as above.
unsafe impl Plain for u32 {}
// SAFETY: as above.
unsafe impl<T: Plain, const N: usize> Plain for [T; N] {}

/// A table of a fixed number of items.
pub struct Pages<T> {
    map: MmapMut,
    len: usize,
    item: PhantomData<T>,
}

impl<T: Plain> Pages<T> {
    /// A table of `len` items (at least one), all bytes zero.
    ///
    /// # Errors
    /// `LimitExceeded` where the system gives no memory.
    pub fn new(len: usize) -> Result<Self> {
        let size = len.saturating_mul(size_of::<T>());
        let map = MmapOptions::new().len(size).map_anon().map_err(|e| {
            Error::new(ErrorKind::LimitExceeded, format!("no memory for a table of {size} bytes: {e}"))
        })?;
        #[cfg(target_os = "linux")]
        // Only a hint: failure does not matter.
        let _ = map.advise(memmap2::Advice::HugePage);
        Ok(Self { map, len, item: PhantomData })
    }
}

impl<T: Plain> Deref for Pages<T> {
    type Target = [T];

    #[inline(always)]
    fn deref(&self) -> &[T] {
        // SAFETY: the mapping starts at a page, holds `len` items and lives as long as `self`; any bytes are
        // valid items.
        unsafe { std::slice::from_raw_parts(self.map.as_ptr().cast(), self.len) }
    }
}

impl<T: Plain> DerefMut for Pages<T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as in `deref`; `self` is borrowed mutably.
        unsafe { std::slice::from_raw_parts_mut(self.map.as_mut_ptr().cast(), self.len) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_start_as_zeros_and_keep_what_is_written() {
        let mut table = Pages::<[u32; 16]>::new(1000).unwrap();
        assert!(table.len() == 1000 && table.as_flattened().iter().all(|&v| v == 0));
        table[999][15] = 7;
        assert_eq!(table[999][15], 7);
        assert!(Pages::<u32>::new(usize::MAX).is_err());
    }
}
