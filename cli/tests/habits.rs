//! The command as people know it from other compressors: forms of options, folders, lists for programs,
//! messages.

mod cli_support;

use cli_support::{Folder, stdout};
use serde_json::Value;
use std::fs;
use std::process::Output;

/// The keys of an object, in order.
fn keys(value: &Value) -> Vec<&str> {
    value.as_object().expect("an object").keys().map(String::as_str).collect()
}

/// A file of two tensors that are large enough for blocks of their own.
fn two_tensors() -> Vec<u8> {
    let value = |i: u32| (f32::from_bits(0x3f00_0000 | i.wrapping_mul(0x9e37_79b9) >> 9) - 0.7).to_le_bytes();
    let data: Vec<u8> = (0..40_000).flat_map(value).collect();
    let half = data.len() / 2;
    let header = format!(
        r#"{{"x":{{"dtype":"F32","shape":[200,100],"data_offsets":[0,{half}]}},"y":{{"dtype":"F32","shape":[20000],"data_offsets":[{half},{}]}}}}"#,
        data.len()
    );
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &data].concat()
}

fn json(out: &Output) -> Value {
    serde_json::from_slice(&out.stdout).expect("JSON")
}

#[test]
fn blocks_are_as_large_as_wanted_and_lists_tell_what_a_range_costs() {
    let f = Folder::new();
    let raw: Vec<u8> = f.text().repeat(120);
    f.write("a", &raw);
    let blocks = |options: &[&str]| {
        f.ok(&[&["-1f", "a"], options].concat());
        let listed = json(&f.ok(&["-l", "--json", "a.nz"]));
        (listed[0]["blocks"].as_u64().unwrap(), listed[0]["range_bytes"].as_u64().unwrap())
    };
    let len = raw.len() as u64;
    assert!(len > 2 << 20);
    assert_eq!(blocks(&[]), (1, len));
    assert_eq!(blocks(&["--block-size", "64K"]), (len.div_ceil(64 << 10), 64 << 10));
    assert_eq!(blocks(&["--seekable"]), (len.div_ceil(1 << 20), 1 << 20));
    let listed = stdout(&f.ok(&["-l", "a.nz"]));
    assert!(listed.lines().next().unwrap().contains("range"), "{listed}");
    assert!(listed.contains("  1 MiB  "), "{listed}");
    let out = f.ok(&["-v", "--range", &format!("{}..", raw.len() - 10), "a.nz"]);
    assert_eq!(out.stdout, raw[raw.len() - 10..]);
    let decoded: u64 = f.stderr(&out).split_whitespace().rev().nth(1).unwrap().parse().unwrap();
    assert!(decoded <= 1 << 20, "{decoded}");
    f.usage_error(&["--block-size", "1K", "a"], "block size: 4096..=1073741824 expected");
    f.usage_error(&["--block-size", "64K", "--seekable", "a"], "cannot be used");
}

