//! The verbs that read files behind URLs, against an HTTP server on this machine that also answers like an object store.

#[path = "cli_support/mod.rs"]
mod cli_support;
#[path = "../../tests/remote/server.rs"]
mod server;

use cli_support::{Folder, stdout};
use nzip::{Options, tensor::Dtype};
use server::{Fault, Server};
use std::process::Output;

fn run_with(folder: &Folder, server: &Server, arguments: &[&str]) -> Output {
    let endpoint = server.url("");
    let mut command = folder.command(arguments);
    command.env("AWS_ENDPOINT", endpoint.trim_end_matches('/')).env("AWS_ALLOW_HTTP", "true");
    command.env("AWS_ACCESS_KEY_ID", "key").env("AWS_SECRET_ACCESS_KEY", "secret").env("AWS_REGION", "eu-1");
    command.output().unwrap()
}

#[test]
fn verbs_read_urls() {
    let folder = Folder::new();
    let text = folder.text();
    let server = Server::start(nzip::compress(&text, 2).unwrap(), Fault::None);
    let url = server.url("folder/text.txt.nz");
    assert!(stdout(&folder.ok(&["-l", &url])).contains(&text.len().to_string()));
    folder.ok(&["-t", &url]);
    assert_eq!(folder.ok(&["--range", "100..150", &url]).stdout, text[100..150]);
    assert!(stdout(&folder.ok(&["inspect", &url])).contains("zstd"));
    folder.ok(&["-d", &url]);
    assert_eq!(folder.read("text.txt"), text);
    assert_eq!(folder.ok(&["-dc", &url]).stdout, text);

    let refused = folder.run(&[&url]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(folder.stderr(&refused).contains("only compressed files are read from URLs"));
    let missing = folder.run(&["-t", &server.url("missing")]);
    assert_eq!(missing.status.code(), Some(1));
    assert!(folder.stderr(&missing).contains("no such file"), "{}", folder.stderr(&missing));
    let unknown = folder.run(&["-t", "ftp://host/x.nz"]);
    assert!(folder.stderr(&unknown).contains("a URL that starts with"), "{}", folder.stderr(&unknown));
}

#[test]
fn one_tensor_comes_from_an_object_store() {
    let raw: Vec<u8> = (0..200_000u32).flat_map(|i| (i as f32).sqrt().to_le_bytes()).collect();
    let options = Options::new().level(1).tensor(Dtype::F32, &[200, 1000], 0);
    let folder = Folder::new();
    let server = Server::start(nzip::compress_with(&raw, options).unwrap(), Fault::None);
    let url = "s3://bucket/models/m.nz";
    let list = run_with(&folder, &server, &["tensors", "list", url]);
    assert!(stdout(&list).contains("200x1000"), "{}", folder.stderr(&list));
    let rows = run_with(&folder, &server, &["tensors", "cat", url, "data", "--rows", "3..5"]);
    assert_eq!(rows.stdout, raw[3 * 4000..5 * 4000], "{}", folder.stderr(&rows));
    assert!(server.last_target().contains("models/m.nz"), "{}", server.last_target());
}
