//! Check values: XXH3-64 for check units and structures, BLAKE3 for whole streams and models.

use super::cursor::{Cursor, Parsed};
use crate::error::{Error, Result};
use std::hash::Hasher;
use twox_hash::XxHash3_64;

/// The low 32 bits of XXH3-64 (seed 0).
pub fn check32(bytes: &[u8]) -> u32 {
    XxHash3_64::oneshot(bytes) as u32
}

/// Computes [`check32`] of bytes that arrive in pieces.
#[derive(Clone, Default)]
pub struct Check(XxHash3_64);

impl Check {
    /// Adds the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.write(bytes);
    }

    /// The check value of all bytes so far.
    pub fn value(&self) -> u32 {
        self.0.finish() as u32
    }
}

/// Appends the check value of `out[start..]`.
pub fn seal(out: &mut Vec<u8>, start: usize) {
    let check = check32(&out[start..]);
    out.extend_from_slice(&check.to_le_bytes());
}

/// Reads a check value and compares it with that of all bytes that the cursor has read so far. `what` names
/// the structure in errors.
pub fn open(cursor: &mut Cursor<'_>, what: &str) -> Parsed<()> {
    let expected = check32(cursor.seen());
    let found = cursor.u32()?;
    same(what, found, expected)?;
    Ok(())
}

/// Fails with `Corrupt` unless the stored check value is the computed one. `what` names the structure in the
/// error.
///
/// A fuzzing build accepts every check value: a fuzzer could never guess one, and the code behind the check
/// must be safe without it.
pub fn same(what: &str, stored: u32, computed: u32) -> Result<()> {
    if stored == computed || cfg!(fuzzing) {
        return Ok(());
    }
    Err(Error::corrupt(format!("{what}: check value {stored:08x} expected, {computed:08x} found")))
}

/// The hash with these lower-case hexadecimal digits.
pub const fn from_hex(digits: &[u8; 64]) -> [u8; 32] {
    const fn digit(c: u8) -> u8 {
        if c <= b'9' { c - b'0' } else { c - b'a' + 10 }
    }
    let mut out = [0; 32];
    let mut i = 0;
    while i < 32 {
        out[i] = digit(digits[2 * i]) << 4 | digit(digits[2 * i + 1]);
        i += 1;
    }
    out
}

/// The lower-case hexadecimal digits of a BLAKE3 hash.
pub fn hex(hash: &[u8; 32]) -> String {
    blake3::Hash::from(*hash).to_hex().to_string()
}