#[test]
fn lists_for_programs_keep_their_keys() {
    let f = Folder::new();
    f.write_blocks("many.nz", 2);
    f.write("t.safetensors", &two_tensors());
    f.ok(&["t.safetensors"]);

    let listed = json(&f.ok(&["-l", "--json", "many.nz", "t.safetensors.nz"]));
    let file_keys = [
        "file",
        "stored_bytes",
        "raw_bytes",
        "ratio",
        "bits_per_byte",
        "blocks",
        "codecs",
        "windows",
        "window_bytes",
        "range_bytes",
        "models",
        "own_model_bytes",
        "stored_with_model_bytes",
        "streams",
        "tensors",
    ];
    let sorted = |mut keys: Vec<&'static str>| {
        keys.sort_unstable();
        keys
    };
    assert_eq!(keys(&listed[0]), sorted(file_keys.to_vec()));
    assert_eq!(listed[0]["file"], "many.nz");
    assert_eq!(listed[0]["raw_bytes"], 2 * f.text().len());
    assert_eq!(keys(&listed[0]["codecs"][0]), ["name", "raw_bytes"]);
    let stream =
        ["offset", "stored_bytes", "raw_bytes", "index_bytes", "embedded_model_bytes", "blocks", "hash"];
    assert_eq!(keys(&listed[0]["streams"][0]), sorted(stream.to_vec()));
    let tensor = sorted(vec!["name", "type", "shape", "stored_bytes", "raw_bytes", "method"]);
    assert_eq!(keys(&listed[1]["tensors"][1]), tensor);
    assert_eq!(listed[1]["tensors"][0]["shape"], serde_json::json!([200, 100]));

    let tensors = json(&f.ok(&["tensors", "list", "--json", "t.safetensors.nz"]));
    assert_eq!(tensors, listed[1]["tensors"]);

    let shown = json(&f.ok(&["inspect", "--json", "many.nz"]));
    assert_eq!(keys(&shown[0]), ["blocks", "file", "raw_bytes", "stored_bytes", "streams"]);
    let block = [
        "stream",
        "offset",
        "stored_bytes",
        "raw_offset",
        "raw_bytes",
        "codec",
        "model",
        "own_model_bytes",
        "window_bytes",
        "sized",
        "flushed",
        "range_bytes",
        "units",
    ];
    assert_eq!(keys(&shown[0]["blocks"][1]), sorted(block.to_vec()));
    let unit = ["check", "raw_bytes", "raw_offset", "stored_bytes"];
    assert_eq!(keys(&shown[0]["blocks"][0]["units"][0]), unit);

    // Every key is described.
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/json.md")).unwrap();
    for key in file_keys.iter().chain(&stream).chain(&block).chain(&unit).chain(&tensor) {
        assert!(page.contains(&format!("`{key}`")), "docs/json.md describes {key}");
    }

    // Failures are reported, and the other files are listed.
    f.write("bad.nz", b"\x1f\x8b\x08 gzip");
    let out = f.run(&["-l", "--json", "bad.nz", "many.nz"]);
    assert_eq!((out.status.code(), json(&out).as_array().unwrap().len()), (Some(1), 1));
    f.usage_error(&["--json", "many.nz"], "--list");

    f.write("a", b"some bytes");
    let figures = json(&f.ok(&["bench", "a", "--peers", "none", "--levels", "1", "--json", "-"]));
    assert_eq!(figures[0]["compressor"], "nzip -1");
}

#[test]
fn models_cost_the_same_in_every_report() {
    let f = Folder::new();
    f.write("a", &f.text()[..3000]);
    for level in ["-6", "-7"] {
        f.ok(&["-f", level, "a"]);
        let listed = json(&f.ok(&["-l", "--json", "a.nz"]));
        let bytes = |figures: &Value| figures[0]["stored_with_model_bytes"].as_u64().unwrap();
        let mut brought = 943_360;
        if level == "-7" {
            brought += 498_115;
            assert_eq!(listed[0]["models"][0]["name"], "tiny");
            assert_eq!(listed[0]["models"][0]["stored_bytes"], 498_115);
        }
        assert_eq!(bytes(&listed), f.read("a.nz").len() as u64 + brought, "{level}");
        let options = ["bench", "a", "--peers", "none", "--levels", &level[1..], "--json", "-"];
        assert_eq!(bytes(&json(&f.ok(&options))), bytes(&listed), "{level}");
        assert!(stdout(&f.ok(&["-l", "a.nz"])).contains("start of mix (built in, 921 KiB)"));
    }
}

#[test]
fn folders() {
    let f = Folder::new();
    fs::create_dir_all(f.path("d/e")).unwrap();
    for name in ["d/a", "d/e/b", "d/e/photo.jpg"] {
        f.write(name, b"some bytes");
    }
    let out = f.run(&["d"]);
    assert_eq!(out.status.code(), Some(1));
    assert!(f.stderr(&out).contains("is a folder (-r takes what is in it)"));
    f.ok(&["-1r", "--exclude-compressed", "d"]);
    assert!(f.exists("d/a.nz") && f.exists("d/e/b.nz") && !f.exists("d/e/photo.jpg.nz"));
    // Compressed files are not compressed again, and the results of the others exist already.
    assert_eq!(f.run(&["-1r", "--exclude-compressed", "d"]).status.code(), Some(1));
    f.ok(&["-1rf", "d"]);
    assert!(!f.exists("d/a.nz.nz") && f.exists("d/e/photo.jpg.nz"));
    f.ok(&["-tr", "d"]);
    assert_eq!(json(&f.ok(&["-lr", "--json", "d"])).as_array().unwrap().len(), 3);
    // Into another folder, with the folders inside.
    f.ok(&["-dr", "d", "-o", "out/"]);
    assert_eq!(f.read("out/d/e/b"), b"some bytes");
    assert!(!f.exists("out/d/a.nz"));
    fs::create_dir(f.path("flat")).unwrap();
    f.ok(&["-o", "flat", "d/a", "d/e/b"]);
    assert!(f.exists("flat/a.nz") && f.exists("flat/b.nz"));
    f.usage_error(&["-r", "d", "-o", "one"], "-o takes one file");
    f.usage_error(&["-r"], "-r needs a folder");
    let out = f.run(&["-rd", "d/a"]);
    assert_eq!(out.status.code(), Some(1), "a file that is named is not looked for");
}

