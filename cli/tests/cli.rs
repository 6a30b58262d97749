//! The command, as people and scripts use it.

mod cli_support;

use cli_support::{Folder, stdout};
use std::fs;
use std::io::Write;

#[test]
fn compresses_beside_the_source_and_restores() {
    let f = Folder::new();
    f.write("a.txt", &f.text());
    assert!(f.ok(&["a.txt"]).stderr.is_empty());
    assert!(f.read("a.txt.nz").len() < f.text().len() / 2);
    assert_eq!(f.read("a.txt"), f.text());
    fs::remove_file(f.path("a.txt")).unwrap();
    f.ok(&["-d", "a.txt.nz"]);
    assert_eq!(f.read("a.txt"), f.text());
    assert!(f.exists("a.txt.nz"));
}

#[test]
fn options_and_files_come_in_any_order() {
    let f = Folder::new();
    f.write("a", b"some bytes");
    f.ok(&["a", "-9", "-q", "-o", "p"]);
    f.ok(&["p", "-dfo", "out"]);
    assert_eq!(f.read("out"), b"some bytes");
    assert_eq!(f.ok(&["-dc", "p"]).stdout, b"some bytes");
    assert_eq!(f.ok(&["p", "-cd"]).stdout, b"some bytes");
    assert_eq!(f.ok(&["--stdout", "--decompress", "--", "p"]).stdout, b"some bytes");
}

#[test]
fn pipes() {
    let f = Folder::new();
    let packed = f.run_with(&[], &f.text());
    assert!(packed.status.success());
    assert_eq!(f.run_with(&["-d"], &packed.stdout).stdout, f.text());
    assert_eq!(f.run_with(&["-d", "-"], &packed.stdout).stdout, f.text());
    assert!(f.run_with(&["-t"], &packed.stdout).status.success());
    let one = f.run_with(&["-", "-c", "-1"], b"one").stdout;
    let both = [one, f.run_with(&["-"], b"two").stdout].concat();
    assert_eq!(f.run_with(&["-dc"], &both).stdout, b"onetwo");
    assert!(f.run_with(&["-o", "p"], b"to a file").stdout.is_empty());
    assert_eq!(f.ok(&["-dc", "p"]).stdout, b"to a file");
    assert_eq!(f.run_with(&["-d", "-o", "q"], &f.read("p")).status.code(), Some(0));
    assert_eq!(f.read("q"), b"to a file");
    assert_eq!(f.ok(&["-d", "-o-", "p"]).stdout, b"to a file");
}

#[test]
fn empty_input() {
    let f = Folder::new();
    let packed = f.run_with(&["-c"], b"").stdout;
    assert!(!packed.is_empty());
    let out = f.run_with(&["-d"], &packed);
    assert!(out.status.success() && out.stdout.is_empty());
    assert_eq!(f.run_with(&["-d"], b"").status.code(), Some(1));
}

#[test]
fn described_content_from_files_and_pipes() {
    let folder = Folder::new();
    let raw: Vec<u8> = (0..6000u32).flat_map(|i| ((i * i % 77) as f32).to_bits().to_le_bytes()).collect();
    // Cut off after 16 bits: these numbers have no more.
    let raw: Vec<u8> = raw.chunks_exact(4).flat_map(|e| [e[2], e[3]]).collect();
    folder.write("raw", &[b"head", &raw[..]].concat());
    let describe = ["--dtype", "bf16", "--shape", "60x100", "--skip", "4"];
    folder.ok(&[&["raw"][..], &describe].concat());
    let piped = folder.run_with(&[&["-c", "-"][..], &describe].concat(), &folder.read("raw"));
    assert_eq!(piped.status.code(), Some(0), "{}", folder.stderr(&piped));
    assert!(piped.stdout == folder.read("raw.nz"));
    let list = stdout(&folder.ok(&["tensors", "list", "raw.nz"]));
    assert!(list.contains("BF16") && list.contains("60x100") && list.contains("data"), "{list}");
    assert!(folder.ok(&["tensors", "cat", "raw.nz", "data", "--rows", "2..4"]).stdout == raw[400..800]);
    let part = folder.ok(&["tensors", "cat", "raw.nz", "data", "--slice", "2..4,50"]).stdout;
    assert!(part == [&raw[500..502], &raw[700..702]].concat());
    assert!(folder.ok(&["-d", "-c", "raw.nz"]).stdout == folder.read("raw"));
    let long = folder.run_with(&["-c", "-", "--dtype", "f64", "--shape", "9999"], &raw);
    assert_ne!(long.status.code(), Some(0));
    assert!(folder.stderr(&long).contains("79992"), "{}", folder.stderr(&long));
}

