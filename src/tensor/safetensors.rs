//! Reads headers of safetensors files: a length, a JSON header, then the tensors one directly after the
//! other.

use super::json::Json;
use super::{Dtype, FileKind, Layout, TensorInfo};
use crate::error::{Error, Result};
use crate::format::cursor::{Parse, Parsed};

/// The longest header that is read, in bytes: the limit of the format's own library.
pub const MAX_HEADER: u64 = 100_000_000;

/// Reads the header of a file of `file_len` bytes from its first bytes.
///
/// # Errors
///
/// [`Parse::Need`] where `bytes` ends inside the header; [`Parse::Bad`] for a file that breaks the rules of
/// the format: tensors must be unique, must fill everything after the header without gaps, and each must have
/// the length that its dtype and shape imply.
pub(crate) fn parse(bytes: &[u8], file_len: u64) -> Parsed<Layout> {
    let (header, start) = header(bytes, file_len)?;
    let mut tensors = Vec::new();
    let mut json = Json::new(header);
    json.object(|json, name| {
        if name == "__metadata__" {
            return json.object(|json, _| json.string().map(drop));
        }
        tensors.push(tensor(json, name, start)?);
        Ok(())
    })?;
    json.end()?;
    let layout = Layout::new(FileKind::Safetensors, tensors, file_len)?;
    let mut at = start;
    for t in &layout.tensors {
        if t.start != at {
            let name = &t.name;
            return Err(
                Error::corrupt(format!("tensor {name:?} starts at {}, {at} expected", t.start)).into()
            );
        }
        at = t.end();
    }
    if at != file_len {
        return Err(Error::corrupt(format!("the tensors end at {at}, the file at {file_len}")).into());
    }
    Ok(layout)
}

/// The keys and values of a whole file's text metadata, in file order.
///
/// # Errors
///
/// [`crate::ErrorKind::Truncated`] or [`crate::ErrorKind::Corrupt`] where the header cannot be read.
pub fn metadata(file: &[u8]) -> Result<Vec<(String, String)>> {
    let mut found = Vec::new();
    let (text, _) = header(file, file.len() as u64).map_err(|e| e.at_end("the safetensors header"))?;
    Json::new(text).object(|json, name| {
        if name != "__metadata__" {
            return json.skip();
        }
        json.object(|json, key| {
            found.push((key, json.string()?));
            Ok(())
        })
    })?;
    Ok(found)
}

/// The JSON text of the header, and the offset of the tensor data.
fn header(bytes: &[u8], file_len: u64) -> Parsed<(&[u8], u64)> {
    let prefix: [u8; 8] = bytes.get(..8).and_then(|b| b.try_into().ok()).ok_or(Parse::Need(8))?;
    let len = u64::from_le_bytes(prefix);
    if !(2..=MAX_HEADER).contains(&len) || len + 8 > file_len {
        return Err(Error::corrupt(format!("safetensors: a header of {len} bytes")).into());
    }
    if bytes.get(8).is_some_and(|&b| b != b'{') {
        return Err(Error::corrupt("safetensors: the header does not start with a brace").into());
    }
    let end = 8 + len as usize;
    Ok((bytes.get(8..end).ok_or(Parse::Need(end))?, end as u64))
}

fn tensor(json: &mut Json<'_>, name: String, data: u64) -> Result<TensorInfo> {
    let (mut dtype, mut shape, mut offsets) = (None, None, None);
    json.object(|json, key| {
        match key.as_str() {
            "dtype" => {
                let found = json.string()?;
                let known = Dtype::from_name(&found).filter(|d| d.name() == found);
                dtype = Some(known.ok_or_else(|| Error::corrupt(format!("dtype {found:?}")))?);
            }
            "shape" => shape = Some(integers(json)?),
            "data_offsets" => offsets = Some(integers(json)?),
            _ => json.skip()?,
        }
        Ok(())
    })?;
    let (Some(dtype), Some(shape), Some(offsets)) = (dtype, shape, offsets) else {
        return Err(Error::corrupt(format!("tensor {name:?}: dtype, shape or offsets are missing")));
    };
    let [from, to] = offsets[..] else {
        return Err(Error::corrupt(format!("tensor {name:?}: two offsets expected")));
    };
    let start =
        data.checked_add(from).ok_or_else(|| Error::corrupt(format!("tensor {name:?}: offset {from}")))?;
    let info = TensorInfo::new(name, dtype, shape, start)?;
    if to.checked_sub(from) != Some(info.len) {
        let (name, len) = (&info.name, info.len);
        return Err(Error::corrupt(format!(
            "tensor {name:?}: {len} bytes expected, offsets {from}..{to} found"
        )));
    }
    Ok(info)
}

