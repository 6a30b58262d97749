//! Checkpoints of a few tensors, quantised to each kind of target.

use super::support::{Random, file};
use nzip::ErrorKind;
use nzip::tensor::{Dtype, Layout};
use nzip_quantize::{Method, Options, Pattern, Target, compare, quantize};

/// Values that follow a bell curve, of a scale that differs from row to row.
fn bell(rows: usize, columns: usize, seed: u64) -> Vec<f32> {
    let values = Random(seed).bell(rows * columns, 0.01).into_iter().enumerate();
    values.map(|(i, value)| value * (1.0 + (i / columns % 7) as f32)).collect()
}

fn checkpoint() -> Vec<u8> {
    let mut holed = bell(64, 64, 3);
    holed[77] = f32::NAN;
    file(&[
        ("a.weight", &[256, 96][..], bell(256, 96, 1)),
        ("b.weight", &[192, 128][..], bell(192, 128, 2)),
        ("holed.weight", &[64, 64][..], holed),
        ("norm", &[128][..], bell(1, 128, 4)),
    ])
}

fn options(target: Target) -> Options {
    Options { target, level: 1, keep: Vec::new(), bits: Vec::new(), sparse: None, codebook: None }
}

#[test]
fn a_size_is_met_and_what_cannot_be_quantised_is_kept() {
    let original = checkpoint();
    let done = quantize(&original, &options(Target::Bytes(45_000))).unwrap();
    let stored = nzip::compress(&done.file, 1).unwrap();
    assert!(
        stored.len() as u64 == done.stored && (44_000..=45_000).contains(&stored.len()),
        "{}",
        stored.len()
    );
    let (old, new) = (Layout::read(&original).unwrap(), Layout::read(&done.file).unwrap());
    for (a, b) in old.tensors.iter().zip(&new.tensors) {
        assert_eq!((&a.name, a.dtype, &a.shape), (&b.name, b.dtype, &b.shape));
    }
    assert_eq!(old.tensors.len(), new.tensors.len());
    let kept = |i: usize| matches!(done.tensors[i].method, Method::Kept(_));
    assert_eq!([kept(0), kept(1), kept(2), kept(3)], [false, false, true, true]);
    assert_eq!(done.tensors[0].dtype, Dtype::F32);
    // The report says what a comparison finds.
    for ((name, found), told) in compare(&original, &done.file).unwrap().iter().zip(&done.tensors) {
        let found = found.as_ref().unwrap();
        assert_eq!(*name, told.name);
        assert!(
            (found.relative_error - told.relative_error).abs() < 1e-9 && found.max_error == told.max_error
        );
    }
    let metadata = nzip::tensor::safetensors::metadata(&done.file).unwrap();
    assert!(metadata.iter().any(|(key, text)| key == "nzip.quantize" && text.contains("relative_error")));
}

#[test]
fn more_bits_leave_less_error() {
    let original = checkpoint();
    let error = |bits| {
        let done = quantize(&original, &options(Target::Bits(bits))).unwrap();
        done.tensors[0].relative_error
    };
    // The tensor with a NaN is stored as it was, which takes part of the budget.
    let errors = [5.0, 6.0, 7.0].map(error);
    assert!(errors[0] > errors[1] && errors[1] > errors[2] && errors[2] < 0.1, "{errors:?}");
}

#[test]
fn errors_stay_below_their_bounds() {
    let original = checkpoint();
    let done = quantize(&original, &options(Target::MaxError(0.01))).unwrap();
    assert!(done.tensors.iter().all(|t| t.max_error <= 0.01));
    assert!(matches!(done.tensors[0].method, Method::Levels { .. }));
    let done = quantize(&original, &options(Target::RelativeError(0.1))).unwrap();
    assert!(done.tensors[..2].iter().all(|t| t.relative_error < 0.105 && t.relative_error > 0.05));
}

#[test]
fn names_choose_what_is_kept_and_how_many_bits_others_get() {
    let pattern = |p: &str| Pattern::new(p).unwrap();
    let options = Options {
        keep: vec![pattern("a.*")],
        bits: vec![(pattern("b*"), 3.0)],
        ..options(Target::RelativeError(0.5))
    };
    let done = quantize(&checkpoint(), &options).unwrap();
    assert_eq!(done.tensors[0].method, Method::Kept("asked for"));
    assert!((done.tensors[1].bits - 3.0).abs() < 0.3, "{}", done.tensors[1].bits);
}

#[test]
fn what_cannot_be_met_is_refused() {
    let refused = |file: &[u8], target| quantize(file, &options(target)).unwrap_err();
    let e = refused(&checkpoint(), Target::Bytes(1000));
    assert!(e.kind() == ErrorKind::BadArgument && e.to_string().contains("the least possible are"), "{e}");
    for target in [Target::Bits(0.0), Target::Bits(f64::NAN), Target::MaxError(-1.0), Target::Bytes(0)] {
        assert_eq!(refused(&checkpoint(), target).kind(), ErrorKind::BadArgument);
    }
    assert_eq!(refused(b"GIF89a, no checkpoint", Target::Bits(4.0)).kind(), ErrorKind::BadArgument);
    let cut = checkpoint();
    assert!(quantize(&cut[..cut.len() - 4], &options(Target::Bits(4.0))).is_err());
}

#[test]
fn a_table_that_is_the_last_product_counts_as_one() {
    let error = |others: &[(&str, [usize; 2], Vec<f32>)]| {
        let table = ("model.embed_tokens.weight", [2048, 96], bell(2048, 96, 5));
        let tensors: Vec<_> = [table].into_iter().chain(others.iter().cloned()).collect();
        let done = quantize(&file(&tensors), &options(Target::Bits(3.0))).unwrap();
        done.tensors[0].relative_error / done.tensors[1].relative_error
    };
    let matrix = ("a.weight", [96, 96], bell(96, 96, 6));
    let head = ("lm_head.weight", [96, 96], bell(96, 96, 7));
    let (tied, other) = (error(std::slice::from_ref(&matrix)), error(&[matrix, head]));
    assert!((0.7..1.4).contains(&tied) && other > 1.5 * tied, "{tied} {other}");
}