#[test]
fn many_files_and_what_fails_among_them() {
    let f = Folder::new();
    f.write("a", b"aaa");
    f.write("b", b"bbb");
    let out = f.run(&["a", "missing", "b"]);
    assert_eq!(out.status.code(), Some(1));
    assert!(f.stderr(&out).starts_with("nzip: missing: "), "{}", f.stderr(&out));
    assert_eq!(f.ok(&["-dc", "a.nz", "b.nz"]).stdout, b"aaabbb");
    assert_eq!(f.ok(&["-c", "a", "b"]).status.code(), Some(0));
    let joined = f.ok(&["-c", "a", "b"]).stdout;
    assert_eq!(f.run_with(&["-d"], &joined).stdout, b"aaabbb");
    f.usage_error(&["a", "b", "-o", "c"], "-o takes one file");
    assert!(!f.exists("c"));
}

#[test]
fn sources_are_kept_or_removed() {
    let f = Folder::new();
    f.write("a", b"aaa");
    f.ok(&["--rm", "-k", "a"]);
    assert!(f.exists("a"));
    f.ok(&["-kf", "--rm", "a"]);
    assert!(!f.exists("a"));
    f.ok(&["-d", "--rm", "a.nz"]);
    assert!(f.exists("a") && !f.exists("a.nz"));
    // Nothing is removed if no file is made.
    f.usage_error(&["-c", "--rm", "a"], "cannot be used");
    f.ok(&["--rm", "-o", "-", "a"]);
    assert!(f.exists("a"));
    f.write("a.nz", b"no such format");
    assert_eq!(f.run(&["-df", "--rm", "a.nz"]).status.code(), Some(1));
    assert!(f.exists("a.nz"));
}

#[test]
fn nothing_is_overwritten_without_force() {
    let f = Folder::new();
    f.write("a", b"new");
    f.write("a.nz", b"old");
    let out = f.run(&["a"]);
    assert_eq!(out.status.code(), Some(1));
    assert!(f.stderr(&out).contains("a.nz exists already"));
    assert_eq!(f.read("a.nz"), b"old");
    f.ok(&["-f", "a"]);
    f.write("a", b"changed");
    assert_eq!(f.run(&["-d", "a.nz"]).status.code(), Some(1));
    assert_eq!(f.read("a"), b"changed");
    f.ok(&["-df", "a.nz"]);
    assert_eq!(f.read("a"), b"new");
}

#[test]
fn names_and_folders() {
    let f = Folder::new();
    f.write("a", b"aaa");
    f.ok(&["a", "-o", "a.packed"]);
    let out = f.run(&["-d", "a.packed"]);
    assert_eq!(out.status.code(), Some(1));
    assert!(f.stderr(&out).contains("does not end in .nz"));
    fs::create_dir(f.path("folder")).unwrap();
    let out = f.run(&["folder"]);
    assert_eq!(out.status.code(), Some(1));
    assert!(f.stderr(&out).contains("is a folder"));
    f.ok(&["a", "-fo", "folder"]);
    assert!(f.exists("folder/a.nz"));
    assert_eq!(f.run(&["a", "-o", "no/such/folder"]).status.code(), Some(1));
    // Only the first argument can be a verb.
    f.write("bench", b"a file");
    f.ok(&["./bench"]);
    f.ok(&["-dfo", "out", "bench.nz"]);
    f.ok(&["-kf", "bench"]);
    assert_eq!(f.read("out"), b"a file");
}

