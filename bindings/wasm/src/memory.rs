//! Memory that JavaScript fills and reads.

use std::ptr;
use std::slice;

/// Takes so many bytes of memory; 0 where there are none.
#[unsafe(no_mangle)]
pub extern "C" fn memory_take(len: usize) -> *mut u8 {
    let mut bytes = Vec::new();
    if bytes.try_reserve_exact(len).is_err() {
        return ptr::null_mut();
    }
    bytes.resize(len, 0u8);
    Box::into_raw(bytes.into_boxed_slice()).cast()
}

/// Gives memory back.
///
/// # Safety
///
/// It must come from [`memory_take`], with this length, and not be used any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn memory_give(start: *mut u8, len: usize) {
    // SAFETY: what the caller answers for.
    drop(unsafe { Box::from_raw(ptr::slice_from_raw_parts_mut(start, len)) });
}

/// The bytes at a place.
///
/// # Safety
///
/// They must be part of what [`memory_take`] has given.
pub unsafe fn bytes<'a>(start: *const u8, len: usize) -> &'a [u8] {
    if len == 0 {
        return &[];
    }
    // SAFETY: what the caller answers for.
    unsafe { slice::from_raw_parts(start, len) }
}

/// The room at a place.
///
/// # Safety
///
/// As for [`bytes`]; nothing else may use it meanwhile.
pub unsafe fn room<'a>(start: *mut u8, len: usize) -> &'a mut [u8] {
    if len == 0 {
        return &mut [];
    }
    // SAFETY: what the caller answers for.
    unsafe { slice::from_raw_parts_mut(start, len) }
}
