//! Text as tokens of BERT's uncased vocabularies: words are cut into the longest pieces that the vocabulary has (Devlin et
//! al., "BERT", 2018; Schuster and Nakajima, "Japanese and Korean voice search", 2012).

use super::letters;
use crate::bad_argument;
use nzip::Result;
use serde_json::Value;
use std::collections::HashMap;

/// Longer words are one unknown token.
const LONGEST: usize = 100;

/// A vocabulary.
pub struct WordPiece {
    /// The tokens by their text; those within words start with `##`.
    tokens: HashMap<String, u32>,
    unknown: u32,
    start: u32,
    end: u32,
    /// Whether text becomes lower-case, without accents.
    uncased: bool,
}

impl WordPiece {
    /// Reads `vocab.txt`, one token a line, or `tokenizer.json`.
    ///
    /// # Errors
    /// [`nzip::ErrorKind::BadArgument`] where it is neither, or lacks a token that sequences need.
    pub fn read(file: &[u8]) -> Result<Self> {
        let text = std::str::from_utf8(file).map_err(|_| bad_argument("a vocabulary that is no text"))?;
        let (tokens, uncased) =
            if text.trim_start().starts_with('{') { from_json(text)? } else { (from_lines(text), true) };
        let find = |name: &str| {
            let missing = || bad_argument(format!("the vocabulary has no {name}: no WordPiece tokenizer"));
            tokens.get(name).copied().ok_or_else(missing)
        };
        let (unknown, start, end) = (find("[UNK]")?, find("[CLS]")?, find("[SEP]")?);
        Ok(Self { unknown, start, end, uncased, tokens })
    }

    /// One more than the greatest token.
    pub fn size(&self) -> usize {
        self.tokens.values().max().map_or(0, |n| *n as usize + 1)
    }

    /// The tokens of a text, at most `most` with the first and the last one, which mark start and end.
    pub fn encode(&self, text: &str, most: usize) -> Vec<u32> {
        let mut out = vec![self.start];
        let mut word = String::new();
        for c in text.chars() {
            if out.len() >= most {
                break;
            }
            if c == '\0' || c == '\u{fffd}' || c.is_control() && !c.is_whitespace() {
                continue;
            }
            if c.is_whitespace() {
                self.pieces(&std::mem::take(&mut word), &mut out);
            } else if letters::stands_alone(c) {
                self.pieces(&std::mem::take(&mut word), &mut out);
                self.pieces(&c.to_string(), &mut out);
            } else if self.uncased {
                c.to_lowercase().for_each(|c| letters::without_accent(c, &mut word));
            } else {
                word.push(c);
            }
        }
        self.pieces(&word, &mut out);
        out.truncate(most.saturating_sub(1).max(1));
        out.push(self.end);
        out
    }

    /// Appends the pieces of a word.
    fn pieces(&self, word: &str, out: &mut Vec<u32>) {
        if word.is_empty() {
            return;
        }
        let before = out.len();
        let ends: Vec<usize> = word.char_indices().map(|(i, _)| i).skip(1).chain([word.len()]).collect();
        let (mut start, mut piece) = (0, String::new());
        while start < word.len() && ends.len() <= LONGEST {
            let found = ends.iter().rev().take_while(|e| **e > start).find_map(|&end| {
                piece.clear();
                piece.push_str(if start > 0 { "##" } else { "" });
                piece.push_str(&word[start..end]);
                self.tokens.get(&piece).map(|t| (*t, end))
            });
            let Some((token, end)) = found else { break };
            out.push(token);
            start = end;
        }
        if start < word.len() {
            out.truncate(before);
            out.push(self.unknown);
        }
    }
}

fn from_lines(text: &str) -> HashMap<String, u32> {
    text.lines().map(|l| l.trim_end_matches('\r').to_string()).zip(0..).collect()
}

fn from_json(text: &str) -> Result<(HashMap<String, u32>, bool)> {
    let json: Value = serde_json::from_str(text).map_err(|e| bad_argument(format!("tokenizer.json: {e}")))?;
    let vocabulary = json["model"]["vocab"].as_object();
    let vocabulary = vocabulary.ok_or_else(|| bad_argument("tokenizer.json has no vocabulary of words"))?;
    let number = |v: &Value| v.as_u64().and_then(|n| u32::try_from(n).ok()).filter(|n| *n < 1 << 24);
    let tokens = vocabulary.iter().filter_map(|(k, v)| Some((k.clone(), number(v)?))).collect();
    Ok((tokens, json["normalizer"]["lowercase"].as_bool().unwrap_or(true)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_become_their_longest_pieces() {
        let words = "[PAD]\n[UNK]\n[CLS]\n[SEP]\nun\n##aff\n##able\nunder\n,\ncafe\n中\n";
        let v = WordPiece::read(words.as_bytes()).unwrap();
        assert_eq!(v.encode("Unaffable, under\tCAFÉ", 16), [2, 4, 5, 6, 8, 7, 9, 3]);
        assert_eq!(v.encode("中unaffx under", 16), [2, 10, 1, 7, 3]);
        assert_eq!(v.encode("", 16), [2, 3]);
        assert_eq!(v.encode("under under under", 4), [2, 7, 7, 3]);
        assert_eq!(v.encode(&"un".repeat(60), 16), [2, 1, 3]);
        assert_eq!(v.size(), 11);
        assert!(WordPiece::read(b"a\nb\n").is_err() && WordPiece::read(&[0xFF]).is_err());
    }

    #[test]
    fn vocabularies_of_json_are_read() {
        let json =
            r#"{"normalizer":{"lowercase":false},"model":{"vocab":{"[UNK]":0,"[CLS]":1,"[SEP]":2,"Un":3}}}"#;
        let v = WordPiece::read(json.as_bytes()).unwrap();
        assert_eq!(v.encode("Un un", 16), [1, 3, 0, 2]);
        assert!(WordPiece::read(b"{}").is_err() && WordPiece::read(b"{").is_err());
    }
}
