//! The `circuit` codec: round trips, cost, random access, and files with contradictions.

use crate::circuits::{micro, records};
use nzip::internal::SplitMix;
use nzip::internal::model::circuit::{Alphabet, Likelihood, Model, Shape, Weights};
use nzip::{Archive, Codec, CodecChoice, DecodeOptions, Encoder, ErrorKind, Models, Options};
use std::io::{Cursor, Write};

const WIDTH: usize = 12;

fn options() -> (Options, DecodeOptions) {
    let mut models = Models::new();
    let name = models.add(micro().to_bytes());
    let options = Options::new().codec(CodecChoice::Only(Codec::Circuit)).models(models.clone()).model(name);
    (options, DecodeOptions::new().models(models))
}

#[test]
fn the_file_comes_back() {
    let bytes = micro().to_bytes();
    assert!(Weights::from_bytes(&bytes).unwrap() == micro());
    assert!(bytes.len() < 20_000);
}

#[test]
fn round_trips_with_windows_and_threads() {
    let raw = records(5000);
    let (options, decode) = options();
    let one = nzip::compress_with(&raw, options.clone().threads(1).window(1024)).unwrap();
    let two = nzip::compress_with(&raw, options.clone().threads(2).window(1024)).unwrap();
    assert!(one == two);
    assert!(nzip::decompress_with(&one, decode.clone()).unwrap() == raw);
    let mut archive = Archive::with_options(Cursor::new(&one), decode.clone()).unwrap();
    for k in [0, 1, 700, 4999] {
        let (a, b) = (k * WIDTH, (k + 1) * WIDTH);
        assert!(archive.read_range(a as u64..b as u64).unwrap() == raw[a..b]);
    }
    for count in [1, 7, 8, 9] {
        let raw = &raw[..count * WIDTH];
        let packed = nzip::compress_with(raw, options.clone()).unwrap();
        assert!(nzip::decompress_with(&packed, decode.clone()).unwrap() == raw);
    }
}

/// A header, records that reach over the ends of writes and flushes, and a record that is cut short.
#[test]
fn what_is_no_record_is_kept() {
    let header = [0, 0, 8, 2, 0, 0, 1, 0, 0, 0, 0, WIDTH as u8];
    let raw = [&header[..], &records(3000), b"odd"].concat();
    let (options, decode) = options();
    let packed = nzip::compress_with(&raw, options.clone()).unwrap();
    assert!(nzip::decompress_with(&packed, decode.clone()).unwrap() == raw);
    let mut archive = Archive::with_options(Cursor::new(&packed), decode.clone()).unwrap();
    let codecs: Vec<_> =
        (0..archive.block_count()).map(|i| archive.block(i).unwrap().unwrap().codec.unwrap()).collect();
    assert_eq!(codecs, [Codec::Store, Codec::Circuit, Codec::Store]);

    let mut encoder = Encoder::with_options(Vec::new(), options.block_size(4096)).unwrap();
    for (i, piece) in raw.chunks(1009).enumerate() {
        encoder.write_all(piece).unwrap();
        if i % 5 == 3 {
            encoder.flush().unwrap();
        }
    }
    let packed = encoder.finish().unwrap();
    assert!(nzip::decompress_with(&packed, decode).unwrap() == raw);
}

#[test]
fn symbols_outside_of_the_alphabet() {
    let mut raw = records(100);
    let few = micro().nodes.iter().find(|n| n.alphabet == 1).unwrap().variable;
    raw[usize::from(few)] = 200;
    let (options, decode) = options();
    assert_eq!(nzip::compress_with(&raw, options.clone()).unwrap_err().kind(), ErrorKind::BadArgument);
    let packed = nzip::compress_with(&raw, options.codec(CodecChoice::Auto)).unwrap();
    assert!(nzip::decompress_with(&packed, decode).unwrap() == raw);
}

#[test]
fn the_model_may_travel_with_the_stream() {
    let raw = records(4000);
    let (options, _) = options();
    let packed = nzip::compress_with(&raw, options.clone().embed_model(true)).unwrap();
    assert!(nzip::decompress(&packed).unwrap() == raw);
    let named = nzip::compress_with(&raw, options).unwrap();
    assert_eq!(nzip::decompress(&named).unwrap_err().kind(), ErrorKind::MissingModel);
    assert!(packed.len() > named.len());
}

