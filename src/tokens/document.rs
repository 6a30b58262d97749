//! Documents as tokens: the digits of their windows, one after the other.

use super::choices::Choices;
use crate::coder::Wide;
use crate::coder::points::WindowDecoder;
use crate::error::{Error, Result};
use std::sync::atomic::{AtomicU64, Ordering};

/// The error by which the decisions of a byte end where a document does. Nobody sees it.
pub fn ended() -> Error {
    Error::truncated("tokens: the document has ended")
}

/// Appends the tokens of a window: its value's digits, the highest first.
pub fn put_tokens(value: Wide, choices: &Choices, out: &mut Vec<u32>) {
    let bits = choices.token_bits;
    let digits = (0..choices.window_bits / bits).rev().map(|i| value.digit(i * bits, bits));
    out.extend(digits);
}

/// Refuses tokens that are no digits, and a window that is not complete.
///
/// # Errors
/// `Corrupt`.
pub fn check(tokens: &[u32], choices: &Choices) -> Result<()> {
    let (most, per_window) = (choices.first_special(), choices.tokens_per_window());
    if let Some(i) = tokens.iter().position(|&t| t >= most) {
        let (found, size) = (tokens[i], choices.vocab_size());
        let what =
            if found < size { "a special token inside of a document" } else { "not in the vocabulary" };
        return Err(Error::corrupt(format!("tokens: token {i} is {found}: {what}")));
    }
    if !tokens.len().is_multiple_of(per_window) {
        let len = tokens.len();
        return Err(Error::corrupt(format!("tokens: {len} tokens are not whole windows of {per_window}")));
    }
    Ok(())
}

/// The windows of a document, ready to be decoded.
#[derive(Debug)]
pub struct Windows<'d> {
    tokens: &'d [u32],
    choices: Choices,
}

impl<'d> Windows<'d> {
    /// The windows of tokens that have been checked.
    pub fn new(choices: &Choices, tokens: &'d [u32]) -> Self {
        Self { tokens, choices: *choices }
    }

    /// Opens the next window, `at_symbol` or inside of one; those that end at once are passed over.
    pub fn open(&mut self, at_symbol: bool) -> Option<WindowDecoder> {
        self.find_map(|mut window| (!at_symbol || window.symbol()).then_some(window))
    }

    /// The number of tokens that are left.
    pub fn len(&self) -> usize {
        self.tokens.len()
    }
}

impl Iterator for Windows<'_> {
    type Item = WindowDecoder;

    fn next(&mut self) -> Option<WindowDecoder> {
        let (window, rest) = self.tokens.split_at_checked(self.choices.tokens_per_window())?;
        self.tokens = rest;
        let value = window.iter().fold(Wide::ZERO, |v, &t| v.append(t, self.choices.token_bits));
        Some(WindowDecoder::new(self.choices.window_bits, self.choices.coder_ends(), value))
    }
}

/// The bytes that decoding may still produce.
#[derive(Debug)]
pub struct Budget {
    most: u64,
    used: AtomicU64,
}

impl Budget {
    /// A budget of `most` bytes.
    pub fn new(most: u64) -> Self {
        Self { most, used: AtomicU64::new(0) }
    }

    /// Uses some of it.
    ///
    /// # Errors
    /// `LimitExceeded` where it does not suffice.
    pub fn take(&self, bytes: usize) -> Result<()> {
        if self.used.fetch_add(bytes as u64, Ordering::Relaxed) + bytes as u64 > self.most {
            let most = self.most;
            return Err(Error::limit(format!(
                "tokens: the text takes more than {most} bytes; the memory cap is less"
            )));
        }
        Ok(())
    }
}
