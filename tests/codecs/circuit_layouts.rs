//! Records whose bytes are not contiguous: patches of pictures, and numbers of several bytes.

use crate::circuits::{COLOUR, GREY, micro, npy, of_patches, picture, pnm, records};
use nzip::internal::Kernel;
use nzip::internal::SplitMix;
use nzip::internal::codec::circuit::layout::{Arrangement, Known, Layout, detect};
use nzip::internal::codec::circuit::{decode, encode};
use nzip::internal::codec::window::{WindowJob, WindowLimits};
use nzip::internal::model::circuit::{Likelihood, Model, Patch, Weights};
use nzip::{Archive, Codec, CodecChoice, DecodeOptions, Encoder, ErrorKind, Models, Options};
use std::io::{Cursor, Write};

fn options(weights: &Weights) -> (Options, DecodeOptions) {
    let mut models = Models::new();
    let name = models.add(weights.to_bytes());
    let options = Options::new().codec(CodecChoice::Only(Codec::Circuit)).models(models.clone()).model(name);
    (options, DecodeOptions::new().models(models))
}

fn codecs(packed: &[u8], decode: &DecodeOptions) -> Vec<Codec> {
    let mut archive = Archive::with_options(Cursor::new(packed), decode.clone()).unwrap();
    let count = archive.block_count();
    (0..count).filter_map(|i| archive.block(i).unwrap().unwrap().codec).collect()
}

/// Packs and unpacks, in whole and in pieces; returns the packed file and the codecs of its blocks.
fn round_trip(raw: &[u8], weights: &Weights, window: usize) -> (Vec<u8>, Vec<Codec>) {
    let (options, decode) = options(weights);
    let options = options.window(window);
    let packed = nzip::compress_with(raw, options.clone().threads(1)).unwrap();
    assert!(packed == nzip::compress_with(raw, options.clone().threads(3)).unwrap());
    assert!(nzip::decompress_with(&packed, decode.clone().threads(1)).unwrap() == raw);
    assert!(nzip::decompress_with(&packed, decode.clone().threads(3)).unwrap() == raw);
    let mut encoder = Encoder::with_options(Vec::new(), options.clone()).unwrap();
    raw.chunks(97).for_each(|p| encoder.write_all(p).unwrap());
    assert!(encoder.finish().unwrap() == packed);
    // A flush anywhere cuts patches, rows and pixels.
    let mut encoder = Encoder::with_options(Vec::new(), options).unwrap();
    for piece in raw.chunks(raw.len() / 3 + 1) {
        encoder.write_all(piece).unwrap();
        encoder.flush().unwrap();
    }
    let flushed = encoder.finish().unwrap();
    assert!(nzip::decompress_with(&flushed, decode.clone()).unwrap() == raw);
    let found = codecs(&packed, &decode);
    (packed, found)
}

#[test]
fn pictures_of_any_size() {
    for (width, height) in
        [(1, 1), (1, 9), (2, 2), (3, 4), (7, 1), (5, 3), (6, 8), (31, 23), (64, 48), (2, 301), (301, 2)]
    {
        for window in [64, 1 << 14] {
            let (_, found) = round_trip(&pnm(width, height, 3), &of_patches(COLOUR), window);
            assert_eq!(found[1], Codec::Circuit, "{width} × {height}");
            let (_, found) = round_trip(&pnm(width, height, 1), &of_patches(GREY), window);
            assert_eq!(found[1], Codec::Circuit, "{width} × {height}");
        }
    }
}