/// The integer messages cost at most 0.5 % more than the circuit's own likelihood.
#[test]
fn coding_costs_what_the_likelihood_says() {
    let raw = records(6000);
    let (options, _) = options();
    let packed = nzip::compress_with(&raw, options.window(1 << 16)).unwrap();
    let circuit = Likelihood::from_bytes(&micro().to_bytes()).unwrap();
    let bits: f64 = raw
        .chunks(WIDTH)
        .map(|r| -circuit.log2_likelihood(&r.iter().map(|&s| Some(s)).collect::<Vec<_>>()).unwrap())
        .sum();
    let (coded, ideal) = (packed.len() as f64 * 8.0, bits);
    // The stream's own fields take some 150 bytes.
    assert!(coded < ideal * 1.005 + 1200.0 && coded > ideal * 0.999, "{coded} bits, {ideal} expected");
}

#[test]
fn probabilities_add_up() {
    let circuit = Likelihood::from_bytes(&micro().to_bytes()).unwrap();
    let raw = records(20);
    for record in raw.chunks(WIDTH) {
        let mut known: Vec<Option<u8>> = record.iter().map(|&s| Some(s)).collect();
        known[2] = None;
        known[6] = None;
        let conditional = circuit.conditional(&known, 6).unwrap();
        assert!((conditional.iter().sum::<f64>() - 1.0).abs() < 1e-9);
        let without = circuit.log2_likelihood(&known).unwrap();
        for (s, p) in conditional.iter().enumerate() {
            known[6] = Some(s as u8);
            let with = circuit.log2_likelihood(&known).unwrap();
            assert!((with - without - p.log2()).abs() < 1e-6 || p.log2() < -60.0);
        }
    }
    assert!(circuit.log2_likelihood(&[None; WIDTH]).unwrap().abs() < 1e-9);
    assert_eq!(circuit.log2_likelihood(&[None; 3]).unwrap_err().kind(), ErrorKind::BadArgument);
    assert_eq!(circuit.conditional(&[None; WIDTH], WIDTH).unwrap_err().kind(), ErrorKind::BadArgument);
}

fn kind(weights: &Weights) -> ErrorKind {
    let read = Weights::from_bytes(&weights.to_bytes()).and_then(|w| Model::new(&w).map(|_| ()));
    read.expect_err("a bad model was taken").kind()
}

#[test]
fn models_that_lie_are_refused() {
    let good = micro();
    let changed = |f: &dyn Fn(&mut Weights)| {
        let mut w = good.clone();
        f(&mut w);
        w
    };
    let bad: [&dyn Fn(&mut Weights); 10] = [
        &|w| w.nodes[4].parent = Some(4),                            // a cycle
        &|w| w.nodes[2].parent = Some(7),                            // a parent that comes later
        &|w| w.nodes[8].parent = Some(2),                            // not depth first
        &|w| w.nodes[3].parent = None,                               // two roots
        &|w| w.nodes[0].parent = Some(0),                            // no root
        &|w| w.nodes[5].variable = 0,                                // a variable twice
        &|w| w.nodes[5].variable = 12,                               // a variable that is not there
        &|w| w.edges[1][..8].fill(0),                                // a state that leads nowhere
        &|w| w.leaves[6].iter_mut().step_by(4).for_each(|c| *c = 0), // a state that shows nothing
        &|w| w.alphabets[1].weight[2] = 0,                           // a symbol without weight
    ];
    for (i, f) in bad.iter().enumerate() {
        assert_eq!(kind(&changed(f)), ErrorKind::Corrupt, "case {i}");
    }
}

/// A model whose bytes have been changed is refused, or it codes and decodes.
#[test]
fn damaged_models_do_no_harm() {
    let bytes = micro().to_bytes();
    for cut in 0..bytes.len() {
        let _ = Weights::from_bytes(&bytes[..cut]).and_then(|w| Model::new(&w));
    }
    assert_eq!(Weights::from_bytes(&bytes[..700]).unwrap_err().kind(), ErrorKind::Truncated);
    let mut rng = SplitMix(5);
    for _ in 0..400 {
        let mut bytes = bytes.clone();
        for _ in 0..1 + rng.below(3) {
            let at = rng.below(bytes.len().min(1000) as u64) as usize;
            bytes[at] = rng.below(256) as u8;
        }
        let mut models = Models::new();
        let name = models.add(bytes);
        let options =
            Options::new().codec(CodecChoice::Only(Codec::Circuit)).models(models.clone()).model(name);
        let raw = records(20);
        if let Ok(packed) = nzip::compress_with(&raw, options.threads(1)) {
            let decode = DecodeOptions::new().models(models).threads(1);
            assert!(nzip::decompress_with(&packed, decode).unwrap() == raw);
        }
    }
    // A file of few bytes that declares many parameters.
    let mut huge = micro();
    huge.alphabets = vec![Alphabet { class: vec![0, 1], weight: vec![1, 1] }];
    let shape = |i: u16| Shape { variable: i, parent: i.checked_sub(1), alphabet: 0, states: 256 };
    huge.nodes = (0..200).map(shape).collect();
    huge.edges = vec![Vec::new(); 200];
    huge.leaves = vec![Vec::new(); 200];
    let mut bytes = huge.to_bytes();
    bytes.truncate(2000);
    assert_eq!(Weights::from_bytes(&bytes).unwrap_err().kind(), ErrorKind::Corrupt);
    // A deep tree with wide messages.
    let wide = |i: u16| if i.is_multiple_of(2) { 256 } else { 2 };
    huge.nodes = (0..2100).map(|i| Shape { states: wide(i), ..shape(i) }).collect();
    huge.edges = (0..2100).map(|i| vec![1; huge.sizes(i).0 * huge.sizes(i).1]).collect();
    huge.leaves = (0..2100).map(|i| vec![1; 2 * huge.sizes(i).1]).collect();
    assert_eq!(kind(&huge), ErrorKind::Corrupt);
}