#[cfg(unix)]
#[test]
fn mode_time_links_and_devices() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let f = Folder::new();
    f.write("a", b"aaa");
    let time = std::time::UNIX_EPOCH + std::time::Duration::new(1_234_567_890, 500_000_000);
    fs::File::options().write(true).open(f.path("a")).unwrap().set_modified(time).unwrap();
    fs::set_permissions(f.path("a"), fs::Permissions::from_mode(0o640)).unwrap();
    f.ok(&["a"]);
    f.ok(&["-d", "a.nz", "-o", "b"]);
    for name in ["a.nz", "b"] {
        let found = fs::metadata(f.path(name)).unwrap();
        assert_eq!(found.permissions().mode() & 0o7777, 0o640, "{name}");
        assert_eq!(found.modified().unwrap(), time, "{name}");
    }
    symlink("a", f.path("link")).unwrap();
    assert_eq!(f.run(&["link"]).status.code(), Some(1));
    f.ok(&["-f", "link"]);
    assert_eq!(f.ok(&["-dc", "link.nz"]).stdout, b"aaa");
    // A link as target stays a link.
    symlink("behind", f.path("target")).unwrap();
    f.write("behind", b"old");
    f.ok(&["-df", "a.nz", "-o", "target"]);
    assert_eq!(f.read("behind"), b"aaa");
    assert!(fs::symlink_metadata(f.path("target")).unwrap().is_symlink());
    f.ok(&["-d", "a.nz", "-o", "/dev/null"]);
    assert!(!fs::metadata("/dev/null").unwrap().is_file());
}

#[test]
fn levels_codecs_and_resources() {
    let f = Folder::new();
    let text = &f.text()[..8000];
    f.write("a", text);
    f.write("short", &text[..1500]);
    let len = |options: &[&str]| f.ok(&[options, &["-c", "a"]].concat()).stdout.len();
    assert!(len(&["-1"]) > len(&["-9"]));
    assert_eq!(len(&["-9", "-1"]), len(&["--level", "1"]));
    assert_eq!(len(&["-T1"]), len(&["-T3", "-M1G"]));
    assert!(len(&["--codec", "store"]) > text.len());
    assert!(len(&["--codec=zstd"]) < text.len());
    assert_eq!(len(&["--codec=auto", "--window", "4KiB"]), len(&[]));
    // Circuits are learned from records: there is none for text. Text is no table either and has no pictures or deflate
    // streams: it is coded otherwise.
    f.usage_error(&["--codec", "circuit", "-c", "short"], "needs a model");
    let transformer = concat!(env!("CARGO_MANIFEST_DIR"), "/../formats/vectors/llm/micro.nzllm");
    for name in nzip::Codec::AVAILABLE
        .iter()
        .map(|c| c.name())
        .filter(|n| !["circuit", "deflate", "jpeg", "table"].contains(n))
    {
        let model: &[&str] = if name == "llm" { &["--model", transformer] } else { &[] };
        f.write("p.nz", &f.ok(&[model, &["--codec", name, "-c", "short"]].concat()).stdout);
        assert!(stdout(&f.ok(&["-l", "p.nz"])).contains(name));
        assert_eq!(f.ok(&[model, &["-dc", "-T2", "p.nz"]].concat()).stdout, f.read("short"));
    }
    assert!(len(&["--codec", "table"]) < text.len());
    f.usage_error(&["--codec", "llm", "-c", "short"], "a model is needed");
}

