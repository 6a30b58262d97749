//! Training text: files in memory, weighted sampling of contiguous streams, held-out tails.

use std::fs;
use std::io::Read;
use std::path::Path;

use nzip::Result;
use nzip::internal::SplitMix;

use crate::error::{Place, bad_argument};

/// The last part of each file, one byte in this many but at most `MAX_TAIL` bytes, is never trained on.
const TAIL_SHARE: usize = 64;
const MAX_TAIL: usize = 128 << 10;
/// The number of bytes that a stream reads in one place before it jumps to another with a fresh state.
const STRETCH: std::ops::Range<u64> = (2 << 10)..(14 << 10);

/// One training file in memory.
struct Text {
    name: String,
    bytes: Vec<u8>,
    /// The bytes from here on are held out.
    train_end: usize,
    /// The sampling weight.
    weight: f64,
}

/// All training text.
pub struct Corpus {
    texts: Vec<Text>,
}

impl Corpus {
    /// Reads every file of `folder` (`.zst` files are unpacked). `weights` is a file of lines
    /// `prefix factor`: files whose name starts with the prefix are sampled `factor` times as often as their
    /// size alone would suggest.
    pub fn load(folder: &Path, weights: Option<&Path>) -> Result<Self> {
        let factors = match weights {
            Some(path) => fs::read_to_string(path).at(path.display()).and_then(|t| parse_factors(&t))?,
            None => Vec::new(),
        };
        let mut paths: Vec<_> = fs::read_dir(folder)
            .at(folder.display())?
            .map(|entry| entry.map(|e| e.path()))
            .collect::<std::io::Result<_>>()
            .at(folder.display())?;
        paths.sort();
        let mut texts = Vec::new();
        for path in paths.iter().filter(|p| p.is_file()) {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if name.starts_with("README") {
                continue;
            }
            let bytes = read_text(path).at(path.display())?;
            let factor = factors.iter().find(|(p, _)| name.starts_with(p)).map_or(1.0, |(_, f)| *f);
            let train_end = bytes.len() - (bytes.len() / TAIL_SHARE).min(MAX_TAIL);
            if train_end > 1024 && factor > 0.0 {
                let weight = factor * train_end as f64;
                texts.push(Text { name, bytes, train_end, weight });
            }
        }
        if texts.is_empty() {
            return Err(bad_argument(format!("{} holds no text to train on", folder.display())));
        }
        Ok(Self { texts })
    }

    /// The total number of bytes that may be trained on.
    pub fn len(&self) -> usize {
        self.texts.iter().map(|t| t.train_end).sum()
    }

    /// Up to `each` held-out bytes of every file whose name passes `keep`.
    pub fn held_out(&self, each: usize, keep: impl Fn(&str) -> bool) -> Vec<&[u8]> {
        self.texts
            .iter()
            .filter(|t| keep(&t.name))
            .map(|t| &t.bytes[t.train_end..][..each.min(t.bytes.len() - t.train_end)])
            .filter(|s| s.len() >= 1024)
            .collect()
    }

    fn pick(&self, rng: &mut SplitMix) -> usize {
        let total: f64 = self.texts.iter().map(|t| t.weight).sum();
        let mut x = (rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64 * total;
        for (i, t) in self.texts.iter().enumerate() {
            x -= t.weight;
            if x < 0.0 {
                return i;
            }
        }
        self.texts.len() - 1
    }
}

fn parse_factors(text: &str) -> Result<Vec<(String, f64)>> {
    let mut out = Vec::new();
    for line in text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#')) {
        let parsed = line.split_once(' ').and_then(|(prefix, f)| Some((prefix, f.trim().parse().ok()?)));
        let (prefix, factor) = parsed.ok_or_else(|| bad_argument(format!("no factor in line '{line}'")))?;
        out.push((prefix.to_string(), factor));
    }
    Ok(out)
}

fn read_text(path: &Path) -> Result<Vec<u8>> {
    let bytes = fs::read(path)?;
    if path.extension().is_none_or(|e| e != "zst") {
        return Ok(bytes);
    }
    let mut decoder = zstd::Decoder::new(bytes.as_slice())?;
    decoder.window_log_max(27)?;
    let mut out = Vec::new();
    decoder.read_to_end(&mut out)?;
    Ok(out)
}

/// One lane of the batch: a place in the corpus from which it reads forward.
#[derive(Debug, Clone, Default)]
struct Cursor {
    text: usize,
    next: usize,
    end: usize,
    start: usize,
}

/// Reads `lanes` streams side by side.
pub struct Sampler<'a> {
    corpus: &'a Corpus,
    cursors: Vec<Cursor>,
    rng: SplitMix,
}

/// The next stretch of one lane.
pub struct Segment<'a> {
    /// Bytes before `bytes` that the model has seen since the lane's last reset, at most eight.
    pub history: &'a [u8],
    /// The bytes to predict.
    pub bytes: &'a [u8],
    /// Whether the model's state must be zero before the first byte.
    pub fresh: bool,
}

impl<'a> Sampler<'a> {
    pub fn new(corpus: &'a Corpus, lanes: usize, seed: u64) -> Self {
        Self { corpus, cursors: vec![Cursor::default(); lanes], rng: SplitMix(seed) }
    }

    /// The next `steps` bytes of every lane.
    pub fn next(&mut self, steps: usize) -> Vec<Segment<'a>> {
        let corpus = self.corpus;
        let rng = &mut self.rng;
        self.cursors
            .iter_mut()
            .map(|c| {
                let fresh = c.next + steps > c.end;
                if fresh {
                    *c = jump(corpus, rng, steps);
                }
                let bytes = &corpus.texts[c.text].bytes;
                let at = c.next;
                c.next += steps;
                let from = at.saturating_sub(8).max(c.start);
                Segment { history: &bytes[from..at], bytes: &bytes[at..at + steps], fresh }
            })
            .collect()
    }
}

fn jump(corpus: &Corpus, rng: &mut SplitMix, steps: usize) -> Cursor {
    loop {
        let text = corpus.pick(rng);
        let end_of_text = corpus.texts[text].train_end;
        if end_of_text <= steps {
            continue;
        }
        let start = (rng.next_u64() % (end_of_text - steps) as u64) as usize;
        let length = STRETCH.start + rng.next_u64() % (STRETCH.end - STRETCH.start);
        return Cursor { text, next: start, start, end: end_of_text.min(start + length as usize) };
    }
}
