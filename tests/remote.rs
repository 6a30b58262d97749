//! Files behind URLs, served by a real HTTP server on this machine that counts requests and can fail in many ways.

#[path = "remote/server.rs"]
mod server;

use nzip::manifest::{Manifest, ManifestArchive, Shard};
use nzip::remote::{RemoteFile, RemoteOptions};
use nzip::tensor::Dtype;
use nzip::{Archive, DecodeOptions, Decoder, ErrorKind, Options};
use server::{Fault, Server};
use std::collections::BTreeMap;
use std::io::{Cursor, Read, Seek, SeekFrom};
use std::time::{Duration, Instant};

/// The part of a download that is not what was asked for: the end of the file, and bytes between near ranges.
const SLACK: u64 = 128 << 10;

fn noise(len: usize, mut state: u64) -> Vec<u8> {
    let next = |_| {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 56) as u8
    };
    (0..len).map(next).collect()
}

/// A file of tensors in the safetensors format, each of `rows` × 1024 half floats.
fn checkpoint(tensors: usize, rows: usize) -> (Vec<u8>, Vec<Vec<u8>>) {
    let len = rows * 2048;
    let parts: Vec<Vec<u8>> = (0..tensors)
        .map(|i| noise(len, i as u64).chunks(2).flat_map(|c| [c[0], 0x3c | c[1] & 0x81]).collect())
        .collect();
    let entry = |i: usize| {
        let (start, end) = (i * len, (i + 1) * len);
        format!(
            "\"layer.{i}\":{{\"dtype\":\"F16\",\"shape\":[{rows},1024],\"data_offsets\":[{start},{end}]}}"
        )
    };
    let header = format!("{{{}}}", (0..tensors).map(entry).collect::<Vec<_>>().join(","));
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend_from_slice(header.as_bytes());
    parts.iter().for_each(|p| file.extend_from_slice(p));
    (file, parts)
}

fn quick() -> RemoteOptions {
    RemoteOptions::new().timeout(Duration::from_millis(500)).retries(2)
}

fn open(server: &Server) -> nzip::Result<Archive<RemoteFile>> {
    Archive::open_url_with(&server.url("data.nz"), &quick(), DecodeOptions::new())
}

/// The message of an error that reading the whole file gives.
fn failure(server: &Server) -> nzip::Error {
    match open(server) {
        Ok(mut archive) => archive.read_range(..).expect_err("the server fails"),
        Err(e) => e,
    }
}

#[test]
fn a_tensor_takes_three_requests_and_little_more_than_its_bytes() {
    let (raw, parts) = checkpoint(12, 600);
    let packed = nzip::compress(&raw, 1).unwrap();
    let stored = packed.len() as u64;
    assert!(stored > 6 << 20, "{stored} bytes are too few to tell anything");
    let server = Server::start(packed, Fault::None);
    let mut archive = open(&server).unwrap();
    assert_eq!(server.requests(), 1, "opening");
    let of_tensor = {
        let tensors = nzip::Archive::new(std::io::Cursor::new(server.content())).unwrap().tensors().unwrap();
        tensors.iter().find(|t| t.name == "layer.7").unwrap().stored_len
    };
    assert_eq!(archive.tensor("layer.7").unwrap().read().unwrap(), parts[7]);
    assert!(server.requests() <= 3, "{} requests", server.requests());
    assert!(server.sent() <= of_tensor + SLACK, "{} bytes for {of_tensor}", server.sent());
    assert_eq!(
        (archive.get_ref().requests(), archive.get_ref().received()),
        (server.requests(), server.sent())
    );

    // A row takes the header of the block and the tiles around the row.
    let (requests, sent) = (server.requests(), server.sent());
    let row = archive.tensor("layer.3").unwrap().rows(100..101).unwrap();
    assert_eq!(row, parts[3][100 * 2048..101 * 2048]);
    assert!(server.requests() - requests <= 2);
    assert!(server.sent() - sent <= 256 << 10, "{} bytes for a row", server.sent() - sent);

    // Tensors that lie side by side share requests.
    let requests = server.requests();
    assert_eq!(archive.read_tensors(&["layer.9", "layer.10", "layer.11"]).unwrap(), parts[9..12]);
    assert!(server.requests() - requests <= 2, "{} requests for three tensors", server.requests() - requests);

    // Describing tensors reads the headers of all blocks together.
    let requests = server.requests();
    assert_eq!(archive.tensors().unwrap().len(), 12);
    assert!(server.requests() - requests <= 12);
}

#[test]
fn ranges_and_whole_files_are_those_of_the_local_file() {
    let raw = noise(3 << 20, 5);
    let options = Options::new().level(1).block_size(256 << 10);
    let packed = nzip::compress_with(&raw, options).unwrap();
    let server = Server::start(packed.clone(), Fault::None);
    let mut archive = open(&server).unwrap();
    assert_eq!((archive.len(), archive.stored_len()), (raw.len() as u64, packed.len() as u64));
    for range in [0..1, 300_000..300_010, 1_000_000..1_700_000, 0..3 << 20] {
        assert_eq!(archive.read_range(range.start as u64..range.end as u64).unwrap(), raw[range]);
    }
    assert_eq!(archive.verify().unwrap(), raw.len() as u64);

    let before = server.requests();
    let file = RemoteFile::open(&server.url("data.nz")).unwrap();
    let mut found = Vec::new();
    Decoder::new(file).read_to_end(&mut found).unwrap();
    assert_eq!(found, raw);
    assert!(server.requests() - before < 12, "reading ahead grows: {} requests", server.requests() - before);
}

