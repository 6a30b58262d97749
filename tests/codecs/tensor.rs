//! Files of tensors through the public interface.

use nzip::internal::SplitMix;
use nzip::tensor::{Dtype, Layout};
use nzip::{Archive, Bases, Codec, CodecChoice, DecodeOptions, Decoder, Encoder, ErrorKind, Options};
use rayon::prelude::*;
use std::io::{Cursor, Read, Write};

const ROWS: u64 = 2100;
const COLUMNS: u64 = 64;

/// Bits of nearly normal single-precision numbers.
fn numbers(count: u64, rng: &mut SplitMix) -> Vec<u8> {
    let one = |rng: &mut SplitMix| {
        let sum: i64 = (0..4).map(|_| rng.below(1 << 20) as i64).sum();
        ((sum - (1 << 21)) as f32 / (1 << 24) as f32).to_bits()
    };
    (0..count).flat_map(|_| one(rng).to_le_bytes()).collect()
}

/// Two large tensors, of which the second is stored again under a third name, a small one and an empty one.
fn file() -> Vec<u8> {
    file_of(ROWS)
}

/// The same with `rows` rows in each of the large tensors.
fn file_of(rows: u64) -> Vec<u8> {
    let mut rng = SplitMix(1);
    let (a, b) = (numbers(rows * COLUMNS, &mut rng), numbers(rows * COLUMNS, &mut rng));
    let small = numbers(10, &mut rng);
    let (n, s) = (a.len(), small.len());
    let json = format!(
        r#"{{"a":{{"dtype":"F32","shape":[{rows},{COLUMNS}],"data_offsets":[0,{n}]}},"b":{{"dtype":"F32","shape":[{rows},{COLUMNS}],"data_offsets":[{n},{}]}},"none":{{"dtype":"F16","shape":[0,5],"data_offsets":[{},{}]}},"small":{{"dtype":"F32","shape":[10],"data_offsets":[{},{}]}},"tied":{{"dtype":"F32","shape":[{rows},{COLUMNS}],"data_offsets":[{},{}]}}}}    "#,
        2 * n,
        2 * n,
        2 * n,
        2 * n,
        2 * n + s,
        2 * n + s,
        3 * n + s
    );
    [&(json.len() as u64).to_le_bytes()[..], json.as_bytes(), &a, &b, &small, &b].concat()
}

fn packed(level: u8) -> (Vec<u8>, Vec<u8>) {
    let raw = file();
    let packed = nzip::compress_with(&raw, Options::new().level(level).threads(2)).unwrap();
    (raw, packed)
}

#[test]
fn tensors_that_resemble_each_other_cost_no_more_than_zstd() {
    let mut rng = SplitMix(9);
    let first = numbers(20_000, &mut rng);
    let mut second = first.clone();
    second.iter_mut().step_by(997).for_each(|b| *b ^= 1);
    let n = first.len();
    let json = format!(
        r#"{{"a":{{"dtype":"F32","shape":[20000],"data_offsets":[0,{n}]}},"b":{{"dtype":"F32","shape":[20000],"data_offsets":[{n},{}]}}}}"#,
        2 * n
    );
    let raw = [&(json.len() as u64).to_le_bytes()[..], json.as_bytes(), &first, &second].concat();
    let packed = nzip::compress_with(&raw, Options::new()).unwrap();
    assert!(packed.len() <= zstd::bulk::compress(&raw, 19).unwrap().len() + 64);
    assert!(nzip::decompress(&packed).unwrap() == raw);
    // They are found and read all the same.
    let mut archive = Archive::new(Cursor::new(&packed)).unwrap();
    let names: Vec<_> = archive.tensors().unwrap().into_iter().map(|t| t.name).collect();
    assert_eq!(names, ["a", "b"]);
    assert!(archive.tensor("b").unwrap().read().unwrap() == second);
}

