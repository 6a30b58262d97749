//! Zeros by rule, and codebooks.

use super::calibrate::{companions, encoder, mean, text};
use super::support::{Random, file};
use nzip::ErrorKind;
use nzip::tensor::Layout;
use nzip_quantize::{Options, Sparsity, Target, compare, quantize, quantize_calibrated};
use std::collections::BTreeSet;

const ROWS: usize = 64;
const COLUMNS: usize = 90;

fn checkpoint() -> Vec<u8> {
    let mut random = Random(11);
    let mut holed = random.bell(ROWS * COLUMNS, 1.0);
    holed[7] = f32::NAN;
    let mut pruned = random.bell(ROWS * COLUMNS, 0.3);
    pruned.iter_mut().step_by(3).for_each(|v| *v = 0.0);
    file(&[
        ("embed.weight", &[ROWS, COLUMNS][..], random.bell(ROWS * COLUMNS, 1.0)),
        ("a.weight", &[ROWS, COLUMNS][..], random.bell(ROWS * COLUMNS, 0.1)),
        ("holed.weight", &[ROWS, COLUMNS][..], holed),
        ("pruned.weight", &[ROWS, COLUMNS][..], pruned),
        ("norm", &[128][..], random.bell(128, 1.0)),
    ])
}

fn options(target: Target) -> Options {
    Options { target, level: 2, keep: Vec::new(), bits: Vec::new(), sparse: None, codebook: None }
}

/// The values of a tensor of F32.
fn values(file: &[u8], name: &str) -> Vec<f32> {
    let layout = Layout::read(file).unwrap();
    let t = layout.find(name).unwrap();
    let bytes = file[t.start as usize..t.end() as usize].chunks_exact(4);
    bytes.map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
}

fn zeros(values: &[f32]) -> usize {
    values.iter().filter(|v| **v == 0.0).count()
}

#[test]
fn patterns_and_shares_of_values_become_zero() {
    let original = checkpoint();
    for (sparse, least) in [("2:4", 0.5), ("0.6", 0.6), ("1:4", 0.7)] {
        let sparse: Sparsity = sparse.parse().unwrap();
        let options = Options { sparse: Some(sparse), ..options(Target::Bits(16.0)) };
        let done = quantize(&original, &options).unwrap();
        let found = values(&done.file, "a.weight");
        assert!(zeros(&found) as f64 >= least * (ROWS * COLUMNS) as f64 - 64.0 * 2.0, "{}", zeros(&found));
        if let Sparsity::Pattern { keep, of } = sparse {
            for row in found.chunks_exact(COLUMNS) {
                assert!(row.chunks(of).all(|g| g.len() - zeros(g) <= keep));
            }
        }
        // The largest values stay, tables of tokens keep theirs, and the error counts from the original.
        let old = values(&original, "a.weight");
        let largest = |v: &[f32]| v.iter().map(|v| v.abs()).fold(0.0, f32::max);
        assert!((largest(&found) - largest(&old)).abs() < 0.02);
        assert!(zeros(&values(&done.file, "embed.weight")) < ROWS * COLUMNS / 3);
        for ((_, found), told) in compare(&original, &done.file).unwrap().iter().zip(&done.tensors) {
            let Some(found) = found else { continue };
            assert!(told.name == "holed.weight" || (found.relative_error - told.relative_error).abs() < 1e-9);
        }
        let metadata = nzip::tensor::safetensors::metadata(&done.file).unwrap();
        assert!(metadata.iter().any(|(_, text)| text.contains("sparse")));
    }
}

#[test]
fn texts_choose_zeros_that_are_felt_less() {
    let original = file(&encoder());
    let options = Options { sparse: Some("2:4".parse().unwrap()), ..options(Target::Bits(6.0)) };
    let plain = quantize(&original, &options).unwrap();
    let done = quantize_calibrated(&original, &options, &companions(), &[text(1, 300)]).unwrap();
    let name = "encoder.layer.1.intermediate.dense.weight";
    let columns = Layout::read(&original).unwrap().find(name).unwrap().shape[1] as usize;
    for file in [&plain.file, &done.file] {
        let found = values(file, name);
        assert!(
            found
                .chunks_exact(columns)
                .all(|row| row.chunks(4).all(|g| zeros(g) >= g.len().saturating_sub(2)))
        );
    }
    let (before, after) = (mean(&original, &plain.file), mean(&original, &done.file));
    assert!(1.0 - after < 0.85 * (1.0 - before), "{before} {after}");
}

#[test]
fn codebooks_have_few_values_and_meet_sizes() {
    let original = checkpoint();
    for most in [2, 5, 16, 256] {
        let options = Options { codebook: Some(most), ..options(Target::Bits(12.0)) };
        let done = quantize(&original, &options).unwrap();
        let most_bytes = (12.0 * (4 * ROWS * COLUMNS + 128) as f64 / 8.0) as u64;
        assert!(
            done.stored <= most_bytes && done.stored == nzip::compress(&done.file, 2).unwrap().len() as u64
        );
        for name in ["a.weight", "embed.weight", "pruned.weight"] {
            let found = values(&done.file, name);
            let different: BTreeSet<u32> = found.iter().map(|v| v.to_bits()).collect();
            assert!(different.len() <= most, "{name}: {} of {most}", different.len());
        }
        let pruned = values(&done.file, "pruned.weight");
        assert!(pruned.iter().step_by(3).all(|v| *v == 0.0));
        let told = done.tensors.iter().find(|t| t.name == "a.weight").unwrap();
        let bound = [(2, 0.9), (5, 0.5), (16, 0.2), (256, 0.15)].iter().find(|b| b.0 == most).unwrap().1;
        assert!(told.relative_error < bound, "{most}: {}", told.relative_error);
    }
}

#[test]
fn what_does_not_go_together_is_refused() {
    let original = checkpoint();
    let refused = |options: &Options| {
        assert_eq!(quantize(&original, options).unwrap_err().kind(), ErrorKind::BadArgument)
    };
    for most in [0, 1, 257] {
        refused(&Options { codebook: Some(most), ..options(Target::Bits(12.0)) });
    }
    refused(&Options { codebook: Some(4), ..options(Target::MaxError(0.1)) });
    refused(&Options { sparse: Some(Sparsity::Share(0.5)), ..options(Target::MaxError(0.1)) });
    let e =
        quantize(&original, &Options { sparse: Some(Sparsity::Share(0.5)), ..options(Target::Bytes(5000)) });
    assert!(e.unwrap_err().to_string().contains("the least possible are"));
    let calibrated = Options { codebook: Some(4), ..options(Target::Bits(6.0)) };
    let e = quantize_calibrated(&file(&encoder()), &calibrated, &companions(), &[text(1, 5)]).unwrap_err();
    assert_eq!(e.kind(), ErrorKind::BadArgument);
}
