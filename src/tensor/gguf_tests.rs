use super::*;
use crate::format::cursor::Parse;

fn string(out: &mut Vec<u8>, s: &[u8]) {
    out.extend((s.len() as u64).to_le_bytes());
    out.extend(s);
}

fn pair(out: &mut Vec<u8>, key: &str, kind: u32, value: &[u8]) {
    string(out, key.as_bytes());
    out.extend(kind.to_le_bytes());
    out.extend(value);
}

fn tensor(out: &mut Vec<u8>, name: &str, dims: &[u64], kind: u32, offset: u64) {
    string(out, name.as_bytes());
    out.extend((dims.len() as u32).to_le_bytes());
    dims.iter().for_each(|d| out.extend(d.to_le_bytes()));
    out.extend(kind.to_le_bytes());
    out.extend(offset.to_le_bytes());
}

fn head(tensors: u64, pairs: u64) -> Vec<u8> {
    let mut out = b"GGUF\x03\0\0\0".to_vec();
    out.extend(tensors.to_le_bytes());
    out.extend(pairs.to_le_bytes());
    out
}

fn strings(list: &[&[u8]]) -> Vec<u8> {
    let mut out = 8u32.to_le_bytes().to_vec();
    out.extend((list.len() as u64).to_le_bytes());
    list.iter().for_each(|s| string(&mut out, s));
    out
}

/// A file with two tensors and metadata of several types, and the length of its header.
fn sample() -> (Vec<u8>, usize) {
    let mut out = head(2, 6);
    let mut text = Vec::new();
    string(&mut text, b"llama");
    pair(&mut out, "general.architecture", 8, &text);
    pair(&mut out, "general.alignment", 4, &64u32.to_le_bytes());
    pair(&mut out, "tokens", 9, &strings(&[b"a", b"", b"\xFFz"]));
    pair(&mut out, "scale", 6, &1.5f32.to_le_bytes());
    pair(&mut out, "n", 11, &(-3i64).to_le_bytes());
    let mut numbers = 5u32.to_le_bytes().to_vec();
    numbers.extend(2u64.to_le_bytes());
    numbers.extend([7, 0, 0, 0, 255, 255, 255, 255]);
    pair(&mut out, "numbers", 9, &numbers);
    tensor(&mut out, "w", &[64, 2], 2, 0);
    tensor(&mut out, "b", &[2], 0, 128);
    let len = out.len();
    out.resize(len.next_multiple_of(64) + 128 + 8, 3);
    (out, len)
}

#[test]
fn reads_metadata_and_tensors() {
    let (file, len) = sample();
    let gguf = Gguf::read(&file).unwrap();
    assert_eq!(gguf.get("general.architecture").unwrap().as_str(), Some("llama"));
    let tokens = gguf.get("tokens").unwrap().as_array().unwrap();
    let tokens: Vec<_> = tokens.strings().unwrap().collect();
    assert_eq!(tokens, [&b"a"[..], b"", b"\xFFz"]);
    assert_eq!(gguf.get("scale").unwrap().as_f64(), Some(1.5));
    let n = gguf.get("n").unwrap();
    assert_eq!((n.as_i64(), n.as_u64()), (Some(-3), None));
    let numbers = gguf.get("numbers").unwrap().as_array().unwrap();
    assert_eq!(numbers.iter().collect::<Vec<_>>(), [Value::I32(7), Value::I32(-1)]);
    assert!(numbers.strings().is_none() && gguf.get("none").is_none());
    assert_eq!(gguf.data as usize, len.next_multiple_of(64));
    let (w, bytes) = gguf.tensor(&file, "w").unwrap();
    assert_eq!((w.dtype.name(), &w.shape[..], bytes.len()), ("Q4_0", &[2, 64][..], 72));
    assert_eq!(gguf.layout.find("b").unwrap().start, gguf.data + 128);
}

#[test]
fn cut_anywhere() {
    let (file, len) = sample();
    for cut in 0..len {
        match Gguf::parse(&file[..cut], file.len() as u64) {
            Err(Parse::Need(n)) => assert!(n > cut && n <= len, "{cut} {n}"),
            other => panic!("{cut}: {other:?}"),
        }
    }
    Gguf::parse(&file[..len], file.len() as u64).unwrap();
    assert!(Gguf::parse(&file[..len], file.len() as u64 - 1).is_err());
}

