//! Progressive files: prefixes as coarser models, and files that contradict themselves.

use super::calibrate::{companions, encoder, mean, text};
use super::support::{Random, file, options};
use nzip::ErrorKind;
use nzip::tensor::Layout;
use nzip_quantize::{
    Method, Options, Pattern, Target, compare, quantize, quantize_progressive, restore_progressive,
};
use std::io::Read;

const MEMORY: u64 = 1 << 30;

fn checkpoint() -> Vec<u8> {
    let mut random = Random(5);
    let mut holed = random.bell(4096, 1.0);
    holed[3] = f32::NEG_INFINITY;
    let mut tailed = random.bell(96 * 64, 0.01);
    tailed[100] = 40.0;
    file(&[
        ("a.weight", &[1200, 256][..], random.bell(1200 * 256, 0.02)),
        ("tailed.weight", &[96, 64][..], tailed),
        ("holed.weight", &[64, 64][..], holed),
        ("norm", &[128][..], random.bell(128, 1.0)),
    ])
}

fn errors(original: &[u8], other: &[u8]) -> Vec<f64> {
    let found = compare(original, other).unwrap().into_iter();
    found.map(|(name, d)| d.unwrap_or_else(|| panic!("{name}")).relative_error).collect()
}

#[test]
fn longer_prefixes_are_better_models() {
    let original = checkpoint();
    let done = quantize_progressive(&original, &options(6.0), None).unwrap();
    let packed = nzip::compress(&done.file, 2).unwrap();
    assert_eq!(packed.len() as u64, done.stored);
    assert!(done.stored <= 6 * (1200 * 256 + 96 * 64 + 4096 + 128) / 8, "{}", done.stored);
    assert!(matches!(done.tensors[0].method, Method::Parts(5..)));
    // What is kept takes 17 kB.
    let mut last = f64::INFINITY;
    for share in [30, 50, 75, 100] {
        let prefix = &packed[..packed.len() * share / 100];
        let restored = restore_progressive(&mut nzip::Decoder::new(prefix), MEMORY).unwrap();
        let (old, new) = (Layout::read(&original).unwrap(), Layout::read(&restored.file).unwrap());
        for t in &old.tensors {
            let twin = new.find(&t.name).unwrap();
            assert_eq!((t.dtype, &t.shape), (twin.dtype, &twin.shape));
        }
        let errors = errors(&original, &restored.file);
        assert_eq!(errors[2..], [0.0, 0.0]);
        assert!(errors[0] < 0.9 * last, "{share}: {errors:?} {last}");
        assert_eq!(restored.parts.0 == restored.parts.1, share == 100);
        last = errors[0];
        if share == 100 {
            assert!((errors[0] - done.tensors[0].relative_error).abs() < 1e-6, "{errors:?}");
            assert!((errors[1] - done.tensors[1].relative_error).abs() < 1e-6 && errors[0] < 0.1);
        }
    }
    // Without compression, a prefix ends anywhere.
    for end in 0..30 {
        match restore_progressive(&mut &done.file[..done.file.len() * end / 30], MEMORY) {
            Ok(restored) => assert!(errors(&original, &restored.file)[0] < 1.0),
            Err(e) => {
                assert!(e.kind() == ErrorKind::Truncated && e.to_string().contains("more bytes"), "{e}")
            }
        }
    }
}

#[test]
fn a_whole_progressive_file_is_nearly_as_good_as_another_one() {
    let tensors = [("a.weight", [512, 512], Random(9).bell(1 << 18, 0.1))];
    let original = file(&tensors);
    let plain = quantize(&original, &options(3.5)).unwrap();
    let done = quantize_progressive(&original, &options(3.5), None).unwrap();
    assert!(done.stored <= plain.stored + plain.stored / 100);
    let (before, after) = (plain.tensors[0].relative_error, done.tensors[0].relative_error);
    assert!(after < 1.15 * before, "{before} {after}");
}

#[test]
fn texts_order_the_parts() {
    let original = file(&encoder());
    let run = |calibration| {
        let done = quantize_progressive(&original, &options(7.0), calibration).unwrap();
        mean(&original, &restore_progressive(&mut &done.file[..], MEMORY).unwrap().file)
    };
    let (companions, texts) = (companions(), [text(1, 300)]);
    let (before, after) = (run(None), run(Some((&companions, &texts[..]))));
    assert!(1.0 - after < 1.0 - before, "{before} {after}");
}

