//! Base tensors from files.

use super::content::FileContent;
use super::{Archive, Decoder};
use crate::error::{Error, Result};
use crate::format::consts::MAGIC;
use crate::tensor::bases::Bases;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

impl Bases {
    /// Adds the tensors of a file. The file is kept open and read when the tensors are used. A `.nz` file is
    /// decompressed into memory; it may itself need bases that were added before.
    ///
    /// Where the file changes while the bases are in use, coding fails.
    ///
    /// # Errors
    ///
    /// Those of opening, decompressing and parsing the file.
    pub fn add_file(&mut self, path: impl AsRef<Path>) -> Result<()> {
        let mut file = File::open(path.as_ref())?;
        let mut start = Vec::new();
        (&mut file).take(MAGIC.len() as u64).read_to_end(&mut start)?;
        if start != MAGIC {
            return self.add_content(Arc::new(FileContent::new(&file)?));
        }
        let options = super::DecodeOptions::new().memory(self.memory.unwrap_or(1 << 30));
        let len = Archive::with_options(File::open(path.as_ref())?, options)?.len();
        let memory = self.memory.unwrap_or(self.held.saturating_add(len).saturating_add(1 << 30));
        let left = memory.saturating_sub(self.held).checked_sub(len);
        let left =
            left.ok_or_else(|| Error::limit(format!("a base of {len} bytes; the memory cap is {memory}")))?;
        let mut raw = Vec::new();
        let room = usize::try_from(len).ok().map(|len| raw.try_reserve_exact(len));
        if room.is_none_or(|r| r.is_err()) {
            return Err(Error::limit(format!("no memory for a base of {len} bytes")));
        }
        let options = super::DecodeOptions::new().bases(self.clone()).memory(left);
        Decoder::with_options(File::open(path)?, options)?.read_to_end(&mut raw)?;
        self.held += raw.len() as u64;
        self.add(raw)
    }
}
