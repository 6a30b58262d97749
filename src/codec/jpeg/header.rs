//! Marker segments of JPEG files: tables, frames, scans.

use super::huffman::Huffman;
use crate::model::mix::jpeg::Plane;

/// One component of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Component {
    id: u8,
    /// Sampling factors, 1..=4.
    pub h: usize,
    pub v: usize,
    /// The number of its quantisation table, 0..4.
    table: usize,
    /// Its width and height in blocks that hold samples.
    pub wide: usize,
    pub high: usize,
}

/// The fields of a frame header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    pub progressive: bool,
    pub components: Vec<Component>,
    /// Its width and height in units of all components.
    pub units_wide: usize,
    pub units_high: usize,
}

impl Frame {
    /// Reads a frame header; `None` unless it has samples of 8 bits, at most four components, and a size.
    fn read(body: &[u8], progressive: bool) -> Option<Self> {
        let &[8, y1, y0, x1, x0, count, ref rest @ ..] = body else { return None };
        let (height, width) =
            (usize::from(u16::from_be_bytes([y1, y0])), usize::from(u16::from_be_bytes([x1, x0])));
        let (parts, left) = rest.as_chunks::<3>();
        if height == 0 || width == 0 || !(1..=4).contains(&count) || !left.is_empty() {
            return None;
        }
        if parts.len() != usize::from(count) {
            return None;
        }
        let factors = |p: &[u8; 3]| (usize::from(p[1] >> 4), usize::from(p[1] & 15));
        let valid = |p: &[u8; 3]| {
            let (h, v) = factors(p);
            (1..=4).contains(&h) && (1..=4).contains(&v) && p[2] < 4
        };
        if !parts.iter().all(valid) {
            return None;
        }
        let (h_most, v_most) =
            parts.iter().map(factors).fold((1, 1), |most, f| (most.0.max(f.0), most.1.max(f.1)));
        let blocks = |size: usize, factor: usize, most: usize| (size * factor).div_ceil(most).div_ceil(8);
        let component = |p: &[u8; 3]| {
            let (h, v) = factors(p);
            let (wide, high) = (blocks(width, h, h_most), blocks(height, v, v_most));
            Component { id: p[0], h, v, table: p[2].into(), wide, high }
        };
        Some(Self {
            progressive,
            components: parts.iter().map(component).collect(),
            units_wide: width.div_ceil(8 * h_most),
            units_high: height.div_ceil(8 * v_most),
        })
    }

    /// The number of blocks of a component, in a row and in all rows, with those that only fill units up.
    pub fn padded(&self, c: &Component) -> (usize, usize) {
        (self.units_wide * c.h, self.units_high * c.v)
    }

    /// The number of blocks of all components.
    pub fn blocks(&self) -> u64 {
        let of = |c: &Component| {
            let (wide, high) = self.padded(c);
            wide as u64 * high as u64
        };
        self.components.iter().map(of).sum()
    }
}

/// The fields of a scan header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scan {
    /// For each of its components: its place in the frame, and the numbers of its codes for DC and AC.
    pub components: Vec<(usize, usize, usize)>,
    /// The first and the last coefficient.
    pub start: usize,
    pub end: usize,
    /// The bit position up to which earlier scans went, and the one of this scan.
    pub high: u32,
    pub low: u32,
}

impl Scan {
    fn read(body: &[u8], frame: &Frame) -> Option<Self> {
        let (&count, rest) = body.split_first()?;
        let (parts, &[start, end, bits]) = rest.split_at_checked(2 * usize::from(count))? else {
            return None;
        };
        let mut components = Vec::new();
        for [id, tables] in parts.as_chunks::<2>().0 {
            let place = frame.components.iter().position(|c| c.id == *id)?;
            let (dc, ac) = (usize::from(tables >> 4), usize::from(tables & 15));
            if dc > 3 || ac > 3 || components.iter().any(|(p, _, _)| *p == place) {
                return None;
            }
            components.push((place, dc, ac));
        }
        let (high, low) = (u32::from(bits >> 4), u32::from(bits & 15));
        let (start, end) = (usize::from(start), usize::from(end));
        let right = if frame.progressive {
            let band = if start == 0 { end == 0 } else { end >= start && end < 64 && count == 1 };
            band && low < 14 && (high == 0 || high == low + 1)
        } else {
            start == 0 && end == 63 && bits == 0
        };
        (right && count > 0).then_some(Self { components, start, end, high, low })
    }
}

