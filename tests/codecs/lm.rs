//! The language model and its codec: all kernels, lane counts, batchings and thread counts give the
//! same integers, and windows decode to the bytes that were coded.

use nzip::ErrorKind;
use nzip::internal::Kernel;
use nzip::internal::SplitMix;
use nzip::internal::codec::lm::{decode_windows, encode_blocks};
use nzip::internal::codec::window::{EncodedWindow, WindowJob, WindowLimits};
use nzip::internal::model::lm::weights::{Config, TableConfig, Weights};
use nzip::internal::model::lm::{Lanes, MAX_COLUMNS, Model, Single, Timeline, WeightSums};
use proptest::prelude::*;

fn config(width: usize, state: usize, hidden: usize, layers: usize) -> Config {
    let tables = vec![
        TableConfig { order: 1, log2_rows: 8 },
        TableConfig { order: 2, log2_rows: 6 },
        TableConfig { order: 5, log2_rows: 4 },
    ];
    Config { width, state, hidden, layers, table_width: 6, tables }
}

fn micro() -> Weights {
    Weights::seeded(config(14, 10, 22, 2), 7)
}

fn model() -> Model {
    Model::new(micro()).unwrap()
}

/// Bytes with repeats and a skewed distribution, so that every input of the mixer matters.
fn sample(len: usize, seed: u64) -> Vec<u8> {
    let mut rng = SplitMix(seed);
    let mut bytes: Vec<u8> = Vec::with_capacity(len + 64);
    while bytes.len() < len {
        if bytes.len() > 20 && rng.below(4) == 0 {
            let from = rng.below(bytes.len() as u64 - 10) as usize;
            let to = (from + 5 + rng.below(60) as usize).min(bytes.len());
            bytes.extend_from_within(from..to);
        } else {
            let limit = 1 + rng.below(100);
            bytes.push(b' ' + rng.below(limit) as u8);
        }
    }
    bytes.truncate(len);
    bytes
}

fn weights_of(sums: WeightSums<'_>) -> Vec<u32> {
    (0..=255).map(|s| sums.weight(s)).collect()
}

/// The weights at every position of `window`, one time step per pass, with the final states.
fn stepwise(model: &Model, window: &[u8]) -> (Vec<Vec<u32>>, Vec<Vec<i32>>) {
    let mut lanes = Lanes::new(model, 1).unwrap();
    let weights = (0..window.len())
        .map(|at| {
            lanes.set_history(0, &window[..at]);
            lanes.step();
            weights_of(lanes.weight_sums(0))
        })
        .collect();
    let states = (0..model.config().layers).map(|l| lanes.state(0, l).collect()).collect();
    (weights, states)
}

/// The same from a window that steps alone.
fn alone(model: &Model, window: &[u8]) -> (Vec<Vec<u32>>, Vec<Vec<i32>>) {
    let mut single = Single::new(model).unwrap();
    let weights = (0..window.len()).map(|at| single.step(&window[..at])[256..].to_vec()).collect();
    let states = (0..model.config().layers).map(|l| single.state(l).to_vec()).collect();
    (weights, states)
}

fn encode(model: &Model, blocks: &[&[u8]], payload: usize, raw: usize) -> Vec<Vec<EncodedWindow>> {
    encode_blocks(model, blocks, WindowLimits { payload, raw }).unwrap()
}

fn decode(model: &Model, windows: &[EncodedWindow]) -> Vec<u8> {
    let mut raw = vec![0xAA; windows.iter().map(|w| w.raw_len).sum()];
    let mut rest = raw.as_mut_slice();
    let mut jobs = Vec::new();
    for window in windows {
        let (raw, tail) = std::mem::take(&mut rest).split_at_mut(window.raw_len);
        rest = tail;
        jobs.push(WindowJob { payload: &window.payload, raw });
    }
    decode_windows(model, &mut jobs).unwrap();
    raw
}

