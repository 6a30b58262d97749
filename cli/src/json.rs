//! Reports for programs: `--json`, whose keys `docs/json.md` lists.

use crate::console::print;
use crate::names;
use nzip::{ModelInfo, StreamInfo};
use serde::Serialize;

/// Writes a report to standard output.
///
/// # Errors
///
/// Those of writing.
pub fn write(report: &impl Serialize) -> anyhow::Result<()> {
    print(&(serde_json::to_string_pretty(report)? + "\n"))
}

/// A model that blocks name.
#[derive(Debug, Serialize)]
pub struct Model {
    /// The name, if it is built in.
    name: Option<&'static str>,
    hash: String,
    /// Its bytes in this file, in nzip or in the model folder; none if it is not available.
    stored_bytes: Option<u64>,
    /// `embedded`, `built in`, `model folder` or `not here`.
    place: &'static str,
}

impl Model {
    /// The model with this hash in a file that has `embedded` bytes of models.
    pub fn new(hash: &[u8; 32], embedded: u64, list: &[ModelInfo]) -> Self {
        let (place, stored_bytes) = names::place(hash, embedded, list);
        let name = list.iter().find(|m| m.hash == *hash).and_then(|m| m.name);
        Self { name, hash: names::hex(hash), stored_bytes, place }
    }
}

/// A stream of a file.
#[derive(Debug, Serialize)]
pub struct Stream {
    offset: u64,
    stored_bytes: u64,
    raw_bytes: u64,
    index_bytes: u64,
    embedded_model_bytes: u64,
    blocks: usize,
    hash: Option<String>,
}

impl Stream {
    /// Describes a stream.
    pub fn new(s: &StreamInfo) -> Self {
        Self {
            offset: s.offset,
            stored_bytes: s.stored_len,
            raw_bytes: s.raw_len,
            index_bytes: s.index_len,
            embedded_model_bytes: s.embedded_len,
            blocks: s.blocks,
            hash: s.hash.map(|h| names::hex(&h)),
        }
    }
}
