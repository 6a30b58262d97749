//! The codec header: everything that a decoder needs to build the predictor.

use crate::codec::mix::kind::{kind_from, kind_to};
use crate::error::{Error, ErrorKind, Result};
use crate::model::mix::context::Kind;
use crate::model::mix::light::Shape;
use crate::model::mix::light::code::Code;

/// Versions of the codec: without flags, and with them.
const PLAIN: u8 = 1;
const FLAGGED: u8 = 2;
/// Bytes of the header before the code lengths of a block's own code.
const FIXED: usize = 7;
/// log2 of the sizes in bytes that the slot table may have.
pub const TABLE_BITS: std::ops::RangeInclusive<u32> = 16..=24;
/// Most phrases that may prime text, in units of 4096 bytes.
const MOST_PHRASES: u8 = 64;
/// Memory in bytes that coding needs in addition to the slot table and the raw bytes.
const FIXED_MEMORY: u64 = 4 << 20;
/// The shortest and the longest run of repeated lengths that is stored as a run.
const RUN: std::ops::RangeInclusive<usize> = 3..=18;

/// How the header names the byte code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Named {
    Flat = 0,
    Text = 1,
    Own = 2,
}

/// The header of a block with this predictor.
pub fn write(shape: &Shape, code: Named) -> Vec<u8> {
    let (kind, parameter) = kind_to(shape.kind);
    let [low, high] = parameter.to_le_bytes();
    let version = if shape.flags { FLAGGED } else { PLAIN };
    let mut out =
        vec![version, shape.memory_bits as u8, (shape.primed >> 12) as u8, kind, low, high, code as u8];
    if code == Named::Own {
        write_lengths(shape.code.lengths(), &mut out);
    }
    out
}

/// Reads the header, and returns the shape of the predictor and the offset of the coder's bytes. Everything
/// that the header declares is checked before any memory is taken.
///
/// # Errors
/// `Truncated`, `Corrupt` or `NewerVersion` for a bad header.
pub fn read(payload: &[u8]) -> Result<(Shape, usize)> {
    let Some((&[version, bits, primed, kind, low, high, code], rest)) = payload.split_first_chunk::<FIXED>()
    else {
        let message = format!("a light payload of {} bytes, its header takes {FIXED}", payload.len());
        return Err(Error::truncated(message));
    };
    if !(PLAIN..=FLAGGED).contains(&version) || code > 2 {
        let message = format!(
            "light version {version}, code {code}: needs a newer nzip (this one knows versions up to {FLAGGED})"
        );
        return Err(Error::new(ErrorKind::NewerVersion, message));
    }
    if !TABLE_BITS.contains(&u32::from(bits)) {
        return Err(Error::corrupt(format!("light table bits {bits}, expected 16..=24")));
    }
    let kind = kind_from(kind, u16::from_le_bytes([low, high]))?;
    if primed > MOST_PHRASES || primed > 0 && kind != Kind::Text {
        return Err(Error::corrupt(format!("{primed} units of phrases in a light block of {kind:?}")));
    }
    let (code, taken) = match code {
        0 => (Code::flat(), 0),
        1 => (Code::text(), 0),
        _ => read_lengths(rest)?,
    };
    let (memory_bits, primed) = (bits.into(), usize::from(primed) << 12);
    let shape = Shape { kind, memory_bits, primed, code, flags: version == FLAGGED };
    Ok((shape, FIXED + taken))
}

/// The memory in bytes that coding a block takes.
pub fn memory_need(shape: &Shape, raw_len: usize) -> u64 {
    least_memory(shape.memory_bits, raw_len)
}

/// The same as [`memory_need`] for a slot table of 2^`memory_bits` bytes.
pub fn least_memory(memory_bits: u32, raw_len: usize) -> u64 {
    (1u64 << memory_bits) + FIXED_MEMORY + 2 * raw_len as u64
}

