//! Finds the files for which the arguments stand: `-r` and `--exclude-compressed`.

use crate::console::Console;
use crate::files::{is_dash, label};
use crate::{foreign, naming};
use clap::Args;
use std::path::{Path, PathBuf};
use walkdir::WalkDir;

/// Options that select files.
#[derive(Debug, Args)]
#[command(next_help_heading = "Files")]
pub struct Selection {
    /// Take the files in folders
    ///
    /// When compressing, these are all regular files without the suffix; when decompressing, testing and
    /// listing, those with it.
    #[arg(short, long)]
    pub recursive: bool,
    /// Leave out files whose names say that they are compressed (.gz, .mp4)
    #[arg(long, hide_short_help = true)]
    pub exclude_compressed: bool,
}

/// The files that are wanted in folders.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// Whether folders are searched.
    pub recursive: bool,
    /// Whether compressed files are wanted, or all others.
    pub packed: bool,
    /// The suffix of compressed files, if one was chosen.
    pub suffix: Option<&'a str>,
    /// Whether files whose names say that they are already compressed are left out.
    pub exclude: bool,
}

/// Files, and whether all folders could be read.
pub struct Found {
    /// The files, in the order of the arguments and, inside a folder, of their names.
    pub files: Vec<PathBuf>,
    /// False if something failed and has been reported.
    pub good: bool,
}

/// The files that the arguments name, with folders replaced by the files in them.
pub fn find(arguments: &[PathBuf], wanted: Wanted<'_>, console: Console) -> Found {
    let mut found = Found { files: Vec::new(), good: true };
    for argument in arguments {
        if wanted.recursive && !is_dash(argument) && argument.is_dir() {
            folder(argument, wanted, console, &mut found);
        } else if wanted.exclude && foreign::is_compressed(argument) {
            console.detail(&format!("{}: left out, it is compressed already", label(argument)));
        } else {
            found.files.push(argument.clone());
        }
    }
    found
}

/// Adds the files of a folder and of its subfolders, without links and anything that is not a regular file.
fn folder(path: &Path, wanted: Wanted<'_>, console: Console, found: &mut Found) {
    for entry in WalkDir::new(path).sort_by_file_name() {
        match entry {
            Ok(entry) if entry.file_type().is_file() && takes(entry.path(), wanted) => {
                found.files.push(entry.into_path());
            }
            Ok(_) => {}
            Err(e) => {
                let name = label(e.path().unwrap_or(path));
                let e = e.into_io_error().unwrap_or_else(|| std::io::Error::other("a circle of links"));
                console.error(name, &e.into());
                found.good = false;
            }
        }
    }
}

fn takes(path: &Path, wanted: Wanted<'_>) -> bool {
    let is_packed = naming::is_packed(path, wanted.suffix);
    is_packed == wanted.packed && !(wanted.exclude && foreign::is_compressed(path))
}
