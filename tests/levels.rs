//! No level gives a larger file than the one before: on the samples of `corpora/`, and on some 200 files that a seeded
//! generator makes. Levels from 6 on are slow: only some of the files go through them, and all where
//! NZIP_TEST_LEVELS=all is set. The files of a folder, and of those in it, are added by NZIP_TEST_FILES=FOLDER.

use nzip::internal::SplitMix;
use nzip::{Compressor, Options};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Words of made-up text, the frequent ones first.
const WORDS: [&str; 24] = [
    "the", "of", "and", "to", "a", "in", "level", "file", "is", "that", "bytes", "for", "block", "it",
    "with", "stream", "was", "on", "window", "model", "nothing", "before", "Probably", "archive",
];

/// The number of files that the generator makes, in addition to a few fixed ones.
const MADE: usize = 196;
/// The length in bytes of some longer files, for which codecs of lower levels are chosen by samples.
const LONGER: usize = 300_000;

struct Maker(SplitMix);

impl Maker {
    fn below(&mut self, n: usize) -> usize {
        self.0.below(n as u64) as usize
    }

    /// A length of up to `most` whose logarithm is spread evenly, so that short ones are as frequent as long ones.
    fn len(&mut self, most: usize) -> usize {
        let bits = self.below(most.ilog2() as usize + 1);
        (1 << bits) + self.below(1 << bits)
    }

    fn word(&mut self) -> &'static str {
        let (a, b) = (self.below(WORDS.len()), self.below(WORDS.len()));
        WORDS[a.min(b)]
    }

    fn text(&mut self, len: usize) -> Vec<u8> {
        let mut text = String::new();
        while text.len() < len {
            text += self.word();
            text += ["\n", ", ", ". "].get(self.below(9)).unwrap_or(&" ");
        }
        text.truncate(len);
        text.into_bytes()
    }

    fn log(&mut self, len: usize) -> Vec<u8> {
        let (mut log, mut time) = (String::new(), 1_700_000_000 + self.below(1 << 20));
        while log.len() < len {
            time += self.below(20);
            let level = ["INFO", "INFO", "INFO", "WARN", "ERROR"][self.below(5)];
            let (from, port) = (self.below(30), self.below(60_000));
            log += &format!(
                "{time} {level} [worker-{}] {} {} from 10.0.{from}.7:{port}\n",
                self.below(8),
                self.word(),
                self.word()
            );
        }
        log.truncate(len);
        log.into_bytes()
    }

    /// Lines that are no prose: language models and phrases do not help.
    fn numbered(&mut self, len: usize) -> Vec<u8> {
        let line = |i| format!("{i:5} line {:4x}\n", self.below(1 << 16));
        (0..len / 16).map(line).collect::<String>().into_bytes()
    }

    fn json(&mut self, len: usize) -> Vec<u8> {
        let (mut json, mut id) = (String::from("["), 0);
        while json.len() < len {
            id += 1 + self.below(3);
            let (score, name, tag) = (self.below(100_000), self.word(), self.word());
            let is = self.below(2) == 0;
            json += &format!(
                "{{\"id\":{id},\"name\":\"{name}\",\"score\":{}.{:02},\"tags\":[\"{tag}\"],\"ok\":{is}}},\n",
                score / 100,
                score % 100
            );
        }
        json.truncate(len);
        json.into_bytes()
    }

    fn csv(&mut self, len: usize) -> Vec<u8> {
        let mut csv = String::from("id,name,price,when\n");
        let mut id = self.below(1000);
        while csv.len() < len {
            id += 1;
            csv += &format!(
                "{id},{},{}.{},2024-{:02}-{:02}\n",
                self.word(),
                self.below(90),
                self.below(10),
                1 + self.below(12),
                1 + self.below(28)
            );
        }
        csv.truncate(len);
        csv.into_bytes()
    }

    /// Numbers as bytes, of a random type and with a random kind of values. Returns them with numpy's and safetensors' names
    /// of the type.
    fn numbers(&mut self, count: usize) -> (Vec<u8>, &'static str, &'static str) {
        let kind = self.below(4);
        let mut walk = 1000i64;
        let values: Vec<i64> = (0..count)
            .map(|i| {
                walk += self.below(21) as i64 - 10;
                match kind {
                    0 => i as i64 * 3,
                    1 => walk,
                    2 => (0..6).map(|_| self.below(200) as i64).sum::<i64>() - 600,
                    _ => self.below(5) as i64,
                }
            })
            .collect();
        let all = |f: &dyn Fn(i64) -> Vec<u8>| values.iter().flat_map(|v| f(*v)).collect::<Vec<u8>>();
        match self.below(7) {
            0 => (all(&|v| (v as f32 / 300.0).to_le_bytes().to_vec()), "<f4", "F32"),
            1 => (all(&|v| (v as f64 / 300.0).to_le_bytes().to_vec()), "<f8", "F64"),
            2 => (all(&|v| v.to_le_bytes().to_vec()), "<i8", "I64"),
            3 => (all(&|v| (v as i32).to_le_bytes().to_vec()), "<i4", "I32"),
            4 => (all(&|v| (v as i16).to_le_bytes().to_vec()), "<i2", "I16"),
            5 => (all(&|v| vec![v as u8]), "|u1", "U8"),
            // Upper halves of single-precision numbers; numpy has no such type.
            _ => (all(&|v| (v as f32 / 300.0).to_le_bytes()[2..].to_vec()), "<u2", "BF16"),
        }
    }

    fn npy(&mut self, count: usize) -> Vec<u8> {
        let columns = [1, 2, 7, 16][self.below(4)];
        let rows = count.div_ceil(columns);
        let (data, dtype, _) = self.numbers(rows * columns);
        let mut header =
            format!("{{'descr': '{dtype}', 'fortran_order': False, 'shape': ({rows}, {columns}), }}");
        while !(header.len() + 11).is_multiple_of(64) {
            header.push(' ');
        }
        header.push('\n');
        [b"\x93NUMPY\x01\0", &(header.len() as u16).to_le_bytes()[..], header.as_bytes(), &data].concat()
    }

    fn safetensors(&mut self, count: usize) -> Vec<u8> {
        let (mut entries, mut all) = (Vec::new(), Vec::new());
        for i in 0..1 + self.below(4) {
            let columns = [1, 2, 8, 32][self.below(4)];
            let rows = (count / 2).div_ceil(columns).max(1);
            let (data, _, dtype) = self.numbers(rows * columns);
            let (start, end) = (all.len(), all.len() + data.len());
            entries.push(format!(
                "\"layer.{i}.weight\":{{\"dtype\":\"{dtype}\",\"shape\":[{rows},{columns}],\"data_offsets\":[{start},{end}]}}"
            ));
            all.extend(data);
        }
        let header = format!("{{{}}}", entries.join(","));
        [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &all].concat()
    }

    fn file(&mut self, kind: usize) -> (String, Vec<u8>) {
        // A few long ones; the rest short, since the best levels are slow.
        let most = if self.below(12) == 0 { 12_000 } else { 900 };
        let len = self.len(most);
        let (name, raw) = match kind % 10 {
            0 => ("text", self.text(len)),
            1 => ("log", self.log(len)),
            2 => ("json", self.json(len)),
            3 => ("csv", self.csv(len)),
            4 | 5 => ("npy", self.npy(len / 4 + 1)),
            6 | 7 => ("safetensors", self.safetensors(len / 4 + 1)),
            8 => ("random", (0..len).map(|_| self.0.next_u64() as u8).collect()),
            _ => {
                let period = 1 + self.below(60);
                let part: Vec<u8> = (0..period).map(|_| self.0.next_u64() as u8).collect();
                ("repetitive", part.into_iter().cycle().take(len).collect())
            }
        };
        (format!("{name} of {} bytes", raw.len()), raw)
    }
}

