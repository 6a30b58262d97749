//! Tensors of an archive.

use crate::archive::{Opened, nzip_Archive};
use crate::error::{Failure, Outcome};
use crate::memory::{bytes, items, room};
use crate::object::call;
use nz::tensor::TensorInfo;
use std::ffi::{CString, c_char, c_void};

/// A tensor of a file. What pointers point to stays as long as the archive.
#[repr(C)]
pub struct nzip_TensorInfo {
    /// Its name, UTF-8, with a zero behind it.
    pub name: *const c_char,
    /// Bytes of the name, without the zero.
    pub nameSize: usize,
    /// The type of its elements, such as "F32" or "BF16".
    pub dtype: *const c_char,
    /// Its dimensions, the one that varies fastest last.
    pub shape: *const u64,
    /// The number of dimensions.
    pub rank: usize,
    /// The offset of its first raw byte.
    pub offset: u64,
    /// Its raw bytes.
    pub size: u64,
}

/// The description of a tensor as C sees it.
pub struct Listed {
    /// The name and a zero.
    name: Vec<u8>,
    dtype: CString,
    shape: Vec<u64>,
    start: u64,
    len: u64,
}

impl Listed {
    fn new(t: &TensorInfo) -> Self {
        let mut name = t.name.clone().into_bytes();
        name.push(0);
        let dtype = CString::new(t.dtype.name()).unwrap_or_default();
        Self { name, dtype, shape: t.shape.clone(), start: t.start, len: t.len }
    }

    fn info(&self) -> nzip_TensorInfo {
        nzip_TensorInfo {
            name: self.name.as_ptr().cast(),
            nameSize: self.name.len() - 1,
            dtype: self.dtype.as_ptr(),
            shape: self.shape.as_ptr(),
            rank: self.shape.len(),
            offset: self.start,
            size: self.len,
        }
    }
}

impl Opened {
    /// The tensors. A small file may hold some that its index does not name: they are looked for.
    fn tensors(&mut self) -> Outcome<&[Listed]> {
        if self.tensors.is_none() {
            let archive = self.reader.archive_mut();
            if archive.tensor_infos().is_empty() {
                archive.tensors()?;
            }
            self.tensors = Some(archive.tensor_infos().iter().map(Listed::new).collect());
        }
        Ok(self.tensors.as_deref().unwrap_or_default())
    }
}

/// The number of tensors, or an error.
///
/// # Safety
///
/// The archive must be null or alive.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nzip_Archive_tensorCount(archive: *mut nzip_Archive) -> usize {
    // SAFETY: what the caller answers for.
    unsafe { call(archive, |a| Ok(a.tensors()?.len())) }
}

/// Describes a tensor. Returns 0 or an error.
///
/// # Safety
///
/// The archive must be null or alive, `info` null or a place for the description.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nzip_Archive_tensor(
    archive: *mut nzip_Archive,
    number: usize,
    info: *mut nzip_TensorInfo,
) -> usize {
    // SAFETY: what the caller answers for.
    unsafe {
        call(archive, |a| {
            if info.is_null() {
                return Err(Failure::null("info"));
            }
            let tensor = a.tensors()?.get(number);
            let none = || Failure::bad_argument(format!("there is no tensor {number}"));
            info.write(tensor.ok_or_else(none)?.info());
            Ok(0)
        })
    }
}

/// The number of the tensor that has this name, or an error.
///
/// # Safety
///
/// The archive must be null or alive, and `name` must point to so many bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nzip_Archive_findTensor(
    archive: *mut nzip_Archive,
    name: *const c_char,
    nameSize: usize,
) -> usize {
    // SAFETY: what the caller answers for.
    unsafe {
        call(archive, |a| {
            let name = str::from_utf8(bytes("name", name.cast(), nameSize)?);
            let name = name.map_err(|_| Failure::bad_argument("the name is not UTF-8"))?;
            Ok(a.reader.archive_mut().tensor_number(name)?)
        })
    }
}

/// Decodes a tensor into a buffer of exactly its size. Returns the size.
///
/// # Safety
///
/// The archive must be null or alive, and `dst` must point to so many bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nzip_Archive_readTensor(
    archive: *mut nzip_Archive,
    number: usize,
    dst: *mut c_void,
    size: usize,
) -> usize {
    // SAFETY: what the caller answers for.
    unsafe {
        call(archive, |a| {
            a.reader.archive_mut().tensor_at(number)?.read_into(room(dst, size)?)?;
            Ok(size)
        })
    }
}

/// Decodes `count` rows of a tensor, from row `first` on, into a buffer of exactly their size. Returns the size.
/// A row is what the first dimension counts; a tensor with fewer than two dimensions is one row.
///
/// # Safety
///
/// The archive must be null or alive, and `dst` must point to so many bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nzip_Archive_readRows(
    archive: *mut nzip_Archive,
    number: usize,
    first: u64,
    count: u64,
    dst: *mut c_void,
    size: usize,
) -> usize {
    // SAFETY: what the caller answers for.
    unsafe {
        call(archive, |a| {
            let end = first.checked_add(count).ok_or_else(|| Failure::bad_argument("too many rows"))?;
            a.reader.archive_mut().tensor_at(number)?.rows_into(first..end, room(dst, size)?)?;
            Ok(size)
        })
    }
}

/// Decodes rows of a tensor in any order into a buffer of exactly their size, one directly after the other.
/// Returns the size.
///
/// # Safety
///
/// The archive must be null or alive; `rows` and `dst` must point to so many numbers and bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nzip_Archive_gatherRows(
    archive: *mut nzip_Archive,
    number: usize,
    rows: *const u64,
    count: usize,
    dst: *mut c_void,
    size: usize,
) -> usize {
    // SAFETY: what the caller answers for.
    unsafe {
        call(archive, |a| {
            let (rows, out) = (items("rows", rows, count)?, room(dst, size)?);
            let raw = a.reader.archive_mut().tensor_at(number)?.gather(rows)?;
            if raw.len() != out.len() {
                let message = format!("room for {} bytes expected, for {} given", raw.len(), out.len());
                return Err(Failure::bad_argument(message));
            }
            out.copy_from_slice(&raw);
            Ok(size)
        })
    }
}