#[test]
fn files_come_back_and_tensors_are_named() {
    for level in [1, 6, 7] {
        let (raw, packed) = packed(level);
        // Three tensors of which one is stored once only.
        assert!(packed.len() < raw.len() * 60 / 100, "{level}: {}", packed.len());
        assert!(nzip::decompress(&packed).unwrap() == raw);
        let mut streamed = Vec::new();
        let options = DecodeOptions::new().threads(1).verify_hash(true);
        Decoder::with_options(&packed[..], options).unwrap().read_to_end(&mut streamed).unwrap();
        assert!(streamed == raw);
        let mut archive = Archive::new(Cursor::new(&packed)).unwrap();
        assert_eq!(archive.verify().unwrap(), raw.len() as u64);
        let tensors = archive.tensors().unwrap();
        let names: Vec<_> = tensors.iter().map(|t| t.name.as_str()).collect();
        assert_eq!(names, ["a", "b", "none", "small", "tied"]);
        assert!(tensors[4].method.starts_with("copy of block") && tensors[4].stored_len < 1000);
        let layout = Layout::read(&raw).unwrap();
        for t in &layout.tensors {
            let bytes = &raw[t.start as usize..t.end() as usize];
            let mut reader = archive.tensor(&t.name).unwrap();
            assert!(reader.read().unwrap() == bytes, "{}", t.name);
            let mut out = vec![0xEE; bytes.len()];
            reader.read_into(&mut out).unwrap();
            assert!(out == bytes);
            assert_eq!(
                reader.read_into(&mut vec![0; bytes.len() + 1]).unwrap_err().kind(),
                ErrorKind::BadArgument
            );
        }
        assert_eq!(archive.tensor("c").err().unwrap().kind(), ErrorKind::BadArgument);
    }
}

#[test]
fn many_tensors_at_once() {
    let (raw, packed) = packed(6);
    let layout = Layout::read(&raw).unwrap();
    let mut names: Vec<&str> = layout.tensors.iter().map(|t| t.name.as_str()).collect();
    names.extend(["a", "small"]);
    for (threads, memory) in [(1, 1 << 30), (2, 4 << 20)] {
        let options = DecodeOptions::new().threads(threads).memory(memory);
        let mut archive = Archive::with_options(Cursor::new(&packed), options).unwrap();
        let read = archive.read_tensors(&names).unwrap();
        for (name, bytes) in names.iter().zip(read) {
            let t = layout.find(name).unwrap();
            assert!(bytes == raw[t.start as usize..t.end() as usize], "{name}");
        }
        assert_eq!(archive.read_tensors(&["a", "c"]).unwrap_err().kind(), ErrorKind::BadArgument);
    }
    let mut archive =
        Archive::with_options(Cursor::new(&packed), DecodeOptions::new().memory(1 << 20)).unwrap();
    assert_eq!(archive.read_tensors(&["a", "b"]).unwrap_err().kind(), ErrorKind::LimitExceeded);
}

#[test]
fn rows_cost_their_tiles() {
    let (raw, packed) = packed(6);
    let mut archive = Archive::new(Cursor::new(&packed)).unwrap();
    let start = archive.tensor("tied").unwrap().info().start as usize;
    let row = 4 * COLUMNS as usize;
    let of = |r: u64| &raw[start + r as usize * row..start + (r as usize + 1) * row];
    let tile = 1 << 17;
    let before = archive.decoded_bytes();
    let rows = archive.tensor("tied").unwrap().rows(1000..1010).unwrap();
    assert!(rows == raw[start + 1000 * row..start + 1010 * row]);
    assert!(archive.decoded_bytes() - before <= 2 * tile);
    let ids = [2099, 0, 5, 5, 1500, 1, 1501, 0];
    let before = archive.decoded_bytes();
    let gathered = archive.tensor("tied").unwrap().gather(&ids).unwrap();
    assert!(gathered == ids.iter().flat_map(|r| of(*r)).copied().collect::<Vec<u8>>());
    // Three places, of which the middle one may lie in two tiles.
    assert!(archive.decoded_bytes() - before <= 4 * tile, "{}", archive.decoded_bytes() - before);
    let all: Vec<u64> = (0..ROWS).rev().collect();
    let before = archive.decoded_bytes();
    archive.tensor("a").unwrap().gather(&all).unwrap();
    assert_eq!(archive.decoded_bytes() - before, ROWS * row as u64);
    #[allow(clippy::reversed_empty_ranges)]
    for bad in [0..ROWS + 1, 5..4] {
        assert_eq!(archive.tensor("a").unwrap().rows(bad).unwrap_err().kind(), ErrorKind::BadArgument);
    }
    assert!(archive.tensor("a").unwrap().gather(&[ROWS]).is_err());
    assert!(archive.tensor("none").unwrap().rows(0..0).unwrap().is_empty());
}

