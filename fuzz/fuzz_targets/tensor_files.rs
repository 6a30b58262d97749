//! Tensor files of any bytes: what is taken lies inside the file, and its values can be walked.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nzip::tensor::{Layout, gguf::Gguf, safetensors};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(layout) = Layout::read(bytes) {
        let mut at = 0;
        for t in &layout.tensors {
            assert!(t.start >= at && t.end() <= bytes.len() as u64);
            assert_eq!(t.dtype.bytes(&t.shape), Some(t.len));
            assert!(t.row_bytes() <= t.len);
            at = t.end();
        }
    }
    if let Ok(gguf) = Gguf::read(bytes) {
        for (key, value) in &gguf.metadata {
            assert!(gguf.get(key).is_some());
            if let Some(array) = value.as_array() {
                assert_eq!(array.iter().count() as u64, array.len());
            }
        }
    }
    let _ = safetensors::metadata(bytes);
});
