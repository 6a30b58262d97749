use super::*;
use crate::stream::{Archive, DecodeOptions, Options, compress_with};
use crate::tensor::Dtype;
use crate::{ErrorKind, compress};
use std::collections::BTreeMap;
use std::io::{Cursor, Read};

type Files = BTreeMap<String, Vec<u8>>;

fn describe(name: &str, packed: &[u8]) -> Shard {
    Shard::describe(name, Cursor::new(packed), &DecodeOptions::new()).unwrap()
}

fn archive(manifest: &Manifest, files: &Files) -> ManifestArchive<Cursor<Vec<u8>>> {
    let files = files.clone();
    let open = move |name: &str, options: DecodeOptions| {
        let missing = || Error::bad_argument("no such file");
        Archive::with_options(Cursor::new(files.get(name).cloned().ok_or_else(missing)?), options)
    };
    ManifestArchive::new(manifest.clone(), DecodeOptions::new(), Box::new(open))
}

/// Three shards, one of them empty and one of two streams, and their content.
fn three() -> (Manifest, Files, Vec<u8>) {
    let parts: [Vec<u8>; 3] = [(0..9000u32).flat_map(u32::to_le_bytes).collect(), vec![], vec![7; 5000]];
    let mut files = Files::new();
    let packed = |raw: &[u8]| compress_with(raw, Options::new().level(1).block_size(4096)).unwrap();
    files.insert("a.nz".into(), packed(&parts[0]));
    files.insert("d/b.nz".into(), packed(&parts[1]));
    files.insert("d/c ü.nz".into(), [packed(&parts[2][..2000]), packed(&parts[2][2000..])].concat());
    let mut manifest = Manifest::new();
    files.iter().for_each(|(name, packed)| manifest.push(describe(name, packed)).unwrap());
    (manifest, files, parts.concat())
}

#[test]
fn what_is_written_is_read_and_any_byte_that_changes_is_found() {
    let (mut manifest, ..) = three();
    manifest.shards[0].source = Some("a \"quoted\"\n\u{7f}\u{e9} name".into());
    manifest.shards[1].models = vec![[0xAB; 32], [1; 32]];
    let bytes = manifest.to_bytes();
    let again = Manifest::parse(&bytes, 1 << 20).unwrap();
    assert_eq!(again, manifest);
    assert_eq!(again.to_bytes(), bytes);
    for end in 0..bytes.len() {
        let kind = Manifest::parse(&bytes[..end], 1 << 20).unwrap_err().kind();
        assert_eq!(kind, ErrorKind::Truncated, "{end}");
    }
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1;
        assert!(Manifest::parse(&damaged, 1 << 20).is_err(), "byte {at}");
    }
    let more = [&bytes[..], b"\n"].concat();
    assert_eq!(Manifest::parse(&more, 1 << 20).unwrap_err().kind(), ErrorKind::Corrupt);
    assert_eq!(Manifest::parse(&bytes, 1 << 10).unwrap_err().kind(), ErrorKind::LimitExceeded);
    assert_eq!(Manifest::parse(b"x", 1 << 20).unwrap_err().kind(), ErrorKind::NotNz);
}

/// A manifest of these lines, with a last line that fits them.
fn lines(first: &str, rows: &[String], shards: usize, raw: u64) -> Vec<u8> {
    let mut text = format!("{first}\n");
    rows.iter().for_each(|row| text += &format!("{row}\n"));
    let hash = blake3::hash(text.as_bytes()).to_hex();
    text += &format!("{{\"shards\":{shards},\"raw_bytes\":{raw},\"hash\":\"{hash}\"}}\n");
    text.into_bytes()
}

const FIRST: &str = "{\"nzip-manifest\":1,\"must\":[]}";

fn row(name: &str, start: u64, len: u64, more: &str) -> String {
    let hash = "0".repeat(64);
    format!(
        "{{\"shard\":\"{name}\",\"start\":{start},\"raw_bytes\":{len},\"stored_bytes\":9,\"raw_hash\":\"{hash}\",\
         \"stored_hash\":\"{hash}\"{more}}}"
    )
}