/// The state of the headers of a file.
#[derive(Clone, Default)]
pub struct Headers {
    quantisers: [Option<[u16; 64]>; 4],
    pub dc: [Option<Huffman>; 4],
    pub ac: [Option<Huffman>; 4],
    /// Units between restart markers; 0 without them.
    pub restart: usize,
    pub frame: Option<Frame>,
}

/// The reason why a walk over segments ended.
pub enum Walk {
    /// A scan header, after so many bytes.
    Scan(Scan, usize),
    /// Anything else.
    Other,
}

impl Headers {
    /// Reads marker segments up to the first scan header. `start` says whether they begin with that of the
    /// image's start.
    pub fn walk(&mut self, bytes: &[u8], start: bool) -> Walk {
        self.walk_on(bytes, start).map_or(Walk::Other, |(scan, len)| Walk::Scan(scan, len))
    }

    fn walk_on(&mut self, bytes: &[u8], start: bool) -> Option<(Scan, usize)> {
        let mut at = 0;
        if start {
            if bytes.get(..2)? != [0xFF, 0xD8] {
                return None;
            }
            at = 2;
        }
        loop {
            // A marker may have any number of bytes FF before it.
            while bytes.get(at..at + 2)? == [0xFF, 0xFF] {
                at += 1;
            }
            let &[0xFF, marker, a, b] = bytes.get(at..)?.first_chunk()? else { return None };
            let len = usize::from(u16::from_be_bytes([a, b]));
            let body = bytes.get(at + 4..at + 2 + len)?;
            at += 2 + len;
            if marker == 0xDA {
                return Some((Scan::read(body, self.frame.as_ref()?)?, at));
            }
            self.segment(marker, body)?;
        }
    }

    /// Takes in a segment; `None` where it cannot be a file that this codec knows.
    fn segment(&mut self, marker: u8, body: &[u8]) -> Option<()> {
        match marker {
            0xC0..=0xC2 if self.frame.is_none() => self.frame = Some(Frame::read(body, marker == 0xC2)?),
            0xC4 => self.huffman(body)?,
            0xDB => self.quantisers(body)?,
            0xDD => self.restart = u16::from_be_bytes(*body.as_array()?).into(),
            0x00..=0xDF => return None,
            0xE0..=0xFE => {}
            0xFF => return None,
        }
        Some(())
    }

    fn huffman(&mut self, mut body: &[u8]) -> Option<()> {
        while let Some((&kind, rest)) = body.split_first() {
            let (counts, rest) = rest.split_first_chunk::<16>()?;
            let (symbols, rest) = rest.split_at_checked(counts.iter().map(|c| usize::from(*c)).sum())?;
            let codes = if kind >> 4 == 0 { &mut self.dc } else { &mut self.ac };
            if kind & 0xEC != 0 {
                return None;
            }
            codes[usize::from(kind & 3)] = Some(Huffman::new(counts, symbols)?);
            body = rest;
        }
        Some(())
    }

    fn quantisers(&mut self, mut body: &[u8]) -> Option<()> {
        while let Some((&kind, rest)) = body.split_first() {
            let size = if kind >> 4 == 0 { 64 } else { 128 };
            let (values, rest) = rest.split_at_checked(size)?;
            if kind & 0xEC != 0 {
                return None;
            }
            let table = &mut self.quantisers[usize::from(kind & 3)];
            *table = Some(std::array::from_fn(|i| match size {
                64 => values[i].into(),
                _ => u16::from_be_bytes([values[2 * i], values[2 * i + 1]]),
            }));
            body = rest;
        }
        Some(())
    }

    /// Planes for the components of the frame, without memory for their blocks.
    pub fn planes(&self) -> Vec<Plane> {
        let Some(frame) = &self.frame else { return Vec::new() };
        let plane = |c: &Component| {
            let (wide, high) = frame.padded(c);
            Plane::new(wide, high, self.quantisers[c.table].unwrap_or([1; 64]))
        };
        frame.components.iter().map(plane).collect()
    }
}
