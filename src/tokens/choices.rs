//! The choices of a user: the lengths of windows and tokens, and what carries over from window to window.

use crate::coder::points::Ends;
use crate::error::{Error, Result};

/// The context that the model has at the start of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Policy {
    /// Nothing: the model starts anew in each window.
    Reset,
    /// All of the document so far: only the coder starts anew.
    Continue,
}

/// Where windows end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WindowEnds {
    /// Between symbols: bytes, or the tokens of an imported model.
    Symbol,
    /// Anywhere, also inside of a symbol, which makes better use of a window.
    Bit,
}

/// How text becomes tokens. The default is windows of 16 bits, each one token, in which the model starts anew,
/// and one special token.
///
/// ```
/// use nzip::tokens::{Choices, Policy};
/// let choices = Choices::new().window_bits(32).token_bits(8).policy(Policy::Continue);
/// assert_eq!(choices.vocab_size(), 257);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Choices {
    pub(super) window_bits: u32,
    pub(super) token_bits: u32,
    pub(super) policy: Policy,
    pub(super) ends: WindowEnds,
    pub(super) adaptive: bool,
    pub(super) special: u32,
}

impl Default for Choices {
    fn default() -> Self {
        Self {
            window_bits: 16,
            token_bits: 16,
            policy: Policy::Reset,
            ends: WindowEnds::Symbol,
            adaptive: false,
            special: 1,
        }
    }
}

impl Choices {
    /// The default.
    pub fn new() -> Self {
        Self::default()
    }

    /// The bits of a window: 16..=256, a multiple of those of a token.
    pub fn window_bits(self, window_bits: u32) -> Self {
        Self { window_bits, ..self }
    }

    /// The bits of a token: 8..=16.
    pub fn token_bits(self, token_bits: u32) -> Self {
        Self { token_bits, ..self }
    }

    /// Sets what carries over from window to window.
    pub fn policy(self, policy: Policy) -> Self {
        Self { policy, ..self }
    }

    /// Where windows end.
    pub fn ends(self, ends: WindowEnds) -> Self {
        Self { ends, ..self }
    }

    /// Whether a byte-level model learns from the document while it codes it. Tokens become fewer, and what
    /// they mean depends on more. Only with [`Policy::Continue`].
    pub fn adaptive(self, adaptive: bool) -> Self {
        Self { adaptive, ..self }
    }

    /// The number of special tokens, at most 65536. They come after all others; the first one ends documents.
    pub fn special(self, special: u32) -> Self {
        Self { special, ..self }
    }

    /// The number of different tokens.
    pub fn vocab_size(&self) -> u32 {
        self.first_special() + self.special
    }

    /// The first special token.
    pub(super) fn first_special(&self) -> u32 {
        1 << self.token_bits.min(16)
    }

    /// The number of tokens of a window.
    pub fn tokens_per_window(&self) -> usize {
        (self.window_bits / self.token_bits.max(1)) as usize
    }

    /// Where the coder ends windows.
    pub(super) fn coder_ends(&self) -> Ends {
        match self.ends {
            WindowEnds::Symbol => Ends::Symbol,
            WindowEnds::Bit => Ends::Bit,
        }
    }

    /// Refuses what is out of range.
    pub(super) fn check(&self) -> Result<()> {
        let Self { window_bits: b, token_bits: v, special, .. } = *self;
        if !(16..=256).contains(&b) || !(8..=16).contains(&v) || b % v != 0 {
            return Err(Error::bad_argument(format!(
                "tokens: windows of {b} bits and tokens of {v}; wanted are 16..=256 and 8..=16, the first a multiple of \
                 the second"
            )));
        }
        if special > 1 << 16 {
            return Err(Error::bad_argument(format!("tokens: {special} special tokens, at most 65536")));
        }
        if self.adaptive && self.policy == Policy::Reset {
            return Err(Error::bad_argument("tokens: a model that starts anew in each window cannot learn"));
        }
        Ok(())
    }
}
