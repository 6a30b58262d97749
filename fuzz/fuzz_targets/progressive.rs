//! Progressive checkpoints of any bytes, also ones whose description and tensors are at least JSON: what is made of them is a
//! safetensors file, or there is an error of the right kind.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nzip::ErrorKind;
use nzip_quantize::restore_progressive;

const MEMORY: u64 = 16 << 20;

fn check(file: &[u8]) {
    match restore_progressive(&mut &file[..], MEMORY) {
        Ok(restored) => {
            nzip::tensor::Layout::read(&restored.file).unwrap();
        }
        Err(e) => assert!(!matches!(e.kind(), ErrorKind::Io), "{e}"),
    }
}

fuzz_target!(|bytes: &[u8]| {
    check(bytes);
    // A description, the other tensors, and the data, each up to a zero.
    let mut pieces = bytes.splitn(3, |b| *b == 0);
    let mut piece = || pieces.next().unwrap_or_default();
    let (description, tensors) = (String::from_utf8_lossy(piece()), String::from_utf8_lossy(piece()));
    let Ok(mut header) = serde_json::from_str::<serde_json::Map<_, _>>(&tensors) else { return };
    header.insert("__metadata__".into(), serde_json::json!({ "nzip.progressive": description }));
    let header = serde_json::Value::Object(header).to_string();
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend_from_slice(header.as_bytes());
    file.extend_from_slice(piece());
    check(&file);
});
