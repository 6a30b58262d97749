//! Learns the priors of the `mix` codec from text: `mix_priors lexicon BYTES OUT FILES…` gathers the phrases
//! that most pieces of the files share; `mix_priors weights KIND SIZE OUT FILES…` codes pieces of the files one
//! after another and keeps what the predictor learned.

use nzip::internal::model::lm::{Model, weights::Weights};
use std::collections::HashMap;

/// Phrases are counted once in each piece of this size.
const PIECE: usize = 64 << 10;
/// Longest phrase in words.
const WORDS: usize = 4;

/// Splits a text into words, each with up to four separator bytes before it.
fn words(text: &[u8]) -> Vec<&[u8]> {
    let letter = |b: u8| b.is_ascii_alphabetic() || b >= 128 || b == b'\'';
    let (mut out, mut at) = (Vec::new(), 0);
    while at < text.len() {
        let mut start = at;
        while start < text.len() && !letter(text[start]) {
            start += 1;
        }
        let mut end = start;
        while end < text.len() && letter(text[end]) {
            end += 1;
        }
        let from = at.max(start.saturating_sub(4));
        if end > start {
            out.push(&text[from..end]);
        }
        at = end.max(at + 1);
    }
    out
}

#[derive(Default, Clone, Copy)]
struct Seen {
    pieces: u32,
    last_piece: u32,
    files: u32,
    last_file: u32,
}

fn lexicon(budget: usize, files: &[String]) -> Vec<u8> {
    let mut texts = Vec::new();
    for spec in files {
        let (file, take) = spec.split_once('=').unwrap_or((spec, "2000000"));
        let mut text = std::fs::read(file).expect("a readable file");
        text.truncate(take.parse().expect("a number of bytes"));
        text.retain(|&b| b != b'\r' && b != 0);
        texts.push(text);
    }
    let mut seen: HashMap<Vec<u8>, Seen> = HashMap::new();
    let mut piece_number = 0;
    for (file, text) in texts.iter().enumerate() {
        for piece in text.chunks(PIECE) {
            piece_number += 1;
            let list = words(piece);
            for n in 1..=WORDS {
                for run in list.windows(n) {
                    let phrase = run.concat();
                    if phrase.len() > 40 || phrase[0].is_ascii_alphabetic() {
                        continue;
                    }
                    let entry = seen.entry(phrase).or_default();
                    if entry.last_piece != piece_number {
                        entry.last_piece = piece_number;
                        entry.pieces += 1;
                    }
                    if entry.last_file != file as u32 + 1 {
                        entry.last_file = file as u32 + 1;
                        entry.files += 1;
                    }
                }
            }
            seen.retain(|_, s| s.pieces > 1 || s.last_piece + 200 > piece_number);
        }
    }
    let mut list: Vec<(u64, Vec<u8>)> = seen
        .into_iter()
        .filter(|(_, s)| s.files >= 2 && s.pieces >= 4)
        .map(|(phrase, s)| {
            let n = words(&phrase).len();
            let worth = [0, 10, 4, 3, 3][n.min(4)];
            (u64::from(s.pieces) * u64::from(s.files.min(4) + 2) * worth, phrase)
        })
        .collect();
    list.sort_by(|a, b| b.cmp(a));
    let mut total = 0;
    list.retain(|(_, phrase)| {
        total += phrase.len() + 1;
        total <= budget
    });
    // The commonest last: what was seen last weighs most.
    list.iter().rev().flat_map(|(_, phrase)| phrase.iter().copied().chain([0])).collect()
}

/// `size` bytes of a file from the offset after `=`.
fn piece(spec: &str, size: usize) -> Vec<u8> {
    let (file, offset) = spec.split_once('=').unwrap_or((spec, "0"));
    let bytes = std::fs::read(file).expect("a readable file");
    let from = offset.parse::<usize>().expect("an offset").min(bytes.len());
    bytes[from..bytes.len().min(from + size)].to_vec()
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.split_first().map(|(verb, rest)| (verb.as_str(), rest)) {
        Some(("lexicon", [budget, out, files @ ..])) => {
            let bytes = lexicon(budget.parse().expect("a number"), files);
            std::fs::write(out, bytes).expect("a writable file");
        }
        Some(("weights", [kind, size, out, files @ ..])) => {
            let size: usize = size.parse().expect("a number");
            // Text learns what it needs when guided by the weight file that NETWORK names.
            let network = std::env::var_os("NETWORK").map(|path| {
                let bytes = std::fs::read(path).expect("a readable weight file");
                Model::new(Weights::from_bytes(&bytes).expect("a weight file")).expect("a network")
            });
            let pieces: Vec<Vec<u8>> = files.iter().map(|spec| piece(spec, size)).collect();
            let bytes = nzip::internal::codec::mix::learn_priors(
                kind.parse().expect("a kind"),
                &pieces,
                network.as_ref(),
            )
            .expect("learns");
            std::fs::write(out, bytes).expect("a writable file");
        }
        _ => panic!("lexicon BYTES OUT FILES… | weights KIND SIZE OUT FILES…"),
    }
}
