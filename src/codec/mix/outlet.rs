//! Hands out the bytes of a history in order, while a decoder of bits fills it.

use super::x86;
use crate::error::{Error, Result};
use crate::model::mix::context::Kind;

/// The state of handing out a block: how far it has come, and the branch filter that is undone on the way.
pub struct Outlet {
    /// The name of the codec, for messages.
    codec: &'static str,
    raw_len: usize,
    /// The number of raw bytes handed out so far.
    released: usize,
    /// Undoes the branch filter, in blocks of machine code.
    filter: Option<x86::Unfilter>,
}

impl Outlet {
    /// Prepares to hand out the `raw_len` bytes of a block of this kind.
    pub fn new(codec: &'static str, kind: Kind, raw_len: usize) -> Self {
        let filter = (kind == Kind::Code).then(x86::Unfilter::default);
        Self { codec, raw_len, released: 0, filter }
    }

    /// The length that the history must have to hand out `more` bytes.
    ///
    /// # Errors
    ///
    /// `BadArgument` if the block does not have that many.
    pub fn wanted(&self, more: usize) -> Result<usize> {
        let end = self.released.saturating_add(more);
        if end > self.raw_len {
            let Self { codec, raw_len, released, .. } = self;
            return Err(Error::bad_argument(format!(
                "{more} bytes asked for at {released}, the {codec} block has {raw_len}"
            )));
        }
        Ok(if self.filter.is_some() { (end + x86::LOOKAHEAD).min(self.raw_len) } else { end })
    }

    /// Hands out the next `out.len()` bytes of a history that is as long as [`Outlet::wanted`] asks.
    /// `has_rest` tells whether payload is left.
    ///
    /// # Errors
    ///
    /// `Corrupt` where payload is left after the block's last byte.
    pub fn hand_out(&mut self, history: &[u8], out: &mut [u8], has_rest: bool) -> Result<()> {
        let end = self.released + out.len();
        match &mut self.filter {
            Some(filter) => filter.next(history, out),
            None => out.copy_from_slice(&history[self.released..end]),
        }
        self.released = end;
        if end == self.raw_len && has_rest {
            return Err(Error::corrupt(format!("payload is left after a {} block's last byte", self.codec)));
        }
        Ok(())
    }
}
