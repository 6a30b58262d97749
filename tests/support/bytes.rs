//! Builds streams byte by byte from `formats/nzip.md`, right or wrong ones, without the library.
#![allow(dead_code)]

use twox_hash::XxHash3_64;

pub fn varint(out: &mut Vec<u8>, mut v: u64) {
    while v >= 128 {
        out.push(v as u8 | 128);
        v >>= 7;
    }
    out.push(v as u8);
}

pub fn check(bytes: &[u8]) -> [u8; 4] {
    (XxHash3_64::oneshot(bytes) as u32).to_le_bytes()
}

pub fn header(version: u8, must: u64) -> Vec<u8> {
    let mut out = b"\x93NZ\r\n\x1a\n".to_vec();
    out.push(version);
    varint(&mut out, must);
    varint(&mut out, 0);
    out.extend(check(&out));
    out
}

/// A section of any kind but block and trailer.
pub fn section(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![kind];
    varint(&mut out, body.len() as u64);
    out.extend(body);
    out.extend(check(&out));
    out
}

/// A block header; `rest` is everything between payload length and check value.
pub fn block(codec: u8, flags: u8, raw_len: u64, payload_len: u64, rest: &[u8]) -> Vec<u8> {
    let mut out = vec![1, codec, flags];
    varint(&mut out, raw_len);
    varint(&mut out, payload_len);
    out.extend(rest);
    out.extend(check(&out));
    out
}

/// A stored block with one unit.
pub fn stored(raw: &[u8]) -> Vec<u8> {
    let mut rest = vec![30];
    rest.extend(check(raw));
    let mut out = block(0, 0, raw.len() as u64, raw.len() as u64, &rest);
    out.extend(raw);
    out
}

pub fn trailer(body_len: usize, index_len: usize) -> Vec<u8> {
    let mut out = vec![4];
    varint(&mut out, body_len as u64);
    varint(&mut out, index_len as u64);
    out.extend(check(&out));
    out.push(out.len() as u8 + 1);
    out
}

/// A stream without an index.
pub fn stream(sections: &[Vec<u8>]) -> Vec<u8> {
    let mut out = header(1, 0);
    out.extend(sections.concat());
    out.extend(trailer(out.len(), 0));
    out
}

/// A stream with an index, from sections and the raw length of each.
pub fn indexed(sections: &[(Vec<u8>, u64)], raw: &[u8]) -> Vec<u8> {
    let mut out = header(1, 0);
    let mut body = Vec::new();
    varint(&mut body, sections.len() as u64);
    for (bytes, raw_len) in sections {
        out.extend(bytes);
        varint(&mut body, bytes.len() as u64);
        varint(&mut body, *raw_len);
    }
    body.extend(blake3::hash(raw).as_bytes());
    body.push(0);
    let index = section(3, &body);
    out.extend(&index);
    out.extend(trailer(out.len(), index.len()));
    out
}