#[test]
fn files_that_are_compressed_already() {
    let f = Folder::new();
    f.write("a", b"some bytes");
    f.write("x.tnz", b"some bytes");
    f.ok(&["-1", "a"]);
    for name in ["a.nz", "x.tnz"] {
        let out = f.run(&[name]);
        assert_eq!(out.status.code(), Some(1));
        assert_eq!(f.stderr(&out).lines().count(), 1);
        assert!(f.stderr(&out).contains("-f compresses it once more"), "{}", f.stderr(&out));
        assert!(!f.exists(&format!("{name}.nz")));
    }
    f.ok(&["-f", "a.nz"]);
    assert!(f.exists("a.nz.nz"));
    f.write("b.gz", b"some bytes");
    f.ok(&["--exclude-compressed", "a", "b.gz", "-fS", ".z"]);
    assert!(f.exists("a.z") && !f.exists("b.gz.z"));
}

#[test]
fn suffixes_and_archives() {
    let f = Folder::new();
    f.write("a.tar", b"an archive");
    f.ok(&["-1", "-S", ".packed", "a.tar"]);
    fs::remove_file(f.path("a.tar")).unwrap();
    f.ok(&["-d", "-S.packed", "a.tar.packed"]);
    assert_eq!(f.read("a.tar"), b"an archive");
    f.ok(&["a.tar", "-o", "b.tnz"]);
    f.ok(&["-d", "b.tnz"]);
    assert_eq!(f.read("b.tar"), b"an archive");
    f.usage_error(&["-S", "a/b", "a.tar"], "a suffix such as .nz expected");
}

#[test]
fn forms_of_options() {
    let f = Folder::new();
    f.write("a", &f.text());
    f.ok(&["-z", "a"]);
    for options in [&["-d", "-d"][..], &["-dd"], &["--uncompress"], &["-zd"], &["-tzd"]] {
        f.ok(&[options, &["-f", "a.nz", "-o", "b"]].concat());
        assert_eq!(f.read("b"), f.text(), "{options:?}");
        fs::remove_file(f.path("b")).unwrap();
    }
    fs::remove_file(f.path("a")).unwrap();
    for options in [&["-dt"][..], &["-td"], &["-lt"], &["--test", "--test"], &["test"]] {
        assert!(f.ok(&[options, &["a.nz"]].concat()).stdout.is_empty(), "{options:?}");
        assert!(!f.exists("a"), "{options:?}");
    }
    for options in [&["-dl"][..], &["-tl"], &["-l", "-l"], &["list"]] {
        assert!(stdout(&f.ok(&[options, &["a.nz"]].concat())).contains("ratio"), "{options:?}");
    }
    assert_eq!(f.ok(&["-d", "--range", "3..5", "a.nz"]).stdout, f.text()[3..5]);
    f.write("a", &f.text());
    let packed = |options: &[&str]| f.ok(&[options, &["-c", "a"]].concat()).stdout;
    assert!(packed(&["-3"]) == packed(&["--level=-3"]) && packed(&["-3"]) == packed(&["--level", "3"]));
    assert!(packed(&["-1"]) == packed(&["--fast"]) && packed(&["-1"]) == packed(&["--best", "-1"]));
    assert!(packed(&["-z", "-d", "-z", "-1"]) == packed(&["-1"]));
    assert!(packed(&["-T1", "-T2", "-1"]) == packed(&["-1"]));
    f.ok(&["compress", "-f", "a"]);
    f.ok(&["decompress", "-f", "a.nz"]);
    assert!(stdout(&f.ok(&["help"])).contains("Usage: nzip"));
    assert!(stdout(&f.ok(&["help", "model"])).contains("Usage: nzip model"));
}

