//! The text that a function returns besides its status.

use nzip::{Error, ErrorKind, Result};
use std::cell::RefCell;

/// The status of a function that needs bytes of its file: [`missing_offset`] says which.
pub const NEEDS_BYTES: i32 = -100;

#[derive(Default)]
struct Reply {
    text: String,
    read: usize,
    written: usize,
    missing: (u64, u64),
}

thread_local! {
    static REPLY: RefCell<Reply> = RefCell::default();
}

/// The status that stands for a kind of error; `js/nzip.js` has their names in the same order.
fn status(kind: ErrorKind) -> i32 {
    match kind {
        ErrorKind::NewerVersion => -1,
        ErrorKind::NotNz => -2,
        ErrorKind::Corrupt => -3,
        ErrorKind::Truncated => -4,
        ErrorKind::BadArgument => -5,
        ErrorKind::MissingModel => -6,
        ErrorKind::MissingBase => -7,
        ErrorKind::LimitExceeded => -8,
        ErrorKind::NoRoom => -9,
        ErrorKind::Io => -10,
        _ => -11,
    }
}

/// Says a text.
pub fn say(text: String) {
    REPLY.with_borrow_mut(|r| r.text = text);
}

/// Says what a step has done.
pub fn stepped(read: usize, written: usize) {
    REPLY.with_borrow_mut(|r| (r.read, r.written) = (read, written));
}

/// Says which bytes are needed, and gives the status for it.
pub fn needs(offset: u64, len: u64) -> i32 {
    REPLY.with_borrow_mut(|r| r.missing = (offset, len));
    NEEDS_BYTES
}

/// The status of an error, whose message is said.
pub fn failed(e: &Error) -> i32 {
    say(e.to_string());
    status(e.kind())
}

/// The status of a result.
pub fn done(result: Result<()>) -> i32 {
    result.map_or_else(|e| failed(&e), |()| 0)
}

/// Where the text lies that was said last.
#[unsafe(no_mangle)]
pub extern "C" fn reply_start() -> *const u8 {
    REPLY.with_borrow(|r| r.text.as_ptr())
}

/// The length of that text in bytes.
#[unsafe(no_mangle)]
pub extern "C" fn reply_len() -> usize {
    REPLY.with_borrow(|r| r.text.len())
}

/// The bytes that the last step has taken.
#[unsafe(no_mangle)]
pub extern "C" fn step_read() -> usize {
    REPLY.with_borrow(|r| r.read)
}

/// The bytes that the last step has put out.
#[unsafe(no_mangle)]
pub extern "C" fn step_written() -> usize {
    REPLY.with_borrow(|r| r.written)
}

/// The offset of the bytes that are needed.
#[unsafe(no_mangle)]
pub extern "C" fn missing_offset() -> f64 {
    REPLY.with_borrow(|r| r.missing.0 as f64)
}

/// Their number.
#[unsafe(no_mangle)]
pub extern "C" fn missing_len() -> f64 {
    REPLY.with_borrow(|r| r.missing.1 as f64)
}

/// Says the version.
#[unsafe(no_mangle)]
pub extern "C" fn version() {
    say(env!("CARGO_PKG_VERSION").into());
}