#[test]
fn absurd_counts_are_refused_at_once() {
    let bad = |bytes: &[u8], file_len| matches!(Gguf::parse(bytes, file_len), Err(Parse::Bad(_)));
    assert!(bad(&head(u64::MAX, 0), 1 << 40));
    assert!(bad(&head(0, u64::MAX / 4), 1 << 40));
    let mut array = head(0, 1);
    let mut value = 6u32.to_le_bytes().to_vec();
    value.extend((u64::MAX / 2).to_le_bytes());
    pair(&mut array, "k", 9, &value);
    assert!(bad(&array, u64::MAX));
    // Arrays of arrays without end.
    let mut deep = head(0, 1);
    let mut value = Vec::new();
    for _ in 0..1000 {
        value.extend(9u32.to_le_bytes());
        value.extend(1u64.to_le_bytes());
    }
    pair(&mut deep, "k", 9, &value);
    assert!(bad(&deep, u64::MAX));
}

#[test]
fn unknown_types_stand_apart() {
    let file = |offset: u64| {
        let mut out = head(3, 0);
        tensor(&mut out, "known", &[8], 0, 0);
        tensor(&mut out, "strange", &[8], 99, offset);
        tensor(&mut out, "last", &[8], 0, 96);
        out.resize(out.len().next_multiple_of(32) + 128, 0);
        out
    };
    let raw = file(32);
    let layout = Layout::read(&raw).unwrap();
    let names: Vec<_> = layout.tensors.iter().map(|t| t.name.as_str()).collect();
    assert_eq!(names, ["known", "last"]);
    let [unknown] = &layout.unknown[..] else { panic!("{:?}", layout.unknown) };
    assert_eq!((unknown.name.as_str(), unknown.kind, unknown.start), ("strange", 99, raw.len() as u64 - 96));
    // Who needs the tensors of a model needs all of them.
    assert_eq!(Gguf::read(&raw).unwrap_err().kind(), ErrorKind::NewerVersion);
    for offset in [8, 1024, u64::MAX - 31] {
        assert_eq!(Layout::read(&file(offset)).unwrap_err().kind(), ErrorKind::Corrupt);
    }
}

#[test]
fn broken_rules() {
    let with = |tensors: &[(&str, &[u64], u32, u64)], pairs: &[(&str, u32, &[u8])]| {
        let mut out = head(tensors.len() as u64, pairs.len() as u64);
        pairs.iter().for_each(|p| pair(&mut out, p.0, p.1, p.2));
        tensors.iter().for_each(|t| tensor(&mut out, t.0, t.1, t.2, t.3));
        out.resize(out.len().next_multiple_of(32) + 1024, 0);
        Gguf::read(&out).map(drop).map_err(|e| e.kind())
    };
    assert_eq!(with(&[("a", &[8], 0, 0), ("b", &[8], 0, 32)], &[]), Ok(()));
    let corrupt = Err(ErrorKind::Corrupt);
    assert_eq!(with(&[("a", &[9], 0, 0), ("b", &[8], 0, 32)], &[]), corrupt);
    assert_eq!(with(&[("a", &[8], 0, 0), ("a", &[8], 0, 32)], &[]), corrupt);
    assert_eq!(with(&[("a", &[8], 0, 8)], &[]), corrupt);
    assert_eq!(with(&[("a", &[8], 0, 1024)], &[]), corrupt);
    assert_eq!(with(&[("a", &[8], 0, u64::MAX - 31)], &[]), corrupt);
    assert_eq!(with(&[("a", &[1 << 33, 1 << 33], 0, 0)], &[]), corrupt);
    assert_eq!(with(&[("a", &[33], 2, 0)], &[]), corrupt);
    assert_eq!(with(&[("a", &[1; 9], 0, 0)], &[]), corrupt);
    assert_eq!(with(&[("a", &[8], 99, 0)], &[]), Err(ErrorKind::NewerVersion));
    assert_eq!(with(&[], &[("general.alignment", 4, &[3, 0, 0, 0])]), corrupt);
    assert_eq!(with(&[], &[("k", 0, &[1]), ("k", 0, &[1])]), corrupt);
    assert_eq!(with(&[], &[("k", 13, &[1])]), corrupt);
    let mut v1 = head(0, 0);
    v1[4] = 1;
    assert_eq!(Gguf::read(&v1).unwrap_err().kind(), ErrorKind::NewerVersion);
}