#[test]
fn rules_are_kept_and_unknown_members_are_left_out() {
    let parse = |first: &str, rows: &[String], raw| {
        Manifest::parse(&lines(first, rows, rows.len(), raw), 1 << 20).map_err(|e| e.kind())
    };
    let good = row("a.nz", 0, 10, ",\"later\":{\"x\":[1]}");
    assert_eq!(parse(FIRST, std::slice::from_ref(&good), 10).unwrap().len(), 10);
    assert!(parse("{\"nzip-manifest\":1,\"made\":\"today\"}", std::slice::from_ref(&good), 10).is_ok());
    for newer in ["{\"nzip-manifest\":2}", "{\"nzip-manifest\":1,\"must\":[\"x\"]}"] {
        assert_eq!(parse(newer, std::slice::from_ref(&good), 10), Err(ErrorKind::NewerVersion));
    }
    let tensor = |t: &str| row("a.nz", 0, 10, &format!(",\"tensors\":[{t}]"));
    let unknown = tensor("{\"name\":\"t\",\"dtype\":\"X7\",\"shape\":[2],\"start\":0}");
    assert_eq!(parse(FIRST, &[unknown], 10), Err(ErrorKind::NewerVersion));
    let outside = "{\"name\":\"t\",\"dtype\":\"F32\",\"shape\":[2],\"start\":3}";
    let one = "{\"name\":\"t\",\"dtype\":\"U8\",\"shape\":[2],\"start\":3}";
    let late = "{\"name\":\"t\",\"dtype\":\"U8\",\"shape\":[2],\"start\":3,\"first_row\":1}";
    let huge = "{\"name\":\"t\",\"dtype\":\"F32\",\"shape\":[4294967295,4294967295,9],\"start\":0}";
    let bad = [
        row("a.nz", 1, 10, ""),
        row("../a.nz", 0, 10, ""),
        row("/a.nz", 0, 10, ""),
        row("d//a.nz", 0, 10, ""),
        row("c:a.nz", 0, 10, ""),
        row("a\\\\b", 0, 10, ""),
        row("", 0, 10, ""),
        row("a.nz", 0, 10, ",\"start\":0"),
        row("a.nz", 0, 10, ",\"shards\":0"),
        good.replace("stored_bytes", "bytes"),
        good.replace("000\"", "00\""),
        good.replace("000\"", "00A\""),
        tensor(outside),
        tensor(&format!("{one},{one}")),
        tensor(late),
        tensor(huge),
        "[]".into(),
    ];
    for row in bad {
        assert_eq!(parse(FIRST, std::slice::from_ref(&row), 10), Err(ErrorKind::Corrupt), "{row}");
    }
    let rows = [row("a.nz", 0, 10, ""), row("b.nz", 10, u64::MAX - 5, "")];
    assert_eq!(parse(FIRST, &rows, 4), Err(ErrorKind::Corrupt));
    assert_eq!(parse(FIRST, std::slice::from_ref(&good), 11), Err(ErrorKind::Corrupt));
}

#[test]
fn ranges_cross_shards() {
    let (manifest, files, raw) = three();
    let mut archive = archive(&manifest, &files);
    let len = raw.len() as u64;
    assert_eq!(archive.len(), len);
    for range in [0..len, 35_990..36_010, 36_000..36_000, 35_999..36_000, 37_990..38_010, len..len] {
        let expected = &raw[range.start as usize..range.end as usize];
        assert_eq!(archive.read_range(range).unwrap(), expected);
    }
    assert_eq!(archive.read_range(5..len + 1).unwrap_err().kind(), ErrorKind::BadArgument);
    let mut all = Vec::new();
    (0..3).for_each(|number| _ = archive.decoder(number).unwrap().read_to_end(&mut all).unwrap());
    assert_eq!(all, raw);
    (0..3).for_each(|number| archive.verify(number).unwrap());
}

#[test]
fn a_damaged_shard_is_named_and_the_rest_stays_readable() {
    let (manifest, files, raw) = three();
    let start = 36_000usize;
    let damaged = |change: fn(&mut Files)| {
        let mut files = files.clone();
        change(&mut files);
        archive(&manifest, &files)
    };
    // A byte of the payload, a missing file, another file of the same length.
    let flipped = damaged(|files| files.get_mut("d/c ü.nz").unwrap()[25] ^= 1);
    let missing = damaged(|files| _ = files.remove("d/c ü.nz"));
    let shorter = damaged(|files| _ = files.get_mut("d/c ü.nz").unwrap().pop());
    let other = damaged(|files| _ = files.insert("d/c ü.nz".into(), compress(&[8; 5000], 1).unwrap()));
    for mut archive in [flipped, missing, shorter, other] {
        let e = archive.read_range(0..raw.len() as u64).unwrap_err().to_string();
        assert!(e.starts_with("shard 2 (\"d/c ü.nz\"): "), "{e}");
        assert_eq!(archive.read_range(0..start as u64).unwrap(), raw[..start]);
        assert!(archive.verify(0).is_ok() && archive.verify(1).is_ok() && archive.verify(2).is_err());
    }
    // The same content in other bytes: readable, and found when verified.
    let again = compress_with(&raw[..start], Options::new().level(3).block_size(4096)).unwrap();
    assert_ne!(again, files["a.nz"]);
    let mut files = files.clone();
    files.insert("a.nz".into(), again.clone());
    assert_eq!(
        archive(&manifest, &files).verify(0).is_ok(),
        again.len() == manifest.shards()[0].stored_len as usize
    );
}