#[test]
fn a_missing_gpu_is_one_warning() {
    let f = Folder::new();
    f.write("a", &f.text());
    f.ok(&["--codec", "lm", "--model", "tiny", "a"]);
    let out = f.ok(&["-dc", "--device", "no GPU has this name", "a.nz"]);
    assert_eq!(out.stdout, f.text());
    // Installed drivers may print messages, too.
    let own =
        |out| f.stderr(out).lines().filter(|l| l.starts_with("nzip:")).map(String::from).collect::<Vec<_>>();
    let named =
        if cfg!(feature = "gpu") { "named" } else { "no GPU has this name: this nzip was built without gpu" };
    let warning = format!("nzip: warning: no GPU {named}");
    assert!(matches!(&own(&out)[..], [line] if line.starts_with(&warning)));
    assert!(own(&f.ok(&["-qdc", "--device", "no GPU has this name", "a.nz"])).is_empty());
    assert!(f.ok(&["--device", "list"]).stdout.starts_with(b"cpu\n"));
}

#[test]
fn results_are_verified_where_that_is_wanted() {
    let f = Folder::new();
    f.write("a", &f.text());
    f.write("empty", b"");
    f.ok(&["--verify", "--rm", "a", "empty"]);
    assert!(!f.exists("a"));
    f.ok(&["-d", "a.nz", "empty.nz"]);
    assert!(f.read("a") == f.text() && f.read("empty").is_empty());
    let refused = f.run(&["--verify", "-f", "-o", "/dev/null", "a"]);
    assert_eq!(refused.status.code(), Some(1));
    assert_eq!(f.run(&["--verify", "-c", "a"]).status.code(), Some(2));
    assert_eq!(f.run(&["--verify", "-d", "a.nz"]).status.code(), Some(2));
    let piped = f.run_with(&["--verify", "-o", "b"], &f.text());
    assert!(!piped.status.success() && !f.exists("b"));
}

#[test]
fn usage_errors() {
    let f = Folder::new();
    f.write("a", b"aaa");
    f.usage_error(&["-19", "a"], "levels go from -1 to -9");
    f.usage_error(&["-0", "a"], "levels go from -1 to -9");
    f.usage_error(&["--level", "10", "a"], "10");
    f.usage_error(&["--codec", "lzw", "a"], "auto, store, zstd");
    f.usage_error(&["--window", "33", "a"], "window size");
    f.usage_error(&["--window", "16Q", "a"], "unknown suffix");
    f.usage_error(&["-M5", "a"], "did you mean 5M");
    f.usage_error(&["--range", "9..3", "a"], "ends before it starts");
    f.usage_error(&["--range", "0..1", "-l", "a"], "cannot be used");
    f.usage_error(&["--model", "no-such-model", "a"], "no-such-model");
    f.usage_error(&["-d", "--model", "no-such-model", "a"], "no-such-model");
    f.usage_error(&["--no-such-option"], "no-such-option");
    f.usage_error(&["model"], "Usage: nzip model");
    #[cfg(not(feature = "train"))]
    f.usage_error(&["train", "folder", "-o", "x"], "built without training");
    assert!(!f.exists("a.nz"));
}

#[test]
fn models_are_checked_before_files() {
    let f = Folder::new();
    f.write("a", b"aaa");
    f.write("weights", b"these are weights");
    assert!(stdout(&f.ok(&["model", "show", "weights"])).contains("17 bytes"));
    f.ok(&["model", "export", "weights"]);
    let packed = fs::read_dir(f.path(".")).unwrap().flatten().map(|e| e.file_name().into_string().unwrap());
    let packed = packed.filter(|n| n.len() == 67).collect::<Vec<_>>();
    assert_eq!(f.ok(&["-dc", &packed[0]]).stdout, b"these are weights");
    // A model folder makes it known by its hash.
    let show = |model: &str| f.command(&["model", "show", model]).env("NZIP_MODELS", f.path(".")).output();
    let shown = show(&packed[0][..8]).unwrap();
    assert!(stdout(&shown).contains(&packed[0][..64]), "{}", f.stderr(&shown));
    assert_eq!(show(&packed[0][..7]).unwrap().status.code(), Some(2));
    f.ok(&["model", "export", "weights", "--raw", "-o", "w"]);
    assert_eq!(f.read("w"), b"these are weights");
    assert_eq!(f.run(&["model", "export", "weights", "--raw", "-o", "w"]).status.code(), Some(1));
    assert!(!stdout(&f.ok(&["model", "list"])).is_empty());
}

