//! Weight files of any bytes; those that are taken come out as they were and can be stepped.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nzip::internal::model::lm::{Lanes, Model, weights::Weights};

fuzz_target!(|bytes: &[u8]| {
    let Ok(weights) = Weights::from_bytes(bytes) else { return };
    assert!(weights.to_bytes() == bytes);
    let Ok(model) = Model::new(weights) else { return };
    let Ok(mut lanes) = Lanes::new(&model, 2) else { return };
    let mut history = Vec::new();
    for byte in [b'a', 0, 255] {
        lanes.set_history(0, &history);
        lanes.set_history(1, &[]);
        lanes.step();
        assert!((0..=255).all(|s| lanes.weight_sums(0).weight(s) > 0));
        history.push(byte);
    }
});
