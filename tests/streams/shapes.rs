//! Encoders and decoders in all their shapes: reading, writing, on slices, on archives, for many small contents.

use nzip::{
    Archive, Codec, CodecChoice, Compressor, DecodeOptions, Decoder, Decompressor, Encoder, Error, ErrorKind,
    Models, Options, Resources, bufread, read, write,
};
use std::io::{self, BufRead, BufReader, Cursor, Read, Seek, SeekFrom, Write};
use std::ops::Bound;
use std::sync::{Arc, Mutex};
use std::thread;

fn text(len: usize) -> Vec<u8> {
    (0..len).map(|i| b"the quick brown fox jumps over it\n"[(i * i / 7 + i) % 34]).collect()
}

fn options() -> Options {
    Options::new().level(2).block_size(8192).threads(2)
}

/// Several blocks, and a second stream.
fn packed(raw: &[u8]) -> Vec<u8> {
    let (a, b) = raw.split_at(raw.len() / 3);
    [nzip::compress_with(a, options()).unwrap(), nzip::compress_with(b, options()).unwrap()].concat()
}

/// A reader and writer that fails.
struct Broken;

impl Read for Broken {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::ErrorKind::ConnectionReset.into())
    }
}

impl Write for Broken {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn all_may_be_sent_and_shown() {
    fn check<T: Send + std::fmt::Debug>() {}
    check::<write::Encoder<Vec<u8>>>();
    check::<write::Decoder<Vec<u8>>>();
    check::<write::AutoFinish<'_, Vec<u8>>>();
    check::<read::Encoder<&[u8]>>();
    check::<read::Decoder<&[u8]>>();
    check::<bufread::Encoder<&[u8]>>();
    check::<bufread::Decoder<&[u8]>>();
    check::<Archive<Cursor<Vec<u8>>>>();
    check::<nzip::ArchiveReader<'_, Cursor<Vec<u8>>>>();
    check::<(Compressor, Decompressor, Options, DecodeOptions, Resources, nzip::Progress)>();
    fn shared<T: Sync>() {}
    shared::<(Compressor, Decompressor, nzip::Progress)>();
    assert!(format!("{:?}", Encoder::new(Vec::new())).contains("level"));
}

#[test]
fn reading_encoders_give_the_stream_of_a_writing_one() {
    let raw = text(100_000);
    let mut writing = Encoder::with_options(Vec::new(), options()).unwrap();
    writing.write_all(&raw).unwrap();
    let expected = writing.finish().unwrap();
    for step in [1, 1000, 1 << 20] {
        let source = BufReader::with_capacity(step, &raw[..]);
        let mut encoder = bufread::Encoder::with_options(source, options()).unwrap();
        let mut found = Vec::new();
        let mut piece = vec![0; step];
        loop {
            match encoder.read(&mut piece).unwrap() {
                0 => break,
                n => found.extend_from_slice(&piece[..n]),
            }
        }
        assert!(found == expected, "{step}");
        assert_eq!(encoder.read(&mut piece).unwrap(), 0);
        assert!(encoder.get_ref().buffer().is_empty() && encoder.into_inner().into_inner().is_empty());
        let mut found = Vec::new();
        read::Encoder::with_options(&raw[..], options()).unwrap().read_to_end(&mut found).unwrap();
        assert!(found == expected);
    }
    let mut empty = Vec::new();
    read::Encoder::new(io::empty()).read_to_end(&mut empty).unwrap();
    assert!(nzip::decompress(&empty).unwrap().is_empty());
    let e = read::Encoder::new(Broken).read(&mut [0; 10]).unwrap_err();
    assert_eq!(e.kind(), io::ErrorKind::ConnectionReset);
}

#[test]
fn a_writing_decoder_gives_what_a_reading_one_does() {
    let raw = text(100_000);
    let packed = packed(&raw);
    for step in [1, 13, 4096, 1 << 20] {
        for threads in [1, 2] {
            let options = DecodeOptions::new().threads(threads).verify_hash(true);
            let mut decoder = write::Decoder::with_options(Vec::new(), options).unwrap();
            packed.chunks(step).for_each(|piece| decoder.write_all(piece).unwrap());
            assert!(decoder.finish().unwrap() == raw, "{step} {threads}");
        }
    }
    // What has arrived is written before more does.
    let mut decoder = write::Decoder::new(Vec::new());
    let first = nzip::compress_with(&raw[..raw.len() / 3], options()).unwrap().len();
    decoder.write_all(&packed[..first - 50]).unwrap();
    assert!(decoder.get_ref().len() >= 3 * 8192);
    decoder.write_all(&packed[first - 50..first]).unwrap();
    assert!(*decoder.get_ref() == raw[..raw.len() / 3]);
    assert!(decoder.into_inner() == raw[..raw.len() / 3]);
}

#[test]
fn a_writing_decoder_of_one_stream_takes_nothing_behind_it() {
    let raw = text(20_000);
    let one = nzip::compress_with(&raw, options()).unwrap();
    // What follows may be a stream or not.
    for behind in [&one[..], b"something else", b""] {
        let both = [&one[..], behind].concat();
        for step in [1, 13, 4096, 1 << 20] {
            let mut decoder = write::Decoder::new(Vec::new()).one_stream();
            let mut at = 0;
            while at < both.len() && !decoder.has_ended() {
                at += decoder.write(&both[at..both.len().min(at + step)]).unwrap();
            }
            assert!(decoder.has_ended() && at == one.len(), "{step}: {at}");
            assert_eq!(decoder.write(behind).unwrap(), 0);
            assert!(decoder.finish().unwrap() == raw);
        }
    }
    let mut decoder = write::Decoder::new(Vec::new()).one_stream();
    decoder.write_all(&one[..one.len() - 1]).unwrap();
    assert!(!decoder.has_ended());
    assert_eq!(decoder.finish().unwrap_err().kind(), ErrorKind::Truncated);
}

#[test]
fn a_writing_decoder_finds_damage() {
    let raw = text(30_000);
    let packed = packed(&raw);
    let run = |packed: &[u8], step: usize| -> nzip::Result<Vec<u8>> {
        let mut decoder = write::Decoder::new(Vec::new());
        for piece in packed.chunks(step) {
            decoder.write_all(piece)?;
        }
        decoder.finish()
    };
    for cut in 0..packed.len() {
        // A whole stream may end where the first one does.
        let (reading, writing) = (nzip::decompress(&packed[..cut]), run(&packed[..cut], 977));
        match (reading, writing) {
            (Ok(a), Ok(b)) => assert!(a == b && cut < packed.len()),
            (Err(a), Err(b)) => {
                assert_eq!(a.kind(), b.kind(), "{cut}: {a}; {b}");
                assert_eq!(a.kind(), ErrorKind::Truncated);
            }
            (a, b) => panic!("{cut}: {} {}", a.is_ok(), b.is_ok()),
        }
    }
    for at in (0..packed.len()).step_by(7) {
        let mut bad = packed.clone();
        bad[at] ^= 0x55;
        let (reading, writing) = (nzip::decompress(&bad), run(&bad, 100));
        assert_eq!(reading.map_err(|e| e.kind()), writing.map_err(|e| e.kind()), "{at}");
    }
    assert!(run(b"no stream at all", 3).is_err());
    let mut decoder = write::Decoder::new(Broken);
    let e = decoder.write_all(&packed).and_then(|()| decoder.flush()).unwrap_err();
    assert_eq!(e.kind(), io::ErrorKind::BrokenPipe);
}

/// Takes no more bytes than there is room for.
struct Room {
    out: Vec<u8>,
    left: usize,
}

impl Write for Room {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match bytes.len().min(self.left) {
            0 => Err(io::ErrorKind::WouldBlock.into()),
            n => {
                self.left -= n;
                self.out.write(&bytes[..n])
            }
        }
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_writing_decoder_waits_for_a_writer_that_takes_nothing() {
    let raw = text(100_000);
    let packed = packed(&raw);
    for (step, room) in [(1, 7), (1000, 999), (1 << 20, 5000), (1 << 20, 1 << 20)] {
        let progress = nzip::Progress::new();
        let options = DecodeOptions::new().threads(1).progress(progress.clone());
        let mut decoder =
            write::Decoder::with_options(Room { out: Vec::new(), left: room }, options).unwrap();
        let mut at = 0;
        while at < packed.len() {
            match decoder.write(&packed[at..packed.len().min(at + step)]) {
                Ok(n) => at += n,
                Err(e) => {
                    assert_eq!((e.kind(), decoder.get_ref().left), (io::ErrorKind::WouldBlock, 0));
                    // Blocks of 8 KiB are not decoded before there is room for what they hold.
                    let ahead = progress.raw_done() - decoder.get_ref().out.len() as u64;
                    assert!(ahead <= 8192, "{ahead}");
                    decoder.get_mut().left = room;
                }
            }
        }
        while decoder.flush().is_err() {
            decoder.get_mut().left = room;
        }
        assert!(decoder.finish().unwrap().out == raw, "{step} {room}");
    }
}

#[test]
fn a_dropped_encoder_finishes_if_it_is_told_to() {
    let mut plain = Vec::new();
    Encoder::new(&mut plain).write_all(b"lost").unwrap();
    assert!(nzip::decompress(&plain).is_err());
    let mut kept = Vec::new();
    let mut encoder = Encoder::new(&mut kept).auto_finish();
    encoder.write_all(b"kept").unwrap();
    assert!(encoder.get_ref().is_empty());
    drop(encoder);
    assert_eq!(nzip::decompress(&kept).unwrap(), b"kept");
    let mut outcome = None;
    Encoder::new(Broken).on_finish(|done| outcome = Some(done.map(|_| ()))).write_all(b"x").unwrap();
    assert_eq!(outcome.unwrap().unwrap_err().kind(), ErrorKind::Io);
    // Not all has been written where the thread panics.
    let shared = Arc::new(Mutex::new(Vec::new()));
    struct Shared(Arc<Mutex<Vec<u8>>>);
    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let writer = Shared(shared.clone());
    let panics = move || {
        let mut encoder = Encoder::new(writer).auto_finish();
        encoder.write_all(b"half of it").unwrap();
        encoder.flush().unwrap();
        std::panic::resume_unwind(Box::new("stop"));
    };
    assert!(thread::spawn(panics).join().is_err());
    assert!(nzip::decompress(&shared.lock().unwrap()).is_err());
    assert!(Encoder::new(vec![1]).into_inner() == [1]);
}

#[test]
fn a_decoder_is_a_buffered_reader() {
    let packed = nzip::compress(b"one\ntwo\nthree", 1).unwrap();
    let mut decoder = bufread::Decoder::new(&packed[..]);
    assert_eq!(decoder.get_ref().len(), packed.len());
    let lines: Vec<String> = decoder.by_ref().lines().collect::<io::Result<_>>().unwrap();
    assert_eq!(lines, ["one", "two", "three"]);
    assert!(decoder.fill_buf().unwrap().is_empty() && decoder.into_inner().is_empty());
}

#[test]
fn ranges_of_any_kind() {
    let raw = text(50_000);
    let mut archive = Archive::new(Cursor::new(packed(&raw))).unwrap();
    assert!(archive.read_range(..).unwrap() == raw);
    assert!(archive.read_range(20_000..).unwrap() == raw[20_000..]);
    assert!(archive.read_range(..=9).unwrap() == raw[..10]);
    assert!(archive.read_range((Bound::Excluded(9), Bound::Unbounded)).unwrap() == raw[10..]);
    assert!(archive.read_range(50_000..).unwrap().is_empty());
    for bad in [(0, 50_001), (50_001, 50_001), (9, 3)] {
        assert_eq!(archive.read_range(bad.0..bad.1).unwrap_err().kind(), ErrorKind::BadArgument);
    }
    assert_eq!(archive.read_range(..=u64::MAX).unwrap_err().kind(), ErrorKind::BadArgument);
    let mut out = vec![1; 20_000];
    archive.read_range_into(15_000, &mut out).unwrap();
    assert!(out == raw[15_000..35_000]);
    archive.read_range_into(50_000, &mut []).unwrap();
    for start in [30_001, u64::MAX] {
        assert_eq!(archive.read_range_into(start, &mut out).unwrap_err().kind(), ErrorKind::BadArgument);
    }
    assert_eq!(archive.get_ref().get_ref().len() as u64, archive.stored_len());
    assert_eq!(archive.into_inner().into_inner(), packed(&raw));
}

#[test]
fn an_archive_reads_and_seeks() {
    let raw = text(60_000);
    let micro = std::fs::read("formats/vectors/lm/micro.nzlm").unwrap();
    let mut models = Models::new();
    let hash = models.add(micro);
    let lm = options().window(1024).codec(CodecChoice::Only(Codec::Lm)).models(models.clone()).model(hash);
    let tensors = Options::new().tensor(nzip::tensor::Dtype::U16, &[30_000], 0);
    let coded = [
        packed(&raw),
        nzip::compress_with(&raw, lm).unwrap(),
        nzip::compress_with(&raw, tensors).unwrap(),
        nzip::compress_with(&raw, Options::new().level(5)).unwrap(),
    ];
    for (i, packed) in coded.into_iter().enumerate() {
        let options = DecodeOptions::new().models(models.clone());
        let mut archive = Archive::with_options(Cursor::new(packed), options).unwrap();
        let mut reader = archive.reader();
        let mut all = Vec::new();
        assert_eq!(reader.read_to_end(&mut all).unwrap(), raw.len());
        assert!(all == raw, "{i}");
        let mut at = 7;
        for _ in 0..30 {
            at = (at * 31 + 977) % raw.len();
            assert_eq!(reader.seek(SeekFrom::Start(at as u64)).unwrap(), at as u64);
            let mut piece = vec![0; (raw.len() - at).min(3000)];
            reader.read_exact(&mut piece).unwrap();
            assert!(piece == raw[at..at + piece.len()], "{i}: {at}");
        }
        assert_eq!(reader.seek(SeekFrom::End(-10)).unwrap(), 59_990);
        assert_eq!(reader.seek(SeekFrom::Current(4)).unwrap(), 59_994);
        assert_eq!(reader.read(&mut [0; 100]).unwrap(), 6);
        assert_eq!(reader.seek(SeekFrom::End(100)).unwrap(), 60_100);
        assert_eq!(reader.read(&mut [0; 100]).unwrap(), 0);
        assert_eq!(reader.seek(SeekFrom::End(-60_001)).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        assert_eq!(reader.stream_position().unwrap(), 60_100);
        // Front to back, nothing is decoded twice.
        let before = archive.decoded_bytes();
        let mut reader = archive.reader();
        let mut piece = [0; 777];
        while reader.read(&mut piece).unwrap() > 0 {}
        assert_eq!(archive.decoded_bytes() - before, raw.len() as u64, "{i}");
    }
}

#[test]
fn small_contents_cost_no_start_and_change_no_byte() {
    let messages: Vec<Vec<u8>> = (0..6).map(|i| text(40 + 97 * i)).collect();
    for options in [
        Options::new().level(1),
        Options::new().level(8).threads(1),
        Options::new().codec(CodecChoice::Only(Codec::Lm)).content_hash(true),
    ] {
        let compressor = Compressor::new(options.clone()).unwrap();
        let decompressor = Decompressor::new(DecodeOptions::new().threads(2));
        let (mut all, mut restored) = (Vec::new(), b"kept".to_vec());
        for message in &messages {
            let packed = compressor.compress(message).unwrap();
            assert!(packed == nzip::compress_with(message, options.clone()).unwrap());
            assert!(decompressor.decompress(&packed).unwrap() == *message);
            compressor.compress_into(message, &mut all).unwrap();
        }
        decompressor.decompress_into(&all, &mut restored).unwrap();
        assert!(restored[4..] == messages.concat());
        assert!(decompressor.decompress_into(&all[..all.len() - 1], &mut restored).is_err());
        assert!(restored.len() == 4 + messages.concat().len());
        thread::scope(|scope| {
            let work = |message| assert!(compressor.compress(message).is_ok());
            messages.iter().for_each(|m| _ = scope.spawn(move || work(m)));
        });
    }
    assert_eq!(Compressor::new(Options::new().level(10)).unwrap_err().kind(), ErrorKind::BadArgument);
    let missing = Options::new().model([7; 32]);
    assert_eq!(Compressor::new(missing).unwrap_err().kind(), ErrorKind::MissingModel);
}

#[test]
fn errors_of_the_library_are_errors_of_input_and_output() {
    let kinds = [
        (ErrorKind::Truncated, io::ErrorKind::UnexpectedEof),
        (ErrorKind::Corrupt, io::ErrorKind::InvalidData),
        (ErrorKind::NewerVersion, io::ErrorKind::Unsupported),
        (ErrorKind::BadArgument, io::ErrorKind::InvalidInput),
        (ErrorKind::MissingModel, io::ErrorKind::NotFound),
        (ErrorKind::MissingBase, io::ErrorKind::NotFound),
        (ErrorKind::LimitExceeded, io::ErrorKind::OutOfMemory),
    ];
    for (kind, expected) in kinds {
        let e = io::Error::from(Error::new(kind, "why"));
        assert_eq!((e.kind(), e.to_string()), (expected, "why".into()));
        assert_eq!(Error::from(e).kind(), kind);
    }
    let e = Error::from(io::Error::from(io::ErrorKind::BrokenPipe));
    assert_eq!((e.kind(), io::Error::from(e).kind()), (ErrorKind::Io, io::ErrorKind::BrokenPipe));
    assert_eq!(Decoder::new(Broken).read(&mut [0]).unwrap_err().kind(), io::ErrorKind::ConnectionReset);
}