#[test]
fn lists_and_inspects_files_of_several_blocks() {
    let f = Folder::new();
    f.write_blocks("many.nz", 3);
    f.write("one", &f.text());
    f.ok(&["one"]);
    let listed = stdout(&f.ok(&["-l", "many.nz", "one.nz"]));
    let cells = |n: usize| listed.lines().nth(n).unwrap().split_whitespace().collect::<Vec<_>>();
    assert_eq!(cells(0)[..6], ["stored", "raw", "ratio", "bpb", "blocks", "codecs"]);
    assert_eq!(cells(1)[0], f.read("many.nz").len().to_string());
    assert_eq!(cells(1)[1], (3 * f.text().len()).to_string());
    assert_eq!(cells(1)[4..6], ["3", "zstd"]);
    assert_eq!(*cells(1).last().unwrap(), "many.nz");
    assert_eq!(cells(3)[4], "4");
    assert!(listed.lines().nth(3).unwrap().ends_with("2 files"));
    assert!(stdout(&f.ok(&["-lv", "many.nz"])).contains("many.nz, stream 0: offset 0, "));

    let shown = stdout(&f.ok(&["inspect", "many.nz"]));
    assert!(shown.contains("3 blocks, index "), "{shown}");
    let rows = |text: &str, part: &str| text.lines().filter(|l| l.contains(part)).count();
    assert_eq!((rows(&shown, "  zstd"), rows(&shown, "  check ")), (3, 3), "{shown}");
    let shown = stdout(&f.ok(&["inspect", "--blocks", "many.nz"]));
    assert_eq!((rows(&shown, "  zstd"), rows(&shown, "  check ")), (3, 0));

    f.write("bad.nz", b"no such format");
    let out = f.run(&["-l", "bad.nz", "one.nz"]);
    assert_eq!(out.status.code(), Some(1));
    assert!(stdout(&out).contains("one.nz") && f.stderr(&out).contains("nzip: bad.nz: "));
    assert_eq!(f.run(&["inspect", "bad.nz"]).status.code(), Some(1));
    assert_eq!(f.run(&["-l"]).status.code(), Some(1));
}

#[test]
fn windows_and_their_model() {
    let f = Folder::new();
    let raw = &f.text()[..6000];
    f.write("a", raw);
    let model = concat!(env!("CARGO_MANIFEST_DIR"), "/../formats/vectors/lm/micro.nzlm");
    let lm = ["--codec", "lm", "--model", model, "--window", "64"];
    f.ok(&[&lm[..], &["a"]].concat());
    let listed = stdout(&f.ok(&["-l", "a.nz"]));
    assert!(listed.contains(" x 64 B") && listed.contains("(not here)"), "{listed}");
    let out = f.run(&["-dc", "a.nz"]);
    assert_eq!(out.status.code(), Some(1));
    assert!(f.stderr(&out).contains("the model ") && out.stdout.is_empty(), "{}", f.stderr(&out));
    assert_eq!(f.ok(&["-dc", "a.nz", "--model", model]).stdout, raw);

    let shown = stdout(&f.ok(&["inspect", "a.nz"]));
    let windows: Vec<_> = shown.lines().filter(|l| l.contains("  check ")).collect();
    assert!(windows.len() >= 3 && shown.contains(&format!(", {} windows of 64", windows.len())), "{shown}");
    let out = f.ok(&["--range", "1000..1001", "-v", "a.nz", "--model", model]);
    assert_eq!(out.stdout, raw[1000..1001]);
    let decoded: usize = f.stderr(&out).split_whitespace().rev().nth(1).unwrap().parse().unwrap();
    assert!(decoded < 2000, "{decoded}");

    let mut bad = f.read("a.nz");
    // The last payload byte stands before the trailer.
    let end = bad.len() - usize::from(bad[bad.len() - 1]);
    bad[end - 200] ^= 0x55;
    f.write("bad.nz", &bad);
    let out = f.run(&["-d", "bad.nz", "--model", model]);
    assert_eq!(out.status.code(), Some(1));
    assert!(
        f.stderr(&out).starts_with("nzip: bad.nz: block 0 (raw offset 0): window "),
        "{}",
        f.stderr(&out)
    );

    f.ok(&[&lm[..], &["-f", "--embed-model", "a"]].concat());
    assert_eq!(f.ok(&["-dc", "a.nz"]).stdout, raw);
    let listed = stdout(&f.ok(&["-l", "a.nz"]));
    assert!(listed.contains("(embedded "), "{listed}");
}

