//! Families of files: the verb that writes them, and the verbs that read them.

mod cli_support;

use cli_support::{Folder, stdout};
use std::fs;

/// A safetensors file of two tensors of F32.
fn model(seed: u32, step: f32) -> Vec<u8> {
    let number = |i: u32| (i.wrapping_mul(2_654_435_761) >> 8) as f32 * 1e-6 - 8.0;
    let tuned = |i: u32| number(i) + step * (i.wrapping_mul(seed) % 100) as f32;
    let data = (0..40_000).map(tuned).chain((0..2000).map(number)).flat_map(f32::to_le_bytes);
    let json = r#"{"w":{"dtype":"F32","shape":[400,100],"data_offsets":[0,160000]},"b":{"dtype":"F32","shape":[2000],"data_offsets":[160000,168000]}}"#;
    (json.len() as u64).to_le_bytes().into_iter().chain(json.bytes()).chain(data).collect()
}

/// A base, two tuned models and a text, in folders.
fn family(folder: &Folder) -> Vec<(&'static str, Vec<u8>)> {
    let files = vec![
        ("base/config.json", b"{}".to_vec()),
        ("base/model.safetensors", model(1, 0.0)),
        ("step-2/model.safetensors", model(77, 1e-6)),
        ("step-10/model.safetensors", model(31, 1e-6)),
    ];
    for (name, bytes) in &files {
        fs::create_dir_all(folder.path("m").join(name).parent().unwrap()).unwrap();
        folder.write(&format!("m/{name}"), bytes);
    }
    files
}

#[test]
fn files_are_packed_listed_and_restored() {
    let folder = Folder::new();
    let files = family(&folder);
    let said = folder.stderr(&folder.ok(&["pack", "-2v", "m", "-o", "all.nz"]));
    assert!(said.contains("2 tensors, 1 equal, 1 near; against base/model.safetensors"), "{said}");
    let size = folder.read("all.nz").len();
    folder.ok(&["-2", "m/base/model.safetensors"]);
    assert!(size < 5 * folder.read("m/base/model.safetensors.nz").len() / 2, "{size}");
    fs::remove_file(folder.path("m/base/model.safetensors.nz")).unwrap();

    let list = stdout(&folder.ok(&["-l", "all.nz"]));
    let lines: Vec<&str> = list.lines().filter(|l| l.contains("model.safetensors")).collect();
    assert!(lines.len() == 3 && lines[1].contains("step-2/") && lines[2].contains("base/"), "{list}");
    let json = stdout(&folder.ok(&["-l", "--json", "all.nz"]));
    assert!(
        json.contains("\"name\": \"step-10/model.safetensors\"") && json.contains("\"depth\": 1"),
        "{json}"
    );
    folder.ok(&["-t", "all.nz"]);

    folder.ok(&["-d", "all.nz", "-o", "out"]);
    files.iter().for_each(|(name, bytes)| assert!(folder.read(&format!("out/{name}")) == *bytes, "{name}"));
    folder.ok(&["-d", "all.nz"]);
    files.iter().for_each(|(name, bytes)| assert!(folder.read(&format!("all/{name}")) == *bytes, "{name}"));
    let refused = folder.run(&["-d", "all.nz"]);
    assert!(folder.stderr(&refused).contains("exists already"), "{}", folder.stderr(&refused));
    folder.ok(&["-d", "all.nz", "-o", "some", "--member", "step-10", "--member", "base/config.json"]);
    assert!(
        folder.read("some/step-10/model.safetensors") == files[3].1 && folder.exists("some/base/config.json")
    );
    assert!(!folder.exists("some/base/model.safetensors") && !folder.exists("some/step-2"));
    assert!(folder.ok(&["-dc", "all.nz", "--member", "step-2/"]).stdout == files[2].1);
    let refused = folder.run(&["-d", "all.nz", "-o", "some", "--member", "step"]);
    assert!(folder.stderr(&refused).contains("holds no file \"step\""), "{}", folder.stderr(&refused));
    let all: Vec<u8> = files.iter().flat_map(|f| f.1.clone()).collect();
    assert!(folder.ok(&["-dc", "all.nz"]).stdout == all);
    assert!(folder.ok(&["--range", "200000..400000", "all.nz"]).stdout == all[200_000..400_000]);
}