fn part(name: &str, rows: u64, start: u64, first_row: u64) -> TensorPart {
    TensorPart::new(TensorInfo::new(name.into(), Dtype::F16, vec![rows, 100], start).unwrap(), first_row)
}

#[test]
fn tensors_cross_shards() {
    let rows = |from: u16, to: u16| (from * 100..to * 100).flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    let raw = [[vec![1, 2, 3], rows(0, 30)].concat(), rows(30, 50), [rows(50, 55), vec![4]].concat()];
    let (mut files, mut manifest) = (Files::new(), Manifest::new());
    let parts = [part("t", 30, 3, 0), part("t", 20, 0, 30), part("t", 5, 0, 50)];
    for (i, (raw, part)) in raw.iter().zip(parts).enumerate() {
        let packed = compress(raw, 1).unwrap();
        let shard = Shard { tensors: vec![part], ..describe(&format!("{i}.nz"), &packed) };
        files.insert(shard.name.clone(), packed);
        manifest.push(shard).unwrap();
    }
    let manifest = Manifest::parse(&manifest.to_bytes(), 1 << 20).unwrap();
    let tensor = manifest.tensor("t").unwrap();
    assert_eq!((&tensor.info.shape[..], tensor.info.start, tensor.parts.len()), (&[55, 100][..], 3, 1));
    let mut archive = archive(&manifest, &files);
    assert_eq!(archive.read_tensor("t").unwrap(), rows(0, 55));
    assert_eq!(archive.read_rows("t", 25..52).unwrap(), rows(25, 52));
    assert_eq!(archive.read_rows("t", 40..56).unwrap_err().kind(), ErrorKind::BadArgument);
    assert_eq!(archive.read_tensor("u").unwrap_err().kind(), ErrorKind::BadArgument);

    let mut manifest = manifest.clone();
    for wrong in [part("t", 5, 0, 54), part("t", 5, 0, 0), part("u", 5, 0, 1)] {
        let shard = Shard { tensors: vec![wrong], name: "more.nz".into(), ..manifest.shards()[1].clone() };
        assert_eq!(manifest.push(shard).unwrap_err().kind(), ErrorKind::Corrupt);
        assert_eq!(manifest.shards().len(), 3);
    }
    let apart = Shard { tensors: vec![part("t", 5, 2, 55)], ..manifest.shards()[1].clone() };
    manifest.push(apart).unwrap();
    assert_eq!(manifest.tensor("t").unwrap().parts.len(), 2);
}

#[test]
fn equal_tensors_give_equal_bytes() {
    let values =
        |seed: u32| (0..60_000u32).flat_map(move |i| ((i ^ seed) as f32).sqrt().to_le_bytes()).collect();
    let file = |tensors: [Vec<u8>; 3]| {
        let len = tensors[0].len();
        let entry = |i| {
            format!(
                "\"t{i}\":{{\"dtype\":\"F32\",\"shape\":[600,100],\"data_offsets\":[{},{}]}}",
                i * len,
                (i + 1) * len
            )
        };
        let header = format!("{{{}}}", (0..3).map(entry).collect::<Vec<_>>().join(","));
        [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &tensors.concat()].concat()
    };
    let blocks = |file: &[u8]| {
        let packed = compress(file, 1).unwrap();
        let mut archive = Archive::new(Cursor::new(packed.clone())).unwrap();
        let blocks = (0..archive.block_count()).map(|i| archive.block(i).unwrap().unwrap());
        let blocks = blocks.map(|b| packed[b.offset as usize..(b.offset + b.stored_len) as usize].to_vec());
        blocks.collect::<Vec<_>>()
    };
    let before = blocks(&file([values(1), values(2), values(3)]));
    let after = blocks(&file([values(1), values(9), values(3)]));
    assert_eq!(before.len(), after.len());
    let same = before.iter().zip(&after).filter(|(a, b)| a == b).count();
    assert_eq!(same, before.len() - 1, "all blocks but that of the tensor that changed");
}
