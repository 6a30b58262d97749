//! Bytes of Python objects, without copies.
#![allow(unsafe_code)]

use pyo3::buffer::PyUntypedBuffer;
use pyo3::exceptions::PyBufferError;
use pyo3::prelude::*;
use std::slice;

/// The bytes of an object that has a buffer: `bytes`, `bytearray`, `memoryview`, arrays. The object cannot be freed or resized
/// while this value lives.
///
/// Whoever writes to the object meanwhile gets a result that is of no use: what is read twice may differ.
pub struct Bytes(PyUntypedBuffer);

impl Bytes {
    /// The buffer of an object; refuses one whose bytes do not lie one after the other.
    pub fn of(object: &Bound<'_, PyAny>) -> PyResult<Self> {
        let buffer = PyUntypedBuffer::get(object)?;
        if !buffer.is_c_contiguous() {
            return Err(PyBufferError::new_err("a contiguous buffer is wanted"));
        }
        Ok(Self(buffer))
    }

    /// The bytes.
    pub fn get(&self) -> &[u8] {
        if self.0.len_bytes() == 0 {
            return &[];
        }
        // SAFETY: the buffer is contiguous, and its exporter keeps so many bytes there until the buffer is released, which
        // `self` does when it is dropped. Bytes have no invalid values. Writes by other threads of the interpreter while the
        // slice lives are excluded by the documentation, as for all of Python's compressors.
        unsafe { slice::from_raw_parts(self.0.buf_ptr().cast::<u8>(), self.0.len_bytes()) }
    }
}

impl AsRef<[u8]> for Bytes {
    fn as_ref(&self) -> &[u8] {
        self.get()
    }
}

/// The same to be written to.
pub struct Room(PyUntypedBuffer);

impl Room {
    /// The buffer of an object; refuses one that is read only, or whose bytes do not lie one after the other.
    pub fn of(object: &Bound<'_, PyAny>) -> PyResult<Self> {
        let buffer = PyUntypedBuffer::get(object)?;
        if buffer.readonly() || !buffer.is_c_contiguous() {
            return Err(PyBufferError::new_err("a contiguous buffer that can be written to is wanted"));
        }
        Ok(Self(buffer))
    }

    /// The bytes.
    pub fn get(&mut self) -> &mut [u8] {
        if self.0.len_bytes() == 0 {
            return &mut [];
        }
        // SAFETY: as for `Bytes::get`; the buffer is no read-only one, and `self` is borrowed for as long as the slice lives.
        unsafe { slice::from_raw_parts_mut(self.0.buf_ptr().cast::<u8>(), self.0.len_bytes()) }
    }
}