#[test]
fn output_does_not_depend_on_threads_or_memory() {
    let raw = file();
    let one = nzip::compress_with(&raw, Options::new().threads(1)).unwrap();
    for (threads, memory) in [(2, 1 << 22), (3, 1 << 34)] {
        let options = Options::new().threads(threads).memory(memory);
        assert!(nzip::compress_with(&raw, options).unwrap() == one);
    }
}

#[test]
fn broken_files_are_bytes() {
    let raw = file();
    for cut in [9, 100, raw.len() / 2, raw.len() - 1] {
        let packed = nzip::compress(&raw[..cut], 1).unwrap();
        assert!(nzip::decompress(&packed).unwrap() == raw[..cut]);
        assert!(Archive::new(Cursor::new(&packed)).unwrap().tensor_infos().is_empty());
    }
    // Written in pieces the same bytes are not recognised as tensors, but they come back, too.
    let mut encoder = Encoder::with_options(Vec::new(), Options::new().level(1)).unwrap();
    encoder.write_all(&raw[..1000]).unwrap();
    encoder.write_all(&raw[1000..]).unwrap();
    assert!(nzip::decompress(&encoder.finish().unwrap()).unwrap() == raw);
}

#[test]
fn described_bytes() {
    let mut raw = b"head".to_vec();
    raw.extend(numbers(5000, &mut SplitMix(3)));
    raw.extend(b"tail");
    let options = |shape: &[u64]| Options::new().tensor(Dtype::F32, shape, 4);
    let packed = nzip::compress_with(&raw, options(&[50, 100])).unwrap();
    assert!(nzip::decompress(&packed).unwrap() == raw);
    let mut archive = Archive::new(Cursor::new(&packed)).unwrap();
    assert!(archive.tensor("data").unwrap().rows(3..4).unwrap() == raw[4 + 1200..4 + 1600]);
    let e = nzip::compress_with(&raw, options(&[50, 101])).unwrap_err();
    assert_eq!(e.kind(), ErrorKind::BadArgument);
    // The codec alone takes any bytes.
    let only = Options::new().codec(CodecChoice::Only(Codec::Tensor));
    assert!(nzip::decompress(&nzip::compress_with(&raw, only).unwrap()).unwrap() == raw);
}

#[test]
fn damage_is_an_error() {
    // Two tiles in each of the large tensors.
    let raw = file_of(1100);
    let packed = nzip::compress_with(&raw, Options::new().level(7)).unwrap();
    let mut rng = SplitMix(9);
    for i in 0..120 {
        let mut bad = packed.clone();
        // Every second hit lies in the headers at the start or the index at the end.
        let at = match i % 4 {
            0 => rng.below(2000) as usize,
            1 => bad.len() - 1 - rng.below(300) as usize,
            _ => rng.below(bad.len() as u64) as usize,
        };
        bad[at] ^= 1 << rng.below(8);
        let options = || DecodeOptions::new().threads(1).memory(64 << 20);
        assert!(nzip::decompress_with(&bad, options()).map_or(true, |out| out == raw), "{at}");
        if let Ok(mut archive) = Archive::with_options(Cursor::new(&bad), options()) {
            for name in ["b", "tied"] {
                if let Ok(mut tensor) = archive.tensor(name) {
                    let _ = tensor.rows(100..130);
                }
            }
        }
    }
    for cut in (0..packed.len()).step_by(packed.len() / 20) {
        let e = nzip::decompress(&packed[..cut]).unwrap_err();
        assert_eq!(e.kind(), ErrorKind::Truncated, "{cut}");
    }
}

