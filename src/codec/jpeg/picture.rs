//! One picture in bytes: which of them its scans make up, and the coefficients that make these bytes.

use super::header::{Frame, Headers, Scan, Walk};
use super::scan::{self, LONGEST_RUN, Manner};
use crate::model::mix::jpeg::Plane;
use std::ops::Range;

/// The most scans of a picture.
pub const MOST_SCANS: usize = 64;
/// The scans of a picture are undone only if their bytes are at least so many.
const LEAST: usize = 64;
/// A scan that ends differently than it should counts if what differs is at most one part in so many of it.
const DIFFERENT: usize = 16;

/// The largest magnitude of a coefficient: differences to predictions of it can be coded too. Pictures that are
/// none may have larger ones.
const LARGEST: u16 = 16383;

/// A picture that was found.
pub struct Picture {
    /// Its first byte, and where its first scan starts.
    pub head: Range<usize>,
    /// The bytes of each scan that are recreated, and how.
    pub scans: Vec<(Range<usize>, Manner)>,
    /// Whether the last scan ends before all its blocks have been written.
    pub cut: bool,
    pub planes: Vec<Plane>,
}

impl Picture {
    /// The number of bytes that are recreated.
    pub fn recreated(&self) -> usize {
        self.scans.iter().map(|s| s.0.len()).sum()
    }

    pub fn blocks(&self) -> u64 {
        self.planes.iter().map(|p| p.wide as u64 * p.high as u64).sum()
    }

    /// The end of the last byte that is recreated.
    pub fn end(&self) -> usize {
        self.scans.last().map_or(self.head.end, |s| s.0.end)
    }
}

/// A scan as the bytes say.
struct Found {
    /// The headers as they are at its start.
    headers: Headers,
    scan: Scan,
    data: Range<usize>,
}

/// Why there is no picture.
pub struct Vain {
    /// The work done in vain, in bytes and blocks.
    pub work: usize,
    /// Whether there may be one that goes on after the end of the bytes.
    pub open: bool,
}

/// The length of the entropy-coded data at the start of bytes: up to a marker that is not one of restart.
fn data_len(bytes: &[u8]) -> usize {
    let marker = |w: &[u8]| w[0] == 0xFF && !matches!(w[1], 0 | 0xD0..=0xD7);
    bytes.windows(2).position(marker).unwrap_or(bytes.len())
}

/// The picture that starts at `start`, with at most `most` blocks.
pub fn parse(bytes: &[u8], start: usize, most: u64) -> Result<Picture, Vain> {
    let mut vain = Vain { work: 0, open: false };
    let mut count = MOST_SCANS;
    // Scans after one that differs are left out, and so are their coefficients.
    while count > 0 {
        let Some((frame, found)) = scans(&bytes[start..], count, &mut vain) else { return Err(vain) };
        if frame.blocks() > most {
            return Err(vain);
        }
        let Some(parsed) = recreate(&bytes[start..], &frame, &found, &mut vain) else { return Err(vain) };
        match parsed {
            Ok((planes, scans, cut)) => {
                let moved = |r: &Range<usize>| r.start + start..r.end + start;
                let scans: Vec<_> = scans.iter().map(|(r, m)| (moved(r), *m)).collect();
                let head = start..scans[0].0.start;
                let picture = Picture { head, scans, cut, planes };
                return if picture.recreated() < LEAST { Err(vain) } else { Ok(picture) };
            }
            Err(fewer) => count = fewer,
        }
    }
    Err(vain)
}

/// The frame and at most `count` scans of the picture at the start of bytes.
fn scans(bytes: &[u8], count: usize, vain: &mut Vain) -> Option<(Frame, Vec<Found>)> {
    let mut headers = Headers::default();
    let (mut at, mut found) = (0, Vec::new());
    while found.len() < count {
        let Walk::Scan(scan, len) = headers.walk(&bytes[at..], at == 0) else { break };
        let start = at + len;
        at = start + data_len(&bytes[start..]);
        found.push(Found { headers: headers.clone(), scan, data: start..at });
    }
    vain.work += at + 1;
    vain.open = at == bytes.len() && at > 0;
    let frame = headers.frame?;
    (!found.is_empty()).then_some((frame, found))
}

/// The coefficients of a picture, its scans, and whether the last is cut.
type Parsed = (Vec<Plane>, Vec<(Range<usize>, Manner)>, bool);

/// Reads all scans, and writes them again. Fails with a smaller number of scans to try; `None` where there is no
/// use in it.
fn recreate(bytes: &[u8], frame: &Frame, found: &[Found], vain: &mut Vain) -> Option<Result<Parsed, usize>> {
    let mut planes = found[0].headers.planes();
    for plane in &mut planes {
        plane.reserve().ok()?;
    }
    let blocks = frame.blocks() as usize;
    let mut seen = Vec::new();
    for f in found {
        seen.push(scan::read(&bytes[f.data.clone()], &f.headers, frame, &f.scan, &mut planes));
    }
    vain.work += blocks * found.len();
    let fits = |b: &[i16; 64]| b.iter().all(|v| v.unsigned_abs() <= LARGEST);
    if !planes.iter().all(|p| p.blocks.iter().all(fits)) {
        return None;
    }
    let mut scans = Vec::new();
    for (i, (f, seen)) in found.iter().zip(seen).enumerate() {
        let data = &bytes[f.data.clone()];
        let write = |run: u32| {
            let manner = Manner { zeros: seen.zeros, run };
            let most = data.len() + 16;
            let out = scan::write(&f.headers, frame, &f.scan, &planes, manner, most)?;
            Some((same_len(&out, data), out.len(), manner))
        };
        let mut best = write(LONGEST_RUN);
        if best.is_none_or(|b| b.0 < data.len()) && (1..LONGEST_RUN).contains(&seen.run) {
            best = longer(best, write(seen.run));
        }
        let Some((same, written, manner)) = best else { return Some(Err(i)) };
        let whole = same == data.len() && written == same;
        if !whole && (data.len() - same) * DIFFERENT > data.len() {
            return Some(Err(i));
        }
        if !whole && i + 1 < found.len() {
            return Some(Err(i + 1));
        }
        scans.push((f.data.start..f.data.start + same, manner));
        if !whole {
            return Some(Ok((planes, scans, written > same)));
        }
    }
    Some(Ok((planes, scans, false)))
}

/// The result of writing a scan: the number of bytes that are right, the number of all bytes, and the manner.
type Written = (usize, usize, Manner);

/// The one with more bytes that are right; the first of equal ones.
fn longer(a: Option<Written>, b: Option<Written>) -> Option<Written> {
    if b.map_or(0, |b| b.0) > a.map_or(0, |a| a.0) { b } else { a }
}

/// The number of bytes that are the same at the start of both.
fn same_len(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}