fn files() -> Vec<(String, Vec<u8>)> {
    let mut maker = Maker(SplitMix(17));
    let mut files: Vec<_> = (0..MADE).map(|kind| maker.file(kind)).collect();
    files.push(("a long log".into(), maker.log(LONGER)));
    files.push(("a long table".into(), maker.csv(LONGER)));
    files.push(("long numbers".into(), maker.numbers(LONGER / 8).0));
    files.push(("numbered lines".into(), maker.numbered(24_000)));
    files.push(("nothing".into(), Vec::new()));
    files.push(("one byte".into(), vec![b'n']));
    files.push(("two bytes".into(), vec![0, 255]));
    files.push(("zeros".into(), vec![0; 16 << 10]));
    for name in ["sample.txt", "sample.json", "sample.log"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpora").join(name);
        files.push((name.into(), std::fs::read(path).unwrap()));
    }
    if let Some(folder) = std::env::var_os("NZIP_TEST_FILES") {
        add_folder(&mut files, Path::new(&folder));
    }
    files
}

fn add_folder(files: &mut Vec<(String, Vec<u8>)>, folder: &Path) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            add_folder(files, &path);
        } else {
            files.push((path.display().to_string(), std::fs::read(path).unwrap()));
        }
    }
}

#[test]
fn no_level_is_larger_than_the_one_before() {
    let files = files();
    let compressors: Vec<Compressor> =
        (1..=9).map(|level| Compressor::new(Options::new().level(level)).unwrap()).collect();
    let (next, failed) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let all = std::env::var_os("NZIP_TEST_LEVELS").is_some();
    let work = || {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some((name, raw)) = files.get(number) else { break };
            let levels = match raw.len() {
                _ if all => 9,
                LONGER.. => 6,
                _ if number % 9 == 0 || number >= MADE => 9,
                _ => 5,
            };
            let sizes: Vec<usize> =
                compressors[..levels].iter().map(|c| c.compress(raw).unwrap().len()).collect();
            if !sizes.is_sorted_by(|a, b| a >= b) || sizes[0] > raw.len() + 64 {
                eprintln!("{name}: {sizes:?}");
                failed.fetch_add(1, Ordering::Relaxed);
            }
        }
    };
    std::thread::scope(|scope| {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        (0..threads).for_each(|_| drop(scope.spawn(work)));
    });
    assert_eq!(failed.into_inner(), 0, "files that a higher level makes larger");
}
