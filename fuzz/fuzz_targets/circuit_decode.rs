//! Windows of any bytes, decoded by the micro circuits of `formats/vectors`, whatever the block's parameters say of how
//! records lie: the same alone as side by side.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nzip::internal::Kernel;
use nzip::internal::codec::circuit::layout::Arrangement;
use nzip::internal::codec::{circuit, window::WindowJob};
use nzip::internal::model::circuit::{Model, Weights};
use std::sync::LazyLock;

fn model(bytes: &[u8]) -> Model {
    let weights = Weights::from_bytes(bytes).expect("the micro circuits are well-formed");
    Model::new(&weights).expect("the micro circuits fit the limits")
}

static RECORDS: LazyLock<Model> = LazyLock::new(|| model(include_bytes!("../../formats/vectors/circuit/micro.nzpc")));
static PATCHES: LazyLock<Model> = LazyLock::new(|| model(include_bytes!("../../formats/vectors/circuit/patch.nzpc")));

fn decode(model: &Model, params: Option<&[u8]>, jobs: &mut [WindowJob<'_>]) -> nzip::Result<()> {
    circuit::decode(model, &Arrangement::parse(params)?, jobs, Kernel::best())
}

fuzz_target!(|input: (bool, Option<&[u8]>, Vec<(u8, &[u8])>)| {
    let (patches, params, windows) = input;
    let model: &Model = if patches { &PATCHES } else { &RECORDS };
    // Whole records or rows more often than not.
    let step = Arrangement::parse(params).map_or(1, |a| a.step(model.width())).min(600);
    let windows: Vec<_> = windows.into_iter().take(9).filter(|(n, _)| n % 64 > 0).collect();
    let new = || -> Vec<Vec<u8>> { windows.iter().map(|(n, _)| vec![0; step * usize::from(n % 64)]).collect() };
    let (mut together, mut alone) = (new(), new());
    let jobs = together.iter_mut().zip(&windows);
    let mut jobs: Vec<_> = jobs.map(|(raw, (_, payload))| WindowJob { payload, raw }).collect();
    let result = decode(model, params, &mut jobs);
    let mut all_good = true;
    for (raw, (_, payload)) in alone.iter_mut().zip(&windows) {
        all_good &= decode(model, params, &mut [WindowJob { payload, raw }]).is_ok();
    }
    assert!(result.is_ok() == all_good || windows.is_empty());
    assert!(!all_good || windows.is_empty() || together == alone);
    // What decodes is gathered and scattered back as it was.
    if let (Ok(arrangement), true) = (Arrangement::parse(params), all_good) {
        for raw in &together {
            let (mut record, mut back) = (vec![0; model.width()], vec![0; raw.len()]);
            for i in 0..arrangement.records(raw.len(), model.width()).unwrap_or(0) {
                arrangement.gather(raw, i, &mut record);
                arrangement.scatter(&record, i, &mut back);
            }
            assert!(&back == raw);
        }
    }
});
