//! Families of files: each file and each tensor comes back, whatever it is coded against, and damage is an error.

use nzip::family::{FamilyWriter, is_family};
use nzip::internal::SplitMix;
use nzip::{Archive, Bases, DecodeOptions, Decoder, ErrorKind, Options};
use std::io::{Cursor, Read};

/// A safetensors file of a matrix, in F32 or BF16, a vector and a small tensor.
fn checkpoint(numbers: &[f32], wide: bool) -> Vec<u8> {
    let bytes = |n: &f32| if wide { n.to_le_bytes().to_vec() } else { n.to_le_bytes()[2..].to_vec() };
    let data: Vec<u8> = numbers.iter().flat_map(bytes).collect();
    let (dtype, size) = if wide { ("F32", 4) } else { ("BF16", 2) };
    let rows = (numbers.len() - 612) / 100;
    let (a, b, c) = (rows * 100 * size, (rows * 100 + 512) * size, (rows * 100 + 612) * size);
    let json = format!(
        r#"{{"w":{{"dtype":"{dtype}","shape":[{rows},100],"data_offsets":[0,{a}]}},"b":{{"dtype":"{dtype}","shape":[512],"data_offsets":[{a},{b}]}},"s":{{"dtype":"{dtype}","shape":[100],"data_offsets":[{b},{c}]}}}}"#
    );
    [&(json.len() as u64).to_le_bytes()[..], json.as_bytes(), &data].concat()
}

/// Numbers like weights: 612 and 100 for each row.
fn weights(rows: usize) -> Vec<f32> {
    let mut rng = SplitMix(7);
    let mut number = || (0..6).map(|_| rng.below(2001) as f32 - 1000.0).sum::<f32>() * 1e-5;
    (0..rows * 100 + 612).map(|_| number()).collect()
}

/// The tensors after a little more training; the vector stays.
fn tuned(numbers: &[f32], seed: u64) -> Vec<f32> {
    let mut rng = SplitMix(seed);
    let vector = numbers.len() - 612..numbers.len() - 100;
    let change = |(i, n): (usize, &f32)| {
        let step = (rng.below(2001) as f32 - 1000.0) * 1e-8;
        if vector.contains(&i) { *n } else { n + step }
    };
    numbers.iter().enumerate().map(change).collect()
}

fn pack(files: &[(&str, Vec<u8>)], chain: Option<u64>) -> Vec<u8> {
    let options = Options::new().level(2).threads(2);
    let mut family = FamilyWriter::new(Vec::new(), options).unwrap();
    if let Some(anchor) = chain {
        family = family.chained(true).anchor(anchor).unwrap();
    }
    files.iter().for_each(|(name, bytes)| drop(family.add_bytes(name, bytes.clone()).unwrap()));
    family.finish().unwrap()
}

fn open(packed: &[u8]) -> Archive<Cursor<&[u8]>> {
    Archive::with_options(Cursor::new(packed), DecodeOptions::new().threads(2).memory(64 << 20)).unwrap()
}

/// Checks that all files and tensors come back.
fn check(packed: &[u8], files: &[(&str, Vec<u8>)]) {
    let mut archive = open(packed);
    assert!(is_family(&packed[..32]));
    let members = archive.members();
    assert_eq!(members.len(), files.len());
    for (member, (name, raw)) in members.iter().zip(files) {
        assert_eq!((member.name.as_str(), member.raw_len), (*name, raw.len() as u64));
        let range = member.raw_start..member.raw_start + member.raw_len;
        assert!(archive.read_range(range).unwrap() == *raw, "{name}");
        assert_eq!(member.hash, Some(nzip::manifest::content_hash(raw)));
    }
    assert_eq!(archive.verify().unwrap(), archive.len());
    let all: Vec<u8> = files.iter().flat_map(|f| f.1.clone()).collect();
    assert!(nzip::decompress(packed).unwrap() == all);
    for number in 0..archive.tensors().unwrap().len() {
        let info = archive.tensor_at(number).unwrap().info().clone();
        let expected = &all[info.start as usize..info.end() as usize];
        assert!(archive.tensor_at(number).unwrap().read().unwrap() == expected, "{}", info.name);
        if info.name == "w" {
            let row = info.row_bytes() as usize;
            let rows = archive.tensor_at(number).unwrap().rows(3..7).unwrap();
            assert!(rows == expected[3 * row..7 * row]);
        }
    }
}