#[test]
fn kernels_agree() {
    if Kernel::best() == Kernel::Scalar {
        return;
    }
    let shapes = [(2, 2, 2, 1), (14, 10, 22, 2), (16, 16, 32, 1), (34, 18, 6, 3), (50, 66, 130, 2)];
    for (i, (width, state, hidden, layers)) in shapes.into_iter().enumerate() {
        let weights = Weights::seeded(config(width, state, hidden, layers), i as u64);
        let vector = Model::with_kernel(weights.clone(), Kernel::best()).unwrap();
        let scalar = Model::with_kernel(weights, Kernel::Scalar).unwrap();
        let window = sample(90, i as u64);
        let expected = stepwise(&scalar, &window);
        assert_eq!(stepwise(&vector, &window), expected, "shape {i}");
        assert_eq!(alone(&vector, &window), expected, "shape {i}, alone");
        assert_eq!(alone(&scalar, &window), expected, "shape {i}, alone, scalar");
        for columns in 1..=MAX_COLUMNS {
            for model in [&vector, &scalar] {
                let mut timeline = Timeline::new(model, columns).unwrap();
                timeline.run(&window, 0, columns);
                for (c, expected) in expected.0[..columns].iter().enumerate() {
                    assert_eq!(
                        &weights_of(timeline.weight_sums(c)),
                        expected,
                        "shape {i}, column {c} of {columns}"
                    );
                }
            }
        }
    }
}

#[test]
fn passes_over_time_agree_with_steps() {
    let model = model();
    let window = sample(300, 3);
    let (expected, states) = stepwise(&model, &window);
    for columns in [1, 3, 8, 17, 64] {
        let mut timeline = Timeline::new(&model, columns).unwrap();
        timeline.run(b"another window", 0, columns.min(14));
        timeline.reset();
        let mut at = 0;
        while at < window.len() {
            let steps = columns.min(window.len() - at);
            timeline.run(&window, at, steps);
            for c in 0..steps {
                assert_eq!(
                    weights_of(timeline.weight_sums(c)),
                    expected[at + c],
                    "{columns} columns, byte {}",
                    at + c
                );
            }
            at += steps;
        }
        for (layer, state) in states.iter().enumerate() {
            assert_eq!(timeline.state(layer), state);
        }
    }
}

#[test]
fn lanes_do_not_touch_each_other() {
    let model = model();
    let windows: Vec<_> = (0..MAX_COLUMNS).map(|i| sample(20 + i, i as u64)).collect();
    let expected: Vec<_> = windows.iter().map(|w| stepwise(&model, w).0).collect();
    for count in 1..=MAX_COLUMNS {
        let mut lanes = Lanes::new(&model, count).unwrap();
        let mut present: Vec<usize> = (0..count).collect();
        let mut at = 0;
        while !present.is_empty() {
            for (lane, &w) in present.iter().enumerate() {
                lanes.set_history(lane, &windows[w][..at]);
            }
            lanes.step();
            for (lane, &w) in present.iter().enumerate() {
                assert_eq!(
                    weights_of(lanes.weight_sums(lane)),
                    expected[w][at],
                    "{count} lanes, window {w}, byte {at}"
                );
            }
            at += 1;
            for lane in (0..present.len()).rev() {
                if windows[present[lane]].len() == at {
                    present.swap_remove(lane);
                    lanes.swap_remove(lane);
                }
            }
        }
    }
}

#[test]
fn windows_of_all_sizes_round_trip() {
    let model = model();
    let text = sample(6000, 11);
    for payload in [16, 20, 32, 64, 100, 1000, 1 << 15] {
        for raw in [1, 7, 500, 1 << 18] {
            let text = if raw == 1 { &text[..300] } else { &text[..] };
            let windows = encode(&model, &[text], payload, raw).remove(0);
            assert!(windows.iter().all(|w| w.payload.len() <= payload && (1..=raw).contains(&w.raw_len)));
            assert!(windows.iter().all(|w| w.payload.last() != Some(&0)));
            assert_eq!(decode(&model, &windows), text, "W {payload}, R {raw}");
        }
    }
}

