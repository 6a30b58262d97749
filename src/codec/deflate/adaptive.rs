//! Adaptive bits: the symbols that make up a record. The same code encodes and decodes them.

use crate::coder::binary::{BinaryDecoder, BinaryEncoder, OVERRUN};
use crate::error::{Error, Result};

/// The most bits that a probability averages over.
const LIMIT: u16 = 254;

/// The probability of a one, which adapts to the bits that are coded with it.
#[derive(Debug, Clone, Copy)]
pub struct Bit {
    /// In 1/65536, 32..=65504.
    p: u16,
    /// Bits seen, at most [`LIMIT`].
    seen: u16,
}

impl Default for Bit {
    fn default() -> Self {
        Self { p: 1 << 15, seen: 0 }
    }
}

impl Bit {
    #[inline(always)]
    fn learn(&mut self, bit: u32) {
        let (p, d) = (u32::from(self.p), 2 * u32::from(self.seen) + 3);
        let p = if bit != 0 { p + (65536 - p) * 2 / d } else { p - p * 2 / d };
        self.p = p.clamp(32, 65504) as u16;
        self.seen = (self.seen + 1).min(LIMIT);
    }
}

/// Codes bits, in one of the two directions: an encoder writes the bits that it is given, a decoder ignores
/// them and returns those that it reads.
pub trait Coder {
    /// Encodes `bit`, or decodes a bit in its place, and returns the bit.
    fn bit(&mut self, model: &mut Bit, bit: u32) -> u32;

    /// Fails if more has been decoded than the payload holds.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::Truncated`].
    fn check(&self) -> Result<()>;

    /// Codes a flag.
    #[inline(always)]
    fn flag(&mut self, model: &mut Bit, flag: bool) -> bool {
        self.bit(model, flag.into()) != 0
    }

    /// Codes a number of `bits` bits, the highest first, each with the bits before it as context. `models`
    /// has 2^`bits` entries.
    #[inline(always)]
    fn tree(&mut self, models: &mut [Bit], bits: u32, value: u32) -> u32 {
        let mut node = 1;
        for i in (0..bits).rev() {
            let bit = self.bit(&mut models[node], value >> i & 1);
            node = 2 * node + bit as usize;
        }
        node as u32 - (1 << bits)
    }

    /// Codes a number below 2^32 − 1: the bit length of `value` + 1, then its bits after the leading one.
    fn number(&mut self, models: &mut Number, value: u32) -> u32 {
        let value = u64::from(value) + 1;
        let mut log = 0;
        while log < 31 && self.flag(&mut models.length[log], value.ilog2() > log as u32) {
            log += 1;
        }
        let mut read = 1u64;
        for i in (0..log).rev() {
            let top = log - 1 - i;
            let model = if top < 3 { &mut models.high[log][read as usize] } else { &mut models.low[i] };
            read = 2 * read + u64::from(self.bit(model, (value >> i) as u32 & 1));
        }
        (read - 1) as u32
    }
}

/// The models of a number's length and bits.
#[derive(Debug, Clone, Default)]
pub struct Number {
    length: [Bit; 31],
    high: [[Bit; 8]; 32],
    low: [Bit; 32],
}

/// Encodes bits.
pub struct Writing(pub BinaryEncoder);

impl Coder for Writing {
    #[inline(always)]
    fn bit(&mut self, model: &mut Bit, bit: u32) -> u32 {
        self.0.encode(bit, model.p.into());
        model.learn(bit);
        bit
    }

    fn check(&self) -> Result<()> {
        Ok(())
    }
}

/// Decodes bits.
pub struct Reading<'a> {
    payload: &'a [u8],
    decoder: BinaryDecoder,
}

impl<'a> Reading<'a> {
    /// Starts at the first byte.
    pub fn new(payload: &'a [u8]) -> Self {
        Self { payload, decoder: BinaryDecoder::new(payload, 0) }
    }

    /// Fails unless all bytes have been used.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::Corrupt`].
    pub fn finish(&self) -> Result<()> {
        self.check()?;
        if self.decoder.has_rest(self.payload) {
            return Err(Error::corrupt("bytes are left after the last bit of a deflate record"));
        }
        Ok(())
    }
}

impl Coder for Reading<'_> {
    #[inline(always)]
    fn bit(&mut self, model: &mut Bit, _bit: u32) -> u32 {
        let bit = self.decoder.decode(self.payload, model.p.into());
        model.learn(bit);
        bit
    }

    fn check(&self) -> Result<()> {
        if self.decoder.overrun(self.payload) > OVERRUN {
            return Err(Error::truncated("a deflate record ends too early"));
        }
        Ok(())
    }
}
