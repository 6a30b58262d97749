//! The names of results.

use crate::place;
use anyhow::{Context, bail};
use std::path::{Path, PathBuf};

/// The suffix if none is chosen.
const SUFFIX: &str = ".nz";
/// The suffix of a compressed tar archive as a single word.
const TAR: &str = ".tnz";

/// Reads a suffix of compressed files, which must not be empty or a path.
pub fn suffix(text: &str) -> Result<String, String> {
    if text.is_empty() || text.contains(['/', '\\']) {
        return Err("a suffix such as .nz expected".into());
    }
    Ok(text.into())
}

/// The name of a compressed file.
///
/// # Errors
///
/// A source that is named like a compressed file, unless `force`.
pub fn packed(source: &Path, suffix: Option<&str>, force: bool) -> anyhow::Result<PathBuf> {
    let suffix = suffix.unwrap_or(SUFFIX);
    if let (Some((_, found)), false) = (split(source, suffix), force) {
        bail!("is called {found} already and was left out (-f compresses it once more)");
    }
    let mut name = source.as_os_str().to_os_string();
    name.push(suffix);
    Ok(name.into())
}

/// The name of a restored file.
///
/// # Errors
///
/// A name without a known suffix.
pub fn raw(source: &Path, suffix: Option<&str>) -> anyhow::Result<PathBuf> {
    let suffix = suffix.unwrap_or(SUFFIX);
    // What is behind a URL is restored into the current folder, under its own name.
    let source = place::url(source).map_or(source, |url| Path::new(last_name(url)));
    if let Some(stem) = without(source, place::MANIFEST) {
        return Ok(stem);
    }
    let (mut stem, found) = split(source, suffix)
        .with_context(|| format!("the name does not end in {suffix} (-o, -c or -S chooses another)"))?;
    if found == TAR {
        stem.as_mut_os_string().push(".tar");
    }
    Ok(stem)
}

/// The last name in the path of a URL.
fn last_name(url: &str) -> &str {
    let path = url.split(['?', '#']).next().unwrap_or(url);
    path.rsplit('/').next().unwrap_or(path)
}

/// Whether a file is named like a compressed one.
pub fn is_packed(source: &Path, suffix: Option<&str>) -> bool {
    split(source, suffix.unwrap_or(SUFFIX)).is_some()
}

/// The path without its suffix, and the suffix: the one that was chosen, or one that is always known.
fn split<'a>(source: &Path, suffix: &'a str) -> Option<(PathBuf, &'a str)> {
    [suffix, SUFFIX, TAR].into_iter().find_map(|suffix| Some((without(source, suffix)?, suffix)))
}

/// The path without this suffix. A name that consists of nothing but the suffix does not count as having it.
fn without(source: &Path, suffix: &str) -> Option<PathBuf> {
    let extension = suffix.strip_prefix('.').filter(|e| !e.contains('.'));
    if let Some(extension) = extension {
        return (source.extension()? == extension).then(|| source.with_extension(""));
    }
    let stem = source.file_name()?.to_str()?.strip_suffix(suffix)?;
    (!stem.is_empty()).then(|| source.with_file_name(stem))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_and_go() {
        let packed = |name: &str, suffix| packed(Path::new(name), suffix, false).ok();
        let raw = |name: &str, suffix| raw(Path::new(name), suffix).ok();
        assert_eq!(packed("d/a.tar", None), Some("d/a.tar.nz".into()));
        assert_eq!(raw("d/a.tar.nz", None), Some("d/a.tar".into()));
        assert_eq!(raw("d/a.tnz", None), Some("d/a.tar".into()));
        assert_eq!(raw("d/a.log.nzm", None), Some("d/a.log".into()));
        assert_eq!(packed("a", Some("-nz")), Some("a-nz".into()));
        assert_eq!(raw("a-nz", Some("-nz")), Some("a".into()));
        assert_eq!(raw("a.nz", Some("-nz")), Some("a".into()));
        assert_eq!(raw("https://host/d/a.txt.nz?key=a/b", None), Some("a.txt".into()));
        assert_eq!(raw("https://host", None), None);
        for name in ["a.nz", "a.tnz", "d.x/a.nz"] {
            assert_eq!(packed(name, None), None, "{name}");
            assert!(is_packed(Path::new(name), None));
        }
        for name in [".nz", "a", "a.nz/", "anz", "a.nzx"] {
            assert_eq!(raw(name, None).is_some(), name == "a.nz/", "{name}");
        }
        assert_eq!(packed("a-nz", Some("-nz")), None);
    }

    #[test]
    fn suffixes() {
        assert!(suffix(".z").is_ok() && suffix("-nz").is_ok());
        assert!(suffix("").is_err() && suffix("a/b").is_err());
    }
}
