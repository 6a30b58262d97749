//! `nzip tokens`.

mod cli_support;

use cli_support::{Folder, stdout};
use serde_json::Value;

fn json(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).expect("JSON")
}

#[test]
fn documents_become_tokens_and_come_back() {
    let f = Folder::new();
    let (one, two) = (f.text()[..3000].to_vec(), b"second\nthird\n".to_vec());
    f.write("one", &one);
    f.write("two", &two);
    f.write("none", b"");
    let both = [&one[..], &two].concat();
    for (out, options) in [
        ("t.npy", &["-b", "32", "--policy", "continue", "--ends", "bit"][..]),
        ("t.bin", &["-b", "16", "-v", "8"]),
        ("u.npy", &["-b", "24", "-v", "12", "--special", "0"]),
        ("v.npy", &["-b", "64", "--policy", "continue", "--adaptive", "--special", "5"]),
    ] {
        f.ok(&[&["tokens", "encode", "one", "none", "two", "-o", out], options].concat());
        assert!(f.ok(&["tokens", "decode", out]).stdout == both, "{out}");
        f.ok(&["tokens", "decode", out, "--folder", out.split('.').next().unwrap(), "-f"]);
        let side = json(&f.read(&format!("{out}.json")));
        assert_eq!((&side["documents"], &side["raw_bytes"]), (&3.into(), &both.len().into()));
        let report = json(&f.ok(&["tokens", "inspect", "--json", out]).stdout);
        assert!(report["bits_per_byte"].as_f64().unwrap() < 5.0);
        let page = include_str!("../../docs/json.md");
        let keys = report.as_object().unwrap().keys();
        keys.for_each(|key| assert!(page.contains(&format!("`{key}`")), "docs/json.md describes {key}"));
        assert!(stdout(&f.ok(&["tokens", "inspect", out])).contains("documents   3"));
    }
    let parts = ["t/00000000", "t/00000001", "t/00000002"].map(|name| f.read(name));
    assert!(parts == [one, Vec::new(), two]);
    assert_eq!(json(&f.read("u.npy.json"))["document_tokens"].as_array().unwrap().len(), 3);
}

#[test]
fn pipes_and_lines() {
    let f = Folder::new();
    let out =
        f.run_with(&["tokens", "encode", "--lines", "-v", "8", "-o", "-", "--side", "s"], b"one\ntwo\n\nend");
    assert!(out.status.success(), "{out:?}");
    let side = json(&f.read("s"));
    assert_eq!((&side["documents"], &side["dtype"]), (&4.into(), &"u2".into()));
    let back = f.run_with(&["tokens", "decode", "-", "--side", "s"], &out.stdout);
    assert_eq!(back.stdout, b"one\ntwo\n\nend");
}

#[test]
fn what_is_wrong_is_told() {
    let f = Folder::new();
    f.write("a", b"some text, some more text");
    let fails = |arguments: &[&str], code: i32, message: &str| {
        let out = f.run(arguments);
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        assert_eq!(out.status.code(), Some(code), "{said}");
        assert!(said.contains(message), "{said}");
    };
    fails(&["tokens", "encode", "a", "-o", "-"], 2, "--side");
    fails(&["tokens", "encode", "a", "-o", "t", "-b", "20"], 1, "a multiple");
    assert!(!f.exists("t") && !f.exists("t.json"));
    f.ok(&["tokens", "encode", "a", "-o", "t", "-v", "8"]);
    fails(&["tokens", "encode", "a", "-o", "t"], 1, "-f overwrites");
    let mut tokens = f.read("t");
    tokens[0] ^= 1;
    f.write("t", &tokens);
    fails(&["tokens", "decode", "t", "-o", "b"], 1, "differs");
    assert!(!f.exists("b"));
    assert!(!f.ok(&["tokens", "decode", "t", "--any"]).stdout.is_empty());
    tokens.truncate(2);
    f.write("t", &tokens);
    fails(&["tokens", "decode", "t", "--any"], 1, "whole windows");
    let side = String::from_utf8(f.read("t.json")).unwrap();
    f.write("t.json", side.replace("\"version\": 1", "\"version\": 2").as_bytes());
    fails(&["tokens", "decode", "t"], 1, "newer nzip");
}
