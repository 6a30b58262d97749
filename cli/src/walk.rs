//! Which files the arguments stand for: `-r` and `--exclude-compressed`.

use crate::console::Console;
use crate::files::{is_dash, label};
use crate::{foreign, naming};
use clap::Args;
use std::path::{Path, PathBuf};
use walkdir::WalkDir;

/// Which files are taken.
#[derive(Debug, Args)]
#[command(next_help_heading = "Files")]
pub struct Selection {
    /// Take what is in folders
    ///
    /// To compress, all regular files that have not the suffix; to decompress, test and list, those that have it.
    #[arg(short, long)]
    pub recursive: bool,
    /// Leave out what is compressed already, by its name (.gz, .jpg, .mp4, ...)
    #[arg(long)]
    pub exclude_compressed: bool,
}

/// The files that are looked for in folders.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// Whether folders are gone through.
    pub recursive: bool,
    /// Whether compressed files are looked for, or all others.
    pub packed: bool,
    /// The suffix of compressed files, where one is chosen.
    pub suffix: Option<&'a str>,
    /// Whether files that are compressed already, by their names, are left out.
    pub exclude: bool,
}

/// Files, and whether all folders could be read.
pub struct Found {
    /// The files, in the order of the arguments and, inside a folder, of their names.
    pub files: Vec<PathBuf>,
    /// False where something failed that has been reported.
    pub good: bool,
}

/// The files that the arguments name, folders replaced by what is in them.
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

/// Adds the files of a folder and of those inside; links and what is no regular file are left out.
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
