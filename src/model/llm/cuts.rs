//! The rules by which an encoder cuts text into pieces before it turns them into tokens.
//!
//! They follow the regular expressions that the models were trained with, as far as the standard library's
//! classes of characters allow. Only the compression ratio depends on them: a decoder never cuts.

use crate::error::{Error, Result};

/// A rule for cutting text. No token crosses a cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Cut {
    /// Text is not cut.
    Nowhere = 0,
    /// GPT-2's rule.
    Gpt2 = 1,
    /// Digits stand alone, and GPT-2's rule cuts the text between them.
    Gpt2Digits = 2,
    /// Llama 3's rule, with up to three digits together.
    Llama3 = 3,
    /// Llama 3's rule with single digits.
    Llama3Digits = 4,
}

impl Cut {
    /// The rule with a stored number.
    pub(super) fn from_id(id: u8) -> Result<Self> {
        use Cut::*;
        [Nowhere, Gpt2, Gpt2Digits, Llama3, Llama3Digits]
            .into_iter()
            .find(|c| *c as u8 == id)
            .ok_or_else(|| Error::corrupt(format!("llm: rule {id} for cutting text; 0..=4 expected")))
    }
}

/// The class of a character.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Letter,
    Number,
    /// White space, and whether it ends a line.
    Space(bool),
    Apostrophe,
    Other,
}

/// A character: its class, its code if it is ASCII (otherwise 0), and the offset of its end.
type Char = (Class, u8, usize);

/// The characters of text. Each byte that is not valid UTF-8 counts as a character.
fn characters(text: &[u8]) -> Vec<Char> {
    let mut out = Vec::new();
    let mut end = 0;
    for chunk in text.utf8_chunks() {
        for c in chunk.valid().chars() {
            end += c.len_utf8();
            let class = match c {
                '\'' => Class::Apostrophe,
                '\r' | '\n' => Class::Space(true),
                c if c.is_alphabetic() => Class::Letter,
                c if c.is_numeric() => Class::Number,
                c if c.is_whitespace() => Class::Space(false),
                _ => Class::Other,
            };
            out.push((class, if c.is_ascii() { c as u8 } else { 0 }, end));
        }
        for _ in chunk.invalid() {
            end += 1;
            out.push((Class::Other, 0, end));
        }
    }
    out
}

/// The offsets at which the pieces of text end, in order; the last one is the text's end.
pub fn cuts(cut: Cut, text: &[u8]) -> Vec<usize> {
    let chars = characters(text);
    let mut ends = Vec::new();
    match cut {
        Cut::Nowhere => ends.extend((!text.is_empty()).then_some(text.len())),
        Cut::Gpt2 => gpt2(&chars, &mut ends),
        Cut::Gpt2Digits => {
            for run in chars.chunk_by(|a, b| a.0 != Class::Number && b.0 != Class::Number) {
                gpt2(run, &mut ends);
            }
        }
        Cut::Llama3 => llama3(&chars, 3, &mut ends),
        Cut::Llama3Digits => llama3(&chars, 1, &mut ends),
    }
    ends
}

/// The number of characters from `at` on that `class` accepts.
fn run(chars: &[Char], at: usize, class: impl Fn(Class) -> bool) -> usize {
    chars[at.min(chars.len())..].iter().take_while(|c| class(c.0)).count()
}

fn is_space(class: Class) -> bool {
    matches!(class, Class::Space(_))
}

fn is_other(class: Class) -> bool {
    matches!(class, Class::Other | Class::Apostrophe)
}

/// The number of characters of the ending of a contraction (such as `'ll`) at `at`, the apostrophe included;
/// 0 if there is none.
fn contraction(chars: &[Char], at: usize, any_case: bool) -> usize {
    let letter = |i: usize| {
        let c = chars.get(i).map_or(0, |c| c.1);
        if any_case { c.to_ascii_lowercase() } else { c }
    };
    match (chars[at].0, letter(at + 1), letter(at + 2)) {
        (Class::Apostrophe, b's' | b't' | b'm' | b'd', _) => 2,
        (Class::Apostrophe, b'r' | b'v', b'e') | (Class::Apostrophe, b'l', b'l') => 3,
        _ => 0,
    }
}