#[test]
fn windows_are_as_long_as_they_can_be() {
    let model = model();
    let text = sample(3000, 12);
    let windows = encode(&model, &[&text], 40, 1 << 18).remove(0);
    let mut at = 0;
    for window in &windows[..windows.len() - 1] {
        let longer = &text[at..at + window.raw_len + 1];
        let whole = encode(&model, &[longer], 1 << 15, 1 << 18).remove(0).remove(0);
        assert!(whole.payload.len() > 40, "a longer window would fit at {at}");
        at += window.raw_len;
    }
}

#[test]
fn blocks_threads_and_kernels_do_not_change_the_bytes() {
    let texts: Vec<_> = (0..9).map(|i| sample(200 * i, i as u64)).collect();
    let blocks: Vec<_> = texts.iter().map(Vec::as_slice).collect();
    let scalar = Model::with_kernel(micro(), Kernel::Scalar).unwrap();
    let expected = encode(&scalar, &blocks, 64, 1 << 18);
    let model = model();
    for threads in [1, 2, 5] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            assert!(encode(&model, &blocks, 64, 1 << 18) == expected);
            for (text, windows) in texts.iter().zip(&expected) {
                assert_eq!(&decode(&model, windows), text);
                assert_eq!(&decode(&scalar, windows), text);
            }
        });
    }
    assert!(expected[0].is_empty());
}

#[test]
fn the_bytes_are_pinned() {
    let text = sample(5000, 99);
    let windows = encode(&model(), &[&text], 512, 1 << 18).remove(0);
    let mut hash = blake3::Hasher::new();
    for window in &windows {
        hash.update(&(window.raw_len as u32).to_le_bytes());
        hash.update(&(window.payload.len() as u32).to_le_bytes());
        hash.update(&window.payload);
    }
    assert_eq!(hash.finalize().to_hex().as_str(), PINNED);
}

/// The hash of what [`the_bytes_are_pinned`] encodes; the same in every build and on every machine.
const PINNED: &str = "5500b8f262ebc9ac6b4623b092f20641645460d68ecdfed29b46a75f63e7d673";

#[test]
fn limits_that_hold_no_byte_are_refused() {
    for (payload, raw) in [(15, 1), (0, 1), (64, 0)] {
        let error = encode_blocks(&model(), &[b"x"], WindowLimits { payload, raw }).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::BadArgument);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn hostile_payloads_end_without_panic(
        payload in prop::collection::vec(any::<u8>(), 0..80),
        fill in prop_oneof![Just(None), Just(Some(0u8)), Just(Some(255u8))],
        len in 0usize..400,
    ) {
        let payload: Vec<u8> = payload.iter().map(|&b| fill.unwrap_or(b)).collect();
        let mut raw = vec![0; len];
        let mut again = vec![1; len];
        let model = model();
        let first = decode_windows(&model, &mut [WindowJob { payload: &payload, raw: &mut raw }]);
        let second = decode_windows(&model, &mut [WindowJob { payload: &payload, raw: &mut again }]);
        match (first, second) {
            (Ok(()), Ok(())) => prop_assert_eq!(raw, again),
            (Err(a), Err(b)) => {
                prop_assert_eq!(a.kind(), ErrorKind::Corrupt);
                prop_assert_eq!(a.to_string(), b.to_string());
            }
            _ => prop_assert!(false, "two decodings disagree"),
        }
    }

    #[test]
    fn any_bytes_round_trip(text in prop::collection::vec(any::<u8>(), 0..600), payload in 16usize..200) {
        let model = model();
        let windows = encode(&model, &[&text], payload, 1 << 18).remove(0);
        prop_assert_eq!(decode(&model, &windows), text);
    }
}
