//! Windows of any bytes, decoded by the micro circuit of `formats/vectors`: the same alone as side by side.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nzip::internal::codec::window::{WindowCoder, WindowJob};
use nzip::internal::model::circuit::{Model, Weights};
use std::sync::LazyLock;

static MODEL: LazyLock<Model> = LazyLock::new(|| {
    let bytes = include_bytes!("../../formats/vectors/circuit/micro.nzpc");
    let weights = Weights::from_bytes(bytes).expect("the micro circuit is well-formed");
    Model::new(&weights).expect("the micro circuit fits the limits")
});

fuzz_target!(|windows: Vec<(u8, &[u8])>| {
    let width = MODEL.width();
    let windows: Vec<_> = windows.into_iter().take(9).filter(|(n, _)| n % 64 > 0).collect();
    let new = || -> Vec<Vec<u8>> { windows.iter().map(|(n, _)| vec![0; width * usize::from(n % 64)]).collect() };
    let (mut together, mut alone) = (new(), new());
    let jobs = together.iter_mut().zip(&windows);
    let mut jobs: Vec<_> = jobs.map(|(raw, (_, payload))| WindowJob { payload, raw }).collect();
    let result = MODEL.decode_windows(&mut jobs);
    let mut all_good = true;
    for (raw, (_, payload)) in alone.iter_mut().zip(&windows) {
        all_good &= MODEL.decode_windows(&mut [WindowJob { payload, raw }]).is_ok();
    }
    assert_eq!(result.is_ok(), all_good);
    assert!(!all_good || together == alone);
});