#[test]
fn a_remote_file_is_a_seekable_reader() {
    let content = noise(200_000, 9);
    let server = Server::start(content.clone(), Fault::None);
    let mut file = RemoteFile::open(&server.url("a%20folder/data.bin?key=1")).unwrap();
    assert_eq!(server.last_target(), "/a%20folder/data.bin?key=1");
    assert_eq!(file.len(), content.len() as u64);
    let mut piece = [0; 100];
    for start in [0, 50_000, 199_900, 120_000, 10] {
        file.seek(SeekFrom::Start(start)).unwrap();
        file.read_exact(&mut piece).unwrap();
        assert_eq!(piece, content[start as usize..start as usize + 100]);
    }
    file.seek(SeekFrom::End(0)).unwrap();
    assert_eq!(file.read(&mut piece).unwrap(), 0);
    assert!(file.seek(SeekFrom::Current(-300_000)).is_err());
    assert_eq!(RemoteFile::open("ftp://host/x").unwrap_err().kind(), ErrorKind::BadArgument);
    assert_eq!(RemoteFile::open("s3:///x").unwrap_err().kind(), ErrorKind::BadArgument);
}

#[test]
fn a_file_that_changes_is_an_error() {
    let packed = nzip::compress(&noise(1 << 20, 3), 1).unwrap();
    for fault in [Fault::None, Fault::WeakTag, Fault::IgnoresTag] {
        let server = Server::start(packed.clone(), fault);
        let mut archive = open(&server).unwrap();
        assert!(archive.read_range(..100).is_ok(), "{fault:?}");
        server.change();
        let e = archive.read_range(500_000..).unwrap_err();
        assert_eq!(e.kind(), ErrorKind::Io);
        assert!(e.to_string().contains("was changed on the server"), "{fault:?}: {e}");
    }
}

#[test]
fn servers_that_serve_no_ranges_are_refused() {
    let packed = nzip::compress(&noise(1 << 20, 3), 1).unwrap();
    let server = Server::start(packed, Fault::IgnoresRanges);
    let e = open(&server).unwrap_err();
    assert!(e.to_string().contains("does not serve ranges"), "{e}");
}

#[test]
fn broken_connections_are_repaired_or_reported() {
    let raw = noise(1 << 20, 3);
    let packed = nzip::compress(&raw, 1).unwrap();
    for fault in [Fault::Busy(2), Fault::Cuts(2)] {
        let server = Server::start(packed.clone(), fault);
        let mut archive = open(&server).unwrap();
        assert_eq!(archive.read_range(..).unwrap(), raw, "{fault:?}");
    }
    for fault in [Fault::Busy(1000), Fault::Cuts(1000), Fault::TooMany, Fault::TooFew, Fault::WrongRange] {
        let server = Server::start(packed.clone(), fault);
        assert_eq!(failure(&server).kind(), ErrorKind::Io, "{fault:?}");
    }
    let server = Server::start(packed, Fault::None);
    let missing = Archive::open_url_with(&server.url("missing"), &quick(), DecodeOptions::new()).unwrap_err();
    assert!(missing.to_string().contains("no such file"), "{missing}");
}

#[test]
fn slow_servers_end_in_a_time_out_and_steady_ones_do_not() {
    let raw = noise(300_000, 3);
    let packed = nzip::compress(&raw, 1).unwrap();
    let server = Server::start(packed.clone(), Fault::Hangs);
    let start = Instant::now();
    let e = failure(&server);
    assert!(e.to_string().contains("did not answer in time"), "{e}");
    assert!(start.elapsed() < Duration::from_secs(20));
    // Each part of the answer arrives in time, although the whole takes longer than the time-out.
    let server = Server::start(packed, Fault::Steady);
    assert_eq!(open(&server).unwrap().read_range(..).unwrap(), raw);
}

#[test]
fn damage_is_found_wherever_it_is() {
    let (raw, _) = checkpoint(3, 100);
    let packed = nzip::compress(&raw, 1).unwrap();
    for at in [0, 9, packed.len() / 2, packed.len() - 30] {
        let mut damaged = packed.clone();
        damaged[at] ^= 0x40;
        let server = Server::start(damaged, Fault::None);
        failure(&server);
    }
    let server = Server::start(packed[..packed.len() - 1].to_vec(), Fault::None);
    assert_eq!(failure(&server).kind(), ErrorKind::Truncated);
    let server = Server::start(b"not a compressed file".to_vec(), Fault::None);
    assert_eq!(failure(&server).kind(), ErrorKind::NotNz);
}