#[test]
fn what_surrounds_the_pixels_is_kept() {
    let model = of_patches(COLOUR);
    let good = pnm(40, 30, 3);
    let behind = [&good[..], b"behind the pixels"].concat();
    let several = [&good[..], &good, &pnm(8, 8, 1), &good].concat();
    for raw in [&good, &behind, &several] {
        let (_, found) = round_trip(raw, &model, 1 << 12);
        assert_eq!(found[..2], [Codec::Store, Codec::Circuit]);
        assert_eq!(found.len(), if raw.len() > good.len() { 3 } else { 2 });
    }
    // A picture that ends too early, in the middle of a row.
    let (_, found) = round_trip(&good[..good.len() - 1000], &model, 1 << 12);
    assert_eq!(found[1], Codec::Circuit);
    for cut in 0..30 {
        round_trip(&good[..cut], &model, 1 << 12);
    }
    // Comments wherever they may stand.
    let comments = picture("P6 # one\n# two 7\n40#three\r30\n#four\n255 ", 40, 30, 3);
    assert_eq!(round_trip(&comments, &model, 1 << 12).1[1], Codec::Circuit);
}

/// Whether a file that starts so has patches for this circuit.
fn is_picture(head: &[u8], patch: Patch) -> bool {
    detect(head, Some(patch)).is_some_and(|l| matches!(l.arrangement, Arrangement::Patches { .. }))
}

#[test]
fn headers_that_lie_or_are_of_other_kinds() {
    for header in [
        "P6\n40 30\n65535\n",
        "P6\n0 30\n255\n",
        "P6\n40 0\n255\n",
        "P6\n99999999999999999999 2\n255\n",
        "P6\n1073741824 1073741824\n255\n",
        "P6\n16777217 1\n255\n",
        "P6\n40 30\n0\n",
        "P5\n40 30\n255\n",
        "P3\n40 30\n255\n",
    ] {
        let raw = picture(header, 40, 30, 3);
        assert!(!is_picture(&raw, COLOUR), "{header}");
        // As bytes of unknown records.
        round_trip(&raw, &of_patches(COLOUR), 1 << 12);
    }
    for header in ["P6\n40 1073741824\n255\n", "P6\n40 31\n255\n", "P6\n41 30\n255\n"] {
        let raw = picture(header, 40, 30, 3);
        assert!(is_picture(&raw, COLOUR), "{header}");
        assert_eq!(round_trip(&raw, &of_patches(COLOUR), 1 << 12).1[1], Codec::Circuit);
    }
    // Too narrow and long, or too wide, for patches.
    let wide = Patch { width: 255, height: 1, channels: 1, green: false };
    assert!(is_picture(b"P5 64 100000 255\n.", wide) && is_picture(b"P5 1 2000 255\n.", wide));
    assert!(!is_picture(b"P5 63 100000 255\n.", wide));
    assert!(!is_picture(b"P6 100000 2 255\n.", Patch { width: 8, height: 8, ..COLOUR }));
    // A circuit without patches takes no pictures.
    let (_, decode) = options(&micro());
    let raw = pnm(24, 10, 1);
    let (options, _) = options(&of_patches(COLOUR));
    let packed = nzip::compress_with(&raw, options).unwrap();
    assert!(nzip::decompress_with(&packed, decode).is_err(), "another model");
    assert!(detect(&raw, None).is_none());
}

#[test]
fn ranges_of_a_picture() {
    let raw = pnm(120, 90, 3);
    let (packed, _) = round_trip(&raw, &of_patches(COLOUR), 512);
    let (_, decode) = options(&of_patches(COLOUR));
    let mut archive = Archive::with_options(Cursor::new(&packed), decode).unwrap();
    assert!(archive.block(1).unwrap().unwrap().units.len() > 20);
    let mut rng = SplitMix(3);
    for _ in 0..60 {
        let a = rng.below(raw.len() as u64);
        let b = a + rng.below(2000.min(raw.len() as u64 - a));
        let before = archive.decoded_bytes();
        assert!(archive.read_range(a..b).unwrap() == raw[a as usize..b as usize]);
        assert!(archive.decoded_bytes() - before <= 2000 + 4 * 1024);
    }
}

