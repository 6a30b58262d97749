//! The part of decoding in order that each codec implements.

use super::buffer::reserve;
use crate::error::Result;

/// Decodes the bytes of a block in order: the codec's half of [`super::ordered::OrderedDecoder`].
pub trait Reader: Send {
    /// Makes `raw` at least `end` bytes long. `payload` is the block's whole payload in every call.
    ///
    /// # Errors
    ///
    /// Those of a damaged payload; [`crate::ErrorKind::LimitExceeded`] where memory is missing.
    fn fill(&mut self, payload: &[u8], end: usize, raw: &mut Vec<u8>) -> Result<()>;

    /// Fails unless the payload ends where the raw bytes do; `raw` is the buffer of the last call of
    /// [`Reader::fill`].
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::Corrupt`] where the payload goes on.
    fn finish(&mut self, _payload: &[u8], _raw: &mut Vec<u8>) -> Result<()> {
        Ok(())
    }

    /// Whether all calls must get the same buffer, with the block's earlier bytes in it.
    fn in_place(&self) -> bool {
        false
    }

    /// Turns the payload's memory into the raw bytes where the two are equal. `raw` must be empty.
    fn adopt(&mut self, _payload: &mut Vec<u8>, _raw: &mut Vec<u8>) {}
}

/// Hands out in order the bytes of a block that its codec can only decode as a whole.
pub struct DecodedBlock {
    bytes: Vec<u8>,
    /// The offset of the next byte.
    at: usize,
}

impl DecodedBlock {
    /// Hands out these raw bytes of a block.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self { bytes, at: 0 }
    }
}

impl Reader for DecodedBlock {
    fn fill(&mut self, _payload: &[u8], end: usize, raw: &mut Vec<u8>) -> Result<()> {
        let more = end.saturating_sub(raw.len());
        reserve(raw, more)?;
        raw.extend_from_slice(&self.bytes[self.at..self.at + more]);
        self.at += more;
        Ok(())
    }
}
