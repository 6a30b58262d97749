//! No memory is taken for declared sizes before the bytes arrive, and inputs of any size take little memory.

#[path = "support/bytes.rs"]
mod bytes;

use bytes::*;
use nzip::{Archive, Codec, CodecChoice, DecodeOptions, Decoder, Encoder, Error, ErrorKind, Options};
use std::alloc::{GlobalAlloc, Layout, System};
use std::io::{self, Cursor, Read, Write};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Counts bytes of the Rust side; zstd's contexts come on top.
struct Counting;
static NOW: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);
/// One test at a time: all of them share the counters.
static TURN: Mutex<()> = Mutex::new(());

// SAFETY: hands everything to the system allocator and only counts.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        PEAK.fetch_max(NOW.fetch_add(layout.size(), Relaxed) + layout.size(), Relaxed);
        // SAFETY: same contract.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Relaxed);
        // SAFETY: same contract.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The most bytes that `work` held at a time.
fn peak<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let before = NOW.load(Relaxed);
    PEAK.store(before, Relaxed);
    let result = work();
    (result, PEAK.load(Relaxed) - before)
}

#[test]
fn absurd_sizes_take_no_memory() {
    let _turn = TURN.lock().unwrap_or_else(|e| e.into_inner());
    let unit = [&[30u8][..], &[0; 4]].concat();
    let windows = |n: u64| {
        let mut rest = vec![1, 25];
        varint(&mut rest, n);
        rest
    };
    let mut index = Vec::new();
    varint(&mut index, u64::MAX);
    let huge_section = |kind: u8, n: u64| {
        let mut out = vec![kind];
        varint(&mut out, n);
        out
    };
    let cases = [
        block(0, 0, 1 << 30, 1 << 30, &unit),
        block(1, 0, 1 << 30, 1 << 15, &unit),
        block(0, 0, 1 << 62, 1 << 62, &unit),
        block(2, 9, 1 << 30, 1 << 30, &windows(1 << 30)),
        block(2, 10, 1 << 30, 1 << 30, &windows(1 << 29)),
        huge_section(2, 1 << 32),
        huge_section(3, 1 << 29),
        huge_section(0x90, 1 << 32),
        section(3, &index),
        section(2, &[&[7; 32][..], &[255, 255, 255, 255, 15, 1, 2, 3]].concat()),
    ];
    for (i, case) in cases.iter().enumerate() {
        let bad = [header(1, 0), case.clone(), vec![0xA5; 40_000]].concat();
        let options = || DecodeOptions::new().threads(1);
        let (result, held) = peak(|| nzip::decompress_with(&bad, options()));
        assert!(result.is_err(), "case {i}");
        assert!(held < 4 << 20, "case {i}: the decoder held {held} bytes");
        let (result, held) = peak(|| {
            let mut archive = Archive::with_options(Cursor::new(&bad), options())?;
            let len = archive.len();
            archive.read_range(0..len)
        });
        assert!(result.is_err(), "case {i}");
        assert!(held < 4 << 20, "case {i}: the archive held {held} bytes");
    }
}

#[test]
fn a_bomb_stays_under_the_cap() {
    let _turn = TURN.lock().unwrap_or_else(|e| e.into_inner());
    let raw = vec![0; 64 << 20];
    let options = Options::new().codec(CodecChoice::Only(Codec::Zstd)).level(1).block_size(raw.len());
    let packed = nzip::compress_with(&raw, options).unwrap();
    assert!(packed.len() < 20_000);
    drop(raw);
    for threads in [1, 2] {
        let options = DecodeOptions::new().threads(threads).memory(16 << 20);
        let mut decoder = Decoder::with_options(&packed[..], options).unwrap();
        let (n, held) = peak(|| io::copy(&mut decoder, &mut io::sink()).unwrap());
        assert_eq!(n, 64 << 20);
        assert!(held < 16 << 20, "{held}");
    }
    let options = DecodeOptions::new().threads(1).memory(1 << 20);
    let mut decoder = Decoder::with_options(&packed[..], options).unwrap();
    let e = Error::from(io::copy(&mut decoder, &mut io::sink()).unwrap_err());
    assert_eq!(e.kind(), ErrorKind::LimitExceeded);
}

/// Counts what is written and keeps nothing.
struct Count(u64);

impl Write for Count {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// More than 4 GiB, mostly zeros: a pipe joins encoder and decoder, so the content is never in memory as a whole.
/// About 5 s of processor time.
#[test]
fn beyond_four_gib() {
    let _turn = TURN.lock().unwrap_or_else(|e| e.into_inner());
    let len: u64 = (4 << 30) + 12_345;
    let (read, write) = io::pipe().unwrap();
    let options = Options::new().codec(CodecChoice::Only(Codec::Zstd)).level(1);
    let (counted, held) = peak(|| {
        let writer = std::thread::spawn(move || {
            let mut encoder = Encoder::with_options(write, options).unwrap();
            let mut zeros = io::repeat(0).take(len - 3);
            io::copy(&mut zeros, &mut encoder).unwrap();
            encoder.write_all(b"end").unwrap();
            encoder.finish().unwrap();
        });
        let mut counted = Count(0);
        io::copy(&mut Decoder::new(read), &mut counted).unwrap();
        writer.join().unwrap();
        counted.0
    });
    assert_eq!(counted, len);
    assert!(held < 300 << 20, "{held}");
}
