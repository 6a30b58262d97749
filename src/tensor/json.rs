//! A JSON reader for headers of tensor files: it makes one pass, builds no tree, and only allocates the
//! strings that are asked for.

use crate::error::{Error, Result};

/// The deepest nesting that [`Json::skip`] accepts.
const MAX_DEPTH: u32 = 64;

/// A reader of one JSON text. Its methods fail with `Corrupt` where the text breaks the grammar.
pub struct Json<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Json<'a> {
    /// Starts at the first byte.
    pub fn new(text: &'a [u8]) -> Self {
        Self { bytes: text, at: 0 }
    }

    fn bad(&self, expected: &str) -> Error {
        let found = match self.bytes.get(self.at) {
            Some(b) => format!("byte {b:#04x}"),
            None => "the end".into(),
        };
        Error::corrupt(format!("JSON, byte {}: {expected} expected, {found} found", self.at))
    }

    fn space(&mut self) {
        while matches!(self.bytes.get(self.at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn peek(&mut self) -> Option<u8> {
        self.space();
        self.bytes.get(self.at).copied()
    }

    fn token(&mut self, byte: u8) -> Result<()> {
        if self.peek() != Some(byte) {
            return Err(self.bad(&format!("{:?}", byte as char)));
        }
        self.at += 1;
        Ok(())
    }

    /// Whether another member or element follows. Consumes the comma before it, or the closing bracket.
    fn more(&mut self, first: &mut bool, close: u8) -> Result<bool> {
        if self.peek() == Some(close) {
            self.at += 1;
            return Ok(false);
        }
        if !std::mem::take(first) {
            self.token(b',')?;
        }
        Ok(true)
    }

    /// Reads an object; `member` must read the value of each key.
    pub fn object(&mut self, mut member: impl FnMut(&mut Self, String) -> Result<()>) -> Result<()> {
        self.token(b'{')?;
        let mut first = true;
        while self.more(&mut first, b'}')? {
            let key = self.string()?;
            self.token(b':')?;
            member(self, key)?;
        }
        Ok(())
    }

    /// Reads an array; `element` must read each element.
    pub fn array(&mut self, mut element: impl FnMut(&mut Self) -> Result<()>) -> Result<()> {
        self.token(b'[')?;
        let mut first = true;
        while self.more(&mut first, b']')? {
            element(self)?;
        }
        Ok(())
    }

    /// Reads an integer below 2^64.
    pub fn integer(&mut self) -> Result<u64> {
        self.space();
        let digits = self.bytes[self.at..].iter().take_while(|b| b.is_ascii_digit()).count();
        let text = &self.bytes[self.at..self.at + digits];
        let value = text.iter().try_fold(0u64, |v, d| v.checked_mul(10)?.checked_add(u64::from(d - b'0')));
        let exact = digits > 0 && (digits == 1 || text[0] != b'0');
        let value = value.filter(|_| exact).ok_or_else(|| self.bad("a whole number below 2^64"))?;
        self.at += digits;
        Ok(value)
    }

    /// Reads a number of any kind, rounded to the nearest double.
    pub fn number(&mut self) -> Result<f64> {
        self.space();
        let part = |b: &&u8| b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.' | b'e' | b'E');
        let len = self.bytes[self.at..].iter().take_while(part).count();
        let text = std::str::from_utf8(&self.bytes[self.at..self.at + len]).unwrap_or("");
        let value = text.parse().ok().filter(|v: &f64| v.is_finite());
        let value = value.ok_or_else(|| self.bad("a number"))?;
        self.at += len;
        Ok(value)
    }

    /// Reads `true` or `false`.
    pub fn boolean(&mut self) -> Result<bool> {
        self.space();
        for (text, value) in [(&b"true"[..], true), (b"false", false)] {
            if self.bytes[self.at..].starts_with(text) {
                self.at += text.len();
                return Ok(value);
            }
        }
        Err(self.bad("true or false"))
    }

    /// Whether the next value starts with this byte. Consumes only white space.
    pub fn next_is(&mut self, byte: u8) -> bool {
        self.peek() == Some(byte)
    }

    /// Reads a string and resolves its escapes.
    pub fn string(&mut self) -> Result<String> {
        self.token(b'"')?;
        let mut out = Vec::new();
        loop {
            let rest = &self.bytes[self.at..];
            let plain = rest.iter().take_while(|b| !matches!(b, b'"' | b'\\' | 0..0x20)).count();
            out.extend_from_slice(&rest[..plain]);
            self.at += plain;
            match self.bytes.get(self.at) {
                Some(b'"') => {
                    self.at += 1;
                    return String::from_utf8(out).map_err(|_| self.bad("UTF-8"));
                }
                Some(b'\\') => {
                    self.at += 1;
                    let c = self.escape()?;
                    out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                }
                _ => return Err(self.bad("the rest of a string")),
            }
        }
    }

    fn escape(&mut self) -> Result<char> {
        let Some(&letter) = self.bytes.get(self.at) else { return Err(self.bad("an escape")) };
        self.at += 1;
        match letter {
            b'"' | b'\\' | b'/' => Ok(letter as char),
            b'b' => Ok('\u{8}'),
            b'f' => Ok('\u{c}'),
            b'n' => Ok('\n'),
            b'r' => Ok('\r'),
            b't' => Ok('\t'),
            b'u' => {
                let first = self.hex4()?;
                if !(0xD800..0xDC00).contains(&first) {
                    return char::from_u32(first).ok_or_else(|| self.bad("a character"));
                }
                if self.bytes.get(self.at..self.at + 2) != Some(b"\\u") {
                    return Err(self.bad("the second half of a character"));
                }
                self.at += 2;
                let second = self.hex4()?.checked_sub(0xDC00).filter(|second| *second < 0x400);
                let c = second.and_then(|second| char::from_u32(0x10000 + ((first - 0xD800) << 10) + second));
                c.ok_or_else(|| self.bad("a character"))
            }
            _ => Err(self.bad("a known escape")),
        }
    }

    fn hex4(&mut self) -> Result<u32> {
        let digits = self.bytes.get(self.at..self.at + 4).and_then(|d| std::str::from_utf8(d).ok());
        let value = digits.filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()));
        let value = value.and_then(|d| u32::from_str_radix(d, 16).ok());
        let value = value.ok_or_else(|| self.bad("four hexadecimal digits"))?;
        self.at += 4;
        Ok(value)
    }

    /// Skips a value of any kind.
    pub fn skip(&mut self) -> Result<()> {
        self.skip_to(0)
    }

    fn skip_to(&mut self, depth: u32) -> Result<()> {
        if depth > MAX_DEPTH {
            return Err(self.bad("less nesting"));
        }
        match self.peek() {
            Some(b'"') => self.string().map(drop),
            Some(b'{') => self.object(|j, _| j.skip_to(depth + 1)),
            Some(b'[') => self.array(|j| j.skip_to(depth + 1)),
            Some(_) => {
                let part = |b: &&u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.');
                let len = self.bytes[self.at..].iter().take_while(part).count();
                let text = std::str::from_utf8(&self.bytes[self.at..self.at + len]).unwrap_or("");
                let number = text.starts_with(|c: char| c == '-' || c.is_ascii_digit());
                let word = matches!(text, "true" | "false" | "null");
                if word || number && text.parse::<f64>().is_ok() {
                    self.at += len;
                    return Ok(());
                }
                Err(self.bad("a value"))
            }
            None => Err(self.bad("a value")),
        }
    }

    /// Fails unless only white space is left.
    pub fn end(&mut self) -> Result<()> {
        if self.peek().is_none() { Ok(()) } else { Err(self.bad("the end")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_and_numbers() {
        let mut j = Json::new(br#" "a\u00e9\n\ud83d\ude00/\"" "#);
        assert_eq!(j.string().unwrap(), "aé\n😀/\"");
        j.end().unwrap();
        for bad in [
            &br#""\ud83d""#[..],
            br#""\ud83d\u0041""#,
            br#""\ud83d\uffff""#,
            br#""\x""#,
            br#""\u12g4""#,
            b"\"\x01\"",
            b"\"open",
            b"\"\xFF\"",
        ] {
            assert!(Json::new(bad).string().is_err(), "{bad:?}");
        }
        assert_eq!(Json::new(b"18446744073709551615").integer().unwrap(), u64::MAX);
        for bad in [&b"18446744073709551616"[..], b"", b"-1", b"01", b"x"] {
            assert!(Json::new(bad).integer().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn skips_what_is_valid() {
        for good in ["[1, -2.5e3, {\"a\": [true, null]}, \"x\"]", "{}", "[]", "0", "false"] {
            let mut j = Json::new(good.as_bytes());
            j.skip().and_then(|()| j.end()).unwrap();
        }
        for bad in ["[1,]", "{\"a\" 1}", "tru", "[", "{\"a\":}", "nan", "-", "[1 2]"] {
            let mut j = Json::new(bad.as_bytes());
            assert!(j.skip().and_then(|()| j.end()).is_err(), "{bad}");
        }
        assert!(Json::new("[".repeat(1 << 20).as_bytes()).skip().is_err());
    }
}
