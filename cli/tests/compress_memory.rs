//! Memory of the command under `-M`. This process stays small, because the system's figure for a command's
//! memory includes what its parent had when it started the command.
#![cfg(target_os = "linux")]

mod cli_support;

use cli_support::Folder;
use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::process::Stdio;
use wait4::Wait4;

/// Runs the command, and returns the most memory that it had, in bytes.
fn peak(f: &Folder, arguments: &[&str]) -> u64 {
    let mut child = f.command(arguments).stdout(Stdio::null()).stderr(Stdio::inherit()).spawn().unwrap();
    let used = child.wait4().unwrap();
    assert!(used.status.success(), "{arguments:?}");
    used.rusage.maxrss
}

struct Noise(u32);

impl Noise {
    fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        self.0
    }
}

/// A file of some `len` bytes of text.
fn write_text(f: &Folder, name: &str, len: usize) {
    let (mut file, mut noise) = (BufWriter::new(File::create(f.path(name)).unwrap()), Noise(1));
    for i in 0..len / 16 {
        writeln!(file, "{i:5} line {:4x}", noise.next() >> 16).unwrap();
    }
}

/// A safetensors file of one tensor of `len` MiB.
fn write_tensor(f: &Folder, name: &str, len: u64) {
    let (mut file, mut noise) = (BufWriter::new(File::create(f.path(name)).unwrap()), Noise(7));
    let (rows, end) = (256 * len, len << 20);
    let json = format!(r#"{{"w":{{"dtype":"F32","shape":[{rows},1024],"data_offsets":[0,{end}]}}}}"#);
    file.write_all(&(json.len() as u64).to_le_bytes()).unwrap();
    file.write_all(json.as_bytes()).unwrap();
    for _ in 0..end / 4 {
        file.write_all(&(noise.next() >> 9 | 0x3C00_0000).to_le_bytes()).unwrap();
    }
}

fn same(f: &Folder, a: &str, b: &str) -> bool {
    let open = |name| std::io::BufReader::new(File::open(f.path(name)).unwrap()).bytes();
    open(a).map(Result::unwrap).eq(open(b).map(Result::unwrap))
}

#[test]
fn what_is_written_under_a_cap_is_read_under_it() {
    let f = Folder::new();
    write_text(&f, "text", 5 << 20);
    write_text(&f, "less", 3 << 19);
    write_text(&f, "short", 200_000);
    write_tensor(&f, "tensor", 24);
    let cases = [
        ("text", 16, &["1", "4"][..]),
        ("less", 16, &["6"]),
        ("less", 64, &["5", "9"]),
        ("tensor", 16, &["1", "6"]),
        ("tensor", 64, &["6", "9"]),
        ("short", 256, &["6", "7", "9"]),
    ];
    for (name, cap, levels) in cases {
        let memory = format!("{cap}M");
        for level in levels {
            for threads in ["1", "8"] {
                let used =
                    peak(&f, &["-qf", "--level", level, "-M", &memory, "-T", threads, "-o", "p", name]);
                assert!(used <= (cap + 32) << 20, "{name} -{level} -M {memory} -T {threads}: {used} bytes");
            }
            f.ok(&["-df", "-M", &memory, "-T1", "-o", "back", "p"]);
            assert!(same(&f, name, "back"), "{name} -{level} -M {memory}");
        }
    }
    // A codec that is asked for is refused, not replaced.
    let out = f.run(&["--codec", "mix", "-M", "64M", "-o", "q", "short"]);
    assert_eq!(out.status.code(), Some(1));
    assert!(f.stderr(&out).contains("cannot be decoded in"), "{}", f.stderr(&out));
}
