//! `../include/nzip.h` is what cbindgen makes of the sources. With `NZIP_WRITE_HEADER=1` the file is written.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

fn library() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn made() -> String {
    let folder = library();
    let config = cbindgen::Config::from_file(folder.join("cbindgen.toml")).unwrap();
    let sources = ["version", "error", "memory", "compress", "decompress", "source", "archive", "tensor"];
    let mut builder = cbindgen::Builder::new().with_config(config);
    for name in sources {
        builder = builder.with_src(folder.join(format!("src/{name}.rs")));
    }
    let mut text = Vec::new();
    builder.generate().unwrap().write(&mut text);
    plain(&String::from_utf8(text).unwrap())
}

/// Without the sections that speak to Rust.
fn plain(header: &str) -> String {
    let (mut out, mut lines) = (String::new(), header.lines().peekable());
    while let Some(line) = lines.next() {
        if line == "//" && lines.peek().is_some_and(|l| l.starts_with("// # Safety")) {
            while lines.peek().is_some_and(|l| l.starts_with("//")) {
                lines.next();
            }
            continue;
        }
        out.push_str(line);
        out.push('\n');
    }
    out
}

#[test]
fn the_header_is_up_to_date() {
    let path = library().join("include/nzip.h");
    let made = made();
    if env::var_os("NZIP_WRITE_HEADER").is_some() {
        fs::write(&path, &made).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == made, "include/nzip.h differs from the sources: run this test with NZIP_WRITE_HEADER=1");
    for function in ["nzip_compress(", "nzip_compressStream(", "nzip_openArchive(", "nzip_Archive_readRows("]
    {
        assert!(made.contains(function), "{function} is missing");
    }
}

#[test]
fn the_version_is_that_of_the_package() {
    let part = |name: &str| {
        let line = format!("#define NZIP_VERSION_{name} ");
        made().lines().find_map(|l| l.strip_prefix(&line).map(String::from)).unwrap()
    };
    assert_eq!([part("MAJOR"), part("MINOR"), part("PATCH")].join("."), env!("CARGO_PKG_VERSION"));
}