#[test]
fn variables_of_the_environment() {
    let f = Folder::new();
    f.write("a", &f.text());
    let with =
        |name: &str, value: &str, arguments: &[&str]| f.command(arguments).env(name, value).output().unwrap();
    assert!(with("NZIP_LEVEL", "1", &["-c", "a"]).stdout == f.ok(&["-1c", "a"]).stdout);
    assert!(with("NZIP_LEVEL", "9", &["-1c", "a"]).stdout == f.ok(&["-1c", "a"]).stdout);
    assert!(with("NZIP_LEVEL", "", &["-c", "a"]).stdout == f.ok(&["-c", "a"]).stdout);
    let out = with("NZIP_LEVEL", "12", &["-c", "a"]);
    assert_eq!(out.status.code(), Some(2));
    assert!(f.stderr(&out).contains("NZIP_LEVEL: 12 is not in 1..=9"), "{}", f.stderr(&out));
    assert!(with("NZIP_THREADS", "1", &["-1c", "a"]).stdout == f.ok(&["-1c", "a"]).stdout);
    assert_eq!(with("NZIP_THREADS", "many", &["-1c", "a"]).status.code(), Some(2));
}

#[cfg(unix)]
#[test]
fn links_to_the_command() {
    let f = Folder::new();
    f.write("a", b"some bytes");
    f.ok(&["-1", "a"]);
    let run = |name: &str, arguments: &[&str]| {
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_nzip"), f.path(name)).unwrap();
        std::process::Command::new(f.path(name)).args(arguments).current_dir(f.path(".")).output().unwrap()
    };
    assert_eq!(run("nzcat", &["a.nz", "a.nz"]).stdout, b"some bytessome bytes");
    fs::remove_file(f.path("a")).unwrap();
    assert!(run("nunzip", &["a.nz"]).status.success());
    assert_eq!(f.read("a"), b"some bytes");
}

#[cfg(unix)]
#[test]
fn what_is_no_regular_file_is_left_out() {
    let f = Folder::new();
    f.write("a", b"some bytes");
    let made = std::process::Command::new("mkfifo").arg(f.path("pipe")).status();
    assert!(made.unwrap().success());
    let out = f.run(&["-1", "pipe", "a"]);
    assert_eq!(out.status.code(), Some(1));
    assert!(f.stderr(&out).contains("pipe: is not a regular file and was left out (-f reads it)"));
    assert!(f.exists("a.nz") && !f.exists("pipe.nz"));
    let out = f.run(&["/dev/null"]);
    assert_eq!(out.status.code(), Some(1));
    assert!(!std::path::Path::new("/dev/null.nz").exists());
    fs::create_dir(f.path("d")).unwrap();
    fs::rename(f.path("pipe"), f.path("d/pipe")).unwrap();
    assert!(f.ok(&["-r", "d"]).stderr.is_empty());
    // A device is read if no file is made beside it.
    assert!(!f.ok(&["-c", "/dev/null"]).stdout.is_empty());
}

#[test]
fn other_files_are_named_and_passed_on() {
    let f = Folder::new();
    f.write("a", b"plain text");
    f.write("g.nz", b"\x1f\x8b\x08\0\0\0\0\0\0\x03 and so on");
    f.ok(&["-1", "a"]);
    for options in [&["-d"][..], &["-t"], &["-l"], &["inspect"], &["--range", "0..1"], &["tensors", "list"]] {
        let out = f.run(&[options, &["g.nz"]].concat());
        assert_eq!(out.status.code(), Some(1));
        let said = f.stderr(&out);
        assert!(said.ends_with("not a .nz file (looks like gzip)\n"), "{options:?}: {said}");
        assert!(!said.contains("stream 0"), "{said}");
    }
    let kind = nzip::Archive::open(f.path("g.nz")).err().map(|e| e.kind());
    assert_eq!(kind, Some(nzip::ErrorKind::NotNz));
    // However short they are.
    for (content, said) in
        [(&b"hi\n"[..], "not a .nz file\n"), (b"\x1f\x8b", "not a .nz file (looks like gzip)\n")]
    {
        f.write("s.nz", content);
        for options in [&["-d"][..], &["-t"], &["-l"], &["--range", "0..1"]] {
            let found = f.stderr(&f.run(&[options, &["s.nz"]].concat()));
            assert!(found.ends_with(said), "{options:?}: {found}");
        }
    }
    // Damage behind a stream is damage.
    f.write("b.nz", &[&f.read("a.nz")[..], b"and something else"].concat());
    assert!(f.stderr(&f.run(&["-t", "b.nz"])).contains("bytes after the last stream that are not a stream"));

    let joined = f.ok(&["-dcf", "a", "a.nz", "g.nz"]).stdout;
    assert_eq!(joined, [&b"plain textplain text"[..], &f.read("g.nz")].concat());
    assert_eq!(f.run(&["-dc", "a"]).status.code(), Some(1));
    f.write("short", b"\x93N");
    assert_eq!(f.ok(&["-dcf", "short"]).stdout, b"\x93N");
}

