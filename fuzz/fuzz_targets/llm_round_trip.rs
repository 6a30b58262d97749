//! Any bytes cut into tokens and coded by the micro transformer of `formats/vectors` come back; the same bytes as a
//! payload decode alike in one lane and in many.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nzip::internal::codec::llm::{ChainJob, decode_chains_with_lanes, decode_with_lanes, encode_blocks, encode_chains};
use nzip::internal::codec::window::{WindowJob, WindowLimits};
use nzip::internal::model::llm::{Model, Weights};
use std::sync::LazyLock;

static MODEL: LazyLock<Model> = LazyLock::new(|| {
    let bytes = include_bytes!("../../formats/vectors/llm/micro.nzllm");
    Model::new(Weights::from_bytes(bytes).expect("the micro model is well-formed"))
        .expect("it fits the limits")
});

fuzz_target!(|bytes: &[u8]| {
    let bytes = &bytes[..bytes.len().min(600)];
    let limits = WindowLimits { payload: 64, raw: 4096 };
    let windows = encode_blocks(&MODEL, &[bytes], limits).expect("everything can be coded").remove(0);
    let mut out: Vec<Vec<u8>> = windows.iter().map(|w| vec![0; w.raw_len]).collect();
    let jobs = windows.iter().zip(&mut out).map(|(w, raw)| WindowJob { payload: &w.payload, raw });
    decode_with_lanes(&MODEL, &mut jobs.collect::<Vec<_>>(), 3).expect("what was coded can be decoded");
    assert!(out.concat() == bytes);
    let (payload, len) = (bytes, 1 + bytes.len());
    let run = |lanes| {
        let (mut a, mut b) = (vec![0; len], vec![0; 7]);
        let mut jobs =
            [WindowJob { payload, raw: &mut a }, WindowJob { payload: &payload[..len / 2], raw: &mut b }];
        decode_with_lanes(&MODEL, &mut jobs, lanes).is_ok().then_some((a, b))
    };
    assert_eq!(run(1), run(2));
    chained(bytes, limits);
});

/// The same for blocks whose windows follow one another.
fn chained(bytes: &[u8], limits: WindowLimits) {
    let blocks: Vec<&[u8]> = bytes.chunks(250).collect();
    let kept = 1 + bytes.len() % 63;
    let coded = encode_chains(&MODEL, &blocks, limits, kept).expect("everything can be coded");
    let mut out: Vec<Vec<Vec<u8>>> =
        coded.iter().map(|b| b.iter().map(|w| vec![0; w.raw_len]).collect()).collect();
    let jobs = coded.iter().zip(&mut out).map(|(block, raw)| {
        let windows = block.iter().zip(raw).map(|(w, raw)| WindowJob { payload: &w.payload, raw });
        ChainJob { kept, windows: windows.collect() }
    });
    decode_chains_with_lanes(&MODEL, &mut jobs.collect::<Vec<_>>(), 3)
        .expect("what was coded can be decoded");
    assert!(out.concat().concat() == bytes);
    let (payload, len) = (bytes, 1 + bytes.len());
    let run = |lanes| {
        let (mut a, mut b, mut c) = (vec![0; len], vec![0; 7], vec![0; 9]);
        let first =
            [WindowJob { payload, raw: &mut a }, WindowJob { payload: &payload[..len / 2], raw: &mut b }];
        let second = [WindowJob { payload: &payload[..len / 3], raw: &mut c }];
        let mut jobs = [
            ChainJob { kept, windows: first.into() },
            ChainJob { kept, windows: second.into() },
        ];
        let good = decode_chains_with_lanes(&MODEL, &mut jobs, lanes).is_ok();
        good.then_some((a, b, c))
    };
    assert_eq!(run(1), run(2));
}
