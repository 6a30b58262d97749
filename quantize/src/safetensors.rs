//! Writes safetensors files.

use nzip::tensor::Dtype;
use serde_json::{Map, Value, json};

/// A tensor to write.
pub struct Tensor {
    pub name: String,
    pub dtype: Dtype,
    pub shape: Vec<u64>,
    /// Its bytes in the file.
    pub bytes: Vec<u8>,
}

/// A file of these tensors, in this order.
pub fn file(metadata: Map<String, Value>, tensors: &[Tensor]) -> Vec<u8> {
    let mut header = Map::new();
    if !metadata.is_empty() {
        header.insert("__metadata__".into(), Value::Object(metadata));
    }
    let mut at = 0;
    for t in tensors {
        let end = at + t.bytes.len();
        let entry = json!({ "dtype": t.dtype.name(), "shape": t.shape, "data_offsets": [at, end] });
        header.insert(t.name.clone(), entry);
        at = end;
    }
    let mut out = start(header);
    out.reserve(at);
    tensors.iter().for_each(|t| out.extend_from_slice(&t.bytes));
    out
}

/// The start of a file: the length of its header, and the header.
pub fn start(header: Map<String, Value>) -> Vec<u8> {
    let mut text = Value::Object(header).to_string().into_bytes();
    text.resize(text.len().next_multiple_of(8), b' ');
    let mut out = (text.len() as u64).to_le_bytes().to_vec();
    out.extend_from_slice(&text);
    out
}
