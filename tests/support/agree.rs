//! Files put together from right and wrong sections, and a check that all ways to read a file agree.
//!
//! Tests and the fuzz target `agree` share it: bytes are a program that builds a file.

use super::bytes::{block, check, header, section, stored, trailer, varint};
use nzip::{Archive, DecodeOptions, Decoder, Error, ErrorKind};
use std::io::{Cursor, Read};

/// A section that may stand in a file.
#[derive(Clone)]
pub struct Piece {
    pub bytes: Vec<u8>,
    /// The raw length of a block; 0 for other sections.
    pub raw_len: u64,
    /// The bytes of a block's header with its check value; 0 for other sections.
    header: usize,
}

/// The sections of files that decode.
pub fn pieces<'a>(files: impl IntoIterator<Item = &'a [u8]>) -> Vec<Piece> {
    let mut found = Vec::new();
    for file in files {
        let Ok(mut archive) = Archive::new(Cursor::new(file)) else { continue };
        let streams = archive.streams();
        let mut number = 0;
        for stream in streams {
            let mut at = stream.offset as usize + header(1, 0).len();
            for _ in 0..stream.blocks {
                let Ok(Some(block)) = archive.block(number) else { break };
                number += 1;
                let (start, end) = (block.offset as usize, (block.offset + block.stored_len) as usize);
                if start > at {
                    found.push(Piece { bytes: file[at..start].to_vec(), raw_len: 0, header: 0 });
                }
                let header = end - start - block.payload_len as usize;
                found.push(Piece { bytes: file[start..end].to_vec(), raw_len: block.raw_len, header });
                at = end;
            }
        }
    }
    found.retain(|p| p.bytes.len() < 20_000 && p.raw_len < 200_000);
    found
}

/// Takes numbers from bytes, and zeros once they are used up.
struct Program<'a>(&'a [u8]);

impl Program<'_> {
    fn next(&mut self) -> usize {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        usize::from(*first)
    }

    fn word(&mut self) -> usize {
        self.next() << 8 | self.next()
    }
}

/// The file that a program builds from pieces.
pub fn build(pieces: &[Piece], program: &[u8]) -> Vec<u8> {
    let mut program = Program(program);
    let (mut file, mut start, mut sections): (Vec<u8>, usize, Vec<Piece>) = (header(1, 0), 0, Vec::new());
    while !program.0.is_empty() {
        let other = |bytes: Vec<u8>| Piece { bytes, raw_len: 0, header: 0 };
        let new = match program.next() % 16 {
            0 => {
                let raw = vec![program.next() as u8; 1 + program.next()];
                let bytes = stored(&raw);
                Piece { header: bytes.len() - raw.len(), bytes, raw_len: raw.len() as u64 }
            }
            1..=4 if !pieces.is_empty() => pieces[program.word() % pieces.len()].clone(),
            5 => other(section(0x80 | program.next() as u8, &vec![7; program.next()])),
            6 => other(section(2, &vec![program.next() as u8; 32 + program.next() % 9])),
            // A section again, with some bytes of its header changed and sealed.
            7..=9 => {
                let Some(mut piece) = sections.pop() else { continue };
                file.truncate(file.len().saturating_sub(piece.bytes.len()).max(start));
                for _ in 0..1 + program.next() % 3 {
                    let (at, by) = (program.word(), program.next() as u8);
                    let len = if piece.header > 0 { piece.header } else { piece.bytes.len() };
                    piece.bytes[at % len] ^= by;
                }
                seal(&mut piece);
                piece
            }
            // A byte of a payload.
            10 => {
                let Some(mut piece) = sections.pop() else { continue };
                file.truncate(file.len().saturating_sub(piece.bytes.len()).max(start));
                let at = program.word() % piece.bytes.len();
                piece.bytes[at] ^= program.next() as u8;
                piece
            }
            11 => {
                let rest = [&[12u8][..], &check(b"a")].concat();
                let header = block(program.next() as u8 % 9, program.next() as u8, 1, 1, &rest);
                Piece { header: header.len(), bytes: [&header[..], b"a"].concat(), raw_len: 1 }
            }
            // The end of a stream: with an index where that must be, or not; another stream behind it.
            12 | 13 => {
                end(&mut file, start, &sections, &mut program);
                start = file.len();
                sections.clear();
                file.extend(header(1, 0));
                continue;
            }
            14 => {
                let keep = program.word() % (file.len() + 1);
                file.truncate(keep.max(start));
                continue;
            }
            _ => other(vec![program.next() as u8; 1 + program.next() % 4]),
        };
        file.extend(&new.bytes);
        sections.push(new);
        if file.len() > 1 << 17 {
            break;
        }
    }
    if !sections.is_empty() || start == 0 {
        end(&mut file, start, &sections, &mut program);
    } else {
        file.truncate(start);
    }
    file
}

