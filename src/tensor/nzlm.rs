//! Finds the tables and matrices in weight files of nzip's own language models (`formats/lm.md`).

use super::{Dtype, FileKind, Layout, TensorInfo};
use crate::error::{Error, Result};
use crate::format::cursor::{Cursor, Parsed};

/// The first bytes of a file.
pub const MAGIC: [u8; 8] = *b"\x93NZLM\r\n\x1a";

/// Finds the tables and matrices of a file of `file_len` bytes from its first bytes. The values of the
/// weights are not checked.
///
/// # Errors
///
/// [`crate::ErrorKind::Corrupt`] where it is not a weight file of version 1, or has another length than its
/// header implies; `Parse::Need` where `bytes` ends inside the header.
pub(crate) fn parse(bytes: &[u8], file_len: u64) -> Parsed<Layout> {
    let tensors = fields(bytes)?;
    let end = tensors.last().map_or(0, TensorInfo::end);
    if end != file_len {
        return Err(Error::corrupt(format!("weights end at {end}, the file at {file_len}")).into());
    }
    Ok(Layout::new(FileKind::Nzlm, tensors, end)?)
}

fn fields(file: &[u8]) -> Parsed<Vec<TensorInfo>> {
    let mut c = Cursor::new(file);
    if c.take(8)? != MAGIC || c.u16()? != 1 {
        return Err(Error::corrupt("no weight file of version 1").into());
    }
    let [d, h, m] = [c.u16()?, c.u16()?, c.u16()?].map(u64::from);
    let [layers, entries, tables] = [c.u8()?, c.u8()?, c.u8()?].map(u64::from);
    let entries = 2 * entries;
    let bits = (0..tables).map(|_| c.take(2).map(|b| b[1])).collect::<Parsed<Vec<u8>>>()?;
    let (mut tensors, mut at) = (Vec::new(), c.pos() as u64);
    let mut push = |name: String, dtype: Dtype, shape: Vec<u64>| -> Result<()> {
        let t = TensorInfo::new(name, dtype, shape, at)?;
        at = t.end();
        tensors.push(t);
        Ok(())
    };
    for (j, bits) in bits.iter().enumerate() {
        if *bits > 20 {
            return Err(Error::corrupt(format!("a table of 2^{bits} rows")).into());
        }
        push(format!("table.{j}"), Dtype::I8, vec![1 << bits, entries])?;
    }
    let mut matrices = vec![("input".to_string(), d, tables * entries)];
    for l in 0..layers {
        let layer = [("gates", 3 * h, d), ("out", d, h), ("up", m, d), ("down", d, m)];
        matrices.extend(layer.map(|(name, rows, columns)| (format!("layer.{l}.{name}"), rows, columns)));
    }
    matrices.push(("head".into(), 256, d));
    for (name, rows, columns) in matrices {
        push(format!("{name}.weight"), Dtype::I8, vec![rows, columns])?;
        push(format!("{name}.bias"), Dtype::I32, vec![rows])?;
        push(format!("{name}.shift"), Dtype::U8, vec![rows])?;
    }
    Ok(tensors)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_micro_model() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/formats/vectors/lm/micro.nzlm");
        let file = std::fs::read(path).unwrap();
        let layout = parse(&file, file.len() as u64).unwrap();
        assert!(layout.find("head.weight").unwrap().shape[0] == 256 && layout.find("table.0").is_some());
        for cut in 0..file.len() {
            assert!(parse(&file[..cut], cut as u64).is_err());
        }
    }
}
