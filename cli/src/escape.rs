//! Makes text from files and file names safe to display.

/// Escapes whatever could move a terminal's cursor, change its colours or reverse the direction of text:
/// control characters, and Unicode characters that are invisible or change the order in which text is
/// displayed.
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_plain(c) { out.push(c) } else { out.extend(c.escape_default()) }
    }
    out
}

/// The same for text of several lines.
pub fn escaped_lines(text: &str) -> String {
    text.split('\n').map(escaped).collect::<Vec<_>>().join("\n")
}

fn is_plain(c: char) -> bool {
    let invisible = matches!(c, '\u{AD}' | '\u{61C}' | '\u{180E}' | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}'
        | '\u{2060}'..='\u{206F}' | '\u{FEFF}' | '\u{FFF9}'..='\u{FFFB}' | '\u{E0000}'..='\u{E007F}');
    !c.is_control() && !invisible
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_escaped() {
        assert_eq!(escaped("a\x1b[31mb\r\n\t\u{9b}c\u{7f}"), "a\\u{1b}[31mb\\r\\n\\t\\u{9b}c\\u{7f}");
        assert_eq!(escaped("exe\u{202e}gpj.\u{2066}"), "exe\\u{202e}gpj.\\u{2066}");
        assert_eq!(escaped("Grüße, 世界 🙂 \\"), "Grüße, 世界 🙂 \\");
        assert_eq!(escaped_lines("a\nb\x07"), "a\nb\\u{7}");
    }
}