fn siblings() -> Vec<(&'static str, Vec<u8>)> {
    let base = weights(1500);
    let (one, two) = (tuned(&base, 1), tuned(&base, 2));
    vec![
        ("base/model.safetensors", checkpoint(&base, true)),
        ("base/config.json", b"{\"layers\": 1}".to_vec()),
        ("one/model.safetensors", checkpoint(&one, true)),
        ("two/model.safetensors", checkpoint(&two, true)),
        ("half/model.safetensors", checkpoint(&one, false)),
        ("again/model.safetensors", checkpoint(&two, true)),
        ("empty", Vec::new()),
    ]
}

#[test]
fn files_come_back_and_are_shared() {
    let files = siblings();
    let packed = pack(&files, None);
    check(&packed, &files);
    let archive = open(&packed);
    let members = archive.members();
    let alone = nzip::compress(&files[0].1, 2).unwrap().len() as u64;
    assert!(members[2].stored_len * 100 < alone * 75, "{} {alone}", members[2].stored_len);
    assert!(members[5].stored_len < 3000, "{}", members[5].stored_len);
    assert_eq!((members[2].depth, &members[2].bases[..]), (1, &[0][..]));
    assert!(members[5].bases.contains(&3));
    assert!(pack(&files, None) == packed);
    // The same bytes with any number of threads.
    let mut family = FamilyWriter::new(Vec::new(), Options::new().level(2).threads(1)).unwrap();
    files.iter().for_each(|(name, raw)| drop(family.add_bytes(name, raw.clone()).unwrap()));
    assert!(family.finish().unwrap() == packed);
}

#[test]
fn tensors_are_named_by_member() {
    let files = siblings();
    let packed = pack(&files, None);
    let mut archive = open(&packed);
    let raw = archive.tensor("two:w").unwrap().read().unwrap();
    assert_eq!(archive.tensor("two/model.safetensors:w").unwrap().read().unwrap(), raw);
    for wrong in ["w", "tw:w", "two:x", "nine:w"] {
        assert_eq!(archive.tensor(wrong).unwrap_err().kind(), ErrorKind::BadArgument, "{wrong}");
    }
    let tensors = archive.tensors().unwrap();
    let two = tensors.iter().find(|t| t.name == "w" && t.member.as_deref() == Some("two/model.safetensors"));
    let method = &two.unwrap().method;
    assert!(method.contains("in base/model.safetensors") || method.contains("in one/model"), "{method}");
}

#[test]
fn chains_have_anchors() {
    let mut numbers = weights(300);
    let mut files = Vec::new();
    let names = ["a", "b", "c", "d", "e", "f", "g"];
    for (i, name) in names.into_iter().enumerate() {
        files.push((name, checkpoint(&numbers, true)));
        numbers = tuned(&numbers, i as u64);
    }
    let packed = pack(&files, Some(3));
    check(&packed, &files);
    let members = open(&packed).members();
    let depths: Vec<u64> = members.iter().map(|m| m.depth).collect();
    assert_eq!(depths, [0, 1, 2, 0, 1, 2, 0]);
    assert_eq!(members[5].bases, [3, 4], "equal tensors lie in the first member of the chain");
    // A tensor of the third one touches three members and no more.
    let mut archive = open(&packed);
    let len = archive.tensor("c:w").unwrap().read().unwrap().len() as u64;
    assert!(archive.decoded_bytes() <= 3 * len + 10_000, "{} of {len}", archive.decoded_bytes());
}

