//! Translates spellings that users type into those of the command line: names of links, words for options,
//! typing errors.

use crate::failure::usage;
use std::ffi::{OsStr, OsString};
use std::path::Path;

/// Links to the command, and the options for which they stand.
const LINKS: [(&str, &str); 2] = [("nunzip", "-d"), ("nzcat", "-dc")];

/// Words that other programs use for an option, where a verb may stand.
const WORDS: [(&str, &str); 4] = [("list", "-l"), ("test", "-t"), ("compress", "-z"), ("decompress", "-d")];

/// The word that asks for help.
const HELP: &str = "help";

/// The arguments in the form that the parser knows. The first one is the name by which the command was
/// called.
pub fn rewrite(mut arguments: Vec<OsString>) -> Vec<OsString> {
    let called = arguments.first().map(Path::new).and_then(Path::file_stem).and_then(OsStr::to_str);
    if let Some((_, option)) = LINKS.iter().find(|(name, _)| called == Some(*name)) {
        arguments.insert(1, (*option).into());
        return arguments;
    }
    let word = arguments.get(1).and_then(|a| a.to_str());
    if let Some((_, option)) = WORDS.iter().find(|(name, _)| word == Some(*name)) {
        arguments[1] = (*option).into();
    } else if word == Some(HELP) {
        arguments.remove(1);
        arguments.push("--help".into());
    }
    arguments
}

/// Refuses a word that is not a file but nearly a verb.
///
/// # Errors
///
/// A message that names the verb.
pub fn refuse_slips<'a>(arguments: &[OsString], verbs: impl Iterator<Item = &'a str>) -> anyhow::Result<()> {
    let Some(word) = arguments.get(1).and_then(|a| a.to_str()).filter(|w| !w.starts_with('-')) else {
        return Ok(());
    };
    let verbs: Vec<&str> = verbs.chain(WORDS.map(|(word, _)| word)).chain([HELP]).collect();
    if verbs.contains(&word) || Path::new(word).symlink_metadata().is_ok() {
        return Ok(());
    }
    // One typing error in a short word, two in a long one.
    let near = |verb: &&&str| strsim::damerau_levenshtein(word, verb) <= verb.len().div_ceil(4).min(2);
    match verbs.iter().filter(near).min_by_key(|verb| strsim::damerau_levenshtein(word, verb)) {
        Some(verb) => Err(usage(format!("{word}: no such file and no verb; did you mean {verb}?"))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        line.split(' ').map(OsString::from).collect()
    }

    #[test]
    fn links_and_words() {
        for (typed, meant) in [
            ("nzip a", "nzip a"),
            ("/bin/nunzip -c a", "/bin/nunzip -d -c a"),
            ("nzcat.exe a", "nzcat.exe -dc a"),
            ("nzip list a", "nzip -l a"),
            ("nzip test a", "nzip -t a"),
            ("nzip ./list", "nzip ./list"),
            ("nzip a list", "nzip a list"),
            ("nzip help", "nzip --help"),
            ("nzip help model", "nzip model --help"),
        ] {
            assert_eq!(rewrite(words(typed)), words(meant));
        }
    }

    #[test]
    fn slips_are_told() {
        let told = |line: &str| {
            let verbs = ["inspect", "tensors", "model", "bench"];
            refuse_slips(&words(line), verbs.into_iter()).err().map(|e| e.to_string())
        };
        assert!(told("nzip tensor list x").unwrap().ends_with("did you mean tensors?"));
        assert!(told("nzip isnpect x").unwrap().ends_with("did you mean inspect?"));
        assert!(told("nzip lsit x").unwrap().ends_with("did you mean list?"));
        for fine in ["nzip", "nzip model", "nzip report.txt", "nzip -d tensor", "nzip a", "nzip rest.tar"] {
            assert_eq!(told(fine), None, "{fine}");
        }
    }
}