#[test]
fn what_cannot_be_done_is_refused() {
    let original = checkpoint();
    let refused = |options: &Options| quantize_progressive(&original, options, None).unwrap_err();
    let e = refused(&options(0.5));
    assert!(e.to_string().contains("the least possible are"), "{e}");
    let all = Pattern::new("*").unwrap();
    for other in [
        Options { target: Target::MaxError(0.1), ..options(1.0) },
        Options { bits: vec![(all, 3.0)], ..options(8.0) },
    ] {
        assert_eq!(refused(&other).kind(), ErrorKind::BadArgument);
    }
    let e = restore_progressive(&mut &original[..], MEMORY).unwrap_err();
    assert!(e.kind() == ErrorKind::BadArgument && e.to_string().contains("--progressive"), "{e}");
    let done = quantize_progressive(&original, &options(6.0), None).unwrap();
    let e = restore_progressive(&mut &done.file[..], 200_000).unwrap_err();
    assert!(e.kind() == ErrorKind::LimitExceeded && e.to_string().contains("200000"), "{e}");
    assert!(quantize_progressive(&done.file, &options(6.0), None).is_err());
}

/// The file with another header, in which one string has become another of any length.
fn changed(file: &[u8], from: &str, to: &str) -> Vec<u8> {
    let len = u64::from_le_bytes(file[..8].try_into().unwrap()) as usize;
    let header = std::str::from_utf8(&file[8..8 + len]).unwrap();
    assert!(header.contains(from), "{from}: {header}");
    let header = header.replacen(from, to, 1);
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &file[8 + len..]].concat()
}

#[test]
fn files_that_contradict_themselves_are_errors() {
    let original = checkpoint();
    let file = quantize_progressive(&original, &options(6.0), None).unwrap().file;
    let run = |bytes: &[u8]| restore_progressive(&mut &bytes[..], MEMORY).unwrap_err();
    let is = |from: &str, to: &str, kind: ErrorKind, says: &str| {
        let e = run(&changed(&file, from, to));
        assert!(e.kind() == kind && e.to_string().contains(says), "{from} -> {to}: {e}");
    };
    let corrupt = ErrorKind::Corrupt;
    is(r#""a.weight@0.2""#, r#""other""#, corrupt, "\"a.weight@0.2\" is missing");
    is(r#""dtype":"I8""#, r#""dtype":"U8""#, corrupt, "type I8 expected");
    is(r#"\"version\":1"#, r#"\"version\":2"#, ErrorKind::NewerVersion, "newer nzip");
    is(r#"\"values\":307200"#, r#"\"values\":307201"#, corrupt, "values expected");
    is(r#"\"shape\":[1200,256]"#, r#"\"shape\":[1200,257]"#, corrupt, "values expected");
    is(r#"\"shape\":[1200,256]"#, r#"\"shape\":[4294967296,4294967296,4]"#, corrupt, "values expected");
    let hidden = r#"\"shape\":[0,1099511627776,1099511627776,256]"#;
    is(r#"\"shape\":[1200,256]"#, hidden, corrupt, "None values expected");
    is(r#""shape":[1200,256]"#, r#""shape":[1201,256]"#, corrupt, "do not fit");
    is(r#"\"dtype\":\"F32\""#, r#"\"dtype\":\"I64\""#, corrupt, "no float type");
    is(r#"\"step\":"#, r#"\"step\":-"#, corrupt, "step is no positive number");
    is(r#"\"step\":"#, r#"\"step\":1e99,\"other\":"#, corrupt, "step is no positive number");
    is(r#"\"step\":"#, r#"\"step\":3e38,\"other\":"#, corrupt, "no finite number");
    is(r#"\"parts\":[["#, r#"\"parts\":[[7.0,"#, corrupt, "not within a step");
    is(r#"\"parts\":[["#, r#"\"parts\":[[\"x\","#, corrupt, "not within a step");
    is(r#"\"parts\":[["#, &format!(r#"\"parts\":[{}["#, "[],".repeat(40)), corrupt, "1 to 37 expected");
    is("nzip.progressive", "other", ErrorKind::BadArgument, "--progressive");
    for byte in [1u64 << 40, u64::MAX] {
        let e = run(&[&byte.to_le_bytes()[..], b"{}"].concat());
        assert_eq!(e.kind(), ErrorKind::BadArgument);
    }
    // A digit that no part of this kind has.
    let mut broken = file.clone();
    let last = broken.len() - 1;
    broken[last] = 0x77;
    assert!(run(&broken).to_string().contains("cannot have"));
    // Readers that fail are no short files.
    struct Failing;
    impl Read for Failing {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::other("gone"))
        }
    }
    assert_eq!(restore_progressive(&mut Failing, MEMORY).unwrap_err().kind(), ErrorKind::Io);
}
