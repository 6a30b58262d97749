//! Bits of entropy-coded data, the highest of a byte first. A byte FF in them is followed by a byte 00.

/// Reads bits up to the next marker.
pub struct BitReader<'a> {
    data: &'a [u8],
    at: usize,
    /// Bits that have been read ahead, in the low `count` bits.
    ahead: u64,
    count: u32,
}

impl<'a> BitReader<'a> {
    pub fn new(data: &'a [u8]) -> Self {
        Self { data, at: 0, ahead: 0, count: 0 }
    }

    fn fill(&mut self) {
        while self.count <= 48 {
            let byte = match self.data.get(self.at) {
                Some(0xFF) if self.data.get(self.at + 1) != Some(&0) => return,
                Some(0xFF) => {
                    self.at += 1;
                    0xFF
                }
                Some(byte) => *byte,
                None => return,
            };
            self.at += 1;
            self.ahead = self.ahead << 8 | u64::from(byte);
            self.count += 8;
        }
    }

    /// The next bits, at most 16; zeros after the end.
    pub fn peek(&mut self, bits: u32) -> u32 {
        if self.count < bits {
            self.fill();
        }
        let mask = (1 << bits) - 1;
        let value = if self.count >= bits {
            self.ahead >> (self.count - bits)
        } else {
            self.ahead << (bits - self.count)
        };
        value as u32 & mask
    }

    /// Skips bits; `None` where they end.
    pub fn skip(&mut self, bits: u32) -> Option<()> {
        self.count = self.count.checked_sub(bits)?;
        Some(())
    }

    /// Reads at most 16 bits.
    pub fn read(&mut self, bits: u32) -> Option<u32> {
        let value = self.peek(bits);
        self.skip(bits)?;
        Some(value)
    }

    /// Reads the rest of the current byte: its bits, and how many they are. `None` where there is more before
    /// the next marker.
    pub fn padding(&mut self) -> Option<(u32, u32)> {
        self.fill();
        if self.count >= 8 {
            return None;
        }
        let bits = self.ahead as u32 & ((1 << self.count) - 1);
        let count = std::mem::take(&mut self.count);
        Some((bits, count))
    }

    /// Reads a restart marker, given its number in 0..8.
    pub fn restart(&mut self, number: u8) -> Option<()> {
        let right = self.data.get(self.at..self.at + 2)? == [0xFF, 0xD0 + number];
        self.at += 2;
        right.then_some(())
    }
}

/// Writes bits.
pub struct BitWriter {
    pub out: Vec<u8>,
    held: u64,
    count: u32,
}

impl BitWriter {
    pub fn new() -> Self {
        Self { out: Vec::new(), held: 0, count: 0 }
    }

    /// Writes the low `bits` bits of a value, at most 16.
    pub fn put(&mut self, value: u32, bits: u32) {
        let mask = (1u64 << bits) - 1;
        self.held = self.held << bits | u64::from(value) & mask;
        self.count += bits;
        while self.count >= 8 {
            self.count -= 8;
            let byte = (self.held >> self.count) as u8;
            self.out.push(byte);
            if byte == 0xFF {
                self.out.push(0);
            }
        }
    }

    /// Fills the current byte up with bits that are all 1 or all 0.
    pub fn pad(&mut self, ones: bool) {
        self.put(if ones { 0x7F } else { 0 }, (8 - self.count % 8) % 8);
    }
}
