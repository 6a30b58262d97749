//! The tokenizer: the bytes of every token, and how an encoder turns text into tokens.
//!
//! A decoder only needs the bytes of each token. Whatever tokens an encoder chooses, they decode to the same
//! text, since reading the weight file checks that every merge joins the bytes of its parts.

use super::cuts::{Cut, cuts};
use super::weights::put_varint;
use crate::error::{Error, Result};
use crate::format::cursor::{Cursor, Parsed, in_range};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::OnceLock;

/// The most bytes of a token.
pub const MAX_TOKEN: usize = 1024;
/// The most merges of a tokenizer.
const MAX_MERGES: u64 = 1 << 23;
/// Stands for no symbol in lists.
const NONE: u32 = u32::MAX;

/// Two tokens that an encoder joins into a third one. Lists of merges are in the order of precedence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Merge {
    pub left: u32,
    pub right: u32,
    pub result: u32,
}

/// The vocabulary and the rules that turn text into tokens: byte-pair encoding (Sennrich, Haddow and Birch,
/// "Neural machine translation of rare words with subword units", 2016).
#[derive(Debug, Clone)]
pub struct Tokenizer {
    cut: Cut,
    /// The bytes of all tokens, one after the other, and the start of each; the last start is the end.
    bytes: Vec<u8>,
    starts: Vec<u32>,
    /// The token for each single byte, or [`NONE`].
    singles: Vec<u32>,
    merges: Vec<Merge>,
    /// The rank and the result of each pair that is merged; built when first needed.
    ranks: OnceLock<HashMap<(u32, u32), (u32, u32)>>,
}

impl PartialEq for Tokenizer {
    fn eq(&self, o: &Self) -> bool {
        (self.cut, &self.bytes, &self.starts, &self.singles, &self.merges)
            == (o.cut, &o.bytes, &o.starts, &o.singles, &o.merges)
    }
}

impl Eq for Tokenizer {}

impl Tokenizer {
    /// Makes a tokenizer. Tokens without bytes are never used; `singles[b]` is the token for byte b, if there
    /// is one.
    ///
    /// # Errors
    /// `Corrupt` where the bytes of singles or merges do not agree with those of tokens, or a token is too
    /// long.
    pub fn new(cut: Cut, tokens: &[Vec<u8>], singles: &[Option<u32>], merges: Vec<Merge>) -> Result<Self> {
        let (mut bytes, mut starts) = (Vec::new(), vec![0]);
        for token in tokens {
            in_range("llm: length of a token", token.len() as u64, 0..=MAX_TOKEN as u64)?;
            bytes.extend_from_slice(token);
            starts.push(bytes.len() as u32);
        }
        let singles = singles.iter().map(|s| s.unwrap_or(NONE)).collect();
        let new = Self { cut, bytes, starts, singles, merges, ranks: OnceLock::new() };
        new.check()?;
        Ok(new)
    }

    /// Checks that singles and merges have the bytes that they stand for.
    fn check(&self) -> Result<()> {
        for (b, &token) in self.singles.iter().enumerate() {
            if token != NONE && self.bytes_of(token) != [b as u8] {
                return Err(Error::corrupt(format!("llm: token {token} is not the byte {b}")));
            }
        }
        for m in &self.merges {
            let (left, right) = (self.bytes_of(m.left), self.bytes_of(m.right));
            let joined = self.bytes_of(m.result);
            if left.is_empty() || right.is_empty() || joined.strip_prefix(left) != Some(right) {
                return Err(Error::corrupt(format!("llm: a merge whose bytes do not agree: {m:?}")));
            }
        }
        Ok(())
    }

    /// Reads the form that [`Tokenizer::put`] writes.
    pub(super) fn parse(c: &mut Cursor<'_>, vocab: usize) -> Parsed<Self> {
        let cut = Cut::from_id(c.u8()?)?;
        // A token takes at least one byte, so memory is bounded by what is there.
        c.expect(vocab)?;
        let (mut bytes, mut starts) = (Vec::new(), vec![0]);
        for _ in 0..vocab {
            let len = c.varint_in("llm: length of a token", 0..=MAX_TOKEN as u64)?;
            bytes.extend_from_slice(c.take(len as usize)?);
            starts.push(bytes.len() as u32);
        }
        let last = vocab as u64 - 1;
        let mut singles = Vec::new();
        for _ in 0..256 {
            singles.push(match c.varint_in("llm: token of a byte", 0..=last + 1)? {
                0 => NONE,
                id => id as u32 - 1,
            });
        }
        let count = c.varint_in("llm: number of merges", 0..=MAX_MERGES)?;
        c.expect(3 * count as usize)?;
        let mut merges = Vec::new();
        for _ in 0..count {
            let mut id = || c.varint_in("llm: token of a merge", 0..=last);
            let (left, right, result) = (id()? as u32, id()? as u32, id()? as u32);
            merges.push(Merge { left, right, result });
        }
        let new = Self { cut, bytes, starts, singles, merges, ranks: OnceLock::new() };
        new.check()?;
        Ok(new)
    }

