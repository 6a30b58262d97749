//! `nzip tokens inspect`.

use super::decode::read_tokens;
use super::side::Side;
use crate::console::print;
use crate::json;
use clap::Args;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub struct InspectArguments {
    /// File of tokens
    #[arg(value_name = "TOKENS")]
    file: PathBuf,
    /// File of choices instead of TOKENS.json
    #[arg(long, value_name = "FILE")]
    side: Option<PathBuf>,
    /// Print JSON: the choices, and how the tokens are spread
    #[arg(long)]
    json: bool,
}

/// How the tokens of a file are spread.
#[derive(serde::Serialize)]
struct Report {
    #[serde(flatten)]
    side: Side,
    /// The number of different tokens that occur.
    different: usize,
    /// The entropy of a token by how often each occurs, in bits.
    entropy: f64,
    /// Raw bytes for each token.
    bytes_per_token: f64,
    /// Bits of windows for each raw byte.
    bits_per_byte: f64,
}

impl InspectArguments {
    /// Prints the report.
    pub fn run(self) -> anyhow::Result<()> {
        let side = Side::read(&self.file, self.side.as_deref())?;
        let tokens = read_tokens(&self.file, &side)?;
        let report = Report::new(side, &tokens);
        if self.json { json::write(&report) } else { print(&report.text(tokens.len())) }
    }
}

impl Report {
    fn new(side: Side, tokens: &[u32]) -> Self {
        let mut counts = std::collections::HashMap::new();
        tokens.iter().for_each(|t| *counts.entry(t).or_insert(0u64) += 1);
        let total = tokens.len().max(1) as f64;
        let mut counts: Vec<u64> = counts.into_values().collect();
        // Sums of floats depend on their order.
        counts.sort_unstable();
        let entropy = counts.iter().map(|&n| -(n as f64 / total) * (n as f64 / total).log2()).sum();
        let (raw, digits) = (side.raw_bytes as f64, 1 << side.token_bits.min(16));
        let coded = tokens.iter().filter(|&&t| t < digits).count() as f64;
        let bits_per_byte = coded * f64::from(side.token_bits) / raw.max(1.0);
        Self { different: counts.len(), entropy, bytes_per_token: raw / coded.max(1.0), bits_per_byte, side }
    }

    fn text(&self, count: usize) -> String {
        let s = &self.side;
        let adaptive = if s.adaptive { ", adaptive" } else { "" };
        let end = s.end_token.map_or("none".into(), |t| t.to_string());
        format!(
            "model       {} ({})\nwindows     {} bits, {:?}, end at {:?}{adaptive}\ntokens      {count} of {} bits, {} \
             different, entropy {:.3} bits\nvocabulary  {}, {} special, end of documents {end}\ndocuments   {}, {} \
             bytes\nbytes       {:.3} a token, {:.4} bits a byte\n",
            s.model.as_deref().unwrap_or("-"),
            s.model_hash,
            s.window_bits,
            s.policy,
            s.ends,
            s.token_bits,
            self.different,
            self.entropy,
            s.vocab_size,
            s.special,
            s.documents,
            s.raw_bytes,
            self.bytes_per_token,
            self.bits_per_byte
        )
        .replace("Reset", "reset")
        .replace("Continue", "continue")
        .replace("Symbol", "symbol")
        .replace("Bit", "bit")
    }
}
