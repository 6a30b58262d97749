//! Finds the canonical weights of a model by their BLAKE3 hash.
//!
//! Weights are built in, given by the caller, in the user's model folders, or embedded in the stream. Nothing
//! here knows what a model computes.

use crate::container::unpack::unpack;
use crate::error::{Error, Result};
use crate::format::checksum::{from_hex, hex};
use crate::format::consts::MAGIC;
use crate::model::{mix, shipped};
use std::collections::HashMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// BLAKE3 of a model's canonical, uncompressed weights.
pub type Hash = [u8; 32];

/// A model that every nzip from this release on knows by a one-byte id (`formats/models.md`).
#[derive(Debug, Clone, Copy)]
pub struct BuiltIn {
    /// The id, 1..=127.
    pub id: u8,
    /// The name on the command line.
    pub name: &'static str,
    /// Its hash.
    pub hash: Hash,
    /// The weight file as a `.nz` stream; `None` for a retired model, and in a build without
    /// `built-in-models`.
    pub packed: Option<&'static [u8]>,
}

/// A model that can be named by its hash.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ModelInfo {
    /// BLAKE3 of its canonical weights.
    pub hash: Hash,
    /// The name, if the model is built in.
    pub name: Option<&'static str>,
    /// The id, if the model is built in.
    pub id: Option<u8>,
    /// The size of its stored (packed) weights in bytes; `None` for a built-in model whose weights are not in
    /// this build.
    pub stored_len: Option<u64>,
    /// The file, if the model is in one of the user's model folders.
    pub path: Option<PathBuf>,
}

/// All built-in models, in the order of `formats/models.md`.
pub const BUILT_IN: &[BuiltIn] = &[
    BuiltIn { id: 1, name: "tiny", hash: TINY_LM, packed: shipped!("built-in-models", "tiny.nz") },
    BuiltIn { id: 2, name: "base", hash: DEFAULT_LM, packed: shipped!("built-in-models", "base.nz") },
];

/// The small language model, which guides `mix` where speed counts: `tiny`.
pub const TINY_LM: Hash = from_hex(b"10038fc4bfdc68c3a195f40470569f4692df515f0a0ab2470fd46ee5174df92d");

/// The model that codec `lm` uses, and that guides `mix`, unless another one is asked for: `base`.
pub const DEFAULT_LM: Hash = from_hex(b"449ac016860c9948bc840ebb1fc6440f4b451db29089071001190fc588d4dd6a");

/// The largest weight file that is read, in bytes.
const MAX_FILE: u64 = 1 << 31;

/// The memory, in bytes, that reading and unpacking a weight file may take by default.
const MEMORY: u64 = 1 << 30;

/// Finds weights by hash.
#[derive(Clone)]
pub struct Registry {
    given: Arc<HashMap<Hash, Arc<[u8]>>>,
    folders: Arc<[PathBuf]>,
    /// The memory, in bytes, that reading and unpacking a weight file may take.
    pub memory: u64,
}

impl Registry {
    /// Knows the built-in models and the user's model folders.
    pub fn new() -> Self {
        Self { given: Arc::default(), folders: user_folders().into(), memory: MEMORY }
    }

    /// Adds canonical weights, or starting points of `mix` as they ship, and returns their hash.
    pub fn add(&mut self, weights: impl Into<Arc<[u8]>>) -> Hash {
        let weights = weights.into();
        let hash = *blake3::hash(&weights).as_bytes();
        mix::shipped::offer(&hash, &weights);
        Arc::make_mut(&mut self.given).insert(hash, weights);
        hash
    }

    /// Adds a weight file: a `.nz` stream or the canonical bytes themselves.
    ///
    /// # Errors
    ///
    /// Those of reading the file and of unpacking it.
    pub fn add_file(&mut self, path: &Path) -> Result<Hash> {
        let weights = Self::read(path, self.memory).map_err(|e| e.within(path.display()))?;
        Ok(self.add(weights))
    }

    /// The weights with this hash.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::MissingModel`], with name and hash; [`crate::ErrorKind::Corrupt`] where a file
    /// that has this hash as its name holds other bytes.
    pub fn find(&self, hash: &Hash) -> Result<Arc<[u8]>> {
        self.find_within(hash, self.memory)
    }

    /// The same as [`Self::find`], where unpacking may take `memory` bytes.
    ///
    /// # Errors
    ///
    /// Those of [`Self::find`]; [`crate::ErrorKind::LimitExceeded`] where it takes more.
    pub fn find_within(&self, hash: &Hash, memory: u64) -> Result<Arc<[u8]>> {
        if let Some(weights) = self.given.get(hash) {
            return Ok(weights.clone());
        }
        let built_in = BUILT_IN.iter().find(|m| m.hash == *hash);
        if let Some(packed) = built_in.and_then(|m| m.packed) {
            return checked(unpack(packed, MAX_FILE, memory)?, hash);
        }
        for folder in &*self.folders {
            let path = folder.join(format!("{}.nz", hex(hash)));
            if path.is_file() {
                return Self::read(&path, memory)
                    .and_then(|w| checked(w, hash))
                    .map_err(|e| e.within(path.display()));
            }
        }
        let name = built_in.map_or("not built in", |m| m.name);
        Err(Error::missing_model(format!(
            "the model {} ({name}) is needed; give its file with --model or put it in the model folder as {}.nz",
            hex(hash),
            hex(hash)
        )))
    }

