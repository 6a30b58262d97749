//! Errors as results of C functions, and the one way in which every function is run.

use nz::ErrorKind;
use std::cell::RefCell;
use std::ffi::{CStr, CString, c_char};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The kinds of errors. More may come in later versions.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum nzip_ErrorCode {
    /// No error.
    nzip_error_no_error = 0,
    /// An error of a kind that this header does not know.
    nzip_error_generic = 1,
    /// The data needs a newer version of nzip.
    nzip_error_newer_version = 10,
    /// The data is no .nz stream.
    nzip_error_not_nz = 11,
    /// The data contradicts itself or a checksum.
    nzip_error_corrupt = 12,
    /// The data ends before it should.
    nzip_error_truncated = 13,
    /// The data names a model that could not be found.
    nzip_error_missing_model = 14,
    /// The data is coded against a base tensor that was not given.
    nzip_error_missing_base = 15,
    /// An argument is out of range, or does not fit the others.
    nzip_error_bad_argument = 20,
    /// A pointer is null.
    nzip_error_null = 21,
    /// The context or archive is in use, by another thread or by a function that has called back.
    nzip_error_busy = 22,
    /// The buffer for the result is too short.
    nzip_error_dst_too_small = 30,
    /// More memory is needed than is allowed, or there is.
    nzip_error_memory = 31,
    /// Reading has failed.
    nzip_error_io = 32,
    /// A device has failed.
    nzip_error_device = 33,
    /// An error in nzip itself. The context or archive can only be freed.
    nzip_error_internal = 90,
    /// All codes are below this one.
    nzip_error_max = 120,
}

use nzip_ErrorCode::*;

/// All codes with their names.
const NAMES: [(nzip_ErrorCode, &CStr); 16] = [
    (nzip_error_no_error, c"no error"),
    (nzip_error_newer_version, c"a newer version is needed"),
    (nzip_error_not_nz, c"not a .nz stream"),
    (nzip_error_corrupt, c"damaged data"),
    (nzip_error_truncated, c"truncated data"),
    (nzip_error_missing_model, c"missing model"),
    (nzip_error_missing_base, c"missing base"),
    (nzip_error_bad_argument, c"bad argument"),
    (nzip_error_null, c"null pointer"),
    (nzip_error_busy, c"in use"),
    (nzip_error_dst_too_small, c"buffer for the result too short"),
    (nzip_error_memory, c"memory limit exceeded"),
    (nzip_error_io, c"reading failed"),
    (nzip_error_device, c"device failed"),
    (nzip_error_internal, c"internal error"),
    (nzip_error_generic, c"error"),
];

/// Why a function has failed.
pub struct Failure {
    code: nzip_ErrorCode,
    message: String,
}

/// The result of a function's work.
pub type Outcome<T> = Result<T, Failure>;

impl Failure {
    pub fn new(code: nzip_ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    pub fn bad_argument(message: impl Into<String>) -> Self {
        Self::new(nzip_error_bad_argument, message)
    }

    pub fn null(what: &str) -> Self {
        Self::new(nzip_error_null, format!("{what} is null"))
    }
}

impl From<nz::Error> for Failure {
    fn from(e: nz::Error) -> Self {
        let code = match e.kind() {
            ErrorKind::NewerVersion => nzip_error_newer_version,
            ErrorKind::NotNz => nzip_error_not_nz,
            ErrorKind::Corrupt => nzip_error_corrupt,
            ErrorKind::Truncated => nzip_error_truncated,
            ErrorKind::BadArgument => nzip_error_bad_argument,
            ErrorKind::MissingModel => nzip_error_missing_model,
            ErrorKind::MissingBase => nzip_error_missing_base,
            ErrorKind::LimitExceeded => nzip_error_memory,
            ErrorKind::NoRoom => nzip_error_dst_too_small,
            ErrorKind::Device => nzip_error_device,
            ErrorKind::Io => nzip_error_io,
            _ => nzip_error_generic,
        };
        Self::new(code, e.to_string())
    }
}

impl From<std::io::Error> for Failure {
    fn from(e: std::io::Error) -> Self {
        nz::Error::from(e).into()
    }
}

thread_local! {
    /// The message of the function that failed last on this thread.
    static LAST: RefCell<CString> = RefCell::default();
}

/// The result that stands for an error.
fn result(code: nzip_ErrorCode) -> usize {
    (code as usize).wrapping_neg()
}

/// The code of a result.
fn code(result: usize) -> nzip_ErrorCode {
    let number = result.wrapping_neg();
    if !(1..nzip_error_max as usize).contains(&number) {
        return nzip_error_no_error;
    }
    NAMES.iter().map(|n| n.0).find(|c| *c as usize == number).unwrap_or(nzip_error_generic)
}

fn fail(failure: Failure) -> usize {
    let text: Vec<u8> = failure.message.into_bytes().into_iter().filter(|b| *b != 0).collect();
    // At the end of a thread there may be no place for the message any more.
    let _ = LAST.try_with(|last| *last.borrow_mut() = CString::new(text).unwrap_or_default());
    result(failure.code)
}

/// Runs the work of a function. Errors and panics become results.
pub fn guard(work: impl FnOnce() -> Outcome<usize>) -> usize {
    let work = || {
        #[cfg(test)]
        crate::panics::panic_at(crate::panics::Place::Function);
        work()
    };
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(n)) => n,
        Ok(Err(failure)) => fail(failure),
        Err(panic) => {
            let text = panic.downcast_ref::<&str>().map(ToString::to_string);
            let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
            fail(Failure::new(nzip_error_internal, format!("internal error: {text}")))
        }
    }
}

/// The same for functions that give something else; `failed` stands for an error.
pub fn guard_or<T>(failed: T, work: impl FnOnce() -> Outcome<T>) -> T {
    let mut given = None;
    guard(|| {
        given = Some(work()?);
        Ok(0)
    });
    given.unwrap_or(failed)
}

/// Whether a result is an error.
#[unsafe(no_mangle)]
pub extern "C" fn nzip_isError(result: usize) -> u32 {
    u32::from(code(result) != nzip_error_no_error)
}

/// The kind of error that a result stands for.
#[unsafe(no_mangle)]
pub extern "C" fn nzip_getErrorCode(result: usize) -> nzip_ErrorCode {
    code(result)
}

/// The name of the kind of error that a result stands for.
#[unsafe(no_mangle)]
pub extern "C" fn nzip_getErrorName(result: usize) -> *const c_char {
    let code = code(result);
    NAMES.iter().find(|n| n.0 == code).map_or(c"error", |n| n.1).as_ptr()
}

/// The message of the function that failed last on this thread: where, what was expected, what was found.
/// Empty if none has failed. The text stays until the next failure on this thread.
#[unsafe(no_mangle)]
pub extern "C" fn nzip_lastErrorMessage() -> *const c_char {
    LAST.try_with(|last| last.borrow().as_ptr()).unwrap_or(c"".as_ptr())
}
