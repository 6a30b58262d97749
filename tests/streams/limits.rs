//! No codec lets a few bytes stand for more than `docs/limits.md` says.

use crate::bytes::*;
use nzip::{Archive, DecodeOptions, Decoder, ErrorKind};
use std::io::{self, Cursor};
use std::time::Instant;

/// Windows of these raw and payload lengths in a block of a codec with built-in model 1.
fn windows(codec: u8, raw_len: u64, payload_len: u64, params: &[u8]) -> Vec<u8> {
    let flags = if params.is_empty() { 2 | 8 } else { 2 | 8 | 16 };
    let mut rest = vec![1];
    rest.extend_from_slice(params);
    varint(&mut rest, payload_len.div_ceil(4).max(1));
    varint(&mut rest, 1);
    varint(&mut rest, raw_len);
    varint(&mut rest, payload_len);
    rest.extend([0; 4]);
    let mut out = block(codec, flags, raw_len, payload_len, &rest);
    out.resize(out.len() + payload_len as usize, 0);
    out
}

/// A block of fixed units of 2^20 bytes.
fn fixed(codec: u8, raw_len: u64, payload: &[u8]) -> Vec<u8> {
    let mut rest = vec![20];
    rest.resize(1 + 4 * raw_len.div_ceil(1 << 20) as usize, 0);
    [block(codec, 0, raw_len, payload.len() as u64, &rest), payload.to_vec()].concat()
}

/// The message of both readers, which must refuse the file as corrupt.
fn refused(file: &[u8]) -> String {
    let options = || DecodeOptions::new().threads(1);
    let front = nzip::decompress_with(file, options()).unwrap_err();
    let mut archive = match Archive::with_options(Cursor::new(file), options()) {
        Ok(archive) => archive,
        Err(e) => {
            assert_eq!((front.kind(), e.kind()), (ErrorKind::Corrupt, ErrorKind::Corrupt), "{front}, {e}");
            return front.to_string();
        }
    };
    let len = archive.len();
    let random = archive.read_range(0..len).unwrap_err();
    assert_eq!((front.kind(), random.kind()), (ErrorKind::Corrupt, ErrorKind::Corrupt), "{front}, {random}");
    front.to_string()
}

#[test]
fn raw_lengths_are_bounded_by_payloads() {
    let too_long = |file: Vec<u8>| {
        let message = refused(&stream(&[file]));
        assert!(message.contains("cannot hold"), "{message}");
    };
    for payload_len in [0, 1, 100] {
        for codec in [2, 4, 5] {
            too_long(windows(codec, 2048 * (payload_len + 32) + 1, payload_len, &[]));
        }
        let payload = vec![0; payload_len as usize];
        too_long(fixed(1, 32768 * payload_len + 1, &payload));
        too_long(fixed(7, 32768 * payload_len + 1, &payload));
        too_long(fixed(8, 32768 * payload_len + 1, &payload));
        too_long(fixed(9, 46_000 * (payload_len + 4) + 1, &payload));
        too_long(fixed(10, 46_000 * (payload_len + 8) + 1, &payload));
        too_long(fixed(11, 32768 * payload_len + 1, &payload));
    }
    let mix = [&[1u8, 16, 1, 0, 1, 0, 0, 0][..], &[0; 10]].concat();
    // Another version of the priors would be newer, whatever its length.
    let priors = nzip::compress_with(
        &[7; 5000],
        nzip::Options::new().codec(nzip::CodecChoice::Only(nzip::Codec::Mix)),
    );
    let priors = first_payload_byte(&priors.unwrap());
    let mix = [&[priors], &mix[1..]].concat();
    too_long(fixed(3, 46_000 * (10 + 4) + 1, &mix));
    too_long(fixed(0, 5, b"1234"));
    let e = refused(&stream(&[fixed(0, 3, b"1234")]));
    assert!(e.contains("lengths differ"), "{e}");
}

fn first_payload_byte(file: &[u8]) -> u8 {
    let mut archive = Archive::new(Cursor::new(file)).unwrap();
    let block = archive.block(0).unwrap().unwrap();
    file[(block.offset + block.stored_len - block.payload_len) as usize]
}

