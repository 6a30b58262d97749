//! `nzip grep`.

mod cli_support;

use cli_support::{Folder, stdout};

/// A file of some blocks, whose lines have numbers.
fn numbered(folder: &Folder) -> String {
    let text: String = (0..3000).map(|i| format!("line {i} of many: {}\n", i * 7919 % 1000)).collect();
    folder.write("t", text.as_bytes());
    folder.ok(&["-1", "--block-size", "4K", "t"]);
    text
}

#[test]
fn lines_are_those_of_the_text_with_their_offsets() {
    let folder = Folder::new();
    let text = numbered(&folder);
    let mut expected = String::new();
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        if line.contains(": 42") {
            expected += &format!("{at}:{line}");
        }
        at += line.len();
    }
    assert!(expected.lines().count() > 20);
    assert_eq!(stdout(&folder.ok(&["grep", r": 42\d*$", "t.nz"])), expected);
    assert_eq!(
        stdout(&folder.ok(&["grep", "LINE 2999 of", "-i", "--no-offset", "t.nz"])),
        text.lines().last().unwrap().to_string() + "\n"
    );
    assert_eq!(stdout(&folder.ok(&["grep", "-n", "line 41 ", "t.nz"])).split(':').next(), Some("42"));
    assert_eq!(stdout(&folder.ok(&["grep", "-c", "line", "t.nz"])), "3000\n");
    assert_eq!(stdout(&folder.ok(&["grep", "-cv", "-w", "line 1", "t.nz"])), "2999\n");
    assert_eq!(folder.run(&["grep", "-F", "of .any", "t.nz"]).status.code(), Some(1));
    folder.usage_error(&["grep", "(", "t.nz"], "unclosed group");
    // What an offset says can be read from there.
    let first: u64 = expected.split(':').next().unwrap().parse().unwrap();
    assert_eq!(folder.ok(&["--range", &format!("{first}..{}", first + 4), "t.nz"]).stdout, b"line");
}

#[test]
fn blocks_without_a_word_are_left_out() {
    let folder = Folder::new();
    let words = ["alpha", "beta", "gamma", "delta", "epsilon", "theta", "kappa", "lambda"];
    let mut state = 1u32;
    let mut text = String::new();
    let mut next = || {
        state = state.wrapping_mul(1664525).wrapping_add(1013904223);
        state >> 16
    };
    for i in 0..20_000 {
        let word = words[next() as usize % 8];
        text += &match i {
            3_000 => "the needle lies here\n".into(),
            15_000 => format!("{}needle, {}\n", "long ".repeat(9000), "end ".repeat(9000)),
            _ => format!("{} {word} {}\n", next(), next()),
        };
    }
    folder.write("t", text.as_bytes());
    folder.ok(&["-2", "--block-size", "8K", "t"]);
    folder.ok(&["-2", "--block-size", "8K", "--searchable", "t", "-o", "s.nz"]);
    let (plain, with) = (folder.read("t.nz").len(), folder.read("s.nz").len());
    assert!(plain < with && with <= plain + plain / 100, "{plain} and {with}");
    for arguments in
        [&["-w", "needle"][..], &[" needle lies"], &["-w", "-c", "needle"], &["-w", "kappa"], &["-w", "none"]]
    {
        let run = |file| folder.run(&[&["grep"], arguments, &[file]].concat());
        let (a, b) = (run("t.nz"), run("s.nz"));
        assert_eq!((a.status.code(), stdout(&a)), (b.status.code(), stdout(&b)), "{arguments:?}");
    }
    assert_eq!(stdout(&folder.ok(&["grep", "-wc", "needle", "s.nz"])), "2\n");
    folder.ok(&["-t", "s.nz"]);
    // A damaged block is in nobody's way who looks for something else.
    let mut damaged = folder.read("s.nz");
    let at = damaged.len() * 7 / 8;
    damaged[at] ^= 1;
    folder.write("s.nz", &damaged);
    assert_eq!(folder.run(&["-t", "s.nz"]).status.code(), Some(1));
    assert_eq!(stdout(&folder.ok(&["grep", "-wc", "needle", "s.nz"])), "2\n");
}

#[test]
fn several_files_and_standard_input() {
    let folder = Folder::new();
    let text = numbered(&folder);
    folder.write("u", b"nothing of it\nthe end without a line feed");
    folder.ok(&["-1", "u"]);
    assert_eq!(stdout(&folder.ok(&["grep", "-l", "many", "t.nz", "u.nz"])), "t.nz\n");
    assert_eq!(
        stdout(&folder.ok(&["grep", "feed", "t.nz", "u.nz"])),
        "u.nz:14:the end without a line feed\n"
    );
    let piped = folder.run_with(&["grep", "-c", "many", "-"], &folder.read("t.nz"));
    assert_eq!(stdout(&piped), "3000\n");
    // A manifest is one content: lines may cross its shards.
    folder.write("a", &text.as_bytes()[..1001]);
    folder.write("b", &text.as_bytes()[1001..]);
    folder.ok(&["-1", "a", "b"]);
    folder.ok(&["manifest", "all.nzm", "a.nz", "b.nz"]);
    let one = stdout(&folder.ok(&["grep", "many", "t.nz"]));
    assert_eq!(stdout(&folder.ok(&["grep", "many", "all.nzm"])), one);

    let mut damaged = folder.read("t.nz");
    damaged[100] ^= 1;
    folder.write("t.nz", &damaged);
    let out = folder.run(&["grep", "-l", "nothing", "t.nz", "u.nz"]);
    assert_eq!((out.status.code(), &*stdout(&out)), (Some(1), "u.nz\n"));
    assert!(folder.stderr(&out).contains("t.nz: stream 0, block 0"), "{}", folder.stderr(&out));
}
