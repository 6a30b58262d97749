//! Writing scans.

use super::super::bits::BitWriter;
use super::super::header::{Frame, Headers, Scan};
use super::super::huffman::Huffman;
use super::order::Units;
use crate::model::mix::jpeg::Plane;

/// How an encoder wrote a scan, where the standard leaves it a choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Manner {
    /// Whether bytes are filled up with zeros rather than ones.
    pub zeros: bool,
    /// The longest run of blocks that end, 1..=[`super::LONGEST_RUN`].
    pub run: u32,
}

/// The most bits that refine coefficients and wait for the end of a run: one more block follows only below it,
/// as in libjpeg.
const MOST_WAITING: usize = 1000 - 64 + 1;

struct Writer<'a> {
    bits: BitWriter,
    scan: &'a Scan,
    manner: Manner,
    run: u32,
    /// Bits that follow the run.
    waiting: Vec<u8>,
    last_dc: [i32; 4],
}

/// Writes a scan, or its first units up to the one with which it has more than `most` bytes. `None` where symbols have no codes.
pub fn write(
    headers: &Headers,
    frame: &Frame,
    scan: &Scan,
    planes: &[Plane],
    manner: Manner,
    most: usize,
) -> Option<Vec<u8>> {
    let (bits, waiting) = (BitWriter::new(), Vec::new());
    let mut writer = Writer { bits, scan, manner, run: 0, waiting, last_dc: [0; 4] };
    let units = Units::new(frame, scan);
    for unit in 0..units.count {
        if writer.bits.out.len() > most {
            return Some(writer.bits.out);
        }
        if headers.restart > 0 && unit > 0 && unit % headers.restart == 0 {
            writer.end(headers)?;
            let number = (unit / headers.restart - 1) % 8;
            writer.bits.out.extend_from_slice(&[0xFF, 0xD0 + number as u8]);
            writer.last_dc = [0; 4];
        }
        units.blocks(unit, |i, block| {
            let (place, dc, ac) = scan.components[i];
            let block = &planes[place].blocks[block];
            let codes = (headers.dc[dc].as_ref(), headers.ac[ac].as_ref());
            match (frame.progressive, scan.start, scan.high) {
                (false, _, _) => writer.sequential(block, i, codes.0?, codes.1?),
                (true, 0, 0) => writer.dc(block, i, codes.0?),
                (true, 0, _) => {
                    writer.bits.put((block[0] >> scan.low) as u32, 1);
                    Some(())
                }
                (true, _, 0) => writer.first_ac(block, codes.1?),
                (true, _, _) => writer.more_ac(block, codes.1?),
            }
        })?;
    }
    writer.end(headers)?;
    Some(writer.bits.out)
}

/// The number of bits of a magnitude.
fn size(magnitude: u32) -> u32 {
    32 - magnitude.leading_zeros()
}

impl Writer<'_> {
    /// Writes what waits, and fills the byte up.
    fn end(&mut self, headers: &Headers) -> Option<()> {
        if self.run > 0 {
            let code = headers.ac[self.scan.components[0].2].as_ref()?;
            self.end_run(code)?;
        }
        self.bits.pad(!self.manner.zeros);
        Some(())
    }

    fn symbol(&mut self, code: &Huffman, symbol: u32) -> Option<()> {
        let (bits, len) = code.code(u8::try_from(symbol).ok()?)?;
        self.bits.put(bits, len);
        Some(())
    }

    /// Writes the bits of a value of a size: negative ones less 1.
    fn value(&mut self, value: i32, size: u32) {
        self.bits.put((if value < 0 { value - 1 } else { value }) as u32, size);
    }

    fn dc(&mut self, block: &[i16; 64], i: usize, code: &Huffman) -> Option<()> {
        let value = i32::from(block[0]) >> self.scan.low;
        let difference = value - std::mem::replace(&mut self.last_dc[i], value);
        let size = size(difference.unsigned_abs());
        if size > 15 {
            return None;
        }
        self.symbol(code, size)?;
        self.value(difference, size);
        Some(())
    }

    fn sequential(&mut self, block: &[i16; 64], i: usize, dc: &Huffman, ac: &Huffman) -> Option<()> {
        self.dc(block, i, dc)?;
        let mut zeros = 0;
        for &value in &block[1..] {
            if value == 0 {
                zeros += 1;
                continue;
            }
            while zeros > 15 {
                self.symbol(ac, 0xF0)?;
                zeros -= 16;
            }
            let size = size(value.unsigned_abs().into());
            if size > 15 {
                return None;
            }
            self.symbol(ac, zeros << 4 | size)?;
            self.value(value.into(), size);
            zeros = 0;
        }
        if zeros > 0 { self.symbol(ac, 0) } else { Some(()) }
    }

    fn end_run(&mut self, ac: &Huffman) -> Option<()> {
        if self.run > 0 {
            let log = self.run.ilog2();
            self.symbol(ac, log << 4)?;
            self.bits.put(self.run, log);
            self.run = 0;
            let waiting = std::mem::take(&mut self.waiting);
            self.put_all(&waiting);
        }
        Some(())
    }

    fn put_all(&mut self, bits: &[u8]) {
        for bit in bits {
            self.bits.put((*bit).into(), 1);
        }
    }

    fn first_ac(&mut self, block: &[i16; 64], ac: &Huffman) -> Option<()> {
        let mut zeros = 0;
        for &value in &block[self.scan.start..=self.scan.end] {
            let magnitude = u32::from(value.unsigned_abs()) >> self.scan.low;
            if magnitude == 0 {
                zeros += 1;
                continue;
            }
            self.end_run(ac)?;
            while zeros > 15 {
                self.symbol(ac, 0xF0)?;
                zeros -= 16;
            }
            let size = size(magnitude);
            if size > 15 {
                return None;
            }
            self.symbol(ac, zeros << 4 | size)?;
            self.value(if value < 0 { -(magnitude as i32) } else { magnitude as i32 }, size);
            zeros = 0;
        }
        if zeros > 0 {
            self.run += 1;
            if self.run >= self.manner.run {
                self.end_run(ac)?;
            }
        }
        Some(())
    }

    fn more_ac(&mut self, block: &[i16; 64], ac: &Huffman) -> Option<()> {
        let band = self.scan.start..=self.scan.end;
        let magnitude = |k: usize| u32::from(block[k].unsigned_abs()) >> self.scan.low;
        let magnitudes: [u32; 64] = std::array::from_fn(magnitude);
        let last_new = band.clone().rev().find(|k| magnitudes[*k] == 1).unwrap_or(0);
        let (mut zeros, mut bits) = (0, Vec::new());
        for k in band {
            if magnitudes[k] == 0 {
                zeros += 1;
                continue;
            }
            while zeros > 15 && k <= last_new {
                self.end_run(ac)?;
                self.symbol(ac, 0xF0)?;
                zeros -= 16;
                self.put_all(&std::mem::take(&mut bits));
            }
            if magnitudes[k] > 1 {
                bits.push((magnitudes[k] & 1) as u8);
                continue;
            }
            self.end_run(ac)?;
            self.symbol(ac, zeros << 4 | 1)?;
            self.bits.put((block[k] >= 0).into(), 1);
            self.put_all(&std::mem::take(&mut bits));
            zeros = 0;
        }
        if zeros > 0 || !bits.is_empty() {
            self.run += 1;
            self.waiting.extend_from_slice(&bits);
            if self.run >= self.manner.run || self.waiting.len() > MOST_WAITING {
                self.end_run(ac)?;
            }
        }
        Some(())
    }
}