fn integers(json: &mut Json<'_>) -> Result<Vec<u64>> {
    let mut out = Vec::new();
    json.array(|json| {
        out.push(json.integer()?);
        Ok(())
    })?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(json: &str, data: usize) -> Vec<u8> {
        let mut out = (json.len() as u64).to_le_bytes().to_vec();
        out.extend_from_slice(json.as_bytes());
        out.resize(out.len() + data, 7);
        out
    }

    fn read(json: &str, data: usize) -> Parsed<Layout> {
        let file = file(json, data);
        parse(&file, file.len() as u64)
    }

    const GOOD: &str = r#"{"__metadata__":{"format":"pt"},"b":{"dtype":"BF16","shape":[2,3],"data_offsets":[4,16]},
        "a":{"shape":[],"dtype":"F32","data_offsets":[0,4]},"none":{"dtype":"I8","shape":[0,9],"data_offsets":[4,4]}}  "#;

    #[test]
    fn reads_and_sorts() {
        let layout = read(GOOD, 16).unwrap();
        let names: Vec<_> = layout.tensors.iter().map(|t| t.name.as_str()).collect();
        assert_eq!(names, ["a", "none", "b"]);
        let b = layout.find("b").unwrap();
        assert_eq!((b.dtype, &b.shape[..], b.len, b.row_bytes()), (Dtype::Bf16, &[2, 3][..], 12, 6));
        assert_eq!(b.start, 8 + GOOD.len() as u64 + 4);
        let file = file(GOOD, 16);
        assert_eq!(metadata(&file).unwrap(), [("format".into(), "pt".into())]);
        for cut in 0..8 + GOOD.len() {
            assert!(
                matches!(parse(&file[..cut], file.len() as u64), Err(Parse::Need(n)) if n > cut),
                "{cut}"
            );
        }
    }

    #[test]
    fn broken_rules() {
        let one = |fields: &str| format!(r#"{{"a":{{{fields}}}}}"#);
        for (json, data) in [
            (GOOD.to_string(), 17),
            (GOOD.to_string(), 15),
            (one(r#""dtype":"F32","shape":[1],"data_offsets":[1,5]"#), 5),
            (one(r#""dtype":"F32","shape":[1],"data_offsets":[0,5]"#), 5),
            (one(r#""dtype":"F32","shape":[1],"data_offsets":[4,0]"#), 4),
            (one(r#""dtype":"f32","shape":[1],"data_offsets":[0,4]"#), 4),
            (one(r#""dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,0]"#), 0),
            (one(r#""dtype":"F32","shape":[-1],"data_offsets":[0,4]"#), 4),
            (one(r#""dtype":"F32","data_offsets":[0,4]"#), 4),
            (one(r#""dtype":"F32","shape":[1],"data_offsets":[18446744073709551615,3]"#), 4),
            (format!("{}x", one(r#""dtype":"I8","shape":[1],"data_offsets":[0,1]"#)), 1),
            (
                r#"{"a":{"dtype":"I8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"I8","shape":[1],"data_offsets":[1,2]}}"#
                    .into(),
                2,
            ),
            (
                r#"{"a":{"dtype":"I8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"I8","shape":[2],"data_offsets":[1,3]}}"#
                    .into(),
                3,
            ),
            ("[]".into(), 0),
            ("{}".into(), 3),
        ] {
            assert!(matches!(read(&json, data), Err(Parse::Bad(_))), "{json}");
        }
        assert!(read("{}", 0).unwrap().tensors.is_empty());
        for len in [0u64, 1, 100_000_001, u64::MAX] {
            let mut file = len.to_le_bytes().to_vec();
            file.extend_from_slice(b"{}");
            assert!(matches!(parse(&file, u64::MAX), Err(Parse::Bad(_))));
        }
    }
}