#[test]
fn a_picture_is_coded_in_the_way_that_pays() {
    let (options, decode) = options(&of_patches(COLOUR));
    let raw = pnm(60, 50, 3);
    let packed = nzip::compress_with(&raw, options.codec(CodecChoice::Auto)).unwrap();
    assert!(nzip::decompress_with(&packed, decode).unwrap() == raw);
    let plain = nzip::compress_with(&raw, Options::new()).unwrap();
    assert!(packed.len() <= plain.len(), "{} and {}", packed.len(), plain.len());
}

#[test]
fn numbers_of_several_bytes() {
    let raw = records(300);
    let sign = |b: u8| if b > 127 { 255 } else { 0 };
    for (descr, size) in [("<u2", 2), ("<u4", 4), ("<u8", 8), ("<i2", 2), ("<i4", 4), ("<i8", 8)] {
        let signed = descr.contains('i');
        let file = npy(descr, size, &raw, |b| if signed { sign(b) } else { 0 });
        let (packed, found) = round_trip(&file, &micro(), 1024);
        assert_eq!(found[1..], [Codec::Circuit], "{descr}");
        // The upper bytes cost nothing but a longer table.
        let narrow = round_trip(&raw, &micro(), 1024).0;
        assert!(packed.len() < narrow.len() + 400, "{descr}: {} and {}", packed.len(), narrow.len());
        let behind = [&file[..], b"more"].concat();
        assert_eq!(round_trip(&behind, &micro(), 1024).1[1], Codec::Circuit);
        round_trip(&file[..file.len() - 5], &micro(), 1024);
        // One number does not fit into a byte, so no circuit is used.
        let mut odd = file.clone();
        let at = file.len() - size * 100;
        odd[at + size - 1] ^= 1;
        assert!(!round_trip(&odd, &micro(), 1024).1.contains(&Codec::Circuit), "{descr}");
    }
    let floats = npy("<f4", 4, &raw, |_| 0);
    assert!(detect(&floats, None).is_none());
}

#[test]
fn arrangements_are_undone() {
    let green = Patch { width: 3, height: 2, channels: 3, green: true };
    let patches = |columns| Arrangement::Patches { patch: green, columns };
    let mut rng = SplitMix(8);
    for (arrangement, len) in [
        (patches(1), 3),
        (patches(3), 18),
        (patches(7), 21 * 5),
        (Arrangement::Bytes, 180),
        (patches(8), 24 * 4),
    ] {
        let raw: Vec<u8> = (0..len).map(|_| rng.below(256) as u8).collect();
        let mut back = vec![0; len];
        for i in 0..arrangement.records(len, 18).unwrap() {
            let mut record = vec![0xAA; 18];
            arrangement.gather(&raw, i, &mut record);
            let known = arrangement.known(len, i);
            // Variables that are missing may have any value.
            (0..18).filter(|&v| !known.has(v)).for_each(|v| record[v] = 77);
            arrangement.scatter(&record, i, &mut back);
        }
        assert!(back == raw, "{arrangement:?}");
        assert_eq!(Arrangement::parse(arrangement.params().as_deref()).unwrap(), arrangement);
    }
    let mut record = [0; 18];
    patches(3).gather(&[10, 20, 30].repeat(6), 0, &mut record);
    assert_eq!(record[..3], [20, 118, 138]);
    assert_eq!(patches(4).known(24, 0), Known::All);
    assert_eq!(patches(4).known(36, 3), Known::Corner { patch: green, columns: 1, rows: 1 });
}

