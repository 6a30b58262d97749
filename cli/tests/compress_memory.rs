//! Memory of the command under `-M`. This process stays small, because the system's figure for a command's
//! memory includes what its parent had when it started the command.
#![cfg(target_os = "linux")]

mod cli_support;

use cli_support::{Folder, two_at_a_time};
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

/// Whether two files are equal; they are compared in pieces, so that this process stays small.
fn same(f: &Folder, a: &str, b: &str) -> bool {
    let mut files = [a, b].map(|name| File::open(f.path(name)).unwrap());
    let mut pieces = [vec![0; 1 << 16], vec![0; 1 << 16]];
    loop {
        let [n, m] = [0, 1]
            .map(|i| std::io::copy(&mut (&mut files[i]).take(1 << 16), &mut &mut pieces[i][..]).unwrap());
        if n != m || pieces[0][..n as usize] != pieces[1][..m as usize] {
            return false;
        }
        if n == 0 {
            return true;
        }
    }
}

/// Whether a file that is compressed under a cap of so many MiB keeps to it, on one thread and on eight, and comes back
/// under it.
fn is_kept_to(f: &Folder, name: &str, cap: u64, level: &str) {
    let memory = format!("{cap}M");
    let (packed, back) = (format!("{name}-{cap}-{level}.nz"), format!("{name}-{cap}-{level}"));
    for threads in ["1", "8"] {
        let used = peak(f, &["-qf", "--level", level, "-M", &memory, "-T", threads, "-o", &packed, name]);
        assert!(used <= (cap + 32) << 20, "{name} -{level} -M {memory} -T {threads}: {used} bytes");
    }
    f.ok(&["-df", "-M", &memory, "-T1", "-o", &back, &packed]);
    assert!(same(f, name, &back), "{name} -{level} -M {memory}");
}

#[test]
fn what_is_written_under_a_cap_is_read_under_it() {
    let f = Folder::new();
    write_text(&f, "text", 5 << 20);
    write_text(&f, "less", 3 << 19);
    write_text(&f, "short", 100_000);
    write_tensor(&f, "tensor", 24);
    let cases = [
        ("text", 16, &["1", "4"][..]),
        ("less", 16, &["6"]),
        ("less", 64, &["5", "9"]),
        ("tensor", 16, &["1", "6"]),
        ("tensor", 64, &["6", "9"]),
        ("short", 256, &["6", "7", "9"]),
    ];
    let all: Vec<_> =
        cases.iter().flat_map(|(name, cap, levels)| levels.iter().map(move |l| (*name, *cap, *l))).collect();
    two_at_a_time(&all, |(name, cap, level)| is_kept_to(&f, name, *cap, level));
    // A codec that is asked for is refused, not replaced.
    let out = f.run(&["--codec", "mix", "-M", "64M", "-o", "q", "short"]);
    assert_eq!(out.status.code(), Some(1));
    assert!(f.stderr(&out).contains("cannot be decoded in"), "{}", f.stderr(&out));
}
