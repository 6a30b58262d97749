//! A folder in which the command is run.

// Each test binary uses a part of this.
#![allow(dead_code)]

use nzip::{Encoder, Options};
use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

/// A temporary folder, removed at the end.
pub struct Folder(tempfile::TempDir);

impl Folder {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// Some 20 KB that compress well.
    pub fn text(&self) -> Vec<u8> {
        let line =
            |i: u32| format!("{i} bottles of beer on the wall, {} left to count\n", i.wrapping_mul(i) % 97);
        (0..400).map(line).collect::<String>().into_bytes()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.path(name), bytes).unwrap();
    }

    /// A file of `n` blocks, each of which holds the text.
    pub fn write_blocks(&self, name: &str, n: usize) {
        let mut encoder = Encoder::with_options(Vec::new(), Options::new().level(2)).unwrap();
        for _ in 0..n {
            encoder.write_all(&self.text()).unwrap();
            encoder.flush().unwrap();
        }
        self.write(name, &encoder.finish().unwrap());
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }

    pub fn exists(&self, name: &str) -> bool {
        self.path(name).exists()
    }

    pub fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.0.path()).unwrap();
        entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect()
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_nzip"));
        command.args(arguments).current_dir(self.0.path());
        command.env("XDG_DATA_HOME", self.0.path());
        for name in ["NZIP_MODELS", "NZIP_LEVEL", "NZIP_THREADS", "NZIP_DEVICE"] {
            command.env_remove(name);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Output {
        self.run_with(arguments, b"")
    }

    pub fn run_with(&self, arguments: &[&str], stdin: &[u8]) -> Output {
        let mut child = self.command(arguments).stdin(Stdio::piped()).spawn().unwrap();
        let mut pipe = child.stdin.take().unwrap();
        let bytes = stdin.to_vec();
        // A command that reads nothing closes the pipe; that is no failure.
        let writer = std::thread::spawn(move || pipe.write_all(&bytes).is_ok());
        let out = child.wait_with_output().unwrap();
        writer.join().unwrap();
        out
    }

    /// Runs the command, which must succeed.
    pub fn ok(&self, arguments: &[&str]) -> Output {
        let out = self.run(arguments);
        assert_eq!(out.status.code(), Some(0), "{arguments:?}: {}", self.stderr(&out));
        out
    }

    /// Runs the command, which must end with exit code 2 and a message that contains `what`.
    pub fn usage_error(&self, arguments: &[&str], what: &str) {
        let out = self.run(arguments);
        assert_eq!(out.status.code(), Some(2), "{arguments:?}: {}", self.stderr(&out));
        assert!(self.stderr(&out).contains(what), "{arguments:?}: {}", self.stderr(&out));
    }

    pub fn stderr(&self, out: &Output) -> String {
        String::from_utf8_lossy(&out.stderr).into_owned()
    }
}

/// Standard output as text.
pub fn stdout(out: &Output) -> String {
    String::from_utf8_lossy(&out.stdout).into_owned()
}

/// Does some work for each of the items, for two at a time: a command often keeps one core busy only.
pub fn two_at_a_time<T: Sync>(items: &[T], work: impl Fn(&T) + Sync) {
    let next = AtomicUsize::new(0);
    let some = || {
        while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
            work(item);
        }
    };
    std::thread::scope(|scope| (0..2).for_each(|_| drop(scope.spawn(some))));
}
