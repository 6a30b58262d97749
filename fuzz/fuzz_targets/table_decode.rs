//! Tables: payloads of any bytes; schemas, records and text of any bytes; and rows of any bytes, which come back.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nzip::internal::codec::table;

fuzz_target!(|input: (u16, &[u8], &[u8], &[u8])| {
    let (len, schema, records, text) = input;
    let len = usize::from(len) + 1;
    for (payload, len) in [(schema, len), (text, len)] {
        if let Ok(raw) = table::decode(payload, len, 128 << 20) {
            assert_eq!(raw.len(), len);
        }
    }
    if let Ok(raw) = table::restore(schema, records, text, len) {
        assert_eq!(raw.len(), len);
    }
    // Rows, again and again, so that there are enough of them.
    if text.len() > 4 && text.len() < 150 && text.contains(&b',') && text.contains(&b'\n') {
        let raw = text.repeat(260);
        for payload in table::payloads(&raw, 1).expect("there is memory") {
            assert!(table::decode(&payload, raw.len(), 1 << 30).expect("an encoder wrote this") == raw);
        }
    }
});
