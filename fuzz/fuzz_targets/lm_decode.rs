//! Windows of any bytes, decoded by the micro model of `formats/vectors`: the same in one lane as in many.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nzip::internal::codec::lm::decode_windows;
use nzip::internal::codec::window::WindowJob;
use nzip::internal::model::lm::{Model, weights::Weights};
use std::sync::LazyLock;

static MODEL: LazyLock<Model> = LazyLock::new(|| {
    let bytes = include_bytes!("../../formats/vectors/lm/micro.nzlm");
    let weights = Weights::from_bytes(bytes).expect("the micro model is well-formed");
    Model::new(weights).expect("the micro model fits the limits")
});

fuzz_target!(|windows: Vec<(u16, &[u8])>| {
    let windows: Vec<_> = windows.into_iter().take(9).filter(|(n, _)| n % 1024 > 0).collect();
    let new = || -> Vec<Vec<u8>> { windows.iter().map(|(n, _)| vec![0; usize::from(n % 1024)]).collect() };
    let (mut together, mut alone) = (new(), new());
    let jobs = together.iter_mut().zip(&windows);
    let mut jobs: Vec<_> = jobs.map(|(raw, (_, payload))| WindowJob { payload, raw }).collect();
    let result = decode_windows(&MODEL, &mut jobs);
    let mut all_good = true;
    for (raw, (_, payload)) in alone.iter_mut().zip(&windows) {
        all_good &= decode_windows(&MODEL, &mut [WindowJob { payload, raw }]).is_ok();
    }
    assert_eq!(result.is_ok(), all_good);
    assert!(!all_good || together == alone);
});