/// The number of white-space characters that form a piece from `at` on: at the end of the text, all of them;
/// otherwise all but the last one, which joins what follows, unless it is the only one.
fn spaces(chars: &[Char], at: usize) -> usize {
    let n = run(chars, at, is_space);
    if at + n < chars.len() && n > 1 { n - 1 } else { n }
}

/// Cuts by GPT-2's rule.
fn gpt2(chars: &[Char], ends: &mut Vec<usize>) {
    let mut at = 0;
    while at < chars.len() {
        let space = usize::from(chars[at].1 == b' ');
        let taken = match contraction(chars, at, false) {
            0 => {
                let kinds: [fn(Class) -> bool; 3] =
                    [|c| c == Class::Letter, |c| c == Class::Number, is_other];
                let found = kinds.into_iter().map(|k| run(chars, at + space, k)).find(|&n| n > 0);
                found.map_or_else(|| spaces(chars, at), |n| n + space)
            }
            n => n,
        };
        at += taken.max(1);
        ends.push(chars[at - 1].2);
    }
}

/// Cuts by Llama 3's rule with up to `digits` digits together.
fn llama3(chars: &[Char], digits: usize, ends: &mut Vec<usize>) {
    let mut at = 0;
    while at < chars.len() {
        let taken = llama3_piece(chars, at, digits);
        at += taken.max(1);
        ends.push(chars[at - 1].2);
    }
}

/// The number of characters of the piece that starts at `at`.
fn llama3_piece(chars: &[Char], at: usize, digits: usize) -> usize {
    let class = chars[at].0;
    let ending = contraction(chars, at, true);
    if ending > 0 {
        return ending;
    }
    let lead = usize::from(!matches!(class, Class::Letter | Class::Number | Class::Space(true)));
    let letters = run(chars, at + lead, |c| c == Class::Letter);
    if letters > 0 {
        return lead + letters;
    }
    if class == Class::Number {
        return run(chars, at, |c| c == Class::Number).min(digits);
    }
    let space = usize::from(chars[at].1 == b' ');
    let others = run(chars, at + space, is_other);
    if others > 0 {
        let n = space + others;
        return n + run(chars, at + n, |c| c == Class::Space(true));
    }
    let n = run(chars, at, is_space);
    match chars[at..at + n].iter().rposition(|c| c.0 == Class::Space(true)) {
        Some(last) => last + 1,
        None => spaces(chars, at),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(cut: Cut, text: &str) -> Vec<String> {
        let mut start = 0;
        let ends = cuts(cut, text.as_bytes());
        let piece = |end| {
            let piece = text[start..end].to_string();
            start = end;
            piece
        };
        ends.into_iter().map(piece).collect()
    }

    #[test]
    fn text_is_cut_as_the_models_expect() {
        let text = "I'll  say: it's 1234\n\n  ok é中…\t x ";
        let gpt2 = [
            "I", "'ll", " ", " say", ":", " it", "'s", " 1234", "\n\n ", " ok", " é中", "…", "\t", " x", " ",
        ];
        assert_eq!(pieces(Cut::Gpt2, text), gpt2);
        assert_eq!(pieces(Cut::Gpt2Digits, "a 12 b"), ["a", " ", "1", "2", " b"]);
        let llama = [
            "I", "'ll", " ", " say", ":", " it", "'s", " ", "123", "4", "\n\n", " ", " ok", " é中", "…",
            "\t", " x", " ",
        ];
        assert_eq!(pieces(Cut::Llama3, text), llama);
        assert_eq!(pieces(Cut::Llama3Digits, "12(x);\n"), ["1", "2", "(x", ");\n"]);
    }
}
