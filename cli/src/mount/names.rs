//! File names for tensors, whose names may be anything.

use std::fmt::Write;

/// The most bytes of a file name that are taken from a tensor's name; systems allow 255, and suffixes follow.
const MOST_BYTES: usize = 200;
/// The most folders that the slashes of a name make; further slashes are escaped.
const MOST_FOLDERS: usize = 16;

/// The folders and the file, without suffix, for a tensor. Slashes separate folders. What no file name can hold, or
/// what would lead elsewhere or upset a terminal, is written as `%` and two hexadecimal digits for each byte: control
/// characters, and the dots of `.` and `..`; of a name without characters nothing but `%` is left. Long names are cut.
pub fn parts(name: &str) -> Vec<String> {
    let mut parts: Vec<String> = name.splitn(MOST_FOLDERS + 1, '/').map(part).collect();
    parts.iter_mut().for_each(shorten);
    parts
}

fn part(text: &str) -> String {
    match text {
        "" => return "%".into(),
        "." => return "%2E".into(),
        ".." => return "%2E%2E".into(),
        _ => {}
    }
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c == '/' || c.is_control() {
            let mut bytes = [0; 4];
            // Writing to a string does not fail.
            c.encode_utf8(&mut bytes).bytes().for_each(|b| _ = write!(out, "%{b:02X}"));
        } else {
            out.push(c);
        }
    }
    out
}

fn shorten(name: &mut String) {
    if name.len() > MOST_BYTES {
        name.truncate(name.floor_char_boundary(MOST_BYTES));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slashes_make_folders() {
        assert_eq!(parts("model.layers.0.weight"), ["model.layers.0.weight"]);
        assert_eq!(parts("encoder/layer 0/w"), ["encoder", "layer 0", "w"]);
    }

    #[test]
    fn hostile_names_lead_nowhere() {
        assert_eq!(parts("../../etc/passwd"), ["%2E%2E", "%2E%2E", "etc", "passwd"]);
        assert_eq!(parts("/a//b/."), ["%", "a", "%", "b", "%2E"]);
        assert_eq!(parts(""), ["%"]);
        assert_eq!(parts("a\0b\n\u{85}"), ["a%00b%0A%C2%85"]);
        let deep = parts(&"a/".repeat(1000));
        assert_eq!(deep.len(), MOST_FOLDERS + 1);
        assert!(deep.last().unwrap().starts_with("a%2Fa%2F"));
        for part in parts(&"ä".repeat(1000)).into_iter().chain(deep) {
            assert!(!part.is_empty() && part.len() <= MOST_BYTES && !part.contains(['/', '\0']));
        }
    }
}
