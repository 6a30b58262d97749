//! Sizes and ranges as users write them.

use std::ops::Range;
use std::str::FromStr;

/// A number of bytes: digits, then optionally K, M, G or T, which are powers of 1024 and may be followed by
/// "B" or "iB".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size(pub u64);

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
        let number: u64 =
            digits.parse().map_err(|_| "a number expected, optionally followed by K, M, G or T")?;
        let suffix = text[digits.len()..].to_ascii_lowercase();
        let power = match suffix.trim_end_matches("ib").trim_end_matches('b') {
            "" if suffix != "ib" => 0,
            "k" => 1,
            "m" => 2,
            "g" => 3,
            "t" => 4,
            _ => return Err(format!("unknown suffix {:?}: K, M, G or T expected", &text[digits.len()..])),
        };
        number.checked_mul(1 << (10 * power)).map(Self).ok_or_else(|| "too large".into())
    }
}

/// `A..B`, in which either end may be left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The first byte.
    pub start: u64,
    /// One past the last byte; `None` for the end of the content.
    pub end: Option<u64>,
}

impl Span {
    /// The range in content of `len` bytes.
    pub fn within(self, len: u64) -> Range<u64> {
        self.start..self.end.unwrap_or(len)
    }
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (start, end) = text.split_once("..").ok_or("A..B expected")?;
        let size = |text: &str| text.parse::<Size>().map(|s| s.0);
        let start = if start.is_empty() { 0 } else { size(start)? };
        let end = if end.is_empty() { None } else { Some(size(end)?) };
        if end.is_some_and(|end| end < start) {
            return Err("it ends before it starts".into());
        }
        Ok(Self { start, end })
    }
}

/// A size in readable form: `1023 B`, `16 KiB`, `1.3 MiB`.
pub fn human(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let (mut value, mut unit) = (bytes as f64 / 1024.0, 0);
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        (value, unit) = (value / 1024.0, unit + 1);
    }
    let digits = usize::from(value < 100.0 && value.fract() > 0.0);
    format!("{value:.digits$} {}", UNITS[unit])
}

/// Raw over stored bytes.
pub fn ratio(raw: u64, stored: u64) -> f64 {
    raw as f64 / stored.max(1) as f64
}

/// Stored bits per raw byte.
pub fn bits_per_byte(raw: u64, stored: u64) -> f64 {
    if raw == 0 { 0.0 } else { 8.0 * stored as f64 / raw as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        let size = |text: &str| text.parse::<Size>().map(|s| s.0).ok();
        assert_eq!(size("16384"), Some(16384));
        assert_eq!(size("16K"), Some(16384));
        assert_eq!(size("16KiB"), Some(16384));
        assert_eq!(size("2kb"), Some(2048));
        assert_eq!(size("3M"), Some(3 << 20));
        assert_eq!(size("1G"), Some(1 << 30));
        assert_eq!(size("5B"), Some(5));
        for bad in ["", "K", "1.5M", "-1", "1iB", "1KK", "1X", "99999999T"] {
            assert_eq!(size(bad), None, "{bad}");
        }
    }

    #[test]
    fn spans() {
        let span = |text: &str| text.parse::<Span>().map(|s| s.within(9999)).ok();
        assert_eq!(span("5..70"), Some(5..70));
        assert_eq!(span("1K..2K"), Some(1024..2048));
        assert_eq!(span("7.."), Some(7..9999));
        assert_eq!(span("..7"), Some(0..7));
        assert_eq!(span(".."), Some(0..9999));
        for bad in ["7", "7..5", "a..b", "1-2"] {
            assert_eq!(span(bad), None, "{bad}");
        }
    }

    #[test]
    fn humans() {
        assert_eq!(human(1023), "1023 B");
        assert_eq!(human(16384), "16 KiB");
        assert_eq!(human(1_400_000), "1.3 MiB");
        assert_eq!(human(700 << 20), "700 MiB");
    }
}
