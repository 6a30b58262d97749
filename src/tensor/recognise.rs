//! Recognises tensors of quantised and sparse checkpoints that pack several numbers into a word, by their
//! names, types and shapes. A match is only a proposal, since names prove nothing: the encoder uses it where
//! it pays.

use super::content::Content;
use super::form::{Form, Packing};
use super::{Dtype, Layout, TensorInfo};
use std::collections::HashMap;

/// The largest group, in bytes.
const GROUP: u64 = 512;
/// The largest band (the rows from which groups are gathered), in bytes.
const BAND: u64 = 1 << 20;
/// The number of weights that share a class (the choice of a coding table) if the layout does not tell how
/// many share a scale; also the most that share one.
const SHARED: u64 = 128;
/// Tensors of one-byte elements have classes if they are larger than this, in bytes.
const ALONE: u64 = 64 << 10;
/// The smallest number of values that may share a class.
const FEWEST: u64 = 16;

/// The form of each tensor of a layout, in order; `None` for tensors that are not recognised. `content`
/// is the whole file.
pub fn forms(layout: &Layout, content: &dyn Content) -> Vec<Option<Form>> {
    let by_name = layout.tensors.iter().map(|t| (t.name.as_str(), t)).collect();
    let names = Names { by_name, content };
    layout.tensors.iter().map(|t| names.form(t).filter(|f| f.rows > 0 && f.word > 0)).collect()
}

struct Names<'a> {
    by_name: HashMap<&'a str, &'a TensorInfo>,
    content: &'a dyn Content,
}

impl Names<'_> {
    /// The tensor that has the name of `t` with its last part replaced by `last`.
    fn sibling(&self, t: &TensorInfo, last: &str) -> Option<&TensorInfo> {
        let stem = t.name.rfind(['.', '/']).map_or("", |at| &t.name[..=at]);
        self.by_name.get(format!("{stem}{last}").as_str()).copied()
    }

    fn form(&self, t: &TensorInfo) -> Option<Form> {
        let last = t.name.rsplit(['.', '/']).next().unwrap_or_default();
        match (last, t.dtype, &t.shape[..]) {
            ("qweight", Dtype::I32 | Dtype::U32, [rows, columns]) => self.packed_rows(t, *rows, *columns),
            ("qzeros", Dtype::I32 | Dtype::U32, [_, columns]) => {
                let scales = self.sibling(t, "scales")?;
                let bits = bits_of(32 * columns, *scales.shape.get(1)?)?;
                Some(along(Packing::Bits(bits), bits, 4 * columns, 64))
            }
            ("g_idx" | "row_offsets", Dtype::I32 | Dtype::U32, _) => Some(words(Packing::Growing, 4)),
            ("row_offsets", Dtype::I64 | Dtype::U64, _) => Some(words(Packing::Growing, 8)),
            ("weight_packed", Dtype::I32 | Dtype::U32, [.., _, columns]) => self.packed_columns(t, *columns),
            ("weight_packed", Dtype::U8, [.., columns]) => Some(along(Packing::Bits(4), 4, *columns, 64)),
            ("codes", _, [.., books]) if self.sibling(t, "codebooks").is_some() => codes(t.dtype, *books),
            ("dense_weights", Dtype::I64 | Dtype::U64, _) => Some(words(Packing::Spqr, 8)),
            ("col_vals", Dtype::I32 | Dtype::U32, _) => Some(words(Packing::Outliers, 4)),
            (_, Dtype::F4, [.., columns]) if t.len > ALONE => {
                Some(along(Packing::Bits(4), 4, *columns / 2, 64))
            }
            // Small tensors are better coded with their neighbours, except 8-bit floats: these are scales,
            // whose rows differ.
            (_, d, [.., _, columns])
                if d.group() == (1, 1)
                    && d != Dtype::Bool
                    && (t.len > ALONE || d.is_small_float() || d == Dtype::F8E8m0) =>
            {
                Some(along(Packing::Bits(8), 8, *columns, GROUP))
            }
            _ => None,
        }
    }

    /// The form of `qweight` of GPTQ, where a word holds numbers of one column, or of AWQ, where it holds
    /// numbers of one row.
    fn packed_rows(&self, t: &TensorInfo, rows: u64, columns: u64) -> Option<Form> {
        let scales = self.sibling(t, "scales")?;
        let [groups, out] = scales.shape[..] else { return None };
        let down = columns == out;
        let bits = if down {
            let zeros = self.sibling(t, "qzeros").and_then(|z| bits_of(32 * z.shape.get(1)?, out));
            zeros.or_else(|| bits_of(32 * rows, *self.sibling(t, "g_idx")?.shape.first()?))?
        } else {
            bits_of(32 * columns, out).filter(|b| matches!(b, 4 | 8))?
        };
        // Where the width does not divide 32, only whole runs of 32 numbers end at the end of a word.
        let step = if !down || 32 % bits == 0 { 1 } else { u64::from(bits) };
        let shared = (rows * 32 / u64::from(bits)).checked_div(groups).unwrap_or(SHARED).min(SHARED);
        let wanted = if down { shared * u64::from(bits) / 32 } else { shared };
        let most = wanted.min(GROUP / 4).min(BAND / (4 * columns.max(1)));
        let height = (1..=most).rev().find(|h| rows.is_multiple_of(*h) && h.is_multiple_of(step))?;
        let packing = if down { Packing::Bits(bits) } else { Packing::Columns(32 / bits) };
        Some(Form { packing, rows: height as u32, word: 4, columns: u32::try_from(columns).ok()? })
    }

    /// The form of `weight_packed` of compressed-tensors, where a word holds numbers of one row.
    fn packed_columns(&self, t: &TensorInfo, columns: u64) -> Option<Form> {
        let shape = self.sibling(t, "weight_shape").filter(|s| s.dtype == Dtype::I64 && s.len >= 16)?;
        let end = shape.end();
        let numbers = u64::from_le_bytes(*self.content.read(end - 8..end).ok()?.last_chunk()?);
        let bits = bits_of_padded(columns, numbers)?;
        // Earlier releases of compressed-tensors left the highest bits of each word unused.
        let dense = columns == (numbers.checked_mul(bits.into())?).div_ceil(32);
        if dense || 32 % bits == 0 {
            Some(along(Packing::Bits(bits), bits, 4 * columns, SHARED * u64::from(bits) / 8))
        } else {
            Some(along(Packing::Words(bits), 32, 4 * columns, SHARED * u64::from(bits) / 8))
        }
    }
}