/// A manifest of shards at `/d/all.nzm`, each made with its options, and its content.
fn shards(parts: &[(Vec<u8>, Options)]) -> (Server, Vec<u8>) {
    let (mut files, mut manifest, mut raw) = (BTreeMap::new(), Manifest::new(), Vec::new());
    for (i, (part, options)) in parts.iter().enumerate() {
        let packed = nzip::compress_with(part, options.clone()).unwrap();
        let name = format!("s/{i}.nz");
        let mut shard = Shard::describe(&name, Cursor::new(&packed[..]), &DecodeOptions::new()).unwrap();
        // A stream of one tensor has no name for it.
        shard.tensors.iter_mut().for_each(|t| t.info.name = format!("layer.{i}"));
        manifest.push(shard).unwrap();
        files.insert(format!("/d/{name}"), packed);
        raw.extend(part);
    }
    files.insert("/d/all.nzm".into(), manifest.to_bytes());
    (Server::of_files(files), raw)
}

#[test]
fn a_long_manifest_takes_two_requests() {
    let (server, raw) = shards(&[(noise(100, 1), Options::new().level(1))]);
    let mut archive = open_manifest(&server);
    assert_eq!(archive.read_range(0..100).unwrap(), raw);
    let mut shard = archive.manifest().shards()[0].clone();
    shard.source = Some("s".repeat(500_000));
    let mut manifest = Manifest::new();
    manifest.push(shard).unwrap();
    let server = Server::of_files(BTreeMap::from([("/d/all.nzm".to_string(), manifest.to_bytes())]));
    let (requests, sent) = cost(&server, || assert_eq!(open_manifest(&server).len(), 100));
    assert_eq!(requests, 2);
    assert!(sent < 510_000, "{sent} bytes");
}

/// The cost of reading: requests, bytes sent.
fn cost(server: &Server, read: impl FnOnce()) -> (u64, u64) {
    let before = (server.requests(), server.sent());
    read();
    (server.requests() - before.0, server.sent() - before.1)
}

fn open_manifest(server: &Server) -> ManifestArchive<RemoteFile> {
    ManifestArchive::open_url(&server.url("d/all.nzm"), &quick(), DecodeOptions::new()).unwrap()
}

#[test]
fn a_range_across_shards_takes_four_requests_for_each_of_them() {
    let options = Options::new().level(1).block_size(256 << 10).content_hash(true);
    let parts: Vec<_> = (0..5).map(|i| (noise(2 << 20, i), options.clone())).collect();
    let (server, raw) = shards(&parts);
    let mut opened = None;
    let (requests, _) = cost(&server, || opened = Some(open_manifest(&server)));
    assert_eq!(requests, 1, "opening");
    let mut archive = opened.unwrap();
    // Blocks of shards 1 and 2: 2 MiB each, of which the last and first 100,000 bytes are read.
    let border = 4 << 20;
    let (from, to) = (border - 100_000, border + 100_000);
    let (requests, sent) =
        cost(&server, || assert!(archive.read_range(from..to).unwrap() == raw[from as usize..to as usize]));
    // For each, the end of the file, the header of the block, and a part of it; of shard 1, also the header of the stream,
    // which does not lie beside that of the block.
    assert_eq!(requests, 7);
    assert!(sent <= 2 * (256 << 10) + 2 * SLACK, "{sent} bytes for two blocks of 256 KiB");
    // The shard that was read last is still open.
    let (requests, _) = cost(&server, || {
        assert!(
            archive.read_range(to + 600_000..to + 600_010).unwrap() == raw[to as usize + 600_000..][..10]
        );
    });
    assert!(requests <= 2, "{requests} requests");
    // Everything: few requests for each shard.
    let (requests, sent) = cost(&server, || assert!(archive.read_range(0..raw.len() as u64).unwrap() == raw));
    assert!(requests <= 5 * 4, "{requests} requests");
    assert!(sent <= raw.len() as u64 + 5 * SLACK, "{sent} bytes");
}

#[test]
fn a_tensor_of_a_manifest_takes_three_requests() {
    let rows = |count: u64, seed| {
        let bytes: Vec<u8> =
            noise(count as usize * 2048, seed).chunks(2).flat_map(|c| [c[0], 0x3c | c[1] & 0x81]).collect();
        (bytes, Options::new().level(1).tensor(Dtype::F16, &[count, 1024], 0).content_hash(true))
    };
    let (server, raw) = shards(&[rows(500, 1), rows(600, 2), rows(700, 3)]);
    let mut archive = open_manifest(&server);
    let stored = archive.manifest().shards()[1].stored_len;
    let (requests, sent) = cost(&server, || {
        assert!(archive.read_tensor("layer.1").unwrap() == raw[500 * 2048..1100 * 2048]);
    });
    assert!(requests <= 3, "{requests} requests");
    assert!(sent <= stored + SLACK, "{sent} bytes for {stored}");
    // Some rows of a tensor of which nothing has been fetched yet.
    let (requests, sent) = cost(&server, || {
        assert!(archive.read_rows("layer.2", 300..302).unwrap() == raw[1400 * 2048..1402 * 2048]);
    });
    assert!(requests <= 3, "{requests} requests");
    assert!(sent <= 256 << 10, "{sent} bytes for 2 rows");
}
