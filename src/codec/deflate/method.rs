//! How the tokens of a stream are predicted, and how a record says so.

use super::adaptive::Coder;
use super::codes::{MAX_MATCH, WINDOW};
use super::models::Models;
use super::search::Settings;
use crate::error::{Error, Result};

/// How the tokens of a stream are predicted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// As a search of zlib with these settings chooses them.
    Search(Settings),
    /// As the cheapest ways through the block, by the cost of all that follows.
    Paths {
        /// The most positions that a search for matches looks at.
        chain: u32,
        /// Whether costs are derived from symbol counts, which the record stores, rather than from code
        /// lengths.
        counted: bool,
    },
}

/// The settings of zlib's level 6.
pub const DEFAULT: Settings = Settings {
    fast: false,
    good: 8,
    lazy: 16,
    nice: 128,
    chain: 128,
    least: 3,
    near: 4096,
    far: 32506,
    hash_bits: 15,
};

/// The error of a record that no encoder writes.
pub fn corrupt(what: &str) -> Error {
    Error::corrupt(format!("a deflate record {what}"))
}

/// Codes the method, given the one before.
///
/// # Errors
///
/// [`crate::ErrorKind::Corrupt`] for settings that no search has.
pub fn method<C: Coder>(c: &mut C, m: &mut Models, last: Method, given: Option<Method>) -> Result<Method> {
    if c.flag(&mut m.same, given == Some(last)) {
        return Ok(last);
    }
    if c.flag(&mut m.which[0], matches!(given, Some(Method::Paths { .. }))) {
        let (chain, counted) = match given {
            Some(Method::Paths { chain, counted }) => (chain, counted),
            _ => (0, false),
        };
        let counted = c.flag(&mut m.which[1], counted);
        let chain = c.number(&mut m.settings[8], chain);
        if chain > WINDOW as u32 {
            return Err(corrupt("with settings out of range"));
        }
        return Ok(Method::Paths { chain, counted });
    }
    let g = match given {
        Some(Method::Search(settings)) => settings,
        _ => DEFAULT,
    };
    let fast = c.flag(&mut m.which[2], g.fast);
    let wide = c.flag(&mut m.which[3], g.hash_bits == 16);
    let numbers = [g.good, g.lazy, g.nice, g.chain, g.least, g.near, g.far];
    let [good, lazy, nice, chain, least, near, far] =
        std::array::from_fn(|i| c.number(&mut m.settings[i], numbers[i]));
    let long = MAX_MATCH as u32;
    let most = WINDOW as u32;
    let fits = good <= long && lazy <= long && nice <= long && chain <= most && near <= most && far <= most;
    if !fits || !(3..=6).contains(&least) {
        return Err(corrupt("with settings out of range"));
    }
    let hash_bits = if wide { 16 } else { 15 };
    Ok(Method::Search(Settings { fast, good, lazy, nice, chain, least, near, far, hash_bits }))
}