/// The file with numbers changed a little in `a`, none in `b`, and all in `small`.
fn tuned(raw: &[u8]) -> Vec<u8> {
    let mut tuned = raw.to_vec();
    let layout = Layout::read(raw).unwrap();
    let mut rng = SplitMix(5);
    for name in ["a", "small"] {
        let t = layout.find(name).unwrap();
        for e in tuned[t.start as usize..t.end() as usize].as_chunks_mut::<4>().0 {
            let v = f32::from_le_bytes(*e) + (rng.below(2001) as f32 - 1000.0) * 1e-9;
            *e = v.to_le_bytes();
        }
    }
    tuned
}

#[test]
fn deltas_need_their_base() {
    let raw = file();
    let tuned = tuned(&raw);
    let mut bases = Bases::new();
    bases.add(raw.clone()).unwrap();
    let alone = nzip::compress_with(&tuned, Options::new()).unwrap();
    let packed = nzip::compress_with(&tuned, Options::new().bases(bases.clone())).unwrap();
    assert!(packed.len() < alone.len() / 3, "{} {}", packed.len(), alone.len());
    let with = || DecodeOptions::new().threads(1).bases(bases.clone());
    assert!(nzip::decompress_with(&packed, with().verify_hash(true)).unwrap() == tuned);
    let mut streamed = Vec::new();
    Decoder::with_options(&packed[..], with()).unwrap().read_to_end(&mut streamed).unwrap();
    assert!(streamed == tuned);
    let layout = Layout::read(&tuned).unwrap();
    let a = layout.find("a").unwrap();
    let mut archive = Archive::with_options(Cursor::new(&packed), with()).unwrap();
    assert_eq!(archive.verify().unwrap(), tuned.len() as u64);
    assert!(archive.tensors().unwrap()[0].method.starts_with("difference to "));
    assert!(archive.tensor("a").unwrap().read().unwrap() == tuned[a.start as usize..a.end() as usize]);
    let row = 4 * COLUMNS as usize;
    let from = a.start as usize + 700 * row;
    assert!(archive.tensor("a").unwrap().rows(700..710).unwrap() == tuned[from..from + 10 * row]);

    // Without a base, or with another one, the error names it; what needs none can be read.
    let hash = blake3::hash(&raw[a.start as usize..a.end() as usize]).to_hex();
    let mut other = Bases::new();
    other.add(tuned.clone()).unwrap();
    for options in [DecodeOptions::new(), DecodeOptions::new().bases(other)] {
        let e = nzip::decompress_with(&packed, options.clone()).unwrap_err();
        assert_eq!(e.kind(), ErrorKind::MissingBase);
        assert!(e.to_string().contains(hash.as_str()), "{e}");
        let mut archive = Archive::with_options(Cursor::new(&packed), options).unwrap();
        assert_eq!(archive.tensor("a").unwrap().rows(0..1).unwrap_err().kind(), ErrorKind::MissingBase);
        let small = layout.find("small").unwrap();
        assert!(
            archive.tensor("small").unwrap().read().unwrap()
                == tuned[small.start as usize..small.end() as usize]
        );
    }
}

#[test]
fn damaged_deltas_are_errors() {
    let raw = file();
    let mut bases = Bases::new();
    bases.add(raw.clone()).unwrap();
    let tuned = tuned(&raw);
    let packed = nzip::compress_with(&tuned, Options::new().bases(bases.clone())).unwrap();
    let mut rng = SplitMix(19);
    for i in 0..150 {
        let mut bad = packed.clone();
        let at = if i % 2 == 0 { rng.below(1500) as usize } else { rng.below(bad.len() as u64) as usize };
        bad[at] ^= 1 << rng.below(8);
        let options = DecodeOptions::new().threads(1).bases(bases.clone());
        assert!(nzip::decompress_with(&bad, options).map_or(true, |out| out == tuned), "{at}");
    }
}

/// Compresses content that comes in pieces.
fn in_pieces(raw: &[u8], size: usize, options: Options) -> nzip::Result<Vec<u8>> {
    let mut encoder = Encoder::with_options(Vec::new(), options)?;
    for piece in raw.chunks(size) {
        encoder.write_all(piece)?;
    }
    encoder.finish()
}

