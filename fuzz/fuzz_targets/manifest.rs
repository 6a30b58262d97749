//! Manifests of any bytes, also with a last line that fits: what is taken comes back from what is written, and its ranges and
//! tensors lie inside the content.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nzip::manifest::{Manifest, Shard};

const MEMORY: u64 = 64 << 20;

fn check(bytes: &[u8]) {
    let Ok(manifest) = Manifest::parse(bytes, MEMORY) else { return };
    let mut at = 0;
    for shard in manifest.shards() {
        assert_eq!(shard.raw_start, at);
        assert!(!shard.name.split('/').any(|part| matches!(part, "" | "." | "..")));
        at = shard.raw_end();
        assert_eq!(&Shard::parse(&shard.to_row()).unwrap(), shard);
    }
    assert_eq!(manifest.len(), at);
    for tensor in manifest.tensors() {
        assert_eq!(tensor.parts.iter().map(|p| p.end - p.start).sum::<u64>(), tensor.info.len);
        assert!(tensor.parts.iter().all(|p| p.end <= at));
        assert_eq!(manifest.tensor(&tensor.info.name), Some(tensor));
    }
    assert_eq!(Manifest::parse(&manifest.to_bytes(), MEMORY).unwrap(), manifest);
}

fuzz_target!(|bytes: &[u8]| {
    check(bytes);
    // The hash of the last line would keep changed rows from being read.
    let mut manifest = Manifest::new();
    let rows = bytes.split(|b| *b == b'\n').filter_map(|row| std::str::from_utf8(row).ok());
    for shard in rows.filter_map(|row| Shard::parse(row).ok()) {
        let _ = manifest.push(shard);
    }
    check(&manifest.to_bytes());
});