#[test]
fn rows_may_be_added_and_removed() {
    let files = vec![
        ("base", checkpoint(&weights(1500), true)),
        ("more", checkpoint(&tuned(&weights(1510), 1), true)),
        ("fewer", checkpoint(&tuned(&weights(1400), 2), true)),
        ("half", checkpoint(&weights(1600), false)),
    ];
    let packed = pack(&files, None);
    check(&packed, &files);
    let alone = nzip::compress(&files[0].1, 2).unwrap().len() as u64;
    let members = open(&packed).members();
    assert!(members[1..3].iter().all(|m| m.stored_len * 100 < alone * 75), "{members:?} {alone}");
    assert!(members[3].stored_len * 100 < alone * 10, "{} {alone}", members[3].stored_len);
}

#[test]
fn families_are_read_front_to_back() {
    let files = siblings();
    let packed = pack(&files, None);
    let all: Vec<u8> = files.iter().flat_map(|f| f.1.clone()).collect();
    for (threads, hash) in [(1, true), (2, false)] {
        let (mut out, options) = (Vec::new(), DecodeOptions::new().threads(threads).verify_hash(hash));
        Decoder::with_options(&packed[..], options).unwrap().read_to_end(&mut out).unwrap();
        assert!(out == all);
    }
    // Earlier members that do not fit into a quarter of the cap are not kept.
    let (mut out, options) = (Vec::new(), DecodeOptions::new().threads(1).memory(3 << 20));
    let e = Decoder::with_options(&packed[..], options).unwrap().read_to_end(&mut out).unwrap_err();
    let e = nzip::Error::from(e);
    assert!(e.kind() == ErrorKind::LimitExceeded && e.to_string().contains("family"), "{e}");
    assert!(out.len() > files[0].1.len() && all.starts_with(&out));
}

#[test]
fn members_are_streams() {
    let files = siblings();
    let packed = pack(&files, None);
    let (members, mut bases) = (open(&packed).members(), Bases::new());
    bases.add(files[0].1.clone()).unwrap();
    let start: u64 = members[..2].iter().map(|m| m.stored_len).sum();
    let one = &packed[start as usize..(start + members[2].stored_len) as usize];
    assert!(nzip::decompress_with(one, DecodeOptions::new().bases(bases)).unwrap() == files[2].1);
    assert_eq!(nzip::decompress(one).unwrap_err().kind(), ErrorKind::MissingBase);
    let e = open(one).read_range(..).unwrap_err();
    assert_eq!(e.kind(), ErrorKind::MissingBase, "{e}");
}

#[test]
fn names_are_checked() {
    let mut family = FamilyWriter::new(Vec::new(), Options::new().level(1)).unwrap();
    family.add_bytes("a/b", vec![1]).unwrap();
    for name in ["", "/a", "../a", "a/b", "a", "a/b/c", "c:", "a\\b"] {
        assert_eq!(family.add_bytes(name, vec![1]).unwrap_err().kind(), ErrorKind::BadArgument, "{name}");
    }
    assert!(FamilyWriter::new(Vec::new(), Options::new()).unwrap().finish().is_err());
    assert!(FamilyWriter::new(Vec::new(), Options::new()).unwrap().anchor(0).is_err());
}

#[test]
fn memory_is_capped() {
    let files = siblings();
    let packed = pack(&files, None);
    let mut results = Vec::new();
    for cap in [1 << 18, 6 << 20, 64 << 20] {
        let options = DecodeOptions::new().threads(1).memory(cap);
        let mut archive = Archive::with_options(Cursor::new(&packed[..]), options).unwrap();
        let start = archive.members()[3].raw_start + 200_000;
        let part = archive.read_range(start..start + 10_000);
        part.iter().for_each(|bytes| assert!(*bytes == files[3].1[200_000..210_000]));
        results.push(part.err().map(|e| e.kind()));
    }
    assert_eq!(results, [Some(ErrorKind::LimitExceeded), None, None]);
}

