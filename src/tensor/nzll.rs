//! Finds the matrices in weight files of imported language models (`formats/llm.md`).

use super::{Dtype, FileKind, Layout, TensorInfo};
use crate::error::{Error, Result};
use crate::format::cursor::{Cursor, Parsed, in_range};

/// The first bytes of a file.
pub const MAGIC: [u8; 8] = *b"\x93NZLL\r\n\x1a";

/// The largest number of layers of a model.
const MAX_LAYERS: u64 = 256;

/// Finds the matrices of a file of `file_len` bytes from its first bytes. Neither the values of the weights
/// nor the tokenizer that follows them are checked.
///
/// # Errors
///
/// [`crate::ErrorKind::Corrupt`] where it is not a weight file of version 1, or too short for the matrices
/// that its header declares; `Parse::Need` where `bytes` ends inside the header.
pub(crate) fn parse(bytes: &[u8], file_len: u64) -> Parsed<Layout> {
    Ok(Layout::new(FileKind::Nzll, fields(bytes, file_len)?, file_len)?)
}

/// Collects tensors that lie one directly after the other.
struct List {
    tensors: Vec<TensorInfo>,
    at: u64,
    len: u64,
}

impl List {
    fn push(&mut self, name: String, dtype: Dtype, shape: Vec<u64>) -> Result<()> {
        let t = TensorInfo::new(name, dtype, shape, self.at)?;
        if t.end() > self.len {
            return Err(Error::corrupt(format!("{} ends at {}, the file at {}", t.name, t.end(), self.len)));
        }
        self.at = t.end();
        self.tensors.push(t);
        Ok(())
    }

    /// Adds the multipliers of a matrix. The exponent byte before them belongs to no tensor.
    fn scale(&mut self, name: &str, rows: u64) -> Result<()> {
        self.at += 1;
        self.push(format!("{name}.multipliers"), Dtype::U32, vec![rows])
    }

    fn matrix(&mut self, name: &str, rows: u64, columns: u64) -> Result<()> {
        self.scale(name, rows)?;
        self.push(format!("{name}.weight"), Dtype::I8, vec![rows, columns])
    }
}

fn fields(file: &[u8], file_len: u64) -> Parsed<Vec<TensorInfo>> {
    let mut c = Cursor::new(file);
    if c.take(8)? != MAGIC || c.u16()? != 1 {
        return Err(Error::corrupt("no weight file of version 1").into());
    }
    let mut sizes = [0; 9];
    for size in &mut sizes {
        *size = u64::from(c.u32()?);
    }
    let [v, d, layers, a, b, h, m, t, _start] = sizes;
    in_range("layers", layers, 1..=MAX_LAYERS)?;
    let own_head = c.u8()? & 1 != 0;
    c.u32()?;
    let (queries, keys) = (a.saturating_mul(h), b.saturating_mul(h));
    let mut list = List { tensors: Vec::new(), at: c.pos() as u64, len: file_len };
    list.matrix("embedding", v, d)?;
    for l in 0..layers {
        let name = |part: &str| format!("layer.{l}.{part}");
        list.push(name("attention_norm"), Dtype::I32, vec![d])?;
        for (part, rows, columns) in
            [("query", queries, d), ("key", keys, d), ("value", keys, d), ("output", d, queries)]
        {
            list.matrix(&name(part), rows, columns)?;
        }
        list.push(name("hidden_norm"), Dtype::I32, vec![d])?;
        for (part, rows, columns) in [("gate", m, d), ("up", m, d), ("down", d, m)] {
            list.matrix(&name(part), rows, columns)?;
        }
    }
    list.push("final_norm".into(), Dtype::I32, vec![d])?;
    list.scale("head", v)?;
    if own_head {
        list.push("head.weight".into(), Dtype::I8, vec![v, d])?;
    }
    list.push("rope".into(), Dtype::I16, vec![t, h])?;
    Ok(list.tensors)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_micro_model() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/formats/vectors/llm/micro.nzllm");
        let file = std::fs::read(path).unwrap();
        let layout = parse(&file, file.len() as u64).unwrap();
        let end = layout.tensors.last().unwrap().end() as usize;
        // The tokenizer follows: a rule below 5.
        assert!(layout.find("embedding.weight").is_some() && end < file.len() && file[end] < 5);
        for cut in 0..end {
            assert!(parse(&file[..cut], cut as u64).is_err());
        }
    }
}