/// A window for each arrangement, coded and then decoded by both kernels.
#[test]
fn kernels_and_lanes_agree() {
    for (weights, columns, height) in [(of_patches(COLOUR), 9, 101), (of_patches(GREY), 20, 57)] {
        let patch = weights.patch.unwrap();
        let arrangement = Arrangement::Patches { patch, columns };
        let model = Model::new(&weights).unwrap();
        let row = columns as usize * usize::from(patch.channels);
        let mut rng = SplitMix(5);
        let raw: Vec<u8> = (0..row * height).map(|i| (i / row) as u8 + rng.below(9) as u8).collect();
        let limits = WindowLimits { payload: 128, raw: 1 << 16 };
        let windows = encode(&model, &arrangement, &[&raw], limits).unwrap().remove(0);
        assert!(windows.len() > 9);
        for kernel in [Kernel::Scalar, Kernel::best()] {
            let mut out = vec![0x55; raw.len()];
            let (mut jobs, mut rest) = (Vec::new(), &mut out[..]);
            for w in &windows {
                let (raw, after) = rest.split_at_mut(w.raw_len);
                jobs.push(WindowJob { payload: &w.payload, raw });
                rest = after;
            }
            decode(&model, &arrangement, &mut jobs, kernel).unwrap();
            assert!(out == raw);
        }
    }
}

/// The same windows in the form that a GPU gets, and parameters that no encoder writes.
#[test]
fn parameters_that_lie() {
    let model = Model::new(&of_patches(COLOUR)).unwrap();
    let kind = |params: &[u8], len: usize| {
        let mut raw = vec![0; len];
        let result = Arrangement::parse(Some(params)).and_then(|a| {
            decode(&model, &a, &mut [WindowJob { payload: &[9; 40], raw: &mut raw }], Kernel::best())
        });
        result.err().map(|e| e.kind())
    };
    assert_eq!(kind(&[2, 2, 2, 3, 1, 5], 30), None);
    for (params, len) in [
        (&[][..], 12),
        (&[1], 24),
        (&[1, 2], 24),
        (&[1, 3, 0], 36),
        (&[1, 2, 2], 24),
        (&[1, 2, 0, 0], 24),
        (&[1, 2, 0], 25),
        (&[1, 2, 0], 36),
        (&[2], 12),
        (&[2, 2, 2, 3, 1], 12),
        (&[2, 2, 2, 3, 1, 0], 12),
        (&[2, 2, 2, 3, 1, 5], 31),
        (&[2, 2, 2, 3, 1, 5, 0], 30),
        (&[2, 2, 2, 3, 1, 0x85, 0], 30),
        (&[2, 2, 2, 3, 1, 0x81, 0x80, 0x80, 8], 30),
        (&[2, 0, 2, 3, 1, 5], 30),
        (&[2, 2, 0, 3, 1, 5], 30),
        (&[2, 2, 2, 2, 0, 5], 30),
        (&[2, 2, 2, 3, 2, 5], 30),
        (&[2, 12, 1, 1, 1, 5], 30),
        (&[2, 2, 3, 3, 1, 5], 30),
        (&[2, 1, 2, 3, 1, 5], 30),
    ] {
        assert_eq!(kind(params, len), Some(ErrorKind::Corrupt), "{params:?}, {len} bytes");
    }
    for params in [&[0, 1][..], &[3], &[255, 1, 2]] {
        assert_eq!(kind(params, 12), Some(ErrorKind::NewerVersion), "{params:?}");
    }
    // Many missing variables for few bytes: 255 for each.
    let long = Patch { width: 255, height: 1, channels: 1, green: false };
    let arrangement = Arrangement::Patches { patch: long, columns: 1 };
    assert_eq!(arrangement.records(4000, 255).unwrap(), 4000);
    assert_eq!(arrangement.records(8000, 255).unwrap_err().kind(), ErrorKind::Corrupt);
    assert_eq!(arrangement.records(12, 12).unwrap_err().kind(), ErrorKind::Corrupt);
}

