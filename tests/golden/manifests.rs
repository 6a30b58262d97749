//! Golden manifests: every file of `formats/vectors/manifests.txt` describes the same content for ever.

use nzip::DecodeOptions;
use nzip::manifest::{Manifest, ManifestArchive, content_hash};
use std::fs;
use std::path::PathBuf;

fn hex(bytes: &[u8]) -> String {
    content_hash(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

#[test]
fn golden_manifests_are_read() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("formats/vectors");
    let list = fs::read_to_string(folder.join("manifests.txt")).unwrap();
    assert!(list.lines().count() > 0);
    for line in list.lines() {
        let fields: Vec<&str> = line.split(' ').collect();
        let [name, file_hash, len, hash] = fields[..] else { panic!("line {line:?}") };
        let bytes = fs::read(folder.join(name)).unwrap();
        assert_eq!(hex(&bytes), file_hash, "{name}");
        assert_eq!(Manifest::parse(&bytes, 1 << 30).unwrap().to_bytes(), bytes, "{name}");
        let mut archive = ManifestArchive::open(folder.join(name), DecodeOptions::new()).unwrap();
        let all = archive.len();
        let raw = archive.read_range(0..all).unwrap();
        assert_eq!((all.to_string().as_str(), hex(&raw).as_str()), (len, hash), "{name}");
        for number in 0..archive.manifest().shards().len() {
            archive.verify(number).unwrap();
        }
    }
}