#[test]
fn damaged_payloads_are_noticed() {
    let raw = records(300);
    let (options, decode) = options();
    let packed = nzip::compress_with(&raw, options.threads(1)).unwrap();
    let mut rng = SplitMix(7);
    for _ in 0..200 {
        let mut bad = packed.clone();
        let at = rng.below(bad.len() as u64) as usize;
        bad[at] ^= 1 << rng.below(8);
        let result = nzip::decompress_with(&bad, decode.clone().threads(1));
        assert!(result.is_err(), "byte {at}");
    }
}

/// Records drawn from the circuit's own distribution.
fn sampled(count: usize) -> Vec<u8> {
    let circuit = Likelihood::from_bytes(&micro().to_bytes()).unwrap();
    let mut rng = SplitMix(7);
    let mut out = Vec::new();
    for _ in 0..count {
        let mut known = vec![None; WIDTH];
        for v in 0..WIDTH {
            let mut left = rng.below(1 << 24) as f64 / f64::from(1 << 24);
            let probabilities = circuit.conditional(&known, v).unwrap();
            let reached = |p: &f64| {
                left -= p;
                left < 0.0
            };
            known[v] = Some(probabilities.iter().position(reached).unwrap_or(0) as u8);
        }
        out.extend(known.into_iter().flatten());
    }
    out
}

#[test]
fn models_are_not_embedded_where_they_do_not_pay() {
    let auto = options().0.codec(CodecChoice::Auto).embed_model(true);
    let all = sampled(2000);
    for count in [20, 2000] {
        let raw = &all[..count * WIDTH];
        let packed = nzip::compress_with(raw, auto.clone()).unwrap();
        assert!(!has_embedded(&packed) && packed == nzip::compress_with(raw, Options::new()).unwrap());
        // The saving is smaller than the embedded model.
        assert!(nzip::compress_with(raw, auto.clone().embed_model(false)).unwrap().len() < packed.len());
    }
}

#[test]
fn models_are_embedded_where_they_pay() {
    embeds_where_it_pays(&[]);
}

#[test]
fn models_are_embedded_where_they_pay_behind_a_header() {
    embeds_where_it_pays(&[0, 0, 8, 2, 0, 0, 1, 0, 0, 0, 0, WIDTH as u8]);
}

fn has_embedded(packed: &[u8]) -> bool {
    Archive::new(Cursor::new(packed)).unwrap().streams()[0].embedded_len > 0
}

/// The model is embedded in a file of many records, on any number of threads, but not where a flush lets the first
/// bytes decide how the rest is cut: one comes after the header, and one in the middle of a record.
fn embeds_where_it_pays(header: &[u8]) {
    let (options, decode) = options();
    let auto = options.codec(CodecChoice::Auto).embed_model(true);
    let raw = [header, &sampled(5000)].concat();
    let packed = nzip::compress_with(&raw, auto.clone().threads(1)).unwrap();
    assert!(has_embedded(&packed) && packed.len() < nzip::compress(&raw, 6).unwrap().len());
    assert!(nzip::decompress(&packed).unwrap() == raw);
    assert!(nzip::compress_with(&raw, auto.clone().threads(2)).unwrap() == packed);
    let mut encoder = Encoder::with_options(Vec::new(), auto).unwrap();
    for part in [&raw[..header.len()], &raw[header.len()..20_007], &raw[20_007..]] {
        encoder.write_all(part).unwrap();
        encoder.flush().unwrap();
    }
    let flushed = encoder.finish().unwrap();
    assert!(!has_embedded(&flushed) && nzip::decompress_with(&flushed, decode).unwrap() == raw);
}