#[test]
fn tensors_are_found_in_what_comes_in_pieces() {
    let raw = file();
    let options = || Options::new().level(2).threads(1);
    let whole = nzip::compress_with(&raw, options()).unwrap();
    assert_eq!(Archive::new(Cursor::new(&whole)).unwrap().tensor_infos().len(), 5);
    for size in [13, 16, 4096, raw.len()] {
        assert!(in_pieces(&raw, size, options()).unwrap() == whole, "{size}");
    }
    // Other content is coded as before, even if it starts like a file of tensors.
    let text = b"plain words, ".repeat(100);
    let zip = [b"PK\x03\x04", &text[..]].concat();
    for other in [&text[..], &zip, b"short", b""] {
        assert!(in_pieces(other, 5, options()).unwrap() == nzip::compress_with(other, options()).unwrap());
    }
    // A flush ends holding back.
    let mut encoder = Encoder::with_options(Vec::new(), options()).unwrap();
    encoder.write_all(&raw[..5000]).unwrap();
    encoder.flush().unwrap();
    encoder.write_all(&raw[5000..]).unwrap();
    let flushed = encoder.finish().unwrap();
    assert!(nzip::decompress(&flushed).unwrap() == raw);
    // So does a low memory cap.
    let little = in_pieces(&raw, 4096, options().memory(1 << 20)).unwrap();
    assert!(Archive::new(Cursor::new(&little)).unwrap().tensor_infos().is_empty());
    assert!(nzip::decompress(&little).unwrap() == raw);
}

#[test]
fn described_content_may_come_in_pieces() {
    let raw = numbers(50 * 40, &mut SplitMix(5));
    let options = || Options::new().level(2).threads(1).tensor(Dtype::F32, &[50, 40], 0);
    let whole = nzip::compress_with(&raw, options()).unwrap();
    assert!(in_pieces(&raw, 100, options()).unwrap() == whole);
    assert_eq!(Archive::new(Cursor::new(&whole)).unwrap().tensor_infos()[0].shape, [50, 40]);
    let short = in_pieces(&raw[1..], 100, options()).unwrap_err();
    assert_eq!(short.kind(), ErrorKind::BadArgument);
    let large = in_pieces(&vec![0; 3 << 20], 1 << 16, options().memory(4 << 20)).unwrap_err();
    assert_eq!(large.kind(), ErrorKind::LimitExceeded, "{large}");
}

#[test]
fn all_types_of_safetensors() {
    let names = [
        "U8",
        "I8",
        "U16",
        "I16",
        "U32",
        "I32",
        "U64",
        "I64",
        "BOOL",
        "F16",
        "BF16",
        "F32",
        "F64",
        "F8_E4M3",
        "F8_E5M2",
        "F8_E8M0",
        "F8_E4M3FNUZ",
        "F8_E5M2FNUZ",
        "F4",
        "F6_E2M3",
        "F6_E3M2",
        "C64",
    ];
    let mut rng = SplitMix(3);
    let (mut json, mut data) = (String::new(), Vec::new());
    for name in names {
        let dtype = Dtype::from_name(name).unwrap();
        let len = dtype.bytes(&[36, 40]).unwrap() as usize;
        let start = data.len();
        // Of 4 and 6 bits: less than a byte each.
        data.extend((0..len).map(|_| (rng.below(1 << 16) & rng.below(1 << 16)) as u8));
        let comma = if json.is_empty() { "{" } else { "," };
        json += &format!(
            r#"{comma}"{name}":{{"dtype":"{name}","shape":[36,40],"data_offsets":[{start},{}]}}"#,
            start + len
        );
    }
    json += "}";
    let raw = [&(json.len() as u64).to_le_bytes()[..], json.as_bytes(), &data].concat();
    for level in [1, 6, 9] {
        let options = Options::new().level(level).codec(CodecChoice::Only(Codec::Tensor));
        let packed = nzip::compress_with(&raw, options).unwrap();
        assert!(nzip::decompress(&packed).unwrap() == raw);
        let mut archive = Archive::new(Cursor::new(&packed)).unwrap();
        let found: Vec<_> = archive.tensors().unwrap().into_iter().map(|t| t.name).collect();
        assert_eq!(found, names);
        for t in Layout::read(&raw).unwrap().tensors {
            assert_eq!(t.dtype.name(), t.name);
            assert!(
                archive.tensor(&t.name).unwrap().read().unwrap() == raw[t.start as usize..t.end() as usize]
            );
            // Described by hand.
            let bytes = &raw[t.start as usize..t.end() as usize];
            let options = Options::new().level(level).tensor(t.dtype, &[36, 40], 0);
            let alone = nzip::compress_with(bytes, options).unwrap();
            assert!(nzip::decompress(&alone).unwrap() == bytes, "{}", t.name);
            let mut archive = Archive::new(Cursor::new(&alone)).unwrap();
            let mut tensor = archive.tensor("data").unwrap();
            assert_eq!((tensor.info().dtype, &tensor.info().shape[..]), (t.dtype, &[36, 40][..]));
            let row = bytes.len() / 36;
            assert!(tensor.rows(3..5).unwrap() == bytes[3 * row..5 * row], "{}", t.name);
        }
    }
}