#[test]
fn messages_are_for_people() {
    let f = Folder::new();
    f.write("a", b"some bytes");
    for arguments in [
        &["missing"][..],
        &["-d", "missing.nz"],
        &["-l", "missing.nz"],
        &["a", "-o", "no/such/folder"],
        &["tensors", "list", "missing.nz"],
        &["--base", "missing", "a"],
        &["bench", "missing", "--peers", "none"],
        &["model", "export", "a", "-o", "no/such/folder"],
    ] {
        let out = f.run(arguments);
        let said = f.stderr(&out);
        assert_ne!(out.status.code(), Some(0));
        assert!(!said.contains("os error") && !said.contains(".nzip-"), "{arguments:?}: {said}");
        assert_eq!(said.to_lowercase().matches("no such file").count(), 1, "{arguments:?}: {said}");
    }
    f.usage_error(&["-M", "1K", "a"], "did you mean 1M?");
    for (slip, meant) in
        [("--recursiv", "--recursive"), ("--decompres", "--decompress"), ("--jsno", "--json")]
    {
        let out = f.run(&[slip, "a"]);
        assert_eq!(out.status.code(), Some(2));
        assert!(f.stderr(&out).contains(&format!("'{meant}'")), "{}", f.stderr(&out));
        assert!(!f.stderr(&out).contains("as a value"), "{}", f.stderr(&out));
    }
    f.usage_error(&["--codec", "zst", "a"], "'zstd'");
    f.usage_error(&["tensor", "list", "a"], "did you mean tensors?");
}

#[test]
fn the_only_tensor_needs_no_name() {
    let f = Folder::new();
    let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }";
    let header = format!("{header:<117}\n");
    let start = [&b"\x93NUMPY\x01\0"[..], &(header.len() as u16).to_le_bytes(), header.as_bytes()].concat();
    let numbers: Vec<u8> = (0..6u8).flat_map(|i| f32::from(i).to_le_bytes()).collect();
    f.write("a.npy", &[start, numbers.clone()].concat());
    f.ok(&["a.npy"]);
    assert_eq!(f.ok(&["tensors", "cat", "a.npy.nz"]).stdout, numbers);
    assert_eq!(f.ok(&["tensors", "cat", "a.npy.nz", "whatever", "--rows", "1.."]).stdout, numbers[12..]);

    let file = two_tensors();
    f.write("two", &file);
    f.ok(&["two"]);
    assert!(f.ok(&["tensors", "cat", "two.nz", "y"]).stdout == file[file.len() - 80_000..]);
    for arguments in [&["tensors", "cat", "two.nz", "z"][..], &["tensors", "cat", "two.nz"]] {
        let out = f.run(arguments);
        assert_eq!(out.status.code(), Some(1));
        assert!(f.stderr(&out).contains("There are 2: x, y"), "{}", f.stderr(&out));
    }
    // A list keeps to one line; -v shows the tensors.
    assert_eq!(stdout(&f.ok(&["-l", "two.nz"])).lines().count(), 2);
    assert!(stdout(&f.ok(&["-lv", "two.nz"])).lines().any(|l| l.ends_with("  y")));
}