/// Appends the lengths of a code as half bytes, the upper half first: a length, or 0 and n for n + 3
/// repetitions of the length before.
fn write_lengths(lengths: &[u8; 256], out: &mut Vec<u8>) {
    let (mut halves, mut at) = (Vec::new(), 0);
    while at < lengths.len() {
        halves.push(lengths[at]);
        at += 1;
        loop {
            let run = lengths[at..].iter().take_while(|&&l| l == lengths[at - 1]).count().min(*RUN.end());
            if run < *RUN.start() {
                break;
            }
            halves.extend([0, (run - RUN.start()) as u8]);
            at += run;
        }
    }
    out.extend(halves.chunks(2).map(|h| h[0] << 4 | h.get(1).copied().unwrap_or(0)));
}

/// Reads code lengths, and returns their code and the number of bytes that they took.
fn read_lengths(bytes: &[u8]) -> Result<(Code, usize)> {
    let (mut lengths, mut at, mut taken) = ([0u8; 256], 0, 0usize);
    let half = |taken: &mut usize| {
        let byte = bytes.get(*taken / 2);
        let byte = byte.ok_or_else(|| Error::truncated("a light payload ends in the lengths of its code"))?;
        *taken += 1;
        Ok::<u8, Error>(if taken.is_multiple_of(2) { byte & 15 } else { byte >> 4 })
    };
    let wrong = || Error::corrupt("the code of a light block is not complete");
    while at < lengths.len() {
        let value = half(&mut taken)?;
        if value > 0 {
            lengths[at] = value;
            at += 1;
            continue;
        }
        let run = usize::from(half(&mut taken)?) + RUN.start();
        if at == 0 || at + run > lengths.len() {
            return Err(wrong());
        }
        let last = lengths[at - 1];
        lengths[at..at + run].fill(last);
        at += run;
    }
    if !taken.is_multiple_of(2) && half(&mut taken)? != 0 {
        return Err(wrong());
    }
    Ok((Code::new(&lengths).ok_or_else(wrong)?, taken / 2))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn lengths_come_back(skew in 1usize..60, used in 1usize..256) {
            let frequencies = std::array::from_fn(|i| if i < used { 1u64 << (i * 40 / used / skew) } else { 0 });
            let code = Code::new(&Code::lengths_for(&frequencies)).unwrap();
            let mut out = Vec::new();
            write_lengths(code.lengths(), &mut out);
            let (read, taken) = read_lengths(&out).unwrap();
            prop_assert_eq!(read.lengths(), code.lengths());
            prop_assert_eq!(taken, out.len());
            for cut in 0..out.len() {
                prop_assert_eq!(read_lengths(&out[..cut]).unwrap_err().kind(), ErrorKind::Truncated);
            }
        }
    }

    #[test]
    fn wrong_headers_are_refused() {
        let good = [1, 16, 0, 0, 0, 0, 0];
        assert_eq!(read(&good).unwrap().1, FIXED);
        for (at, value, kind) in [
            (0, 0, ErrorKind::NewerVersion),
            (0, 3, ErrorKind::NewerVersion),
            (1, 15, ErrorKind::Corrupt),
            (1, 25, ErrorKind::Corrupt),
            (2, 65, ErrorKind::Corrupt),
            (3, 11, ErrorKind::NewerVersion),
            (4, 1, ErrorKind::Corrupt),
            (6, 3, ErrorKind::NewerVersion),
            (6, 2, ErrorKind::Truncated),
        ] {
            let mut bad = good;
            bad[at] = value;
            assert_eq!(read(&bad).unwrap_err().kind(), kind, "{at} {value}");
        }
        // Phrases prime text only.
        assert_eq!(read(&[1, 16, 1, 1, 0, 0, 0]).unwrap_err().kind(), ErrorKind::Corrupt);
        // A run without a length before it, a run that is too long, and a code that is not complete.
        for lengths in [
            &[0x00][..],
            &[0x80, 0xF0, 0xF0, 0xF0, 0xF0, 0xF0, 0xF0, 0xF0, 0xF0, 0xF0, 0xF0, 0xF0, 0xF0, 0xF0, 0xF0, 0xF0],
            &[0x90, 0xFF],
        ] {
            let mut bad = vec![1, 16, 0, 0, 0, 0, 2];
            bad.extend_from_slice(lengths);
            bad.extend([0; 300]);
            assert_eq!(read(&bad).unwrap_err().kind(), ErrorKind::Corrupt);
        }
    }
}
