//! Documents as tokens, against `formats/vectors/tokens/cases.txt`: each line is a model file, b, v, policy, ends, adaptive,
//! the number of bytes, their BLAKE3 hash, and the tokens in hexadecimal digits. The first line of each kind of choices is
//! what the sample encodes to, the second one arbitrary tokens.
//!
//! `NZIP_WRITE_VECTORS=1 cargo test --test golden` writes the file if it is not there yet.

use nzip::Models;
use nzip::internal::SplitMix;
use nzip::tokens::{Choices, Policy, Tokenizer, WindowEnds};
use std::fmt::Write as _;
use std::path::PathBuf;

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("formats/vectors").join(name)
}

/// Model file, b, v, policy, ends, adaptive.
type Kind = (&'static str, u32, u32, &'static str, &'static str, bool);

const KINDS: [Kind; 14] = [
    ("micro.nzlm", 16, 16, "reset", "symbol", false),
    ("micro.nzlm", 16, 8, "reset", "bit", false),
    ("micro.nzlm", 16, 16, "continue", "symbol", false),
    ("micro.nzlm", 16, 16, "continue", "bit", false),
    ("micro.nzlm", 24, 12, "continue", "bit", true),
    ("micro.nzlm", 32, 16, "continue", "symbol", true),
    ("micro.nzlm", 64, 8, "reset", "symbol", false),
    ("micro.nzlm", 250, 10, "continue", "bit", false),
    ("micro.nzlm", 256, 16, "reset", "bit", false),
    ("micro.nzllm", 16, 16, "reset", "symbol", false),
    ("micro.nzllm", 16, 8, "reset", "bit", false),
    ("micro.nzllm", 32, 16, "continue", "bit", false),
    ("micro.nzllm", 64, 16, "continue", "symbol", false),
    ("micro.nzllm", 256, 16, "reset", "bit", false),
];

fn tokenizer((model, b, v, policy, ends, adaptive): Kind) -> Tokenizer {
    let folder = if model.ends_with(".nzlm") { "lm" } else { "llm" };
    let mut models = Models::new();
    let hash = models.add(std::fs::read(path(folder).join(model)).unwrap());
    let policy = if policy == "reset" { Policy::Reset } else { Policy::Continue };
    let ends = if ends == "symbol" { WindowEnds::Symbol } else { WindowEnds::Bit };
    let choices = Choices::new().window_bits(b).token_bits(v).policy(policy).ends(ends).adaptive(adaptive);
    Tokenizer::with_hash(&models, &hash, choices).unwrap()
}

/// The sample of a model: a part of that of its windows.
fn sample(kind: Kind) -> Vec<u8> {
    let (name, len) =
        if kind.0.ends_with(".nzlm") { ("lm/sample.raw", 500) } else { ("llm/sample.raw", 160) };
    let raw = std::fs::read(path(name)).unwrap();
    raw[raw.len() / 3..][..len].to_vec()
}

fn line((model, b, v, policy, ends, adaptive): Kind, raw: &[u8], tokens: &[u32]) -> String {
    let hash = blake3::hash(raw).to_hex();
    let mut line = format!("{model} {b} {v} {policy} {ends} {} {} {hash}", u8::from(adaptive), raw.len());
    tokens.iter().for_each(|t| write!(line, " {t:x}").unwrap());
    line + "\n"
}

/// Arbitrary tokens of a kind.
fn arbitrary(number: usize, tokenizer: &Tokenizer) -> Vec<u32> {
    let mut rng = SplitMix(number as u64 + 100);
    let choices = tokenizer.choices();
    let digits = u64::from(choices.vocab_size()) - 1;
    (0..3 * choices.tokens_per_window()).map(|_| rng.below(digits) as u32).collect()
}

fn cases() -> String {
    let mut out = String::new();
    for (number, kind) in KINDS.into_iter().enumerate() {
        let tokenizer = tokenizer(kind);
        let raw = sample(kind);
        out += &line(kind, &raw, &tokenizer.encode(&raw).unwrap());
        let tokens = arbitrary(number, &tokenizer);
        out += &line(kind, &tokenizer.decode(&tokens).unwrap(), &tokens);
    }
    out
}

#[test]
fn documents_are_coded_as_ever() {
    let file = path("tokens/cases.txt");
    if std::env::var_os("NZIP_WRITE_VECTORS").is_some() && !file.exists() {
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, cases()).unwrap();
    }
    let stored = std::fs::read_to_string(file).unwrap();
    for (stored, now) in stored.lines().zip(cases().lines()) {
        assert_eq!(stored, now);
    }
    assert_eq!(stored.lines().count(), 2 * KINDS.len());
    for (i, stored) in stored.lines().enumerate().step_by(2) {
        let kind = KINDS[i / 2];
        let tokens: Vec<u32> =
            stored.split(' ').skip(8).map(|t| u32::from_str_radix(t, 16).unwrap()).collect();
        assert!(tokenizer(kind).decode(&tokens).unwrap() == sample(kind));
    }
}