#[test]
fn help_version_man_page_and_completions() {
    let f = Folder::new();
    let help = stdout(&f.ok(&["-h"]));
    for word in ["auto, store, zstd", "mix", "Levels:", "NZIP_MODELS", "--seekable", "--recursive"] {
        assert!(help.contains(word), "{word}: {help}");
    }
    let version = stdout(&f.ok(&["--version"]));
    for word in ["features: ", "codecs: store", "built-in models: tiny", "instruction sets", "scalar"] {
        assert!(version.contains(word), "{version}");
    }
    assert_eq!(stdout(&f.ok(&["-V"])).lines().count(), 1);
    let train = stdout(&f.ok(&["train", "-h"]));
    assert!(train.contains("--features train") || train.contains("--size"), "{train}");
    let man = stdout(&f.ok(&["generate", "man"]));
    for section in [".SH EXAMPLES", ".SH ENVIRONMENT", ".SH FILES", "NZIP_LEVEL", "seekable"] {
        assert!(man.contains(section), "{section}");
    }
    f.ok(&["generate", "man", "pages"]);
    assert!(String::from_utf8(f.read("pages/nzip.1")).unwrap().contains(".SH EXAMPLES"));
    assert!(f.exists("pages/nzip-tensors-list.1"));
    let bash = stdout(&f.ok(&["generate", "completions", "bash"]));
    assert!(bash.contains("auto store zstd lm mix"), "codecs are offered, not files");
}

#[test]
fn more_is_told_to_those_who_ask_twice() {
    let f = Folder::new();
    f.write("a", &f.text());
    let said = |options: &[&str]| f.stderr(&f.ok(options));
    assert_eq!(said(&["-1v", "a"]).lines().count(), 1);
    for options in [&["-1fvv", "a"][..], &["-tvv", "a.nz"], &["-dfvv", "a.nz"]] {
        let said = said(options);
        assert!(said.lines().count() == 2 && said.contains("1 blocks, codecs zstd"), "{options:?}: {said}");
    }
}

#[test]
fn a_codec_that_does_not_suit_is_told() {
    let f = Folder::new();
    let numbers: String = (0..3000).map(|i| format!("{}\n", i * i % 977)).collect();
    f.write("a", numbers.as_bytes());
    let said = |options: &[&str]| f.stderr(&f.ok(&[options, &["-f", "a"]].concat()));
    let expected =
        "nzip: warning: a: codec table does not suit 11628 bytes of it; zstd or store coded them\n";
    assert_eq!((numbers.len(), said(&["--codec", "table"]).as_str()), (11_628, expected));
    assert_eq!(said(&["-c", "--codec", "table"]), expected);
    assert!(said(&["--codec", "deflate"]).contains("codec deflate does not suit"));
    for options in [&["--codec", "table", "-q"][..], &["--codec", "mix"], &["--codec", "zstd"], &[]] {
        assert_eq!(said(options), "");
    }
    let table: String = (0..3000).map(|i| format!("{},{},{}\n", i % 7, i % 5, i * i % 11)).collect();
    f.write("a", table.as_bytes());
    assert_eq!(said(&["--codec", "table"]), "");
}

#[cfg(target_os = "linux")]
#[test]
fn progress_counts_what_is_coded_on_one_line() {
    use std::process::{Command, Stdio};
    if Command::new("script").arg("--version").output().is_err() {
        return;
    }
    let f = Folder::new();
    let numbers = |i: u32| format!("{} {}\n", i.wrapping_mul(0x9e37_79b9), i % 977);
    f.write("a", (0..25_000).map(numbers).collect::<String>().as_bytes());
    let raw_len = f.read("a").len();
    let typed = |line: &str| {
        let line = format!("stty cols 40 rows 24; {line}").replace("nzip", env!("CARGO_BIN_EXE_nzip"));
        let mut child = Command::new("script");
        child.args(["-qec", &line, "/dev/null"]).current_dir(f.path(".")).stdin(Stdio::null());
        stdout(&child.output().unwrap())
    };
    // The text that was drawn, without control sequences.
    let plain = |text: &str| {
        let mut parts = text.split('\u{1b}');
        let first = parts.next().unwrap_or_default().to_string();
        parts.fold(first, |all, part| all + part.split_once(char::is_alphabetic).map_or("", |p| p.1))
    };
    let drawn = |text: &str| -> Vec<String> {
        text.split(['\r', '\n']).map(plain).filter(|p| p.contains(" %")).collect()
    };
    for line in ["nzip -6 -T1 a", "nzip -t -T1 a.nz", "nzip -df -T1 a.nz"] {
        let said = typed(line);
        let drawn = drawn(&said);
        assert!(drawn.len() > 1, "{line}: {said:?}");
        assert!(drawn.iter().all(|d| d.trim_end().chars().count() < 40), "{drawn:?}");
        assert!(drawn.iter().any(|d| d.contains(" left")), "{drawn:?}");
        assert!(!drawn[0].contains("100 %"), "what is read at once is not done: {drawn:?}");
        assert!(said.contains(&raw_len.to_string()), "{said}");
    }
    // Verifying is counted anew: it takes as long as coding did.
    let percent = |line: &String| -> u32 {
        line.split(" %").next().unwrap().rsplit(' ').next().unwrap().parse().unwrap()
    };
    let shares: Vec<u32> = drawn(&typed("nzip -6fT1 --verify a")).iter().map(percent).collect();
    assert!(shares.windows(2).any(|w| w[1] < w[0]), "{shares:?}");
    // Interrupted, it leaves an empty line and no file.
    let said = typed("timeout --foreground -s INT 1.5 nzip -8fT1 a -o b; echo code $?");
    let last = said.rfind(" %").expect("a line was drawn");
    assert!(said[last..].contains("\u{1b}[2K"), "{said:?}");
    assert!(!f.exists("b"));
    assert!(f.ok(&["-6f", "a"]).stderr.is_empty());
}

