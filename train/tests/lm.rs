//! Learning language models: the figures of a short run, which `tools/test-train.sh` compares with those of the trainer in
//! PyTorch.

use nzip_train::lm::{self, Event, LmOptions, Size};
use std::fs;
use std::path::Path;

/// Bits per byte after 30 steps from the seed 7, as learned and on `sample.json`.
const LEARNED: f64 = 7.9777;
const VALIDATED: f64 = 7.8175;

#[test]
fn a_short_run_has_known_figures() {
    let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpora");
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("text");
    fs::create_dir(&data).unwrap();
    for name in ["sample.txt", "sample.log", "sample.json"] {
        fs::copy(corpora.join(name), data.join(name)).unwrap();
    }
    let options = LmOptions {
        validate: Some(data.join("sample.json")),
        data,
        weights: None,
        size: Size::Micro,
        output: folder.path().join("micro.nzlm"),
        from: None,
        resume: false,
        steps: 30,
        decay: 10,
        lanes: 4,
        length: 32,
        rate: 1.0,
        seed: 7,
        every: 30,
    };
    let (mut learned, mut validated) = (0.0, 0.0);
    lm::train(&options, &mut |event| match event {
        Event::Steps { bits_per_byte, .. } => learned = bits_per_byte,
        Event::Validation { bits_per_byte, .. } => validated = bits_per_byte,
        _ => {}
    })
    .unwrap();
    // Sums depend on the processor's vectors.
    assert!((learned - LEARNED).abs() < 0.002, "{learned}");
    assert!((validated - VALIDATED).abs() < 0.004, "{validated}");
}