    /// The built-in models, then those in the user's folders, ordered by hash.
    pub fn list(&self) -> Vec<ModelInfo> {
        let mut models: Vec<ModelInfo> = BUILT_IN.iter().map(built_in_info).collect();
        let files = self.folders.iter().filter_map(|f| fs::read_dir(f).ok()).flatten().flatten();
        let mut found: Vec<ModelInfo> = files.filter_map(|f| file_info(&f.path())).collect();
        found.sort_by_key(|m| m.hash);
        models.extend(found);
        models
    }

    fn read(path: &Path, memory: u64) -> Result<Vec<u8>> {
        let most = MAX_FILE.min(memory);
        let mut bytes = Vec::new();
        // The length that the system reports may be wrong, for example for a pipe or a file that grows.
        fs::File::open(path)?.take(most + 1).read_to_end(&mut bytes)?;
        let len = bytes.len() as u64;
        if len > most {
            return Err(Error::limit(format!("a weight file of more than {most} bytes")));
        }
        if bytes.starts_with(&MAGIC) { unpack(&bytes, MAX_FILE, memory - len) } else { Ok(bytes) }
    }
}

fn built_in_info(m: &BuiltIn) -> ModelInfo {
    let stored_len = m.packed.map(|p| p.len() as u64);
    ModelInfo { hash: m.hash, name: Some(m.name), id: Some(m.id), stored_len, path: None }
}

/// A file whose name is a hash. Its content is checked when it is used.
fn file_info(path: &Path) -> Option<ModelInfo> {
    let hash = blake3::Hash::from_hex(path.file_name()?.to_str()?.strip_suffix(".nz")?).ok()?;
    let stored_len = fs::metadata(path).ok()?.len();
    let path = Some(path.to_path_buf());
    Some(ModelInfo { hash: *hash.as_bytes(), name: None, id: None, stored_len: Some(stored_len), path })
}

/// The hash of the built-in model with this id, which must be below 128.
///
/// # Errors
///
/// [`crate::ErrorKind::NewerVersion`] for ids that this release does not list.
pub fn built_in_hash(id: u8) -> Result<Hash> {
    let found = BUILT_IN.iter().find(|m| m.id == id).map(|m| m.hash);
    found.ok_or_else(|| {
        let message = format!("needs a newer nzip (built-in model {id})");
        Error::new(crate::error::ErrorKind::NewerVersion, message)
    })
}

/// The one-byte id of a built-in model; `None` for other models.
pub fn built_in_id(hash: &Hash) -> Option<u8> {
    BUILT_IN.iter().find(|m| m.hash == *hash).map(|m| m.id)
}

fn checked(weights: Vec<u8>, hash: &Hash) -> Result<Arc<[u8]>> {
    let found = *blake3::hash(&weights).as_bytes();
    if found == *hash {
        return Ok(weights.into());
    }
    Err(Error::corrupt(format!("weights with hash {} expected, {} found", hex(hash), hex(&found))))
}

/// The user's model folders, in the order in which they are searched: `NZIP_MODELS` if set, then the XDG data
/// folder.
pub fn user_folders() -> Vec<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let data = set("XDG_DATA_HOME").or_else(|| Some(set("HOME")?.join(".local/share")));
    set("NZIP_MODELS").into_iter().chain(data.map(|d| d.join("nzip/models"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn given_found_in_a_folder_or_missing() {
        let folder = tempfile::tempdir().unwrap();
        let mut registry = Registry::new();
        registry.folders = [folder.path().to_path_buf()].into();
        let hash = *blake3::hash(b"weights").as_bytes();
        let e = registry.find(&hash).unwrap_err();
        assert_eq!(e.kind(), ErrorKind::MissingModel);
        assert!(e.to_string().contains(&hex(&hash)));

        let path = folder.path().join(format!("{}.nz", hex(&hash)));
        fs::write(&path, b"other weights").unwrap();
        assert_eq!(registry.find(&hash).unwrap_err().kind(), ErrorKind::Corrupt);
        fs::write(&path, b"weights").unwrap();
        assert_eq!(&*registry.find(&hash).unwrap(), b"weights");
        let listed = registry.list();
        let listed: Vec<_> = listed.iter().filter(|m| m.path.is_some()).collect();
        assert_eq!((listed.len(), listed[0].hash, listed[0].stored_len), (1, hash, Some(7)));

        registry.folders = [].into();
        assert_eq!(registry.add_file(&path).unwrap(), hash);
        assert_eq!(&*registry.find(&hash).unwrap(), b"weights");
    }

    #[test]
    #[cfg(feature = "built-in-models")]
    fn built_in_models_have_their_hashes() {
        for m in BUILT_IN {
            let weights = crate::decompress(m.packed.expect("no model is retired")).unwrap();
            assert_eq!(hex(&m.hash), hex(blake3::hash(&weights).as_bytes()), "{}", m.name);
        }
    }

    #[test]
    fn ids_are_unique_and_small() {
        for (i, m) in BUILT_IN.iter().enumerate() {
            assert!((1..=127).contains(&m.id));
            assert!(BUILT_IN[..i].iter().all(|o| o.id != m.id && o.hash != m.hash && o.name != m.name));
        }
    }
}