/// A member of a ZIP archive: `method` 0 is stored, 8 deflated.
fn member(name: &str, method: u16, content: &[u8]) -> Vec<u8> {
    let mut out = b"PK\x03\x04\x14\x00\x00\x00".to_vec();
    out.extend(method.to_le_bytes());
    out.extend([0; 8]);
    out.extend((content.len() as u32).to_le_bytes());
    out.extend((content.len() as u32).to_le_bytes());
    out.extend((name.len() as u16).to_le_bytes());
    out.extend([0; 2]);
    [&out[..], name.as_bytes(), content].concat()
}

#[test]
fn npz_with_stored_and_deflated_members() {
    let mut rng = SplitMix(11);
    let mut array =
        b"\x93NUMPY\x01\x00\x3b\x00{'descr': '<f4', 'fortran_order': False, 'shape': (100, 90)}\n".to_vec();
    array[8] = (array.len() - 10) as u8;
    array.extend(numbers(9000, &mut rng));
    // Any method would do: deflated members are not looked into.
    let deflated: Vec<u8> = (0..5000).map(|_| rng.below(256) as u8).collect();
    let raw = [
        member("packed.npy", 8, &deflated),
        member("stored.npy", 0, &array),
        member("more.npy", 8, &deflated),
        b"PK\x01\x02 the directory".to_vec(),
    ]
    .concat();
    let packed = nzip::compress_with(&raw, Options::new()).unwrap();
    assert!(nzip::decompress(&packed).unwrap() == raw);
    let mut archive = Archive::new(Cursor::new(&packed)).unwrap();
    let found = archive.tensors().unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].name.as_str(), &found[0].shape[..]), ("stored", &[100, 90][..]));
    assert!(archive.tensor("stored").unwrap().read().unwrap() == array[array.len() - 36_000..]);
}

/// Threads of one pool may all read at the same time without waiting for each other for ever.
#[test]
fn all_threads_of_a_pool_may_read() {
    let raw: Vec<u8> = (0..1_000_000u32).flat_map(|i| (i as f32 * 0.37).sin().to_le_bytes()).collect();
    // In tiles: `mix`, which would code such smooth numbers, does not use threads.
    let options = Options::new().tensor(Dtype::F32, &[1000, 1000], 0);
    let packed = nzip::compress_with(&raw, options.codec(CodecChoice::Only(Codec::Tensor))).unwrap();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
    let reads = || {
        (0..12u32).into_par_iter().for_each(|i| {
            let options = DecodeOptions::new().threads(if i % 2 == 0 { 0 } else { 2 });
            let mut archive = Archive::with_options(Cursor::new(&packed), options).unwrap();
            if i % 3 == 0 {
                assert!(archive.read_tensors(&["data"]).unwrap()[0] == raw);
            } else {
                assert!(archive.tensor("data").unwrap().read().unwrap() == raw);
            }
        })
    };
    pool.install(reads);
    // The same with the pool that all share.
    reads();
}
