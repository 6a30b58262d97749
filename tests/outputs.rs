//! Every input compresses to the same bytes as before: hashes of outputs at all levels and with all codecs.
//!
//! Inputs are the samples of `corpora/` and what the golden files hold. After a change that is meant to change
//! outputs, `NZIP_WRITE_OUTPUTS=1 cargo test --test outputs` writes the list anew.

use nzip::tensor::Dtype;
use nzip::{Bases, Codec, CodecChoice, DecodeOptions, Encoder, Models, Options};
use std::collections::HashSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Inputs that are longer are left out: they would take too long.
const LONGEST: usize = 150_000;
/// Inputs, one of each kind, that are also compressed by slow codecs: `mix` takes half a second for any text, however short.
const THOROUGH: [&str; 11] = [
    "sample.txt",
    "sample.json",
    "sample.log",
    "mix-code.nz",
    "mix-records.nz",
    "mix-rgb.nz",
    "mix-words.nz",
    "table-lf.nz",
    "tensor-fast.nz",
    "tensor-gguf.nz",
    "tensor-predicted.nz",
];

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// The frozen models of the golden files.
struct Frozen {
    all: Models,
    lm: [u8; 32],
    llm: [u8; 32],
    circuit: [u8; 32],
    patches: [u8; 32],
}

fn frozen() -> Frozen {
    let mut all = Models::new();
    let mut add = |name: &str| all.add_file(path("formats/vectors").join(name)).unwrap();
    let (lm, llm) = (add("lm/micro.nzlm"), add("llm/micro.nzllm"));
    let (circuit, patches) = (add("circuit/micro.nzpc"), add("circuit/patch.nzpc"));
    Frozen { lm, llm, circuit, patches, all }
}

/// Golden files of which tensors are coded against those of `tensor-rows.nz`.
const BASED: [&str; 3] = ["tensor-delta.nz", "tensor-rounded.nz", "tensor-rounded-through.nz"];

fn golden(name: &str, models: &Models) -> Vec<u8> {
    let mut bases = Bases::new();
    if BASED.contains(&name) {
        bases.add(golden("tensor-rows.nz", models)).unwrap();
    }
    let packed = fs::read(path("formats/vectors").join(name)).unwrap();
    nzip::decompress_with(&packed, DecodeOptions::new().models(models.clone()).bases(bases)).unwrap()
}

/// Inputs by name, none of them twice.
fn inputs(models: &Models) -> Vec<(String, Vec<u8>)> {
    let sample = |name: &str| (name.to_string(), fs::read(path("corpora").join(name)).unwrap());
    let mut inputs: Vec<_> = ["sample.txt", "sample.json", "sample.log"].map(sample).into();
    let files = fs::read_dir(path("formats/vectors")).unwrap().map(|f| f.unwrap().file_name());
    let mut names: Vec<String> = files.map(|f| f.into_string().unwrap()).collect();
    names.sort();
    for name in names.into_iter().filter(|n| n.ends_with(".nz")) {
        let raw = golden(&name, models);
        if raw.len() <= LONGEST && inputs.iter().all(|(_, known)| *known != raw) {
            inputs.push((name, raw));
        }
    }
    inputs
}

/// An input, the way in which it is compressed (in words, and as options), and the bytes that are written at a time (0 for
/// all).
struct Case<'a> {
    input: &'a str,
    raw: &'a [u8],
    how: String,
    options: Options,
    piece: usize,
}

impl Case<'_> {
    /// The line of the list.
    fn line(&self) -> String {
        let outcome = match self.packed() {
            Ok(packed) => format!("{} {}", packed.len(), &blake3::hash(&packed).to_hex()[..16]),
            Err(e) => format!("{:?}", e.kind()),
        };
        format!("{} | {} | {outcome}", self.input, self.how)
    }

    fn packed(&self) -> nzip::Result<Vec<u8>> {
        let mut encoder = Encoder::with_options(Vec::new(), self.options.clone().threads(1))?;
        if self.piece == 0 {
            return encoder.finish_all(self.raw);
        }
        for piece in self.raw.chunks(self.piece) {
            encoder.write_all(piece)?;
            encoder.flush()?;
        }
        encoder.finish()
    }
}

