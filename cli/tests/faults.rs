//! Faults around the command: files that change, disks that are full, signals, closed pipes. No source is
//! ever lost, and no half file gets a result's name.
#![cfg(unix)]

mod cli_support;

use cli_support::{Folder, stdout};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::ops::RangeInclusive;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

const NZIP: &str = env!("CARGO_BIN_EXE_nzip");

/// Text that takes a while to code.
fn long_text() -> Vec<u8> {
    let mut seed = 1u32;
    let mut line = |i: u32| {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        format!("{i} line {:x}\n", seed >> 4)
    };
    (0..30_000).map(&mut line).collect::<String>().into_bytes()
}

/// A safetensors file of `count` tensors of 4 MiB each.
fn tensors(count: usize) -> Vec<u8> {
    let (len, mut seed) = (4 << 20, 7u32);
    let entry = |i: usize| {
        let (from, to) = (i * len, (i + 1) * len);
        format!(r#""w{i}":{{"dtype":"F32","shape":[1024,1024],"data_offsets":[{from},{to}]}}"#)
    };
    let json = format!("{{{}}}", (0..count).map(entry).collect::<Vec<_>>().join(","));
    let mut file = [&(json.len() as u64).to_le_bytes()[..], json.as_bytes()].concat();
    for _ in 0..count * len / 4 {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        file.extend((seed >> 9 | 0x3C00_0000).to_le_bytes());
    }
    file
}

/// Sends a signal at once: a program that does so would start too late on a busy machine.
fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

/// The names of files that are being written.
fn temporary_files(f: &Folder) -> impl Iterator<Item = String> {
    f.names().into_iter().filter(|n| n.starts_with(".nzip-"))
}

/// Waits until the command has a temporary file of at least so many bytes.
fn wait_for_temporary(f: &Folder, child: &mut Child, least: u64) {
    for _ in 0..3000 {
        let len = |n: String| fs::metadata(f.path(&n)).map_or(0, |m| m.len());
        if temporary_files(f).any(|n| len(n) >= least) {
            return;
        }
        if let Some(status) = child.try_wait().unwrap() {
            panic!("ended early: {status}");
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    panic!("no temporary file appears");
}

/// Runs the command, stops it in mid-run, changes its files, and lets it go on.
fn meanwhile(f: &Folder, arguments: &[&str], act: impl FnOnce()) -> Output {
    meanwhile_of(f, arguments, 0..=u64::MAX, act)
}

/// Does the same once the command has written so many bytes. Where it has come too far before it stops, it starts anew.
fn meanwhile_of(f: &Folder, arguments: &[&str], written: RangeInclusive<u64>, act: impl FnOnce()) -> Output {
    for _ in 0..20 {
        let mut child = f.command(arguments).spawn().unwrap();
        wait_for_temporary(f, &mut child, *written.start());
        signal(&child, Signal::STOP);
        waitpid(Some(Pid::from_child(&child)), WaitOptions::UNTRACED).unwrap();
        let temporary: Vec<_> = temporary_files(f).map(|n| f.path(&n)).collect();
        if temporary.iter().any(|t| written.contains(&fs::metadata(t).unwrap().len())) {
            act();
            signal(&child, Signal::CONT);
            return child.wait_with_output().unwrap();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        f.names().iter().filter(|n| n.ends_with(".nz") || n.starts_with(".nzip-")).for_each(|n| {
            fs::remove_file(f.path(n)).unwrap();
        });
    }
    panic!("{arguments:?}: never stopped in time");
}

/// Runs a line of the shell in which `$N` is the command.
fn shell(f: &Folder, line: &str) -> Output {
    let mut command = Command::new("sh");
    command.args(["-c", line]).env("N", NZIP).current_dir(f.path("."));
    command.stdin(Stdio::null()).output().unwrap()
}

fn no_temporary(f: &Folder) {
    assert!(temporary_files(f).next().is_none(), "{:?}", f.names());
}

fn failed(f: &Folder, out: &Output, message: &str) {
    assert_eq!(out.status.code(), Some(1), "{}", f.stderr(out));
    assert!(f.stderr(out).contains(message), "{}", f.stderr(out));
    no_temporary(f);
}

#[test]
fn a_file_that_took_the_place_of_the_source_is_not_removed() {
    let f = Folder::new();
    let replace = |name: &str| {
        f.write("new", b"never compressed");
        fs::rename(f.path("new"), f.path(name)).unwrap();
    };
    f.write("a", &long_text());
    let out = meanwhile(&f, &["-5", "--rm", "a"], || replace("a"));
    failed(&f, &out, "nothing is removed");
    assert_eq!(f.read("a"), b"never compressed");
    // The other direction, to a name that is free.
    let out = meanwhile(&f, &["-d", "--rm", "-o", "b", "a.nz"], || replace("a.nz"));
    failed(&f, &out, "nothing is removed");
    assert_eq!(f.read("a.nz"), b"never compressed");
    assert!(f.read("b") == long_text());
}

#[test]
fn a_source_that_grew_is_kept() {
    let f = Folder::new();
    let append = || {
        let mut file = OpenOptions::new().append(true).open(f.path("a")).unwrap();
        file.write_all(b"late line\n").unwrap();
    };
    f.write("a", &long_text());
    failed(&f, &meanwhile(&f, &["-5", "--rm", "a"], append), "a: has grown while it was read; it is kept");
    assert!(f.read("a").ends_with(b"late line\n"));
    f.ok(&["-t", "a.nz"]);
    // Without --rm nothing is lost, but it is told.
    let out = meanwhile(&f, &["-5", "-f", "a"], append);
    assert!(out.status.success() && f.stderr(&out).contains("warning: a: has grown"), "{}", f.stderr(&out));
}

#[test]
fn results_never_take_the_place_of_what_is_read() {
    let f = Folder::new();
    f.write("a", b"precious");
    let refused = |arguments: &[&str]| {
        failed(&f, &f.run(arguments), "is read for");
        assert_eq!(f.read("a"), b"precious");
    };
    refused(&["-f", "--rm", "-o", "a", "a"]);
    refused(&["-f", "-o", "./a", "a"]);
    symlink("a", f.path("a.nz")).unwrap();
    refused(&["-f", "--rm", "a"]);
    fs::remove_file(f.path("a.nz")).unwrap();
    fs::hard_link(f.path("a"), f.path("a.nz")).unwrap();
    refused(&["-f", "a"]);
    fs::remove_file(f.path("a.nz")).unwrap();
    refused(&["model", "export", "a", "-f", "-o", "a"]);
    let append = || OpenOptions::new().append(true).open(f.path("a")).unwrap();
    failed(&f, &f.command(&["-cf", "a"]).stdout(append()).output().unwrap(), "is read for");

    f.ok(&["-o", "p", "a"]);
    let packed = f.read("p");
    for arguments in [&["-df", "--rm", "-o", "p", "p"][..], &["-f", "--range", "0..2", "-o", "p", "p"]] {
        failed(&f, &f.run(arguments), "is read for");
        assert_eq!(f.read("p"), packed);
    }
    let model = concat!(env!("CARGO_MANIFEST_DIR"), "/../formats/vectors/lm/micro.nzlm");
    f.write("m", &fs::read(model).unwrap());
    failed(&f, &f.run(&["-f", "--codec", "lm", "--model", "m", "-o", "m", "a"]), "is read for");
    f.write("base", &tensors(1));
    f.write("tuned", &tensors(1));
    failed(&f, &f.run(&["-1", "-f", "--base", "base", "-o", "base", "tuned"]), "is read for");
    assert!(f.read("base") == tensors(1));
}

#[test]
fn files_of_tensors_that_change_are_errors() {
    let f = Folder::new();
    // So long that the command is still at work when it is stopped, but has begun to read: what changes before is no
    // change to it.
    let raw = tensors(20);
    let meanwhile = |arguments: &[&str], act: &dyn Fn()| meanwhile_of(&f, arguments, 1 << 20..=32 << 20, act);
    f.write("t", &raw);
    let open = || OpenOptions::new().write(true).open(f.path("t")).unwrap();
    let change = || open().write_all_at(&[1; 4096], 70 << 20).unwrap();
    failed(&f, &meanwhile(&["-1", "-T1", "--rm", "t"], &change), "has changed while it was read");
    assert_eq!(f.names(), ["t"]);
    f.write("t", &raw);
    let cut = || open().set_len(5_000_000).unwrap();
    failed(&f, &meanwhile(&["-1", "-T1", "--rm", "t"], &cut), "while it was read");
    assert_eq!(f.names(), ["t"]);
    // Bytes and their check values are read once, whatever happens between passes.
    f.write("t", &raw);
    let out = meanwhile(&["-1", "-T1", "t"], &|| {
        let file = open();
        let time = file.metadata().unwrap().modified().unwrap();
        file.write_all_at(&[1; 4096], 70 << 20).unwrap();
        file.set_modified(time).unwrap();
    });
    assert!(out.status.success(), "{}", f.stderr(&out));
    f.ok(&["-t", "t.nz"]);
}

#[test]
fn bases_that_change_are_errors() {
    let f = Folder::new();
    f.write("base", &tensors(6));
    f.write("t", &tensors(6));
    let open = || OpenOptions::new().write(true).open(f.path("base")).unwrap();
    let run = |act: &dyn Fn()| meanwhile(&f, &["-1", "-T1", "--base", "base", "t"], act);
    failed(&f, &run(&|| open().set_len(5_000_000).unwrap()), "while it was read");
    f.write("base", &tensors(6));
    failed(&f, &run(&|| open().write_all_at(&[1; 4096], 22 << 20).unwrap()), "a base has changed");
    assert!(!f.exists("t.nz"));
    f.write("base", &tensors(6));
    f.ok(&["-1", "--base", "base", "t"]);
    let cut = meanwhile(&f, &["-d", "-T1", "-o", "out", "--base", "base", "t.nz"], || {
        open().set_len(9000).unwrap()
    });
    failed(&f, &cut, "while it was read");
    assert!(!f.exists("out"));
}

#[test]
fn modes_and_owners() {
    let f = Folder::new();
    f.write("a", b"#!/bin/true\n");
    f.ok(&["-1", "a"]);
    let root = fs::metadata(f.path("a")).unwrap().uid() == 0;
    if root {
        std::os::unix::fs::chown(f.path("a.nz"), Some(1234), Some(4321)).unwrap();
    }
    fs::set_permissions(f.path("a.nz"), fs::Permissions::from_mode(0o6755)).unwrap();
    f.ok(&["-d", "-f", "a.nz"]);
    let found = fs::metadata(f.path("a")).unwrap();
    assert_eq!(found.mode() & 0o7777, 0o755);
    if root {
        assert_eq!((found.uid(), found.gid()), (1234, 4321));
    }
    // A result that is made from no file has the mode that the system gives new files.
    let out = shell(&f, "umask 027 && mkfifo pipe && { cat a > pipe & \"$N\" -o result pipe; }");
    assert!(out.status.success(), "{}", f.stderr(&out));
    assert_eq!(fs::metadata(f.path("result")).unwrap().mode() & 0o7777, 0o640);
}

#[test]
fn read_only_and_linked_sources() {
    let f = Folder::new();
    f.write("a", b"some bytes");
    fs::set_permissions(f.path("a"), fs::Permissions::from_mode(0o444)).unwrap();
    f.ok(&["--rm", "a"]);
    assert!(!f.exists("a"));
    f.ok(&["-d", "--rm", "a.nz"]);
    assert!(fs::metadata(f.path("a")).unwrap().mode() & 0o777 == 0o444 && !f.exists("a.nz"));
    fs::hard_link(f.path("a"), f.path("b")).unwrap();
    failed(&f, &f.run(&["--rm", "a"]), "has 2 names");
    assert!(f.exists("a") && !f.exists("a.nz"));
    f.ok(&["--rm", "-f", "a"]);
    assert!(!f.exists("a") && f.read("b") == b"some bytes");
    f.ok(&["-k", "b"]);
}

/// Whether this process ignores a signal.
fn is_ignored(number: i32) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|m| u64::from_str_radix(m.trim(), 16).ok()).is_some_and(|m| m >> (number - 1) & 1 != 0)
}

#[test]
fn signals_leave_nothing() {
    for sent in [Signal::HUP, Signal::INT, Signal::QUIT, Signal::TERM] {
        if is_ignored(sent.as_raw()) {
            eprintln!(
                "SKIPPED: whoever started the tests ignores {sent:?}, as nohup does, and so does the command"
            );
            continue;
        }
        let f = Folder::new();
        let mut child = f.command(&["-o", "p"]).stdin(Stdio::piped()).spawn().unwrap();
        wait_for_temporary(&f, &mut child, 0);
        signal(&child, sent);
        let input = child.stdin.take();
        // The command ends as the signal ends programs, so that loops of a shell end too.
        assert_eq!(child.wait().unwrap().signal(), Some(sent.as_raw()), "{sent:?}");
        drop(input);
        assert!(f.names().iter().all(|n| n.starts_with("core")), "{sent:?}: {:?}", f.names());
    }
}

#[cfg(target_os = "linux")]
#[test]
fn threads_are_limited() {
    let f = Folder::new();
    let most = nzip::most_threads();
    for verb in ["-c", "-dc", "-t"] {
        let asked = (most + 100).to_string();
        let mut command = f.command(&[verb, "-T", &asked]);
        let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
        // It waits for its input once the threads are there.
        let mut count = 0;
        for _ in 0..200 {
            let tasks = fs::read_dir(format!("/proc/{}/task", child.id())).unwrap().count();
            let settled = tasks == count && tasks > most;
            count = tasks;
            if settled {
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        drop(child.stdin.take());
        let out = child.wait_with_output().unwrap();
        assert!((most..most + 20).contains(&count), "{verb}: {count} threads");
        assert!(
            f.stderr(&out).contains(&format!("{most} threads, four for each core")),
            "{}",
            f.stderr(&out)
        );
    }
}

#[test]
fn a_kill_loses_no_source() {
    let f = Folder::new();
    f.write("a", &long_text());
    let mut child = f.command(&["-5", "--rm", "a"]).spawn().unwrap();
    wait_for_temporary(&f, &mut child, 0);
    child.kill().unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(9));
    assert!(f.read("a") == long_text() && !f.exists("a.nz"));
}

#[test]
fn ignored_signals_stay_ignored() {
    let f = Folder::new();
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' HUP; exec \"$N\" -o p"]).env("N", NZIP).current_dir(f.path("."));
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    wait_for_temporary(&f, &mut child, 0);
    signal(&child, Signal::HUP);
    child.stdin.take().unwrap().write_all(b"to the end").unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(f.ok(&["-dc", "p"]).stdout, b"to the end");
}

#[test]
fn files_that_may_not_grow() {
    let f = Folder::new();
    f.write("a", &tensors(1));
    let out = shell(&f, "ulimit -f 100; \"$N\" -1 --codec store --rm a");
    failed(&f, &out, "File too large");
    assert!(f.read("a") == tensors(1) && !f.exists("a.nz"));
}

#[test]
fn full_disks() {
    let f = Folder::new();
    fs::create_dir(f.path("disk")).unwrap();
    f.write("a", &tensors(1));
    f.ok(&["-1", "a"]);
    let mount = "mount -t tmpfs -o size=1m none disk";
    // Without the right to mount a file system there is nothing to test.
    if !Command::new("unshare")
        .args(["-m", "sh", "-c", mount])
        .current_dir(f.path("."))
        .status()
        .is_ok_and(|s| s.success())
    {
        return;
    }
    let lines = [
        "head -c 900000 a > disk/b; \"$N\" --codec store --rm disk/b; echo $?; ls -A disk; cmp -n 900000 a disk/b",
        "head -c 1000 a > disk/b; \"$N\" -d -o disk/c --rm a.nz; echo $?; ls -A disk",
    ];
    for line in lines {
        let line = format!("{mount} && {{ {line}; }}");
        let mut command = Command::new("unshare");
        let out =
            command.args(["-m", "sh", "-c", &line]).env("N", NZIP).current_dir(f.path(".")).output().unwrap();
        assert_eq!(stdout(&out), "1\nb\n", "{}", f.stderr(&out));
        assert_eq!(f.stderr(&out).matches("No space left").count(), 1, "{}", f.stderr(&out));
    }
    assert!(f.exists("a.nz"));
}

#[cfg(target_os = "linux")]
#[test]
fn full_and_closed_standard_output() {
    let f = Folder::new();
    f.write("a", &f.text());
    f.ok(&["-1", "a"]);
    for arguments in ["-dc a.nz", "-c a", "-l a.nz", "--help", "--version", "model list", "--range 0..9 a.nz"]
    {
        let out = shell(&f, &format!("\"$N\" {arguments} > /dev/full"));
        assert_eq!(f.stderr(&out).matches("No space left").count(), 1, "{arguments}: {}", f.stderr(&out));
        assert_eq!(out.status.code(), Some(1), "{arguments}");
        let out = shell(&f, &format!("\"$N\" {arguments} >&-"));
        assert!(f.stderr(&out).contains("standard output is closed"), "{arguments}: {}", f.stderr(&out));
        assert_eq!(out.status.code(), Some(1), "{arguments}");
        assert!(shell(&f, &format!("\"$N\" {arguments} > /dev/null")).status.success(), "{arguments}");
    }
    failed(&f, &f.run(&["-f", "-o", "/dev/full", "a"]), "No space left");
    // Writing to a file needs no standard output.
    assert!(shell(&f, "\"$N\" -f a >&- 2>&-").status.success());
    f.ok(&["-t", "a.nz"]);
}

#[test]
fn two_runs_with_one_result() {
    let f = Folder::new();
    f.write("a", &long_text());
    let out = meanwhile(&f, &["-5", "--rm", "a"], || drop(f.ok(&["-1", "a"])));
    failed(&f, &out, "exists");
    assert!(f.read("a") == long_text());
    f.ok(&["-t", "a.nz"]);
    // The last one counts, and nothing is lost.
    let out = meanwhile(&f, &["-5", "-f", "--rm", "a"], || drop(f.ok(&["-1", "-f", "--rm", "a"])));
    failed(&f, &out, "nothing is removed");
    assert!(f.ok(&["-dc", "a.nz"]).stdout == long_text());
}

#[test]
fn holes_come_back_as_holes() {
    let f = Folder::new();
    let file = File::create(f.path("a")).unwrap();
    file.write_all_at(b"start", 0).unwrap();
    file.write_all_at(b"middle", 3_000_001).unwrap();
    file.set_len(9_000_000).unwrap();
    drop(file);
    let raw = f.read("a");
    f.ok(&["-1", "a"]);
    let taken = |name: &str| fs::metadata(f.path(name)).unwrap().blocks() * 512;
    f.ok(&["-d", "-o", "b", "a.nz"]);
    f.ok(&["-d", "-o", "c", "--no-sparse", "a.nz"]);
    assert!(f.read("b") == raw && f.read("c") == raw);
    if taken("a") < 1_000_000 {
        assert!(taken("b") < 1_000_000 && taken("c") >= 9_000_000, "{} {}", taken("b"), taken("c"));
    }
}

/// A GGUF file with tensors of 64 KiB of the types 0 (32-bit floats), 99 (not known to anybody) and 0.
fn gguf() -> Vec<u8> {
    let mut out = b"GGUF\x03\0\0\0".to_vec();
    out.extend(3u64.to_le_bytes());
    out.extend(0u64.to_le_bytes());
    for (i, (name, kind)) in [("first", 0u32), ("strange", 99), ("last", 0)].into_iter().enumerate() {
        out.extend((name.len() as u64).to_le_bytes());
        out.extend(name.bytes());
        out.extend(2u32.to_le_bytes());
        out.extend(64u64.to_le_bytes());
        out.extend(256u64.to_le_bytes());
        out.extend(kind.to_le_bytes());
        out.extend((i as u64 * (64 << 10)).to_le_bytes());
    }
    out.resize(out.len().next_multiple_of(32), 0);
    let floats = &tensors(1)[200..200 + (192 << 10)];
    out.extend(floats);
    out
}

#[test]
fn a_tensor_of_an_unknown_type_does_not_hide_the_others() {
    let f = Folder::new();
    f.write("m.gguf", &gguf());
    assert!(f.ok(&["m.gguf"]).stderr.is_empty());
    let out = f.ok(&["-fv", "m.gguf"]);
    assert!(f.stderr(&out).contains("1 of 3 tensors, the first \"strange\""), "{}", f.stderr(&out));
    let list = stdout(&f.ok(&["tensors", "list", "m.gguf.nz"]));
    assert!(list.contains("first") && list.contains("last") && !list.contains("strange"), "{list}");
    assert!(f.ok(&["-dc", "m.gguf.nz"]).stdout == gguf());
    let inspected = stdout(&f.ok(&["inspect", "--blocks", "m.gguf.nz"]));
    assert!(!inspected.contains("  mix"), "{inspected}");
    let last = f.ok(&["tensors", "cat", "m.gguf.nz", "last"]).stdout;
    assert!(gguf().ends_with(&last) && last.len() == 64 << 10);
}

#[test]
fn many_small_files_start_once() {
    use wait4::Wait4;
    let f = Folder::new();
    let names: Vec<String> = (0..60).map(|i| format!("{i}.json")).collect();
    for (i, name) in names.iter().enumerate() {
        f.write(name, format!("{{\"id\": {i}, \"name\": \"number {}\"}}\n", i * i).as_bytes());
    }
    let time = |names: &[String], options: &[&str]| {
        let names: Vec<&str> = options.iter().copied().chain(names.iter().map(String::as_str)).collect();
        f.command(&names).spawn().unwrap().wait4().unwrap().rusage.utime
    };
    let best = |names: &[String], options: &[&str]| (0..3).map(|_| time(names, options)).min().unwrap();
    let packed: Vec<String> = names.iter().map(|n| format!("{n}.nz")).collect();
    // Starting the encoder takes much longer than one such file.
    let one = best(&names[..1], &["-6", "-qf"]);
    for (names, options) in [(&names, &["-6", "-qf"]), (&packed, &["-d", "-qf"])] {
        let all = best(names, options);
        assert!(all < 12 * one, "{options:?}: {one:?} to compress one, {all:?} for {}", names.len());
    }
}
