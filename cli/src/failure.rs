//! Errors of the command, and what they mean for its exit code.

use std::fmt;
use std::io;

/// How the names of temporary files start.
pub const TEMPORARY: &str = ".nzip-";

/// A request that makes no sense, whatever the files hold: exit code 2.
#[derive(Debug)]
pub struct Usage(String);

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

/// An error of kind [`Usage`].
pub fn usage(message: impl Into<String>) -> anyhow::Error {
    Usage(message.into()).into()
}

/// An error and its causes in one line. Everything is said once, without names of temporary files and error
/// numbers of the system.
pub fn describe(e: &anyhow::Error) -> String {
    let mut parts: Vec<String> = Vec::new();
    for cause in e.chain() {
        let text = plain(&cause.to_string());
        match parts.last_mut() {
            Some(last) if last.ends_with(&text) => {}
            // An error that only wraps its cause ends with the cause's text.
            Some(last) if text.ends_with(last.as_str()) => *last = text,
            _ => parts.push(text),
        }
    }
    parts.join(": ")
}

/// A message without details that only programmers want to know.
fn plain(text: &str) -> String {
    let without = |text: &str, start: &str, end: &str| match text.split_once(start) {
        Some((before, rest)) => match rest.split_once(end) {
            Some((_, after)) => format!("{before}{after}"),
            None => text.to_string(),
        },
        None => text.to_string(),
    };
    let text = without(text, " (os error ", ")");
    // In the form that tempfile uses.
    if text.contains(TEMPORARY) { without(&text, " at path \"", "\"") } else { text }
}

/// Whether the reader of the output has gone away.
pub fn is_broken_pipe(e: &anyhow::Error) -> bool {
    let io_error = |cause: &(dyn std::error::Error + 'static)| {
        cause.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe)
    };
    e.chain().any(io_error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    #[test]
    fn messages_say_each_thing_once() {
        let missing = || io::Error::from_raw_os_error(2);
        let text = missing().to_string();
        let text = text.split(" (").next().unwrap();
        assert_eq!(describe(&nzip::Error::from(missing()).into()), text);
        let placed = nzip::Error::from(missing()).within("models/a");
        assert_eq!(describe(&placed.into()), format!("models/a: {text}"));
        let e = Err::<(), _>(missing()).context("a.nz").unwrap_err();
        assert_eq!(describe(&e), format!("a.nz: {text}"));
        let path = tempfile::Builder::new().prefix(TEMPORARY).tempfile_in("/no/such/folder").unwrap_err();
        assert_eq!(
            describe(&anyhow::Error::from(path).context("/no/such/folder/a.nz")),
            format!("/no/such/folder/a.nz: {text}")
        );
        assert_eq!(describe(&usage("a (b) at path \"c\"")), "a (b) at path \"c\"");
    }
}