fn cases<'a>(inputs: &'a [(String, Vec<u8>)], frozen: &Frozen) -> Vec<Case<'a>> {
    // Loaded once for all cases.
    let options = || Options::new().models(frozen.all.clone());
    let only = |codec| options().codec(CodecChoice::Only(codec));
    let with = |codec, model| only(codec).model(model);
    let mut cases = Vec::new();
    for (input, raw) in inputs {
        let mut add = |how: &str, options: Options, piece: usize| {
            cases.push(Case { input, raw, how: how.to_string(), options, piece });
        };
        let thorough = THOROUGH.contains(&&input[..]);
        for level in (1..=9).filter(|level| thorough || [1, 3, 5].contains(level)) {
            add(&format!("-{level}"), options().level(level), 0);
        }
        for codec in [Codec::Store, Codec::Zstd, Codec::Table, Codec::Tensor] {
            add(codec.name(), only(codec), 0);
        }
        add("-3 in blocks", options().level(3).block_size(4096).content_hash(true), 0);
        add("-2 in pieces", options().level(2), 1000);
        if raw.len() > 20_000 {
            continue;
        }
        if thorough {
            add("mix", only(Codec::Mix), 0);
            add("frozen mix", with(Codec::Mix, frozen.lm), 0);
            add("lm", only(Codec::Lm), 0);
            add("-5 in blocks", options().level(5).block_size(4096), 0);
        }
        add("frozen lm in windows", with(Codec::Lm, frozen.lm).window(64), 0);
        add("frozen llm", with(Codec::Llm, frozen.llm), 0);
        add("frozen llm in windows", with(Codec::Llm, frozen.llm).window(64), 0);
        add("frozen llm unchained", with(Codec::Llm, frozen.llm).chained(false), 0);
        if input.starts_with("circuit") {
            let patches = input.starts_with("circuit-patches.nz");
            let model = if patches { frozen.patches } else { frozen.circuit };
            add("frozen circuit", with(Codec::Circuit, model), 0);
            add("frozen circuit in pieces", with(Codec::Circuit, model).window(512), 500);
        }
        let auto = |model| options().model(model).embed_model(true);
        if ["sample.txt", "lm-hash.nz", "circuit-hash.nz"].contains(&&input[..]) {
            add("-6 embedded lm", auto(frozen.lm), 0);
            add("-6 embedded llm", auto(frozen.llm), 0);
            add("-6 embedded circuit", auto(frozen.circuit), 0);
            add("-6 as a tensor", options().tensor(Dtype::U16, &[20, 50], 40), 0);
        }
        if input == "tensor-delta.nz" {
            let mut bases = Bases::new();
            bases.add(golden("tensor-rows.nz", &frozen.all)).unwrap();
            add("-6 against a base", options().bases(bases.clone()), 0);
            add("-9 against a base", options().level(9).bases(bases), 0);
        }
    }
    cases
}

/// The lines of all cases in their order, worked out on all cores.
fn lines(cases: &[Case<'_>]) -> Vec<String> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut lines = Vec::new();
        loop {
            let i = next.fetch_add(1, Ordering::Relaxed);
            match cases.get(i) {
                Some(case) => lines.push((i, case.line())),
                None => return lines,
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut lines: Vec<(usize, String)> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|w| w.join().unwrap()).collect()
    });
    lines.sort();
    lines.into_iter().map(|(_, line)| line).collect()
}

#[test]
fn outputs_stay_what_they_were() {
    let frozen = frozen();
    let inputs = inputs(&frozen.all);
    let lines = lines(&cases(&inputs, &frozen));
    let list = path("tests/data/outputs.txt");
    if std::env::var_os("NZIP_WRITE_OUTPUTS").is_some() {
        fs::write(&list, lines.join("\n") + "\n").unwrap();
    }
    let expected = fs::read_to_string(&list).unwrap();
    let known: HashSet<&str> = expected.lines().collect();
    let changed: Vec<_> = lines.iter().filter(|line| !known.contains(line.as_str())).collect();
    assert!(changed.is_empty(), "{} outputs are new or have changed: {changed:#?}", changed.len());
    assert_eq!(lines.len(), known.len(), "outputs are missing");
}
