//! Names that users give to models: `NAME.name` in a model folder holds the hash in hexadecimal digits.

use super::registry::Hash;
use std::path::PathBuf;

/// The user's model folders, as the registry knows them: `NZIP_MODELS` if set, and the XDG data folder.
pub fn folders() -> Vec<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let data = set("XDG_DATA_HOME").or_else(|| Some(set("HOME")?.join(".local/share")));
    set("NZIP_MODELS").into_iter().chain(data.map(|d| d.join("nzip/models"))).collect()
}

/// The hash of the model with this name.
pub fn named(name: &str) -> Option<Hash> {
    if name.contains(['/', '\\']) {
        return None;
    }
    let read = |f: PathBuf| std::fs::read_to_string(f.join(format!("{name}.name"))).ok();
    let text = folders().into_iter().find_map(read)?;
    blake3::Hash::from_hex(text.trim_end()).ok().map(|h| *h.as_bytes())
}
