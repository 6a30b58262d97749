//! Large zeroed tables in memory of their own, in huge pages where the system has them. Most accesses to such
//! tables are at random places; with small pages, each would also cost a walk through the page tables.
#![allow(unsafe_code)] // anonymous mappings seen as integers

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

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

/// Zeroed memory, at least at a multiple of [`ALIGNMENT`].
#[cfg(any(unix, windows))]
type Memory = mapped::Mapped;
#[cfg(not(any(unix, windows)))]
type Memory = Allocated;

/// The least multiple, in bytes, at which memory starts: that of cache lines.
const ALIGNMENT: usize = 64;

/// A table of a fixed number of items.
pub struct Pages<T> {
    memory: Memory,
    len: usize,
    item: PhantomData<T>,
}

impl<T: Plain> Pages<T> {
    /// A table of `len` items (at least one), all bytes zero.
    ///
    /// # Errors
    /// `LimitExceeded` where the system gives no memory.
    pub fn new(len: usize) -> Result<Self> {
        const { assert!(align_of::<T>() <= ALIGNMENT) };
        let memory = Memory::new(len.saturating_mul(size_of::<T>()))?;
        Ok(Self { memory, len, item: PhantomData })
    }
}

fn no_memory(size: usize, why: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::LimitExceeded, format!("no memory for a table of {size} bytes: {why}"))
}

#[cfg(any(unix, windows))]
mod mapped {
    use crate::Result;
    use memmap2::{MmapMut, MmapOptions};

    /// The size in bytes of a huge page. Tables that are smaller get all their pages at once, on Linux: they are read at
    /// random places before they are written to, and a small page that is read first costs two faults, of which the second
    /// one interrupts all other threads of the process.
    const HUGE: usize = 2 << 20;

    /// An anonymous mapping.
    pub struct Mapped(MmapMut);

    impl Mapped {
        pub fn new(size: usize) -> Result<Self> {
            let mut options = MmapOptions::new();
            options.len(size);
            if size < HUGE {
                options.populate();
            }
            let map = options.map_anon().map_err(|e| super::no_memory(size, e))?;
            #[cfg(target_os = "linux")]
            // Only a hint: failure does not matter.
            let _ = map.advise(memmap2::Advice::HugePage);
            Ok(Self(map))
        }

        pub fn start(&self) -> *const u8 {
            self.0.as_ptr()
        }

        pub fn start_mut(&mut self) -> *mut u8 {
            self.0.as_mut_ptr()
        }
    }
}

/// Memory of the allocator, where the system has no mappings.
#[cfg_attr(all(any(unix, windows), not(test)), allow(dead_code))]
struct Allocated {
    start: NonNull<u8>,
    layout: Layout,
}

#[cfg_attr(all(any(unix, windows), not(test)), allow(dead_code))]
impl Allocated {
    fn new(size: usize) -> Result<Self> {
        let layout = Layout::from_size_align(size.max(1), ALIGNMENT).map_err(|e| no_memory(size, e))?;
        // SAFETY: the layout has a size.
        let start = NonNull::new(unsafe { alloc_zeroed(layout) });
        let start = start.ok_or_else(|| no_memory(size, "the allocator has none"))?;
        Ok(Self { start, layout })
    }

    fn start(&self) -> *const u8 {
        self.start.as_ptr()
    }

    fn start_mut(&mut self) -> *mut u8 {
        self.start.as_ptr()
    }
}

impl Drop for Allocated {
    fn drop(&mut self) {
        // SAFETY: it was allocated with this layout.
        unsafe { dealloc(self.start.as_ptr(), self.layout) };
    }
}

// SAFETY: the memory belongs to the value alone.
unsafe impl Send for Allocated {}
// SAFETY: as above; it is only written to through `&mut`.
unsafe impl Sync for Allocated {}

impl<T: Plain> Deref for Pages<T> {
    type Target = [T];

    #[inline(always)]
    fn deref(&self) -> &[T] {
        // SAFETY: the memory is aligned, holds `len` items and lives as long as `self`; any bytes are valid
        // items.
        unsafe { std::slice::from_raw_parts(self.memory.start().cast(), self.len) }
    }
}

impl<T: Plain> DerefMut for Pages<T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as in `deref`; `self` is borrowed mutably.
        unsafe { std::slice::from_raw_parts_mut(self.memory.start_mut().cast(), self.len) }
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

    #[test]
    fn memory_of_the_allocator_is_zeroed_and_aligned() {
        let mut memory = Allocated::new(1 << 20).unwrap();
        assert_eq!(memory.start() as usize % ALIGNMENT, 0);
        // SAFETY: it holds so many bytes.
        let bytes = unsafe { std::slice::from_raw_parts_mut(memory.start_mut(), 1 << 20) };
        assert!(bytes.iter().all(|&b| b == 0));
        bytes.fill(1);
        assert!(Allocated::new(usize::MAX).is_err());
    }
}
