//! Words that every match of a pattern holds, and the lines of blocks that may hold one.

use std::ops::Range;

/// How far lines are followed at a time, in bytes.
const STEP: u64 = 64 << 10;

/// A word that stands in every match of a literal pattern: the longest run of letters that no other letter can touch.
pub fn needed(pattern: &str, whole_words: bool) -> Option<&str> {
    let bytes = pattern.as_bytes();
    let is_letter = |i: usize| bytes.get(i).is_some_and(u8::is_ascii_alphabetic);
    let (mut best, mut at) = (None::<&str>, 0);
    while at < bytes.len() {
        let start = at;
        while is_letter(at) {
            at += 1;
        }
        let bounded = whole_words || start > 0 && at < bytes.len();
        if bounded && best.is_none_or(|b| b.len() < at - start) {
            best = pattern.get(start..at);
        }
        at += usize::from(at == start);
    }
    best.filter(|word| word.len() >= 3)
}

/// Whether a pattern stands for itself as a regular expression.
pub fn is_literal(pattern: &str) -> bool {
    !pattern.contains(['\\', '.', '+', '*', '?', '(', ')', '|', '[', ']', '{', '}', '^', '$'])
}

/// Reads ranges of raw bytes.
type Read<'a> = dyn FnMut(Range<u64>) -> nzip::Result<Vec<u8>> + 'a;

/// The lines of a block that hold a word, and perhaps others: their offset and bytes. `done` is where the lines of earlier
/// blocks end, and `len` where the content does.
pub fn lines(
    block: Range<u64>,
    word: &str,
    done: u64,
    len: u64,
    read: &mut Read<'_>,
) -> nzip::Result<(u64, Vec<u8>)> {
    let mut text = read(block.clone())?;
    let mut start = block.start;
    let holds = |line: &[u8]| line.windows(word.len()).any(|w| w.eq_ignore_ascii_case(word.as_bytes()));
    let first = text.iter().position(|b| *b == b'\n').map_or(text.len(), |i| i + 1);
    // The word may have begun in the block before.
    let begun = text.first().is_some_and(u8::is_ascii_alphabetic);
    if start > done && (begun || holds(&text[..first])) {
        let before = lead(start, done, read)?;
        start -= before.len() as u64;
        text.splice(0..0, before);
    } else if start > done {
        text.drain(..first);
        start += first as u64;
    }
    let last = text.iter().rposition(|b| *b == b'\n').map_or(0, |i| i + 1);
    if block.end < len {
        if holds(&text[last..]) {
            follow(&mut text, block.end, len, read)?;
        } else {
            text.truncate(last);
        }
    }
    let skipped = done.saturating_sub(start).min(text.len() as u64);
    text.drain(..skipped as usize);
    // Lines that are not whole are left to a later block.
    Ok(if text.is_empty() { (done, text) } else { (start + skipped, text) })
}

/// Appends what follows, up to the end of the line.
fn follow(text: &mut Vec<u8>, mut at: u64, len: u64, read: &mut Read<'_>) -> nzip::Result<()> {
    while at < len {
        let more = read(at..(at + STEP).min(len))?;
        let end = more.iter().position(|b| *b == b'\n').map(|i| i + 1);
        text.extend_from_slice(&more[..end.unwrap_or(more.len())]);
        if end.is_some() {
            break;
        }
        at += more.len() as u64;
    }
    Ok(())
}

/// The bytes before an offset, from the start of its line on, but not before `done`.
fn lead(start: u64, done: u64, read: &mut Read<'_>) -> nzip::Result<Vec<u8>> {
    let mut before = Vec::new();
    let mut at = start;
    while at > done {
        let from = at.saturating_sub(STEP).max(done);
        let more = read(from..at)?;
        let begin = more.iter().rposition(|b| *b == b'\n').map(|i| i + 1);
        before.splice(0..0, more[begin.unwrap_or(0)..].iter().copied());
        if begin.is_some() {
            break;
        }
        at = from;
    }
    Ok(before)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_words_that_no_letter_can_touch() {
        for (pattern, whole, expected) in [
            ("error", false, None),
            ("error", true, Some("error")),
            ("an error in x", false, Some("error")),
            ("an errors", false, None),
            ("/error/", false, Some("error")),
            ("é long é", false, Some("long")),
            ("5ab5", true, None),
            ("", true, None),
        ] {
            assert_eq!(needed(pattern, whole), expected, "{pattern:?}");
        }
        assert!(is_literal("a-b_c: \"d\"") && !is_literal("a.b") && !is_literal("^a"));
    }

    #[test]
    fn lines_go_beyond_blocks() {
        let text = b"one\ntwo three\nfour word five\nsix\n";
        let mut read = |r: Range<u64>| Ok(text[r.start as usize..r.end as usize].to_vec());
        let len = text.len() as u64;
        for (block, done, expected) in [
            (14..18, 0, (0, "")),
            (12..22, 0, (4, "two three\n")),
            (12..23, 0, (4, "two three\nfour word five\n")),
            (20..33, 0, (14, "four word five\nsix\n")),
            (20..33, 29, (29, "six\n")),
            (21..23, 0, (14, "four word five\n")),
            (0..4, 0, (0, "one\n")),
            (6..9, 4, (4, "")),
        ] {
            let (at, found) = lines(block.clone(), "word", done, len, &mut read).unwrap();
            assert_eq!((at, std::str::from_utf8(&found).unwrap()), expected, "{block:?}");
        }
    }
}
