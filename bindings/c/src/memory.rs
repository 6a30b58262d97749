//! Pointers and lengths of C as slices.

use crate::error::{Failure, Outcome};
use std::ffi::{CStr, c_char, c_void};
use std::path::PathBuf;
use std::slice;

/// Bytes to be read, `pos` of which have been.
#[repr(C)]
pub struct nzip_inBuffer {
    /// The bytes.
    pub src: *const c_void,
    /// Their number.
    pub size: usize,
    /// The place where reading stopped. 0 <= pos <= size
    pub pos: usize,
}

/// Room to be written to, of which `pos` bytes have been.
#[repr(C)]
pub struct nzip_outBuffer {
    /// The room.
    pub dst: *mut c_void,
    /// Its size in bytes.
    pub size: usize,
    /// The place where writing stopped. 0 <= pos <= size
    pub pos: usize,
}

/// The items at a pointer, which may be null if there are none.
///
/// # Safety
///
/// The memory must hold so many items, which nothing writes to, for as long as the slice lives.
pub unsafe fn items<'a, T>(what: &str, start: *const T, len: usize) -> Outcome<&'a [T]> {
    if len == 0 {
        return Ok(&[]);
    }
    check(what, start.is_null(), start.is_aligned(), len, size_of::<T>())?;
    // SAFETY: not null and aligned; the rest is what the caller answers for.
    Ok(unsafe { slice::from_raw_parts(start, len) })
}

/// The bytes at a pointer, which may be null if there are none.
///
/// # Safety
///
/// As for [`items`].
pub unsafe fn bytes<'a>(what: &str, start: *const c_void, len: usize) -> Outcome<&'a [u8]> {
    // SAFETY: what the caller answers for.
    unsafe { items(what, start.cast::<u8>(), len) }
}

/// The room at a pointer, which may be null if there is none.
///
/// # Safety
///
/// So many bytes must belong to the memory, which nothing else reads or writes for as long as the slice lives.
pub unsafe fn room<'a>(start: *mut c_void, len: usize) -> Outcome<&'a mut [u8]> {
    if len == 0 {
        return Ok(&mut []);
    }
    check("dst", start.is_null(), true, len, 1)?;
    // SAFETY: not null, and bytes are always aligned; the rest is what the caller answers for. Any byte is a
    // valid one, and the library only writes to the room that it is given.
    Ok(unsafe { slice::from_raw_parts_mut(start.cast::<u8>(), len) })
}

fn check(what: &str, null: bool, aligned: bool, len: usize, size: usize) -> Outcome<()> {
    if null {
        return Err(Failure::null(what));
    }
    let fits = len.checked_mul(size).is_some_and(|bytes| isize::try_from(bytes).is_ok());
    if !fits || !aligned {
        return Err(Failure::bad_argument(format!("{what}: {len} items of {size} bytes are none")));
    }
    Ok(())
}

/// Fails if what is read lies in what is written.
pub fn apart(src: *const c_void, src_len: usize, dst: *const c_void, dst_len: usize) -> Outcome<()> {
    let (src, dst) = (src as usize, dst as usize);
    let apart = src_len == 0
        || dst_len == 0
        || src.saturating_add(src_len) <= dst
        || dst.saturating_add(dst_len) <= src;
    if apart { Ok(()) } else { Err(Failure::bad_argument("src and dst overlap")) }
}

/// A text of C.
///
/// # Safety
///
/// If it is not null, a zero must end it, and nothing may write to it for as long as the result lives.
pub unsafe fn text<'a>(what: &str, text: *const c_char) -> Outcome<&'a CStr> {
    if text.is_null() {
        return Err(Failure::null(what));
    }
    // SAFETY: not null; the rest is what the caller answers for.
    Ok(unsafe { CStr::from_ptr(text) })
}

/// A text of C that must be UTF-8.
///
/// # Safety
///
/// As for [`text`].
pub unsafe fn utf8<'a>(what: &str, given: *const c_char) -> Outcome<&'a str> {
    // SAFETY: what the caller answers for.
    let given = unsafe { text(what, given)? };
    given.to_str().map_err(|_| Failure::bad_argument(format!("{what} is not UTF-8")))
}

/// The path that a text of C stands for: any bytes where systems have such paths, UTF-8 elsewhere.
pub fn path(text: &CStr) -> Outcome<PathBuf> {
    #[cfg(unix)]
    {
        use std::os::unix::ffi::OsStrExt;
        Ok(std::ffi::OsStr::from_bytes(text.to_bytes()).into())
    }
    #[cfg(not(unix))]
    text.to_str().map(PathBuf::from).map_err(|_| Failure::bad_argument("a path is not UTF-8"))
}

impl nzip_inBuffer {
    /// The bytes that have not been read.
    ///
    /// # Safety
    ///
    /// As for [`items`].
    pub unsafe fn rest<'a>(&self) -> Outcome<&'a [u8]> {
        // SAFETY: what the caller answers for.
        let all = unsafe { bytes("input->src", self.src, self.size)? };
        all.get(self.pos..).ok_or_else(|| Failure::bad_argument("input->pos is above input->size"))
    }
}

impl nzip_outBuffer {
    /// The room that has not been written to.
    ///
    /// # Safety
    ///
    /// As for [`room`].
    pub unsafe fn rest<'a>(&mut self) -> Outcome<&'a mut [u8]> {
        // SAFETY: what the caller answers for.
        let all = unsafe { room(self.dst, self.size)? };
        all.get_mut(self.pos..).ok_or_else(|| Failure::bad_argument("output->pos is above output->size"))
    }
}

/// The rest of a pair of buffers.
///
/// # Safety
///
/// If they are not null, both must be valid for reads and writes, and so must the memory that they describe.
pub unsafe fn buffers<'a>(
    output: *mut nzip_outBuffer,
    input: *mut nzip_inBuffer,
) -> Outcome<(Output<'a>, Input<'a>)> {
    // SAFETY: null is checked here; the rest is what the caller answers for.
    let (output, input) = unsafe { (output.as_mut(), input.as_mut()) };
    let output = output.ok_or_else(|| Failure::null("output"))?;
    let input = input.ok_or_else(|| Failure::null("input"))?;
    apart(input.src, input.size, output.dst, output.size)?;
    // SAFETY: what the caller answers for; the two do not overlap.
    let (out, bytes) = unsafe { (output.rest()?, input.rest()?) };
    Ok((Output { rest: out, pos: &mut output.pos }, Input { rest: bytes, pos: &mut input.pos }))
}

/// Bytes that have not been read, and where to say how many have been.
pub struct Input<'a> {
    pub rest: &'a [u8],
    pub pos: &'a mut usize,
}

/// Room that has not been written to, and where to say how much has been.
pub struct Output<'a> {
    pub rest: &'a mut [u8],
    pub pos: &'a mut usize,
}