    /// Appends the stored form.
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        out.push(self.cut as u8);
        for token in 0..self.vocab() as u32 {
            let bytes = self.bytes_of(token);
            put_varint(out, bytes.len());
            out.extend_from_slice(bytes);
        }
        self.singles.iter().for_each(|&t| put_varint(out, if t == NONE { 0 } else { t as usize + 1 }));
        put_varint(out, self.merges.len());
        for m in &self.merges {
            [m.left, m.right, m.result].iter().for_each(|&t| put_varint(out, t as usize));
        }
    }

    /// The number of tokens.
    pub fn vocab(&self) -> usize {
        self.starts.len() - 1
    }

    /// The bytes of a token.
    pub fn bytes_of(&self, token: u32) -> &[u8] {
        let at = token as usize;
        &self.bytes[self.starts[at] as usize..self.starts[at + 1] as usize]
    }

    /// Turns text into symbols whose bytes make up the text: tokens, and V + b for a byte b that has no
    /// token.
    pub fn encode(&self, text: &[u8]) -> Vec<u32> {
        let ranks = self.ranks.get_or_init(|| {
            let pairs = self.merges.iter().enumerate();
            // Of equal pairs the first counts: it is inserted last, so that none overwrites it.
            pairs.rev().map(|(rank, m)| ((m.left, m.right), (rank as u32, m.result))).collect()
        });
        let mut out = Vec::new();
        let mut start = 0;
        for end in cuts(self.cut, text) {
            self.encode_piece(&text[start..end], ranks, &mut out);
            start = end;
        }
        out
    }

    /// Turns a piece of text into symbols: starts with those of its bytes and, as long as there is a pair
    /// that merges, joins the pair that comes first in the list of merges; of equal pairs, the leftmost. A
    /// heap holds the candidates; those whose parts have been joined otherwise in the meantime are skipped.
    fn encode_piece(&self, piece: &[u8], ranks: &HashMap<(u32, u32), (u32, u32)>, out: &mut Vec<u32>) {
        let vocab = self.vocab() as u32;
        let symbol = |b: &u8| match self.singles[usize::from(*b)] {
            NONE => vocab + u32::from(*b),
            token => token,
        };
        let mut symbols: Vec<u32> = piece.iter().map(symbol).collect();
        let count = symbols.len();
        // The remaining neighbours of every symbol; `count` and above stand for none.
        let mut next: Vec<usize> = (1..=count).collect();
        let mut previous: Vec<usize> = (0..count).map(|i| i.wrapping_sub(1)).collect();
        let mut heap = BinaryHeap::new();
        let push = |heap: &mut BinaryHeap<_>, symbols: &[u32], left: usize, right: usize| {
            if left < count
                && right < count
                && let Some(&(rank, result)) = ranks.get(&(symbols[left], symbols[right]))
            {
                heap.push(Reverse((rank, left, right, symbols[left], symbols[right], result)));
            }
        };
        (1..count).for_each(|i| push(&mut heap, &symbols, i - 1, i));
        while let Some(Reverse((_, left, right, a, b, result))) = heap.pop() {
            if symbols[left] != a || symbols[right] != b || next[left] != right {
                continue;
            }
            symbols[left] = result;
            symbols[right] = NONE;
            next[left] = next[right];
            if next[left] < count {
                previous[next[left]] = left;
            }
            push(&mut heap, &symbols, previous[left], left);
            push(&mut heap, &symbols, left, next[left]);
        }
        out.extend(symbols.into_iter().filter(|&s| s != NONE));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn small() -> Tokenizer {
        let tokens: Vec<Vec<u8>> =
            [&b"a"[..], b"b", b"ab", b"aba", b" "].iter().map(|t| t.to_vec()).collect();
        let mut singles = vec![None; 256];
        (singles[97], singles[98], singles[32]) = (Some(0), Some(1), Some(4));
        let merges = vec![Merge { left: 0, right: 1, result: 2 }, Merge { left: 2, right: 0, result: 3 }];
        Tokenizer::new(Cut::Gpt2, &tokens, &singles, merges).unwrap()
    }

    #[test]
    fn merges_in_order_and_escapes_what_has_no_token() {
        let t = small();
        assert_eq!(t.encode(b"aba abab aa\xFFb"), [3, 4, 2, 2, 4, 0, 0, 5 + 255, 1]);
        assert!(t.encode(b"").is_empty());
        let mut bytes = Vec::new();
        t.put(&mut bytes);
        assert_eq!(Tokenizer::parse(&mut Cursor::new(&bytes), 5).unwrap(), t);
        for cut in 0..bytes.len() {
            assert!(Tokenizer::parse(&mut Cursor::new(&bytes[..cut]), 5).is_err());
        }
    }

    #[test]
    fn bytes_that_do_not_agree_are_refused() {
        let tokens: Vec<Vec<u8>> = vec![b"a".to_vec(), b"b".to_vec(), b"ba".to_vec()];
        let none = vec![None; 256];
        let merge = |left, right, result| vec![Merge { left, right, result }];
        assert!(Tokenizer::new(Cut::Gpt2, &tokens, &none, merge(1, 0, 2)).is_ok());
        assert!(Tokenizer::new(Cut::Gpt2, &tokens, &none, merge(0, 1, 2)).is_err());
        let mut wrong = none.clone();
        wrong[97] = Some(1);
        assert!(Tokenizer::new(Cut::Gpt2, &tokens, &wrong, Vec::new()).is_err());
    }
}