#[test]
fn ranges() {
    let f = Folder::new();
    f.write_blocks("many.nz", 3);
    let raw = f.text().repeat(3);
    let (n, len) = (f.text().len(), raw.len());
    let range = |span: &str| f.ok(&["--range", span, "many.nz"]).stdout;
    for (span, from, to) in [
        (format!("{}..{}", n - 10, n + 10), n - 10, n + 10),
        ("1K..2K".into(), 1024, 2048),
        (format!("{}..", len - 7), len - 7, len),
        ("..5".into(), 0, 5),
        ("7..7".into(), 7, 7),
    ] {
        assert_eq!(range(&span), raw[from..to], "{span}");
    }
    f.ok(&["--range", "5..9", "many.nz", "-o", "part"]);
    assert_eq!(f.read("part"), raw[5..9]);
    let out = f.ok(&["--range", &format!("{}..{}", n + 3, n + 5), "many.nz", "-v"]);
    assert!(f.stderr(&out).contains("2 bytes, "), "{}", f.stderr(&out));
    let decoded: usize = f.stderr(&out).split_whitespace().rev().nth(1).unwrap().parse().unwrap();
    assert!(decoded <= n);
    assert_eq!(f.run(&["--range", &format!("0..{}", len + 1), "many.nz"]).status.code(), Some(1));
    assert_eq!(f.run(&["--range", &format!("{}..", len + 1), "many.nz"]).status.code(), Some(1));
    assert_eq!(f.run_with(&["--range", "0..1"], b"").status.code(), Some(1));
}

#[test]
fn damage_is_named_and_leaves_nothing() {
    let f = Folder::new();
    f.write_blocks("a.nz", 3);
    let good = f.read("a.nz");
    f.ok(&["-t", "a.nz"]);
    // The middle of the file is the payload of block 1.
    let mut bad = good.clone();
    bad[good.len() / 2] ^= 1;
    f.write("a.nz", &bad);
    for options in [&["-d"][..], &["-t"], &["-t", "-T1"], &["-d", "-T1"]] {
        let out = f.run(&[options, &["a.nz"]].concat());
        assert_eq!(out.status.code(), Some(1));
        let place = format!("nzip: a.nz: block 1 (raw offset {}", f.text().len());
        assert!(f.stderr(&out).starts_with(&place), "{}", f.stderr(&out));
    }
    // Bytes verified before the error are written to a pipe.
    let out = f.run(&["-dc", "a.nz"]);
    assert_eq!((out.status.code(), out.stdout), (Some(1), f.text()));
    f.write("a.nz", &good[..good.len() - 1]);
    let out = f.run(&["-d", "a.nz"]);
    assert_eq!(out.status.code(), Some(1));
    assert!(f.stderr(&out).contains("trailer"), "{}", f.stderr(&out));
    assert_eq!(f.names(), ["a.nz"]);
}

