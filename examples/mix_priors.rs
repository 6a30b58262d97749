//! Learns the priors of the `mix` codec from text: `mix_priors lexicon BYTES OUT FILES…` gathers the phrases
//! that most pieces of the files share; `mix_priors weights KIND SIZE OUT FILES…` codes pieces of the files one
//! after another and keeps what the predictor learned; `mix_priors text SIZE OUT FOLDER WEIGHTS [MODEL]` does so
//! with pieces of the `.zst` files of a folder of training text, guided by a model (`.nz`) if one is given.

use nzip::internal::codec::mix;
use nzip::internal::model::lm::{Model, weights::Weights};
use std::collections::HashMap;
use std::path::Path;

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
    // The most common ones come last, since the predictor weighs recent bytes most.
    list.iter().rev().flat_map(|(_, phrase)| phrase.iter().copied().chain([0])).collect()
}

/// `size` bytes of a file from the offset after `=`.
fn piece(spec: &str, size: usize) -> Vec<u8> {
    let (file, offset) = spec.split_once('=').unwrap_or((spec, "0"));
    let bytes = std::fs::read(file).expect("a readable file");
    let from = offset.parse::<usize>().expect("an offset").min(bytes.len());
    bytes[from..bytes.len().min(from + size)].to_vec()
}

/// Pieces of all files of a folder, three of those that `weights` (lines of PREFIX FACTOR) favours and one of the
/// others, at places and in an order that look random but are always the same.
fn text_pieces(folder: &Path, weights: &Path, size: usize) -> Vec<Vec<u8>> {
    let weights = std::fs::read_to_string(weights).expect("readable weights");
    let favoured = |name: &str| {
        weights.lines().filter_map(|l| l.split_once(' ')).any(|(prefix, factor)| {
            name.starts_with(prefix) && factor.trim().parse::<f64>().is_ok_and(|f| f > 1.0)
        })
    };
    let entries = std::fs::read_dir(folder).expect("a folder").map(|e| e.expect("an entry").path());
    let mut files: Vec<_> = entries.filter(|p| p.extension().is_some_and(|e| e == "zst")).collect();
    files.sort();
    // The generator with which the priors that ship were made.
    let mut state = 1u64;
    let mut random = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 33) as usize) % below.max(1)
    };
    let mut pieces = Vec::new();
    for file in files {
        let reader = std::fs::File::open(&file).expect("a readable file");
        let mut reader = zstd::Decoder::new(reader).expect("a zstd file");
        reader.window_log_max(27).expect("a large window");
        let mut text = Vec::new();
        std::io::Read::read_to_end(&mut reader, &mut text).expect("a whole zstd file");
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        for _ in 0..if favoured(&name) { 3 } else { 1 } {
            let from = random(text.len().saturating_sub(size));
            pieces.push(text[from..text.len().min(from + size)].to_vec());
        }
    }
    for i in (1..pieces.len()).rev() {
        pieces.swap(i, random(i + 1));
    }
    pieces
}

fn learn(kind: &str, pieces: &[Vec<u8>], network: Option<&Model>, out: &str) {
    let (kind, parameter) = kind.split_once('=').unwrap_or((kind, "0"));
    let (kind, parameter) = (kind.parse().expect("a kind"), parameter.parse().expect("a parameter"));
    let bytes = mix::learn_priors(kind, parameter, pieces, network).expect("learns");
    std::fs::write(out, bytes).expect("a writable file");
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
            let pieces: Vec<Vec<u8>> = files.iter().map(|spec| piece(spec, size)).collect();
            learn(kind, &pieces, None, out);
        }
        Some(("text", [size, out, folder, weights, model @ ..])) => {
            let pieces = text_pieces(folder.as_ref(), weights.as_ref(), size.parse().expect("a number"));
            let network = model.first().map(|path| {
                let packed = std::fs::read(path).expect("a readable model");
                let bytes = nzip::decompress(&packed).expect("a packed model");
                Model::new(Weights::from_bytes(&bytes).expect("a weight file")).expect("a network")
            });
            learn("0", &pieces, network.as_ref(), out);
        }
        _ => panic!("see the head of this program's source"),
    }
}
