//! Reading scans.

use super::super::bits::BitReader;
use super::super::header::{Frame, Headers, Scan};
use super::super::huffman::Huffman;
use super::order::Units;
use crate::model::mix::jpeg::Plane;

/// Observations made while a scan was read.
#[derive(Debug, Clone, Copy, Default)]
pub struct Read {
    /// Whether bytes are filled up with zeros.
    pub zeros: bool,
    /// The longest run of blocks that end.
    pub run: u32,
}

struct Reader<'a, 'b> {
    bits: BitReader<'a>,
    scan: &'b Scan,
    /// Blocks that are still to end without further symbols.
    run: u32,
    last_dc: [i32; 4],
    seen: Read,
    padded: bool,
}

/// Reads a scan into planes, as far as it can be read.
pub fn read(data: &[u8], headers: &Headers, frame: &Frame, scan: &Scan, planes: &mut [Plane]) -> Read {
    let (bits, seen) = (BitReader::new(data), Read::default());
    let mut reader = Reader { bits, scan, run: 0, last_dc: [0; 4], seen, padded: false };
    let _ = reader.all(headers, frame, planes);
    reader.seen
}

impl Reader<'_, '_> {
    fn all(&mut self, headers: &Headers, frame: &Frame, planes: &mut [Plane]) -> Option<()> {
        let units = Units::new(frame, self.scan);
        for unit in 0..units.count {
            if headers.restart > 0 && unit > 0 && unit % headers.restart == 0 {
                self.padding()?;
                self.bits.restart(((unit / headers.restart - 1) % 8) as u8)?;
                (self.run, self.last_dc) = (0, [0; 4]);
            }
            units.blocks(unit, |i, block| {
                let (place, dc, ac) = self.scan.components[i];
                let block = &mut planes[place].blocks[block];
                let codes = (headers.dc[dc].as_ref(), headers.ac[ac].as_ref());
                match (frame.progressive, self.scan.start, self.scan.high) {
                    (false, _, _) => self.sequential(block, i, codes.0?, codes.1?),
                    (true, 0, 0) => self.first_dc(block, i, codes.0?),
                    (true, 0, _) => {
                        block[0] |= (self.bits.read(1)? << self.scan.low) as i16;
                        Some(())
                    }
                    (true, _, 0) => self.first_ac(block, codes.1?),
                    (true, _, _) => self.more_ac(block, codes.1?),
                }
            })?;
        }
        self.padding()
    }

    fn padding(&mut self) -> Option<()> {
        let (bits, count) = self.bits.padding()?;
        if count > 0 && !self.padded {
            self.padded = true;
            self.seen.zeros = bits == 0;
        }
        Some(())
    }

    /// Reads a value of a size in bits; those with a leading 0 are negative.
    fn value(&mut self, size: u32) -> Option<i32> {
        if size == 0 {
            return Some(0);
        }
        let bits = self.bits.read(size)? as i32;
        Some(if bits >> (size - 1) == 0 { bits - (1 << size) + 1 } else { bits })
    }

    fn dc(&mut self, i: usize, code: &Huffman) -> Option<i16> {
        let size = u32::from(code.read(&mut self.bits)?);
        let value = self.last_dc[i] + if size < 16 { self.value(size)? } else { return None };
        self.last_dc[i] = value;
        i16::try_from(value << self.scan.low).ok()
    }

    fn first_dc(&mut self, block: &mut [i16; 64], i: usize, code: &Huffman) -> Option<()> {
        block[0] = self.dc(i, code)?;
        Some(())
    }

    fn sequential(&mut self, block: &mut [i16; 64], i: usize, dc: &Huffman, ac: &Huffman) -> Option<()> {
        block[0] = self.dc(i, dc)?;
        let mut k = 1;
        while k < 64 {
            let symbol = ac.read(&mut self.bits)?;
            let (zeros, size) = (usize::from(symbol >> 4), u32::from(symbol & 15));
            match (zeros, size) {
                (0, 0) => return Some(()),
                (15, 0) => k += 16,
                (_, 0) => return None,
                _ => {
                    k += zeros;
                    *block.get_mut(k)? = self.value(size)? as i16;
                    k += 1;
                }
            }
        }
        (k == 64).then_some(())
    }

    /// Reads the length of a run of blocks that end, given the upper half of its symbol.
    fn run(&mut self, log: u32) -> Option<u32> {
        let run = (1 << log) + if log > 0 { self.bits.read(log)? } else { 0 };
        self.seen.run = self.seen.run.max(run);
        Some(run)
    }

    fn first_ac(&mut self, block: &mut [i16; 64], ac: &Huffman) -> Option<()> {
        if self.run > 0 {
            self.run -= 1;
            return Some(());
        }
        let mut k = self.scan.start;
        while k <= self.scan.end {
            let symbol = ac.read(&mut self.bits)?;
            let (zeros, size) = (usize::from(symbol >> 4), u32::from(symbol & 15));
            if size == 0 && zeros < 15 {
                self.run = self.run(zeros as u32)? - 1;
                return Some(());
            }
            k += zeros;
            if size > 0 {
                let value = self.value(size)? << self.scan.low;
                *block.get_mut(k)? = i16::try_from(value).ok()?;
            }
            k += 1;
        }
        Some(())
    }

    /// Reads the next bit of a coefficient that is not 0.
    fn refine(&mut self, value: &mut i16) -> Option<()> {
        let bit = (self.bits.read(1)? << self.scan.low) as i16;
        *value = if *value < 0 { value.wrapping_sub(bit) } else { value.wrapping_add(bit) };
        Some(())
    }

    fn more_ac(&mut self, block: &mut [i16; 64], ac: &Huffman) -> Option<()> {
        let (mut k, end) = (self.scan.start, self.scan.end);
        while self.run == 0 && k <= end {
            let symbol = ac.read(&mut self.bits)?;
            let (mut zeros, size) = (usize::from(symbol >> 4), u32::from(symbol & 15));
            let value = match size {
                0 if zeros < 15 => {
                    self.run = self.run(zeros as u32)?;
                    break;
                }
                0 => 0,
                1 => (if self.bits.read(1)? != 0 { 1 } else { -1 }) << self.scan.low,
                _ => return None,
            };
            // Zeros are counted, and other coefficients between them get their next bits.
            loop {
                let at = block.get_mut(k).filter(|_| k <= end)?;
                k += 1;
                if *at != 0 {
                    self.refine(at)?;
                } else if zeros > 0 {
                    zeros -= 1;
                } else {
                    *at = value;
                    break;
                }
                if value == 0 && k > end {
                    break;
                }
            }
        }
        if self.run > 0 {
            self.run -= 1;
            for value in block[k.min(end + 1)..=end].iter_mut().filter(|v| **v != 0) {
                self.refine(value)?;
            }
        }
        Some(())
    }
}
