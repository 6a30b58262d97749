//! Handles that count how far encoders and decoders have come.

use nzip::{Archive, Codec, CodecChoice, DecodeOptions, Decoder, Encoder, Options, Progress, Resources};
use std::collections::BTreeSet;
use std::io::{Cursor, Read, Write};
use std::thread;
use std::time::Duration;

/// Bytes that every codec takes a while to code.
fn text(len: usize) -> Vec<u8> {
    let mut rng = nzip::internal::SplitMix(5);
    (0..len).map(|_| b"etaoin shrdlu\n"[rng.below(14) as usize]).collect()
}

fn mix() -> Options {
    Options::new().level(5).codec(CodecChoice::Only(Codec::Mix)).threads(1)
}

/// Runs some work in another thread, and returns all the counts that this one saw meanwhile.
fn watched<T: Send>(progress: &Progress, work: impl FnOnce() -> T + Send) -> (T, BTreeSet<u64>) {
    thread::scope(|scope| {
        let work = scope.spawn(work);
        let (mut seen, mut last) = (BTreeSet::new(), 0);
        while !work.is_finished() {
            let done = progress.raw_done();
            assert!(done >= last && done <= progress.raw_taken(), "{progress:?}");
            seen.insert(done);
            last = done;
            thread::sleep(Duration::from_millis(1));
        }
        (work.join().unwrap(), seen)
    })
}

#[test]
fn a_long_block_is_counted_while_it_is_coded() {
    let raw = text(600_000);
    let progress = Progress::new();
    let options = mix().progress(progress.clone());
    let (packed, seen) = watched(&progress, || nzip::compress_with(&raw, options).unwrap());
    assert_eq!((progress.raw_taken(), progress.raw_done()), (600_000, 600_000));
    assert!(seen.iter().filter(|n| (1..600_000).contains(*n)).count() >= 3, "{seen:?}");

    for threads in [1, 2] {
        let progress = Progress::new();
        let options = DecodeOptions::new().threads(threads).progress(progress.clone());
        let decode = || nzip::decompress_with(&packed, options).unwrap();
        let (decoded, seen) = watched(&progress, decode);
        assert!(decoded == raw);
        assert_eq!((progress.raw_taken(), progress.raw_done()), (600_000, 600_000));
        assert!(seen.iter().filter(|n| (1..600_000).contains(*n)).count() >= 3, "{seen:?}");
    }
}

#[test]
fn two_at_once_report_apart() {
    let (long, short) = (text(300_000), text(70_000));
    let (a, b) = (Progress::new(), Progress::new());
    let mut first = Encoder::with_options(Vec::new(), mix().progress(a.clone())).unwrap();
    let mut second = Encoder::with_options(Vec::new(), mix().progress(b.clone())).unwrap();
    first.write_all(&long).unwrap();
    second.write_all(&short[..20_000]).unwrap();
    assert_eq!((a.raw_taken(), a.raw_done()), (300_000, 0));
    assert_eq!((b.raw_taken(), b.raw_done()), (20_000, 0));
    second.flush().unwrap();
    assert_eq!((b.raw_taken(), b.raw_done()), (20_000, 20_000));
    let packed = thread::scope(|scope| {
        let first = scope.spawn(|| first.finish().unwrap());
        second.write_all(&short[20_000..]).unwrap();
        second.finish().unwrap();
        first.join().unwrap()
    });
    assert_eq!((a.raw_taken(), a.raw_done()), (300_000, 300_000));
    assert_eq!((b.raw_taken(), b.raw_done()), (70_000, 70_000));

    // One handle that two share counts both.
    let shared = Resources::new().progress(Progress::new()).threads(1);
    let options = DecodeOptions::new().resources(shared.clone());
    let progress = Progress::new();
    let options = options.progress(progress.clone());
    for _ in 0..2 {
        Decoder::with_options(&packed[..], options.clone()).unwrap().read_to_end(&mut Vec::new()).unwrap();
    }
    assert_eq!((progress.raw_taken(), progress.raw_done()), (600_000, 600_000));
}

#[test]
fn every_level_and_every_reader_counts_all_bytes() {
    let raw = text(30_000);
    for level in [1, 4, 5, 8, 9] {
        let progress = Progress::new();
        let options = Options::new().level(level).progress(progress.clone());
        let packed = nzip::compress_with(&raw, options).unwrap();
        assert_eq!((progress.raw_taken(), progress.raw_done()), (30_000, 30_000), "level {level}");
        let progress = Progress::new();
        let options = DecodeOptions::new().progress(progress.clone());
        let mut archive = Archive::with_options(Cursor::new(&packed), options).unwrap();
        archive.read_range(100..300).unwrap();
        assert_eq!(progress.raw_done(), archive.decoded_bytes(), "level {level}");
        assert_eq!(progress.raw_done(), progress.raw_taken(), "level {level}");
    }
}

#[test]
fn tensors_and_windows_are_counted() {
    let raw: Vec<u8> = (0..100_000u32).flat_map(|i| (i as f32 * 0.37).to_le_bytes()).collect();
    let tensor = Options::new().level(3).tensor(nzip::tensor::Dtype::F32, &[100_000], 0);
    let lm = Options::new().codec(CodecChoice::Only(Codec::Lm)).block_size(8192);
    for (options, raw) in [(tensor, raw), (lm, text(30_000))] {
        let (len, progress) = (raw.len() as u64, Progress::new());
        let packed = nzip::compress_with(&raw, options.progress(progress.clone())).unwrap();
        assert_eq!((progress.raw_taken(), progress.raw_done()), (len, len));
        let progress = Progress::new();
        let options = DecodeOptions::new().progress(progress.clone());
        assert!(nzip::decompress_with(&packed, options.clone()).unwrap() == raw);
        assert_eq!((progress.raw_taken(), progress.raw_done()), (len, len));
        let mut archive = Archive::with_options(Cursor::new(&packed), options).unwrap();
        if archive.tensor_infos().len() == 1 {
            archive.read_tensors(&["data"]).unwrap();
            archive.tensor("data").unwrap().read().unwrap();
            assert_eq!((progress.raw_taken(), progress.raw_done()), (3 * len, 3 * len));
        }
    }
}
