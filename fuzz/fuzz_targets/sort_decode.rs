//! Decodes any bytes as a `sort` payload: an error or the declared number of bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nzip::internal::codec::sort;

fuzz_target!(|data: &[u8]| {
    if let Some((&[low, high], payload)) = data.split_first_chunk::<2>() {
        let raw_len = usize::from(u16::from_le_bytes([low, high])) + 1;
        if let Ok(raw) = sort::decode_block(payload, raw_len, 64 << 20) {
            assert_eq!(raw.len(), raw_len);
        }
    }
});
