//! Tests that no panic crosses into C. A function that unwinds out of `extern "C"` ends the process, so that a test which
//! goes on shows that it has come back.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::ffi::{CStr, c_void};
use std::ptr::{null, null_mut};

use crate::archive::*;
use crate::compress::*;
use crate::decompress::*;
use crate::error::*;
use crate::tensor::*;

/// Where a panic can be caused.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In the work of a function, before anything else.
    Function,
    /// In the work with an object, while it is held.
    Object,
}

thread_local! {
    static NEXT: Cell<Option<Place>> = const { Cell::new(None) };
}

/// Panics if a test wants that at this place, once.
pub fn panic_at(place: Place) {
    if NEXT.get() == Some(place) {
        NEXT.set(None);
        panic!("caused by a test");
    }
}

/// What a function gives back where it has failed.
trait Failed {
    fn failed(&self) -> bool;
}

impl Failed for usize {
    fn failed(&self) -> bool {
        nzip_getErrorCode(*self) == nzip_ErrorCode::nzip_error_internal
    }
}

impl Failed for u64 {
    fn failed(&self) -> bool {
        *self == NZIP_SIZE_ERROR
    }
}

impl Failed for u32 {
    fn failed(&self) -> bool {
        *self == 0
    }
}

impl<T> Failed for *mut T {
    fn failed(&self) -> bool {
        self.is_null()
    }
}

impl<T> Failed for *const T {
    fn failed(&self) -> bool {
        self.is_null()
    }
}

/// Calls functions, whose work panics each time; gives back their names.
macro_rules! call_all {
    ($($name:ident($($arg:expr),*);)*) => {{
        $(
            NEXT.set(Some(Place::Function));
            // SAFETY: the work of the function panics before it looks at an argument.
            #[allow(unused_unsafe)]
            let result = unsafe { $name($($arg),*) };
            assert!(result.failed(), "{}", stringify!($name));
            assert!(NEXT.take().is_none(), "the work of {} is guarded", stringify!($name));
            assert_eq!(message(), "internal error: caused by a test");
        )*
        BTreeSet::from([$(stringify!($name)),*])
    }};
}

fn message() -> String {
    // SAFETY: the message ends with a zero, and stays until the next failure.
    unsafe { CStr::from_ptr(nzip_lastErrorMessage()) }.to_str().unwrap().into()
}

unsafe extern "C" fn nothing(_: *mut c_void, _: u64, _: *mut c_void, _: usize) -> i64 {
    0
}

/// The functions that only look into tables and at the last message.
const PLAIN: [&str; 6] = [
    "nzip_getErrorCode",
    "nzip_getErrorName",
    "nzip_isError",
    "nzip_lastErrorMessage",
    "nzip_versionNumber",
    "nzip_versionString",
];

#[test]
fn every_function_turns_a_panic_into_an_error() {
    let called = call_all! {
        nzip_openArchive(null(), Some(nothing), null_mut(), 0);
        nzip_openArchiveFile(null(), null());
        nzip_freeArchive(null_mut());
        nzip_Archive_size(null());
        nzip_Archive_storedSize(null());
        nzip_Archive_decodedBytes(null());
        nzip_Archive_read(null_mut(), 0, null_mut(), 0);
        nzip_Archive_readRange(null_mut(), 0, null_mut(), 0);
        nzip_Archive_verify(null_mut());
        nzip_Archive_blockCount(null());
        nzip_Archive_block(null_mut(), 0, null_mut());
        nzip_Archive_tensorCount(null_mut());
        nzip_Archive_tensor(null_mut(), 0, null_mut());
        nzip_Archive_findTensor(null_mut(), null(), 0);
        nzip_Archive_readTensor(null_mut(), 0, null_mut(), 0);
        nzip_Archive_readRows(null_mut(), 0, 0, 0, null_mut(), 0);
        nzip_Archive_gatherRows(null_mut(), 0, null(), 0, null_mut(), 0);
        nzip_compressBound(1);
        nzip_compress(null_mut(), 0, null(), 0, 1);
        nzip_createCCtx();
        nzip_freeCCtx(null_mut());
        nzip_CCtx_setParameter(null_mut(), 0, 0);
        nzip_CCtx_setCodec(null_mut(), null());
        nzip_CCtx_setModel(null_mut(), null());
        nzip_CCtx_setTensor(null_mut(), null(), null(), 0);
        nzip_CCtx_reset(null_mut());
        nzip_compress2(null_mut(), null_mut(), 0, null(), 0);
        nzip_compressStream(null_mut(), null_mut(), null_mut(), 0);
        nzip_codecName(0);
        nzip_isNz(null(), 0);
        nzip_contentSize(null(), 0);
        nzip_decompress(null_mut(), 0, null(), 0);
        nzip_createDCtx();
        nzip_freeDCtx(null_mut());
        nzip_DCtx_setParameter(null_mut(), 0, 0);
        nzip_DCtx_addModel(null_mut(), null());
        nzip_DCtx_reset(null_mut());
        nzip_decompressDCtx(null_mut(), null_mut(), 0, null(), 0);
        nzip_decompressStream(null_mut(), null_mut(), null_mut());
    };
    // No function of the header was forgotten.
    let header = include_str!("../include/nzip.h");
    let words = header.split_inclusive(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let names = words.filter_map(|w| w.strip_suffix('(')).filter(|w| w.starts_with("nzip_"));
    let all: BTreeSet<&str> = names.collect();
    assert_eq!(called.union(&BTreeSet::from(PLAIN)).copied().collect::<BTreeSet<_>>(), all);
}

#[test]
fn an_object_can_only_be_freed_after_a_panic() {
    let cctx = nzip_createCCtx();
    // SAFETY: the object is alive until it is freed.
    unsafe {
        assert_eq!(nzip_CCtx_reset(cctx), 0);
        NEXT.set(Some(Place::Object));
        assert!(nzip_CCtx_reset(cctx).failed());
        assert_eq!(message(), "internal error: caused by a test");
        assert!(nzip_CCtx_reset(cctx).failed());
        assert!(message().contains("unknown state"), "{}", message());
        assert_eq!(nzip_freeCCtx(cctx), 0);
    }
}

#[test]
fn panics_of_any_kind_are_errors() {
    assert!(guard(|| std::panic::panic_any(7)).failed());
    assert!(guard(|| panic!("at {}", 5)).failed());
    assert_eq!(message(), "internal error: at 5");
    assert_eq!(guard_or(3, || panic!("no value")), 3);
}