#[test]
fn says_little_and_more() {
    let f = Folder::new();
    f.write("a", &f.text());
    let out = f.ok(&["-v", "a"]);
    assert!(f.stderr(&out).starts_with(&format!("a: {} -> ", f.text().len())), "{}", f.stderr(&out));
    assert!(f.stderr(&f.ok(&["-tv", "a.nz"])).contains(": ok, "));
    assert!(f.ok(&["-t", "a.nz"]).stderr.is_empty());
    assert!(f.ok(&["-fvq", "a"]).stderr.is_empty());
    assert!(!f.run(&["-q", "a"]).stderr.is_empty());
    assert!(f.run(&["-qq", "a"]).stderr.is_empty());
}

#[cfg(unix)]
#[test]
fn a_closed_pipe_is_quiet() {
    let f = Folder::new();
    f.write_blocks("many.nz", 60);
    for arguments in [&["-dc", "many.nz"][..], &["-c", "-1", "--codec", "store", "many.nz"]] {
        let mut child = f.command(arguments).spawn().unwrap();
        drop(child.stdout.take());
        let out = child.wait_with_output().unwrap();
        assert_eq!(f.stderr(&out), "");
        assert!(out.status.success());
    }
}

#[cfg(target_os = "linux")]
#[test]
fn terminals() {
    // script(1) gives the command a terminal.
    if std::process::Command::new("script").arg("--version").output().is_err() {
        return;
    }
    let f = Folder::new();
    f.write("a", b"aaa");
    let typed = |line: &str| {
        let line = format!("{} {line}; echo code $?", env!("CARGO_BIN_EXE_nzip"));
        let mut child = std::process::Command::new("script");
        child.args(["-qec", &line, "/dev/null"]).current_dir(f.path(".")).stdin(std::process::Stdio::null());
        stdout(&child.output().unwrap())
    };
    let refused = typed("-c a");
    assert!(refused.contains("not written to a terminal") && refused.contains("code 1"), "{refused}");
    assert!(typed("-cf a").contains("NZ"));
    let summary = typed("a");
    assert!(summary.contains("a: 3 -> ") && summary.contains("code 0"), "{summary}");
    assert!(typed("-dc a.nz").contains("aaa"));
}

#[test]
fn help_man_and_completions() {
    let f = Folder::new();
    let help = stdout(&f.ok(&["-h"]));
    assert!(help.lines().all(|l| l.chars().count() <= 100), "{help}");
    assert!(help.lines().count() < 60);
    for verb in ["inspect", "model", "bench", "train"] {
        assert!(help.contains(verb) && !help.contains("generate"));
        f.ok(&[verb, "--help"]);
    }
    assert!(stdout(&f.ok(&["--version"])).starts_with("nzip "));
    assert!(stdout(&f.ok(&["generate", "man"])).contains(".TH nzip 1"));
    f.ok(&["generate", "man", "pages"]);
    assert!(f.exists("pages/nzip.1") && f.exists("pages/nzip-bench.1"));
    for shell in ["bash", "zsh", "fish"] {
        assert!(stdout(&f.ok(&["generate", "completions", shell])).contains("nzip"));
    }
}