/// A bit of each byte of a small family is flipped: never other bytes, and never a panic.
#[test]
fn damage_is_found() {
    let base = weights(4);
    let files = vec![("a", checkpoint(&base, true)), ("b", checkpoint(&tuned(&base, 1), true))];
    let packed = pack(&files, None);
    let raw: Vec<u8> = files.iter().flat_map(|f| f.1.clone()).collect();
    for at in 0..packed.len() {
        let mut damaged = packed.clone();
        damaged[at] ^= 1 << (at % 8);
        let Ok(mut archive) = Archive::new(Cursor::new(&damaged[..])) else { continue };
        if let Ok(found) = archive.read_range(..) {
            assert!(found == raw, "byte {at}");
        }
    }
    for len in (0..packed.len()).step_by(7) {
        assert!(nzip::decompress(&packed[..len]).is_err(), "{len}");
    }
}

/// Changes the body of the member section of a stream that starts at an offset, and makes its check value right.
fn patched(packed: &[u8], stream: u64, change: impl Fn(&mut [u8])) -> Vec<u8> {
    let mut bytes = packed.to_vec();
    // The header of a stream has 14 bytes; the length of this section takes one.
    let start = stream as usize + 14;
    assert!(bytes[start] == 0x81 && bytes[start + 1] < 128);
    let end = start + 2 + usize::from(bytes[start + 1]);
    change(&mut bytes[start + 2..end]);
    let value = crate::bytes::check(&bytes[start..end]);
    bytes[end..end + 4].copy_from_slice(&value);
    bytes
}

#[test]
fn sections_that_lie_are_refused() {
    let mut numbers = weights(60);
    let mut files = Vec::new();
    for (i, name) in ["a", "b", "c"].into_iter().enumerate() {
        files.push((name, checkpoint(&numbers, true)));
        // All numbers change, so that there is one base for each tensor of more than a few bytes.
        numbers = tuned(&numbers, i as u64).iter().map(|n| n * 1.000_001).collect();
    }
    let files: Vec<_> = files.into_iter().map(|(name, raw)| (name, without_vector(raw))).collect();
    let packed = pack(&files, Some(8));
    check(&packed, &files);
    let streams = open(&packed).streams();
    let last = streams[2].offset;
    let kinds = |change: &dyn Fn(&mut [u8])| {
        let bytes = patched(&packed, last, change);
        let at_random = Archive::new(Cursor::new(&bytes[..])).and_then(|mut a| a.read_range(..));
        let mut front = Decoder::new(&bytes[..]);
        let front = front.read_to_end(&mut Vec::new()).map_err(|e| nzip::Error::from(e).kind());
        (at_random.map(|raw| raw.len()).map_err(|e| e.kind()), front)
    };
    let len = files.iter().map(|f| f.1.len()).sum();
    assert_eq!(kinds(&|_| ()), (Ok(len), Ok(len)));
    // The body: length of the name, name, depth, number of bases, hash, places.
    let corrupt = (Err(ErrorKind::Corrupt), Err(ErrorKind::Corrupt));
    for depth in [0, 1, 65] {
        assert_eq!(kinds(&|body| body[2] = depth), corrupt, "depth {depth}");
    }
    assert_eq!(kinds(&|body| body[2] = 64), (Ok(len), Ok(len)));
    assert_eq!(kinds(&|body| body[1] = b'/'), corrupt);
    assert_eq!(kinds(&|body| body[4] ^= 1), (Err(ErrorKind::MissingBase), Err(ErrorKind::MissingBase)));
    // Other bytes than those of the base, or too few.
    assert_eq!(kinds(&|body| body[36] ^= 4), corrupt);
    let shorter = |body: &mut [u8]| {
        let end = body.len() - 3;
        assert!(body[end] > 128);
        body[end] -= 1;
    };
    assert_eq!(kinds(&shorter), corrupt);
}

/// The file without its last two tensors: the matrix alone.
fn without_vector(raw: Vec<u8>) -> Vec<u8> {
    let head = 8 + u64::from_le_bytes(*raw.first_chunk().unwrap()) as usize;
    let text = String::from_utf8(raw[8..head].to_vec()).unwrap();
    let json = format!("{}}}", &text[..text.find(r#","b":"#).unwrap()]);
    let data = &raw[head..raw.len() - 612 * 4];
    [&(json.len() as u64).to_le_bytes()[..], json.as_bytes(), data].concat()
}
