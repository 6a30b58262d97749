//! Files and the contents of folders, with the names that they have in an archive.

use anyhow::{Context, bail};
use std::cmp::Ordering;
use std::path::{Component, Path, PathBuf};
use walkdir::WalkDir;

/// A file.
#[derive(Debug, PartialEq, Eq)]
pub struct Gathered {
    pub path: PathBuf,
    /// Its name in the archive: its path from the deepest folder that holds all of them, with `/` between the parts.
    pub name: String,
}

/// The files that the arguments name, in this order, with folders replaced by the files in them, numbers in their names by
/// value. Links are followed. Files for which `skipped` holds are left out of folders.
///
/// # Errors
///
/// Those of reading folders; names that are not UTF-8.
pub fn gather(arguments: &[PathBuf], skipped: impl Fn(&Path) -> bool) -> anyhow::Result<Vec<Gathered>> {
    let (mut files, mut roots) = (Vec::new(), Vec::new());
    for argument in arguments {
        let full = plain(argument)?;
        if !argument.is_dir() {
            roots.push(full.parent().unwrap_or(&full).to_path_buf());
            files.push((argument.clone(), full));
            continue;
        }
        // Folders beside each other keep their names.
        let alone = arguments.len() == 1;
        roots.push(if alone { full.clone() } else { full.parent().unwrap_or(&full).to_path_buf() });
        let walk = WalkDir::new(argument).follow_links(true);
        for entry in
            walk.sort_by(|a, b| natural(&a.file_name().to_string_lossy(), &b.file_name().to_string_lossy()))
        {
            let entry = entry?;
            if entry.file_type().is_file() && !skipped(entry.path()) {
                files.push((entry.path().to_path_buf(), plain(entry.path())?));
            }
        }
    }
    let Some(root) = roots.into_iter().reduce(|a, b| common(&a, &b)) else { bail!("no file is named") };
    files.into_iter().map(|(path, full)| Ok(Gathered { name: name(&full, &root)?, path })).collect()
}

/// The absolute path without `.` and `..`.
fn plain(path: &Path) -> anyhow::Result<PathBuf> {
    let mut out = PathBuf::new();
    for part in std::path::absolute(path).with_context(|| path.display().to_string())?.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => _ = out.pop(),
            part => out.push(part),
        }
    }
    Ok(out)
}

/// The deepest folder that holds both.
fn common(a: &Path, b: &Path) -> PathBuf {
    a.components().zip(b.components()).take_while(|(a, b)| a == b).map(|(a, _)| a).collect()
}

fn name(full: &Path, root: &Path) -> anyhow::Result<String> {
    let inside = full.strip_prefix(root).unwrap_or(full);
    let parts = inside.iter().map(|part| part.to_str());
    let parts = parts.collect::<Option<Vec<_>>>();
    Ok(parts.with_context(|| format!("{}: a name that is not UTF-8", full.display()))?.join("/"))
}

/// Compares names, in which runs of digits count as numbers.
fn natural(a: &str, b: &str) -> Ordering {
    let (mut x, mut y) = (a, b);
    loop {
        let (p, q) = (run(x), run(y));
        let order = match (number(p), number(q)) {
            (Some(n), Some(m)) => n.len().cmp(&m.len()).then_with(|| n.cmp(m)),
            _ => p.cmp(q),
        };
        if order != Ordering::Equal || p.is_empty() {
            return order.then_with(|| a.cmp(b));
        }
        (x, y) = (&x[p.len()..], &y[q.len()..]);
    }
}

/// The run of digits, or of other characters, at the start.
fn run(text: &str) -> &str {
    let digit = text.starts_with(|c: char| c.is_ascii_digit());
    let end = text.find(|c: char| c.is_ascii_digit() != digit).unwrap_or(text.len());
    &text[..end]
}

/// A run of digits without the zeros before it.
fn number(run: &str) -> Option<&str> {
    run.starts_with(|c: char| c.is_ascii_digit()).then(|| run.trim_start_matches('0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_sorted_by_value() {
        let mut names = ["step-1000", "step-200", "step-0200", "a", "step-", "step-200b", "9", "10"];
        names.sort_by(|a, b| natural(a, b));
        assert_eq!(names, ["9", "10", "a", "step-", "step-0200", "step-200", "step-200b", "step-1000"]);
    }

    #[test]
    fn names_are_relative_to_what_is_common() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for name in ["run/step-9/model", "run/step-10/model", "run/step-10/config", "other"] {
            std::fs::create_dir_all(at(name).parent().unwrap()).unwrap();
            std::fs::write(at(name), name).unwrap();
        }
        let names = |arguments: &[&str]| {
            let arguments: Vec<_> = arguments.iter().map(|a| at(a)).collect();
            gather(&arguments, |path| path.ends_with("config"))
                .unwrap()
                .into_iter()
                .map(|g| g.name)
                .collect::<Vec<_>>()
        };
        assert_eq!(names(&["run"]), ["step-9/model", "step-10/model"]);
        assert_eq!(names(&["run/step-10", "run/step-9"]), ["step-10/model", "step-9/model"]);
        assert_eq!(names(&["run/step-9/model"]), ["model"]);
        assert_eq!(names(&["run/step-9/../step-9", "other"]), ["run/step-9/model", "other"]);
        assert!(gather(&[at("missing")], |_| false).unwrap()[0].path.ends_with("missing"));
    }
}
