//! Inputs that are read from front to back: files, URLs and standard input.

use crate::files::{is_dash, open_file};
use crate::identity::Source;
use crate::place;
use std::io::{self, Read};
use std::path::Path;

/// Something to read from.
pub struct Input {
    /// The bytes.
    pub reader: Box<dyn Read>,
    /// The regular file that they come from, if they come from one.
    pub source: Option<Source>,
}

impl Input {
    /// Opens a file, a URL, or standard input for `-`. Links, devices and pipes are only read with `follow`: that
    /// is, with `-f`, or where no result is made next to them.
    pub fn open(path: &Path, follow: bool) -> anyhow::Result<Self> {
        if is_dash(path) {
            return Ok(Self { reader: Box::new(io::stdin().lock()), source: None });
        }
        if place::url(path).is_some() {
            return Ok(Self { reader: Box::new(place::open(path)?), source: None });
        }
        let file = open_file(path, follow)?;
        let source = Source::new(path, file.try_clone()?)?;
        Ok(Self { reader: Box::new(file), source })
    }
}
