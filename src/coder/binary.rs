//! A binary arithmetic coder with 32-bit bounds and 16-bit probabilities, specified in `formats/mix.md`.
//!
//! The coder keeps an interval `low..=high` and narrows it with every bit, in proportion to the bit's
//! probability (Witten, Neal and Cleary, "Arithmetic coding for data compression", 1987, in a bytewise form
//! without carries). A byte is written as soon as both bounds begin with it. If the bounds still differ in
//! their first byte when the interval has shrunk below 2^16 values, probabilities lose precision, but each
//! bit still gets a part of the interval.

/// The last value of the part of `low..=high` that belongs to a 1 of probability `p` / 65536; always below
/// `high`.
#[inline(always)]
fn split(low: u32, high: u32, p: u32) -> u32 {
    debug_assert!((1..=65535).contains(&p) && low < high);
    let range = high - low;
    low + (range >> 16) * p + (((range & 0xffff) * p) >> 16)
}

/// Writes bits into a payload that grows.
#[derive(Debug)]
pub struct BinaryEncoder {
    low: u32,
    high: u32,
    out: Vec<u8>,
}

impl BinaryEncoder {
    /// Starts a payload that is appended to `out`.
    pub fn new(out: Vec<u8>) -> Self {
        Self { low: 0, high: u32::MAX, out }
    }

    /// Codes `bit` (0 or 1), where a 1 has the probability `p` / 65536 with `p` in 1..=65535.
    #[inline(always)]
    pub fn encode(&mut self, bit: u32, p: u32) {
        let mid = split(self.low, self.high, p);
        if bit != 0 {
            self.high = mid;
        } else {
            self.low = mid + 1;
        }
        while (self.low ^ self.high) >> 24 == 0 {
            self.out.push((self.high >> 24) as u8);
            self.low <<= 8;
            self.high = (self.high << 8) | 255;
        }
    }

    /// Ends the payload with the shortest byte string that decodes when zeros follow it.
    pub fn finish(mut self) -> Vec<u8> {
        if self.low > 0 {
            let keep = (1..=4).find(|&n| self.round_up(n).is_some()).unwrap_or(4);
            let value = self.round_up(keep).unwrap_or(self.high);
            self.out.extend_from_slice(&value.to_be_bytes()[..keep as usize]);
        }
        self.out
    }

    /// The smallest value in the interval in which only the first `bytes` bytes are not zero, if there is
    /// one.
    fn round_up(&self, bytes: u32) -> Option<u32> {
        let unit = 1u64 << (32 - 8 * bytes);
        let value = u64::from(self.low).div_ceil(unit) * unit;
        (value <= u64::from(self.high)).then_some(value as u32)
    }
}

/// The most zero bytes past its end that decoding an intact payload reads.
pub const OVERRUN: usize = 4;

/// Reads bits from a payload, which must be the same in every call; bytes past its end read as zero.
#[derive(Debug)]
pub struct BinaryDecoder {
    low: u32,
    high: u32,
    value: u32,
    position: usize,
}

impl BinaryDecoder {
    /// Starts reading at byte `start` of the payload.
    pub fn new(payload: &[u8], start: usize) -> Self {
        let mut decoder = Self { low: 0, high: u32::MAX, value: 0, position: start };
        for _ in 0..4 {
            decoder.value = (decoder.value << 8) | decoder.next_byte(payload);
        }
        decoder
    }

    #[inline(always)]
    fn next_byte(&mut self, payload: &[u8]) -> u32 {
        let byte = payload.get(self.position).copied().unwrap_or(0);
        self.position += 1;
        u32::from(byte)
    }

    /// The number of bytes that have been read past the payload's end; an intact payload needs at most 4.
    pub fn overrun(&self, payload: &[u8]) -> usize {
        self.position.saturating_sub(payload.len())
    }

    /// Whether payload bytes remain that no decoded bit has needed so far.
    pub fn has_rest(&self, payload: &[u8]) -> bool {
        self.position < payload.len()
    }

    /// Decodes the next bit (0 or 1), where a 1 has the probability `p` / 65536 with `p` in 1..=65535, as in
    /// encoding.
    #[inline(always)]
    pub fn decode(&mut self, payload: &[u8], p: u32) -> u32 {
        let mid = split(self.low, self.high, p);
        let bit = u32::from(self.value <= mid);
        if bit != 0 {
            self.high = mid;
        } else {
            self.low = mid + 1;
        }
        while (self.low ^ self.high) >> 24 == 0 {
            self.low <<= 8;
            self.high = (self.high << 8) | 255;
            self.value = (self.value << 8) | self.next_byte(payload);
        }
        bit
    }
}
