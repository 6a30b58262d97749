//! Making the row of a shard from its file.

use super::{Shard, TensorPart};
use crate::error::{Error, Result};
use crate::format::member::check_name;
use crate::stream::{Archive, DecodeOptions, Decoder};
use std::io::{self, Read, Seek, SeekFrom, Write};

impl Shard {
    /// Describes a file: reads it once for its hash, and its index. What has no hash of its own, such as a
    /// short stream or several streams, is decoded for one. Tensors are those that the index names.
    ///
    /// # Errors
    ///
    /// A name that is no relative path; those of reading and decoding.
    pub fn describe<S: Read + Seek>(name: &str, mut file: S, options: &DecodeOptions) -> Result<Self> {
        check_name(name).map_err(|e| Error::bad_argument(e.to_string()))?;
        file.seek(SeekFrom::Start(0))?;
        let stored_hash = hash(&mut file)?;
        let mut archive = Archive::with_options(file, options.clone())?;
        let mut models = Vec::new();
        for number in 0..archive.block_count() {
            let model = archive.block(number)?.and_then(|b| b.model);
            models.extend(model.filter(|m| !models.contains(m)));
        }
        let known = match &archive.streams()[..] {
            [only] => only.hash,
            _ => None,
        };
        let (raw_len, stored_len) = (archive.len(), archive.stored_len());
        let tensors = archive.tensor_infos().iter().map(|t| TensorPart::new(t.clone(), 0)).collect();
        let raw_hash = match known {
            Some(hash) => hash,
            None => {
                let mut file = archive.into_inner();
                file.seek(SeekFrom::Start(0))?;
                hash(&mut Decoder::with_options(file, options.clone())?)?
            }
        };
        let (name, source) = (name.to_string(), None);
        Ok(Self { name, raw_start: 0, raw_len, stored_len, raw_hash, stored_hash, models, tensors, source })
    }
}

fn hash(reader: &mut impl Read) -> Result<[u8; 32]> {
    let mut hasher = Hasher(blake3::Hasher::new());
    io::copy(reader, &mut hasher)?;
    Ok(*hasher.0.finalize().as_bytes())
}

/// BLAKE3 as a writer, which also counts.
pub(super) struct Hasher(pub blake3::Hasher);

impl Write for Hasher {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
