//! Peak memory of the command: under `-M`, or little above it, with any codec and any number of threads.

mod cli_support;

use cli_support::two_at_a_time;
use nzip::tensor::Dtype;
use nzip::{Codec, CodecChoice, Models, Options};
use std::path::Path;
use std::process::{Command, Stdio};
use wait4::Wait4;

/// The memory that the process may take beyond the cap: its code, stacks, and what the allocator keeps.
const BESIDE: u64 = 32 << 20;

/// The arguments that [`runner`] passes on, one a line, and where it writes what it found.
const ARGUMENTS: &str = "NZIP_TEST_ARGUMENTS";

/// Exit code and peak memory of a run in bytes.
///
/// The system's figure includes the memory of the process before it became another program, and that of its parent
/// if they shared memory for a moment. So a small process starts the command.
fn peak(folder: &Path, arguments: &[&str]) -> (i32, u64) {
    let mut runner = Command::new(std::env::current_exe().unwrap());
    runner.args(["--exact", "runner", "--nocapture"]).env(ARGUMENTS, arguments.join("\n"));
    let out = runner.current_dir(folder).output().unwrap();
    let out = String::from_utf8(out.stdout).unwrap();
    let line = out.lines().find_map(|l| l.split_once("peak: ")).unwrap_or_else(|| panic!("{out}")).1;
    let (code, peak) = line.split_once(' ').unwrap();
    (code.parse().unwrap(), peak.trim().parse().unwrap())
}

/// Runs the command where [`peak`] asks for it.
#[test]
fn runner() {
    let Ok(arguments) = std::env::var(ARGUMENTS) else { return };
    let mut command = Command::new(env!("CARGO_BIN_EXE_nzip"));
    command.args(arguments.lines()).env("XDG_DATA_HOME", ".").env_remove("NZIP_MODELS");
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let used = child.wait4().unwrap();
    println!("peak: {} {}", used.status.code().unwrap_or(-1), used.rusage.maxrss);
}

/// Text that does not repeat.
fn text(len: usize) -> Vec<u8> {
    let mut state = 1u32;
    let words = ["the ", "model ", "of ", "bytes ", "and ", "window ", "codes ", "a ", "symbol.\n", "in "];
    let mut out = Vec::new();
    while out.len() < len {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        out.extend_from_slice(words[(state >> 16) as usize % words.len()].as_bytes());
    }
    out.truncate(len);
    out
}

/// A file of each codec whose blocks together take more than the smaller caps.
fn files(folder: &Path) -> Vec<String> {
    let repository = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let only = |codec| Options::new().level(6).codec(CodecChoice::Only(codec)).threads(2);
    let model = |name: &str| {
        let mut models = Models::new();
        let hash = models.add_file(format!("{repository}/formats/vectors/{name}")).unwrap();
        Options::new().models(models).model(hash).embed_model(true).threads(2)
    };
    let long = text(48 << 20);
    let numbers: Vec<u8> = (0..6u32 << 20).flat_map(|i| ((i % 977) as f32 * 0.37).to_le_bytes()).collect();
    let rows: String = (0..30_000u32)
        .map(|i| format!("{},{},{}\n", i % 7, i.wrapping_mul(2_654_435_761) >> 29, (i * i) % 13))
        .collect();
    let repeated = long[..64 << 10].repeat(256);
    let gzip = std::fs::read(format!("{repository}/tests/data/packed/text.gz")).unwrap().repeat(2000);
    let cases: [(&str, &[u8], Options); 11] = [
        ("store", &long, only(Codec::Store).block_size(16 << 20)),
        ("zstd", &long, only(Codec::Zstd).level(1).block_size(16 << 20)),
        ("mix", &long[..512 << 10], only(Codec::Mix).block_size(128 << 10)),
        ("light", &long[..512 << 10], only(Codec::Light).block_size(64 << 10)),
        ("sort", &repeated, only(Codec::Sort).block_size(2 << 20)),
        ("tensor", &numbers, only(Codec::Tensor).tensor(Dtype::F32, &[6 << 10, 1 << 10], 0)),
        ("table", rows.as_bytes(), only(Codec::Table)),
        ("deflate", &gzip, only(Codec::Deflate).level(1).block_size(1 << 20)),
        ("lm", &long[..512 << 10], model("lm/micro.nzlm").codec(CodecChoice::Only(Codec::Lm))),
        ("circuit", &long[..1_200_000], model("circuit/micro.nzpc").codec(CodecChoice::Only(Codec::Circuit))),
        ("llm", &long[..16 << 10], model("llm/micro.nzllm").codec(CodecChoice::Only(Codec::Llm))),
    ];
    let mut names = Vec::new();
    for (name, raw, options) in cases {
        match nzip::compress_with(raw, options) {
            Ok(packed) => {
                std::fs::write(folder.join(format!("{name}.nz")), packed).unwrap();
                names.push(format!("{name}.nz"));
            }
            // The small circuit of the golden files knows few symbols.
            Err(e) => assert_eq!(name, "circuit", "{e}"),
        }
    }
    names
}

#[test]
fn decoding_stays_under_the_cap() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    let mut names = files(folder);
    for golden in ["circuit-embedded", "tensor-predicted", "table-lf"] {
        let file = format!("{}/../formats/vectors/{golden}.nz", env!("CARGO_MANIFEST_DIR"));
        std::fs::copy(file, folder.join(format!("{golden}.nz"))).unwrap();
        names.push(format!("{golden}.nz"));
    }
    two_at_a_time(&names, |name| {
        for threads in ["1", "2", "8"] {
            for (cap, bytes) in [("64M", 64u64 << 20), ("256M", 256 << 20), ("1G", 1 << 30)] {
                for verb in [&["-t"][..], &["--range", ".."]] {
                    if verb.len() > 1 && threads != "2" {
                        continue;
                    }
                    let arguments = [verb, &["-T", threads, "-M", cap, name]].concat();
                    let (code, found) = peak(folder, &arguments);
                    println!("{arguments:?}: {code}, {} MB", found >> 20);
                    assert!(found <= bytes + BESIDE, "{arguments:?}: {} MB", found >> 20);
                    // A range is held as a whole beside what decodes it; otherwise the largest cap is always
                    // enough.
                    let enough = bytes >> 20 >= 1024 && !name.starts_with("circuit-embedded");
                    assert!(code == 0 || !enough, "{arguments:?}: {code}");
                }
            }
        }
    });
}