#[test]
fn weights_and_names_are_bounded_by_their_bytes() {
    let section_of = |len: u64, rest: usize| {
        let mut body = vec![7; 32];
        varint(&mut body, len);
        body.resize(body.len() + rest, 1);
        stream(&[section(2, &body), stored(b"a")])
    };
    let most = (1 << 20) + 256 * 100;
    assert_eq!(nzip::decompress(&section_of(most, 100)).unwrap(), b"a", "nobody names the model");
    let message = refused(&section_of(most + 1, 100));
    assert!(message.contains("length of embedded weights"), "{message}");

    // Names that are too long do not keep bytes from being read, but asking for tensors is an error.
    let mut record = Vec::new();
    varint(&mut record, most + 1);
    record.resize(record.len() + 100, 1);
    let block = stored(b"abc");
    let mut body = Vec::new();
    for n in [1, block.len() as u64, 3] {
        varint(&mut body, n);
    }
    body.extend(blake3::hash(b"abc").as_bytes());
    for n in [1, 2, record.len() as u64] {
        varint(&mut body, n);
    }
    body.extend(record);
    let index = section(3, &body);
    let mut file = [header(1, 0), block, index.clone()].concat();
    file.extend(trailer(file.len(), index.len()));
    let mut archive = Archive::new(Cursor::new(&file)).unwrap();
    assert_eq!(archive.read_range(0..3).unwrap(), b"abc");
    let e = archive.tensors().unwrap_err();
    assert!(e.kind() == ErrorKind::Corrupt && e.to_string().contains("length of the names"), "{e}");
}

/// Files that once took many seconds or gigabytes.
#[test]
fn known_hostile_files_end_soon() {
    let files: [(&str, &[u8]); 3] = [
        ("slow-lm", include_bytes!("../regressions/slow-lm.nz")),
        ("joined-models", include_bytes!("../regressions/joined-models.nz")),
        ("names-bomb", include_bytes!("../regressions/names-bomb.nz")),
    ];
    for (name, file) in files {
        let start = Instant::now();
        let decoded = io::copy(&mut Decoder::new(file), &mut io::sink());
        assert_eq!(decoded.is_ok(), name == "names-bomb", "{name}");
        if let Ok(mut archive) = Archive::new(Cursor::new(file)) {
            assert_eq!(archive.tensors().unwrap_err().kind(), ErrorKind::Corrupt, "{name}");
        }
        assert!(start.elapsed().as_secs() < 10, "{name}: {:?}", start.elapsed());
    }
}

/// Ten times as many streams take about ten times as long to list, not a hundred times.
#[test]
fn many_small_streams_are_mapped_in_linear_time() {
    let seconds = |count: usize| {
        let file = stream(&[stored(b"hi\n")]).repeat(count);
        let now = || rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
        let once = || {
            let start = now();
            let mut archive = Archive::new(Cursor::new(&file)).unwrap();
            assert_eq!((archive.streams().len(), archive.len()), (count, 3 * count as u64));
            assert_eq!(archive.read_range(archive.len() - 3..).unwrap(), b"hi\n");
            let end = now();
            (end.tv_sec - start.tv_sec) as f64 + (end.tv_nsec - start.tv_nsec) as f64 / 1e9
        };
        (0..3).map(|_| once()).fold(f64::MAX, f64::min)
    };
    let (few, many) = (seconds(2000), seconds(20_000));
    assert!(many < 40.0 * few, "2,000 streams {few} s, 20,000 streams {many} s");
}

#[test]
fn tensors_of_one_name_are_told_apart() {
    let file = include_bytes!("../regressions/duplicate-names.nz");
    let mut archive = Archive::new(Cursor::new(&file[..])).unwrap();
    let tensors = archive.tensors().unwrap();
    assert_eq!((tensors.len(), &tensors[0].name), (2, &tensors[1].name));
    let name = tensors[0].name.clone();
    assert_eq!(archive.tensor(&name).err().unwrap().kind(), ErrorKind::BadArgument);
    assert_eq!(archive.tensor_at(1).unwrap().info().start, tensors[1].raw_start);
    assert_eq!(archive.tensor_at(2).err().unwrap().kind(), ErrorKind::BadArgument);
}
