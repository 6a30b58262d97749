//! The classes of characters by which BERT cuts text.

/// Letters from U+00C0 to U+017F that are a letter of ASCII with accents, lower case, with that letter; all others are `.`.
const PLAIN: &[u8; 192] = b"\
aaaaaa.ceeeeiiii.nooooo..uuuuy..aaaaaa.ceeeeiiii.nooooo..uuuuy.y\
aaaaaaccccccccdd..eeeeeeeeeegggggggghh..iiiiiiiii...jjkk.llllll.\
...nnnnnn...oooooo..rrrrrrsssssssstttt..uuuuuuuuuuuuwwyyyzzzzzz.";

/// Appends a lower-case letter without its accent.
pub fn without_accent(c: char, out: &mut String) {
    match c as u32 {
        0x300..=0x36F => {}
        n @ 0xC0..=0x17F if PLAIN[n as usize - 0xC0] != b'.' => {
            out.push(char::from(PLAIN[n as usize - 0xC0]))
        }
        _ => out.push(c),
    }
}

/// Whether a character is a word of its own: punctuation and ideographs.
pub fn stands_alone(c: char) -> bool {
    let punctuation = matches!(c as u32, 0xA1 | 0xA7 | 0xAB | 0xB6 | 0xB7 | 0xBB | 0xBF
        | 0x2010..=0x2027 | 0x2030..=0x205E | 0x3001..=0x3003 | 0x3008..=0x3011 | 0xFF01..=0xFF0F);
    let ideograph = matches!(c as u32, 0x3400..=0x4DBF | 0x4E00..=0x9FFF | 0xF900..=0xFAFF | 0x20000..=0x2CEAF
        | 0x2F800..=0x2FA1F);
    c.is_ascii_punctuation() || punctuation || ideograph
}
