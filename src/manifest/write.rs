//! Writing manifests, in one form for one list.

use super::{Manifest, Shard, TensorPart, VERSION};
use std::fmt::Write;

impl Manifest {
    /// The bytes of the manifest.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut text = format!("{{\"nzip-manifest\":{VERSION},\"must\":[]}}\n");
        for shard in &self.shards {
            text += &shard.to_row();
            text.push('\n');
        }
        let hash = hex(blake3::hash(text.as_bytes()).as_bytes());
        let (shards, raw) = (self.shards.len(), self.len());
        text += &format!("{{\"shards\":{shards},\"raw_bytes\":{raw},\"hash\":\"{hash}\"}}\n");
        text.into_bytes()
    }
}

impl Shard {
    /// The row of the manifest, without the end of the line.
    pub fn to_row(&self) -> String {
        let models: Vec<String> = self.models.iter().map(|m| format!("\"{}\"", hex(m))).collect();
        let mut row = format!(
            "{{\"shard\":{},\"start\":{},\"raw_bytes\":{},\"stored_bytes\":{},\"raw_hash\":\"{}\",\
             \"stored_hash\":\"{}\",\"models\":[{}]",
            quoted(&self.name),
            self.raw_start,
            self.raw_len,
            self.stored_len,
            hex(&self.raw_hash),
            hex(&self.stored_hash),
            models.join(",")
        );
        if !self.tensors.is_empty() {
            let tensors: Vec<String> = self.tensors.iter().map(tensor).collect();
            row += &format!(",\"tensors\":[{}]", tensors.join(","));
        }
        if let Some(source) = &self.source {
            row += &format!(",\"source\":{}", quoted(source));
        }
        row + "}"
    }
}

fn tensor(part: &TensorPart) -> String {
    let t = &part.info;
    let shape: Vec<String> = t.shape.iter().map(u64::to_string).collect();
    let (name, dtype, shape, start) = (quoted(&t.name), t.dtype.name(), shape.join(","), t.start);
    let mut text = format!("{{\"name\":{name},\"dtype\":\"{dtype}\",\"shape\":[{shape}],\"start\":{start}");
    if part.first_row > 0 {
        text += &format!(",\"first_row\":{}", part.first_row);
    }
    text + "}"
}

fn hex(bytes: &[u8; 32]) -> String {
    blake3::Hash::from_bytes(*bytes).to_hex().to_string()
}

/// A string in JSON.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\0'..='\x1f' | '\x7f' => _ = write!(out, "\\u{:04x}", c as u32),
            _ => out.push(c),
        }
    }
    out.push('"');
    out
}