/// Makes the check value of a section, or of a block's header, right.
fn seal(piece: &mut Piece) {
    let end = if piece.header > 0 { piece.header } else { piece.bytes.len() };
    if end > 4 {
        let value = check(&piece.bytes[..end - 4]);
        piece.bytes[end - 4..end].copy_from_slice(&value);
    }
}

/// Appends index and trailer.
fn end(file: &mut Vec<u8>, start: usize, sections: &[Piece], program: &mut Program<'_>) {
    let (how, wrong) = (program.next(), program.next());
    let mut index_len = 0;
    if how % 4 != 1 {
        let mut body = Vec::new();
        varint(&mut body, sections.len() as u64);
        for (i, piece) in sections.iter().enumerate() {
            // Sometimes an index that is wrong about a section.
            let lie = u64::from(how % 8 == 2 && wrong % (sections.len() + 1) == i);
            varint(&mut body, piece.bytes.len() as u64 + (lie & how as u64 >> 3));
            varint(&mut body, piece.raw_len + lie * (how as u64 >> 4 & 3));
        }
        body.extend([how as u8 & 1; 32]);
        body.push(0);
        let index = section(3, &body);
        index_len = index.len();
        file.extend(index);
    }
    let body = file.len() - start;
    file.extend(trailer(body + usize::from(how == 255), index_len));
}

/// Memory that every reader gets.
const MEMORY: u64 = 64 << 20;

/// Reads front to back: what comes before the end or the error.
fn front(bytes: &[u8], options: DecodeOptions) -> (Vec<u8>, Option<ErrorKind>) {
    let mut out = Vec::new();
    let result = Decoder::with_options(bytes, options).and_then(|mut decoder| {
        let mut piece = vec![0; 7777];
        loop {
            match decoder.read(&mut piece).map_err(Error::from)? {
                0 => return Ok(()),
                n => out.extend_from_slice(&piece[..n]),
            }
            if out.len() > 32 << 20 {
                return Err(Error::new(ErrorKind::LimitExceeded, "long enough"));
            }
        }
    });
    (out, result.err().map(|e| e.kind()))
}

/// Panics unless all ways to read a file agree: on the bytes, or that there is something wrong.
pub fn agree(bytes: &[u8]) {
    let options = |threads: usize| DecodeOptions::new().threads(threads).memory(MEMORY);
    let (one, two) = (front(bytes, options(1)), front(bytes, options(2)));
    assert!(one.1 == two.1, "one thread: {:?}, two: {:?}", one.1, two.1);
    assert!(one.0 == two.0, "{} bytes with one thread, {} with two", one.0.len(), two.0.len());
    if one.1 == Some(ErrorKind::LimitExceeded) {
        return;
    }
    let whole = nzip::decompress_with(bytes, options(1));
    match (&one.1, &whole) {
        (None, Ok(raw)) => assert!(*raw == one.0, "one call gives other bytes"),
        (Some(kind), Err(e)) => assert!(*kind == e.kind(), "{kind:?} in pieces, {e} in one call"),
        (found, _) => panic!("{found:?} in pieces, {:?} in one call", whole.as_ref().err()),
    }
    let archive = Archive::with_options(Cursor::new(bytes), options(1)).and_then(|mut archive| {
        let len = archive.len();
        let raw = archive.read_range(0..len)?;
        for (from, to) in [(len / 3, len / 2), (len - len.min(1), len), (len / 7, len - len / 5)] {
            let part = archive.read_range(from..to.max(from))?;
            assert!(part == raw[from as usize..to.max(from) as usize], "a range differs");
        }
        let mut number = 0;
        while archive.block(number)?.is_some() {
            number += 1;
        }
        assert_eq!(number, archive.block_count());
        Ok(raw)
    });
    match (&one.1, &archive) {
        (None, Ok(raw)) => assert!(*raw == one.0, "random access gives other bytes"),
        (Some(_), Err(_)) => {}
        (found, _) => panic!("{found:?} front to back, {:?} at random", archive.as_ref().err()),
    }
}