#[test]
fn bench() {
    let f = Folder::new();
    f.write("a.txt", &f.text());
    f.write("b,\"c", b"b");
    let files = ["a.txt", "b,\"c", "--peers", "none", "--levels", "1,3", "--own", "--codec store"];
    let paths = ["--svg", "p.svg", "--csv", "p.csv", "--json", "p.json", "--work", "."];
    let out = f.ok(&[&["bench"], &files[..], &paths[..]].concat());
    let report = stdout(&out);
    assert_eq!(report.lines().filter(|l| l.starts_with("nzip -1 ")).count(), 3, "{report}");
    assert!(report.contains("all 2 files") && !report.contains("NOT RESTORED"));
    let csv = String::from_utf8(f.read("p.csv")).unwrap();
    assert_eq!(csv.lines().count(), 7);
    assert!(csv.contains("\"b,\"\"c\",\"nzip --codec store\",1,"));
    let packed = f.ok(&["-1", "-c", "a.txt"]).stdout.len();
    assert!(csv.contains(&format!("\"a.txt\",\"nzip -1\",{},{packed},{packed},", f.text().len())), "{csv}");
    assert!(String::from_utf8(f.read("p.json")).unwrap().contains("\"restored\": true"));
    let svg = String::from_utf8(f.read("p.svg")).unwrap();
    assert_eq!((svg.matches("<circle").count(), svg.matches("class=\"front\"").count()), (8, 3));
    assert!(stdout(&f.ok(&["bench", "--peers", "list"])).contains("zpaq -m5"));
    f.usage_error(&["bench", "a.txt", "--peers", "zip"], "no peer");
    assert_eq!(f.run(&["bench", "missing", "--peers", "none"]).status.code(), Some(1));
}

#[test]
fn magic() {
    let magic = concat!(env!("CARGO_MANIFEST_DIR"), "/../formats/magic");
    let f = Folder::new();
    f.write("a", &f.text());
    f.ok(&["-1", "a"]);
    // Checked where file(1) is installed.
    let Ok(out) = std::process::Command::new("file").args(["-b", "-m", magic]).arg(f.path("a.nz")).output()
    else {
        return;
    };
    assert_eq!(stdout(&out), "nzip compressed data, version 1, first block zstd\n", "{}", f.stderr(&out));
}

#[test]
fn testing_verifies_the_stream_hash_too() {
    let f = Folder::new();
    f.write_blocks("a.nz", 2);
    let mut bytes = f.read("a.nz");
    // The index ends where the trailer starts; its hash stands before the number of records (one byte)
    // and the check value, which is made right again.
    let index_len = nzip::Archive::open(f.path("a.nz")).unwrap().streams()[0].index_len as usize;
    let end = bytes.len() - usize::from(bytes[bytes.len() - 1]);
    bytes[end - 5 - 32] ^= 1;
    let check = twox_hash::XxHash3_64::oneshot(&bytes[end - index_len..end - 4]) as u32;
    bytes[end - 4..end].copy_from_slice(&check.to_le_bytes());
    f.write("a.nz", &bytes);
    assert_eq!(f.ok(&["-dc", "a.nz"]).stdout, f.text().repeat(2));
    let out = f.run(&["-t", "a.nz"]);
    assert_eq!(out.status.code(), Some(1));
    assert!(f.stderr(&out).contains("stream hash: "), "{}", f.stderr(&out));
}

#[cfg(unix)]
#[test]
fn an_interrupted_run_leaves_nothing() {
    let f = Folder::new();
    let mut child = f.command(&["-o", "p"]).stdin(std::process::Stdio::piped()).spawn().unwrap();
    let waits = || {
        (0..500).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(10));
            !f.names().is_empty()
        })
    };
    assert!(waits());
    // The temporary file exists a moment before its name is registered for removal.
    std::thread::sleep(std::time::Duration::from_millis(200));
    let killed = std::process::Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
    assert!(killed.unwrap().success());
    // Waiting on the child itself would close its input, so that it would end normally.
    let input = child.stdin.take();
    let status = child.wait().unwrap();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(15));
    drop(input);
    assert!(f.names().is_empty());
}

#[test]
fn input_that_comes_in_pieces() {
    let f = Folder::new();
    let mut child = f.command(&["-c"]).stdin(std::process::Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    for _ in 0..5 {
        stdin.write_all(&f.text()).unwrap();
        stdin.flush().unwrap();
    }
    drop(stdin);
    let packed = child.wait_with_output().unwrap().stdout;
    assert_eq!(f.run_with(&["-d"], &packed).stdout, f.text().repeat(5));
}
