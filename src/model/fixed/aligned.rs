//! Buffers that start on a cache line, so that no aligned vector load touches two of them.

use std::ops::{Deref, DerefMut};

use crate::error::{Error, ErrorKind, Result};

/// The bytes of a cache line.
const LINE: usize = 64;

/// A fixed-length slice of numbers whose first element lies on a 64-byte boundary.
#[derive(Debug)]
pub struct Aligned<T> {
    data: Vec<T>,
    start: usize,
    len: usize,
}

impl<T: Copy + Default> Aligned<T> {
    /// A slice of `len` zeros.
    ///
    /// # Errors
    /// `LimitExceeded` where memory is missing.
    pub fn zeroed(len: usize) -> Result<Self> {
        let mut data = Vec::new();
        let padded = len + LINE / size_of::<T>();
        data.try_reserve_exact(padded).map_err(|_| {
            Error::new(
                ErrorKind::LimitExceeded,
                format!("no memory for {padded} numbers of a language model"),
            )
        })?;
        data.resize(padded, T::default());
        let start = data.as_ptr().align_offset(LINE).min(padded - len);
        Ok(Self { data, start, len })
    }
}

impl<T> Deref for Aligned<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.data[self.start..self.start + self.len]
    }
}

impl<T> DerefMut for Aligned<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.data[self.start..self.start + self.len]
    }
}