/// The width in bits, 1..=8, of `count` numbers that together take exactly `bits` bits.
fn bits_of(bits: u64, count: u64) -> Option<u8> {
    let each = bits.checked_div(count)?;
    (each * count == bits && (1..=8).contains(&each)).then_some(each as u8)
}

/// The width in bits, 1..=8, of `count` numbers in `words` words of 32 bits, the last of which may not be
/// full.
fn bits_of_padded(words: u64, count: u64) -> Option<u8> {
    let each = words.checked_mul(32)?.checked_div(count)?;
    (1..=8).contains(&each).then_some(each as u8)
}

/// The form of words of `bytes` bytes that lie one after the other, each a group of its own.
fn words(packing: Packing, bytes: u32) -> Form {
    Form { packing, rows: 1, word: bytes, columns: 1 }
}

/// The form of groups along rows of `row` bytes. A group has about `wanted` bytes and holds whole runs of
/// eight numbers of `bits` bits.
fn along(packing: Packing, bits: u8, row: u64, wanted: u64) -> Form {
    let step = match bits {
        32 => 4,
        1 | 2 | 4 | 8 => 1,
        odd => u64::from(odd),
    };
    let least = (FEWEST * u64::from(bits.min(8))).div_ceil(8);
    let fits = |g: &u64| row.is_multiple_of(*g) && g.is_multiple_of(step);
    // The largest divisor of the row up to `wanted`, or else the smallest above; without one, the shortest
    // group, which may cross the end of a row.
    let found = (least..=wanted.min(GROUP)).rev().find(fits).or_else(|| (wanted..=GROUP).find(fits));
    let group = found.unwrap_or(step.max(u64::from(bits == 8)));
    words(packing, group as u32)
}

fn codes(dtype: Dtype, books: u64) -> Option<Form> {
    let count = u8::try_from(books).ok().filter(|b| (1..=32).contains(b))?;
    match dtype.group() {
        (1, 1) => Some(words(Packing::Codes8(count), u32::from(count))),
        (1, 2) => Some(words(Packing::Codes16(count), 2 * u32::from(count))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::FileKind;

    fn layout(tensors: &[(&str, Dtype, &[u64])]) -> Layout {
        let mut at = 0;
        let tensors = tensors.iter().map(|(name, dtype, shape)| {
            let t = TensorInfo::new((*name).into(), *dtype, shape.to_vec(), at).unwrap();
            at = t.end();
            t
        });
        let tensors = tensors.collect();
        Layout { kind: FileKind::Safetensors, tensors, unknown: Vec::new() }
    }

    fn first(tensors: &[(&str, Dtype, &[u64])]) -> Option<Form> {
        let layout = layout(tensors);
        let mut raw = vec![0; layout.tensors.last().unwrap().end() as usize];
        if let Some(t) = layout.find("a.weight_shape") {
            raw[t.start as usize..][..8].copy_from_slice(&64u64.to_le_bytes());
            raw[t.start as usize + 8..][..8].copy_from_slice(&320u64.to_le_bytes());
        }
        forms(&layout, &raw)[0]
    }

    #[test]
    fn layouts_by_shape() {
        let scales = ("a.scales", Dtype::F16, &[4, 384][..]);
        let gptq = |bits: u64| {
            first(&[
                ("a.qweight", Dtype::I32, &[16 * bits, 384]),
                ("a.qzeros", Dtype::I32, &[4, 12 * bits]),
                scales,
            ])
        };
        let form = |packing, rows, word, columns| Some(Form { packing, rows, word, columns });
        assert_eq!(gptq(4), form(Packing::Bits(4), 16, 4, 384));
        assert_eq!(gptq(3), form(Packing::Bits(3), 12, 4, 384));
        let awq = first(&[("a.qweight", Dtype::I32, &[512, 48]), ("a.qzeros", Dtype::I32, &[4, 48]), scales]);
        assert_eq!(awq, form(Packing::Columns(8), 128, 4, 48));
        assert_eq!(first(&[("a.qweight", Dtype::I32, &[512, 48])]), None);
        let ct = |columns: u64| {
            first(&[("a.weight_packed", Dtype::I32, &[64, columns]), ("a.weight_shape", Dtype::I64, &[2])])
        };
        assert_eq!(ct(40), form(Packing::Bits(4), 1, 40, 1));
        assert_eq!(ct(30), form(Packing::Bits(3), 1, 30, 1));
        assert_eq!(ct(32).map(|f| f.packing), Some(Packing::Words(3)));
        let aqlm = [("a.codes", Dtype::I16, &[8, 9, 2][..]), ("a.codebooks", Dtype::F16, &[2, 4, 1, 8])];
        assert_eq!(first(&aqlm), form(Packing::Codes16(2), 1, 4, 1));
    }
}