/// Every byte of a file with patches, one bit changed: an error, never other bytes.
#[test]
fn damage_is_noticed() {
    let raw = pnm(13, 11, 3);
    let (options, decode) = options(&of_patches(COLOUR));
    let packed = nzip::compress_with(&raw, options.threads(1).window(128)).unwrap();
    let mut rng = SplitMix(2);
    for at in 0..packed.len() {
        let mut bad = packed.clone();
        bad[at] ^= 1 << rng.below(8);
        let result = nzip::decompress_with(&bad, decode.clone().threads(1));
        assert!(result.map_or(true, |out| out == raw), "byte {at}");
    }
    for cut in 0..packed.len() {
        let e = nzip::decompress_with(&packed[..cut], decode.clone().threads(1)).unwrap_err();
        assert_eq!(e.kind(), ErrorKind::Truncated, "{cut}");
    }
}

/// Missing variables cost nothing: the cost is the circuit's own of the rest.
#[test]
fn missing_fields_are_summed_over() {
    let weights = of_patches(COLOUR);
    let (model, circuit) =
        (Model::new(&weights).unwrap(), Likelihood::from_bytes(&weights.to_bytes()).unwrap());
    // One column of patches. Each has only its left half, and the last one only its upper row.
    let arrangement = Arrangement::Patches { patch: COLOUR, columns: 1 };
    let mut rng = SplitMix(6);
    let raw: Vec<u8> = (0..3 * 9001).map(|_| (80 + rng.below(60)) as u8).collect();
    let limits = WindowLimits { payload: 1 << 16, raw: 1 << 16 };
    let windows = encode(&model, &arrangement, &[&raw], limits).unwrap().remove(0);
    let mut bits = 0.0;
    for i in 0..arrangement.records(raw.len(), 12).unwrap() {
        let (known, mut record) = (arrangement.known(raw.len(), i), [0; 12]);
        arrangement.gather(&raw, i, &mut record);
        let fields: Vec<_> = (0..12).map(|v| known.has(v).then_some(record[v])).collect();
        assert_eq!(fields.iter().flatten().count(), if i == 4500 { 3 } else { 6 });
        bits -= circuit.log2_likelihood(&fields).unwrap();
    }
    let coded = 8.0 * windows.iter().map(|w| w.payload.len()).sum::<usize>() as f64;
    assert!(coded < bits * 1.005 + 100.0 && coded > bits * 0.999, "{coded} bits, {bits} expected");
}

#[test]
fn models_of_patches() {
    let bytes = of_patches(COLOUR).to_bytes();
    assert_eq!(Weights::from_bytes(&bytes).unwrap(), of_patches(COLOUR));
    assert_eq!(bytes[8], 2);
    assert_eq!(micro().to_bytes()[8], 1);
    for (at, value) in [(15, 3), (15, 0), (16, 0), (17, 1), (17, 2), (18, 2)] {
        let mut bad = bytes.clone();
        bad[at] = value;
        assert_eq!(Weights::from_bytes(&bad).unwrap_err().kind(), ErrorKind::Corrupt, "byte {at} is {value}");
    }
    for cut in 0..40 {
        assert_eq!(Weights::from_bytes(&bytes[..cut]).unwrap_err().kind(), ErrorKind::Truncated);
    }
    let mut newer = bytes;
    newer[8] = 3;
    assert_eq!(Weights::from_bytes(&newer).unwrap_err().kind(), ErrorKind::NewerVersion);
}

#[test]
fn whole_records_of_a_file() {
    let raw = records(5);
    let file = npy("<i4", 4, &raw, |b| if b > 127 { 255 } else { 0 });
    let layout = detect(&file, None).unwrap();
    assert_eq!(layout.gather(&file).unwrap(), raw);
    let mut odd = file;
    *odd.last_mut().unwrap() ^= 9;
    assert!(layout.gather(&odd).is_none());
    // A column of patches and a row of them are cut off.
    let file = pnm(7, 5, 3);
    let layout = detect(&file, Some(COLOUR)).unwrap();
    assert_eq!(layout.gather(&file).unwrap().len(), 3 * 2 * 12);
    assert_eq!(Layout::records(4).gather(b"four bytes").unwrap(), b"four byt");
}
