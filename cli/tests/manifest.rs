//! Manifests: the verb that writes them, and the verbs that read them.

mod cli_support;

use cli_support::{Folder, stdout};

/// Three shards, one of them in a folder of its own, and their content.
fn three(folder: &Folder) -> Vec<u8> {
    std::fs::create_dir(folder.path("d")).unwrap();
    let text = folder.text();
    folder.write("a", &text);
    folder.write("d/b", &text[100..]);
    folder.write("c", &text[..300]);
    folder.ok(&["-2", "a", "d/b", "c"]);
    folder.ok(&["manifest", "all.txt.nzm", "a.nz", "d/b.nz"]);
    folder.ok(&["manifest", "-a", "all.txt.nzm", "c.nz"]);
    [&text[..], &text[100..], &text[..300]].concat()
}

#[test]
fn verbs_read_manifests() {
    let folder = Folder::new();
    let raw = three(&folder);
    assert!(stdout(&folder.ok(&["-l", "all.txt.nzm"])).contains("3 shards"));
    let detail = stdout(&folder.ok(&["-lv", "all.txt.nzm"]));
    assert!(detail.contains("shard 1: ") && detail.contains("d/b.nz"), "{detail}");
    let json = stdout(&folder.ok(&["-l", "--json", "all.txt.nzm"]));
    assert!(
        json.contains("\"file\": \"d/b.nz\"") && json.contains(&format!("\"raw_bytes\": {}", raw.len())),
        "{json}"
    );
    folder.ok(&["-t", "all.txt.nzm"]);
    assert_eq!(folder.ok(&["--range", "100..20000", "all.txt.nzm"]).stdout, raw[100..20000]);
    assert_eq!(folder.ok(&["-dc", "all.txt.nzm"]).stdout, raw);
    folder.ok(&["-d", "all.txt.nzm"]);
    assert_eq!(folder.read("all.txt"), raw);
    let refused = folder.run(&["-d", "--rm", "-f", "all.txt.nzm"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(folder.exists("all.txt.nzm"));

    let refused = folder.run(&["manifest", "all.txt.nzm", "a.nz"]);
    assert!(folder.stderr(&refused).contains("exists already"));
    let refused = folder.run(&["manifest", "d/one.nzm", "a.nz"]);
    assert!(
        folder.stderr(&refused).contains("does not lie in the manifest's folder"),
        "{}",
        folder.stderr(&refused)
    );
    let refused = folder.run(&["manifest", "one.txt", "a.nz"]);
    assert!(folder.stderr(&refused).contains("ends in .nzm"));
}

#[test]
fn damaged_shards_are_named_and_the_others_read() {
    let folder = Folder::new();
    let raw = three(&folder);
    let mut damaged = folder.read("d/b.nz");
    damaged[60] ^= 1;
    folder.write("d/b.nz", &damaged);
    let out = folder.run(&["-t", "all.txt.nzm"]);
    assert_eq!(out.status.code(), Some(1));
    let said = folder.stderr(&out);
    assert!(said.contains("shard 1 (\"d/b.nz\"): ") && said.contains("1 of 3 shards are damaged"), "{said}");
    let len = folder.text().len();
    let rest = format!("{}..{}", 2 * len - 100, raw.len());
    assert_eq!(folder.ok(&["--range", &rest, "all.txt.nzm"]).stdout, raw[2 * len - 100..]);
    let out = folder.run(&["-d", "all.txt.nzm"]);
    assert!(folder.stderr(&out).contains("shard 1 (\"d/b.nz\"): "), "{}", folder.stderr(&out));
    assert!(!folder.exists("all.txt"));
    folder.write("all.txt.nzm", &folder.read("all.txt.nzm")[..200]);
    assert_eq!(folder.run(&["-l", "all.txt.nzm"]).status.code(), Some(1));
}

#[test]
fn tensors_of_manifests() {
    let folder = Folder::new();
    let raw: Vec<u8> = (0..30_000u32).flat_map(|i| (i as f32).sqrt().to_le_bytes()).collect();
    folder.write("t", &raw);
    folder.ok(&["-1", "--dtype", "f32", "--shape", "300x100", "t"]);
    folder.ok(&["manifest", "all.nzm", "t.nz"]);
    let list = stdout(&folder.ok(&["tensors", "list", "all.nzm"]));
    assert!(list.contains("300x100"), "{list}");
    assert_eq!(folder.ok(&["tensors", "cat", "all.nzm", "--rows", "7..9"]).stdout, raw[2800..3600]);
    folder.ok(&["tensors", "extract", "all.nzm", "-o", "again"]);
    assert_eq!(folder.read("again"), raw);
    assert!(stdout(&folder.ok(&["tensors", "verify", "all.nzm"])).contains("1 tensors"));
}
