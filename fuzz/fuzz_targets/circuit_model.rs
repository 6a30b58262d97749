//! Model files of circuits of any bytes; those that are taken code records that come back.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nzip::internal::Kernel;
use nzip::internal::codec::circuit::{decode, encode};
use nzip::internal::codec::circuit::layout::Arrangement;
use nzip::internal::codec::window::{WindowJob, WindowLimits};
use nzip::internal::model::circuit::{Likelihood, Model, Weights};

fuzz_target!(|bytes: &[u8]| {
    let Ok(weights) = Weights::from_bytes(bytes) else { return };
    // Big ones are right, but slow.
    if weights.parameters() > 1 << 20 || weights.nodes.len() > 4096 {
        return;
    }
    assert!(Weights::from_bytes(&weights.to_bytes()).is_ok_and(|again| again == weights));
    let Ok(model) = Model::new(&weights) else { return };
    let record: Vec<u8> = vec![0; model.width()];
    let raw = [&record[..], &record].concat();
    let limits = WindowLimits { payload: 1 << 20, raw: raw.len() };
    let windows = encode(&model, &Arrangement::Bytes, &[&raw], limits);
    let windows = windows.expect("symbol 0 is in every alphabet").remove(0);
    let mut out = vec![1; raw.len()];
    let mut rest = &mut out[..];
    let mut jobs = Vec::new();
    for w in &windows {
        let (this, after) = rest.split_at_mut(w.raw_len);
        jobs.push(WindowJob { payload: &w.payload, raw: this });
        rest = after;
    }
    decode(&model, &Arrangement::Bytes, &mut jobs, Kernel::best()).expect("an encoder wrote this");
    assert!(out == raw);
    let likelihood = Likelihood::from_bytes(bytes).expect("the same file");
    let known: Vec<Option<u8>> = record.iter().map(|&s| Some(s)).collect();
    assert!(likelihood.log2_likelihood(&known).expect("the right width") <= 1e-6);
});