#[test]
fn tensors_of_a_family_load_alone() {
    let folder = Folder::new();
    let files = family(&folder);
    folder.ok(&["pack", "-2", "m", "-o", "all.nz", "--chain", "--anchor", "2"]);
    let list = stdout(&folder.ok(&["tensors", "list", "all.nz"]));
    assert!(
        list.contains("step-2/model.safetensors:w") && list.contains("in base/model.safetensors"),
        "{list}"
    );
    let start = files[2].1.len() - 168_000;
    let w = &files[2].1[start..start + 160_000];
    assert!(folder.ok(&["tensors", "cat", "all.nz", "step-2:w"]).stdout == w);
    assert!(folder.ok(&["tensors", "cat", "all.nz", "step-2:w", "--rows", "7..9"]).stdout == w[2800..3600]);
    folder.ok(&["tensors", "extract", "all.nz", "step-2/model.safetensors:w", "-o", "w"]);
    assert!(folder.read("w") == w);
    let said = folder.stderr(&folder.run(&["tensors", "cat", "all.nz", "w"]));
    assert!(said.contains("base/model.safetensors:w"), "{said}");
    assert!(stdout(&folder.ok(&["tensors", "verify", "all.nz"])).contains("6 tensors"));
}

#[test]
fn shards_must_be_complete() {
    let folder = Folder::new();
    let one = |name: &str| {
        let json = format!(r#"{{"{name}":{{"dtype":"F32","shape":[2000],"data_offsets":[0,8000]}}}}"#);
        let data = (0..2000).flat_map(|i| (i as f32).sqrt().to_le_bytes());
        (json.len() as u64).to_le_bytes().into_iter().chain(json.bytes()).chain(data).collect::<Vec<u8>>()
    };
    fs::create_dir(folder.path("m")).unwrap();
    folder.write("m/model-00001-of-00002.safetensors", &one("x"));
    let said = folder.stderr(&folder.run(&["pack", "m", "-o", "all.nz"]));
    assert!(
        said.contains("model-00002-of-00002.safetensors is missing") && !folder.exists("all.nz"),
        "{said}"
    );
    folder.write("m/model-00002-of-00002.safetensors", &one("x"));
    let said = folder.stderr(&folder.run(&["pack", "m", "-o", "all.nz"]));
    assert!(said.contains("tensor \"x\" is in both"), "{said}");
    folder.write("m/model-00002-of-00002.safetensors", &one("y"));
    folder.ok(&["pack", "-1", "m", "-o", "all.nz"]);
    let list = stdout(&folder.ok(&["tensors", "list", "all.nz"]));
    assert!(list.lines().skip(1).all(|l| l.ends_with("  x") || l.ends_with("  y")), "{list}");
    folder.usage_error(&["pack", "m", "-o", "b.nz", "--anchor", "0"], "anchor");
    folder
        .usage_error(&["pack", "m", "-o", "b.nz", "--base", "m/model-00001-of-00002.safetensors"], "--base");
    let refused = folder.run(&["pack", "m", "-o", "all.nz"]);
    assert!(folder.stderr(&refused).contains("exists already"));
}

#[test]
fn the_nearest_base_is_found() {
    let folder = Folder::new();
    for (name, bytes) in [("b/far", model(5, 0.1)), ("b/near", model(1, 0.0)), ("tuned", model(77, 1e-6))] {
        fs::create_dir_all(folder.path("b")).unwrap();
        folder.write(name, &bytes);
    }
    folder.write("b/notes.txt", b"no tensors");
    folder.ok(&["-2", "b/near", "-o", "alone.nz"]);
    let auto = ["--base", "auto", "--base-from", "b"];
    let said = folder.stderr(&folder.ok(&[&["-2v", "--verify", "tuned"], &auto[..]].concat()));
    assert!(said.contains("tuned: base b/near, 2 tensors are near"), "{said}");
    assert!(folder.read("tuned.nz").len() * 4 < folder.read("alone.nz").len() * 3);
    let failed = folder.run(&["-t", "tuned.nz"]);
    assert!(folder.stderr(&failed).contains("no base was given"), "{}", folder.stderr(&failed));
    folder.ok(&[&["-t", "tuned.nz"], &auto[..]].concat());
    folder.ok(&["-t", "tuned.nz", "--base", "b/near"]);
    folder.usage_error(&["tuned", "-f", "--base", "auto"], "go together");
    folder.usage_error(&["tuned", "-f", "--base", "b/near", "--base-from", "b"], "go together");
}
