//! Text as sentences.

/// Longer lines are cut where sentences end.
const LONG: usize = 200;

/// The sentences of a text: its lines, cut further where they are long and a sentence ends within them. Bytes that are no
/// UTF-8 are replaced. Empty lines are none.
pub fn sentences(text: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(text);
    let mut out = Vec::new();
    for line in text.lines().map(str::trim).filter(|l| !l.is_empty()) {
        let mut rest = line;
        while rest.len() > LONG {
            let Some(end) = end_of_sentence(rest) else { break };
            out.push(rest[..end].trim().to_string());
            rest = rest[end..].trim();
        }
        if !rest.is_empty() {
            out.push(rest.to_string());
        }
    }
    out
}

/// The place behind the first full stop, question or exclamation mark that a space follows.
fn end_of_sentence(text: &str) -> Option<usize> {
    let mut before = ' ';
    for (i, c) in text.char_indices() {
        if c == ' ' && matches!(before, '.' | '?' | '!') && i >= LONG / 4 {
            return Some(i);
        }
        before = c;
    }
    None
}

/// `most` items from all over a list, in order.
pub fn spread<T: Clone>(items: &[T], most: usize) -> Vec<T> {
    let n = items.len();
    if n <= most { items.to_vec() } else { (0..most).map(|i| items[i * n / most].clone()).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_sentences_and_long_ones_are_cut() {
        assert_eq!(sentences(b"One. Two.\n\n  Three \xFF\n"), ["One. Two.", "Three \u{FFFD}"]);
        let long = format!("{} end. Another one!", "word ".repeat(60));
        let found = sentences(long.as_bytes());
        assert!(found.len() == 2 && found[0].ends_with("end.") && found[1] == "Another one!");
        assert_eq!(sentences(&vec![b'a'; 1000]).len(), 1);
        assert!(sentences(b"").is_empty() && sentences(b" \n\t").is_empty());
        assert_eq!(spread(&[1, 2, 3, 4, 5, 6], 3), [1, 3, 5]);
    }
}