#[cfg(unix)]
#[test]
fn the_commands_of_the_readme_run() {
    let readme = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md")).unwrap();
    let blocks = readme.split("```sh\n").skip(1).filter_map(|block| block.split("```").next());
    let commands: Vec<&str> =
        blocks.flat_map(str::lines).map(|l| l.split('#').next().unwrap().trim()).collect();
    assert!(commands.len() > 10);
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_nzip")).parent().unwrap();
    let path = std::env::join_paths(
        [program.to_path_buf()].into_iter().chain(std::env::split_paths(&std::env::var_os("PATH").unwrap())),
    );
    let path = path.unwrap();
    for line in commands {
        if line.starts_with("nzip grep") && !cfg!(feature = "grep") {
            continue;
        }
        // It lasts until it is interrupted: `tests/mount.rs`.
        if line.starts_with("nzip mount") {
            continue;
        }
        let f = Folder::new();
        fs::create_dir(f.path("folder")).unwrap();
        for name in ["book.txt", "scan.ppm", "big.log", "folder/a"] {
            f.write(name, &f.text()[..5000]);
        }
        f.write("model.safetensors", &two_tensors());
        for folder in ["base", "tuned"] {
            fs::create_dir(f.path(folder)).unwrap();
            f.write(&format!("{folder}/model.safetensors"), &two_tensors());
        }
        // Make the compressed files that the command reads, without what it will make itself.
        let made = line.split_once(" -o ").and_then(|(_, rest)| rest.split(' ').next());
        for word in line.split(' ').filter(|w| w.ends_with(".nz") && Some(*w) != made) {
            let name = &word[..word.len() - 3];
            f.ok(&["-1", name]);
            fs::remove_file(f.path(name)).unwrap();
        }
        let mut shell = std::process::Command::new("sh");
        shell.args(["-c", line]).current_dir(f.path(".")).env("PATH", &path).env("NZIP_LEVEL", "1");
        let out = shell.output().unwrap();
        assert!(out.status.success(), "{line}: {}", f.stderr(&out));
    }
}

#[cfg(target_os = "linux")]
#[test]
fn people_are_asked_before_a_file_is_overwritten() {
    use std::io::Write;
    use std::process::{Command, Stdio};
    // script(1) gives the command a terminal.
    if Command::new("script").arg("--version").output().is_err() {
        return;
    }
    let f = Folder::new();
    let answer = |answer: &str| {
        f.write("a", b"new");
        f.write("a.nz", b"old");
        let line = format!("{} -1 a; echo code $?", env!("CARGO_BIN_EXE_nzip"));
        let mut child = Command::new("script")
            .args(["-qec", &line, "/dev/null"])
            .current_dir(f.path("."))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(answer.as_bytes()).unwrap();
        stdout(&child.wait_with_output().unwrap())
    };
    let said = answer("n\n");
    assert!(said.contains("overwrite it? [y/N]") && said.contains("code 1"), "{said}");
    assert_eq!(f.read("a.nz"), b"old");
    let said = answer("y\n");
    assert!(said.contains("code 0"), "{said}");
    assert_ne!(f.read("a.nz"), b"old");
}
