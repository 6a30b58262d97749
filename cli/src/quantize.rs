//! `nzip quantize`: makes a checkpoint smaller, by a loss that is stated.

use crate::console::print;
use crate::failure::usage;
use crate::identity::Identity;
use crate::output::{Making, Output};
use crate::quantity::Size;
use crate::table::{Align, Table};
use anyhow::Context;
use clap::Args;
use nzip_quantize::{Companions, Method, Options, Outcome, Pattern, Sparsity, Target, TensorReport};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Make a checkpoint smaller by moving its values to few levels, and say what was lost
///
/// Reads a safetensors file (plain or .nz) and writes another one with the same names, shapes and types, which any
/// program loads. Compressed by nzip it has the wanted size.
///
/// With --calibrate, texts are run through the model to find out which errors are felt in its results. That is possible
/// with sentence encoders of BERT's kind, which have vocab.txt or tokenizer.json beside them (and config.json, where their
/// heads do not have the usual width), and with models of the Llama family, which have config.json and tokenizer.json.
#[derive(Debug, Args)]
pub struct QuantizeArguments {
    /// safetensors file, plain or as .nz file
    file: PathBuf,
    /// safetensors file to write
    #[arg(short, long)]
    output: PathBuf,
    #[command(flatten)]
    target: TargetArguments,
    /// Keep tensors whose names match; * stands for any characters
    #[arg(long, value_name = "PATTERN", value_parser = pattern)]
    keep: Vec<Pattern>,
    /// Entropy of the values of tensors whose names match
    #[arg(long, value_name = "PATTERN=BITS", value_parser = named_bits)]
    tensor: Vec<(Pattern, f64)>,
    /// Weigh errors by what these texts, plain or as .nz files, make of them; with --bits or --bytes
    #[arg(long, value_name = "TEXT", num_args = 1.., conflicts_with_all = ["max_error", "rel_error"])]
    calibrate: Vec<PathBuf>,
    /// Make values zero: all but N of each M consecutive inputs (2:4), or a share of each matrix (0.5)
    #[arg(long, value_name = "N:M|SHARE", conflicts_with_all = ["max_error", "progressive"])]
    sparse: Option<Sparsity>,
    /// Give each tensor at most N values, freely chosen, instead of multiples of a step
    #[arg(long, value_name = "N", conflicts_with_all = ["max_error", "progressive", "calibrate"])]
    codebook: Option<usize>,
    /// Write parts of which a prefix is a coarser model: nzip tensors extract --budget makes one; with --bits or --bytes
    #[arg(long, conflicts_with_all = ["max_error", "rel_error", "tensor"])]
    progressive: bool,
    /// Level at which the result will be compressed
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u8).range(1..=9))]
    level: u8,
    /// Overwrite the file
    #[arg(short, long)]
    force: bool,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct TargetArguments {
    /// Stored bits for each float value: the .nz file over all floats
    #[arg(long, value_name = "N")]
    bits: Option<f64>,
    /// Bytes of the .nz file
    #[arg(long, value_name = "SIZE")]
    bytes: Option<Size>,
    /// Largest absolute error of a value
    #[arg(long, value_name = "X")]
    max_error: Option<f64>,
    /// Largest error of a tensor, as a share of its root mean square
    #[arg(long, value_name = "X")]
    rel_error: Option<f64>,
}

impl TargetArguments {
    fn target(&self) -> anyhow::Result<Target> {
        let given = self.bits.map(Target::Bits).or(self.bytes.map(|b| Target::Bytes(b.0)));
        let given =
            given.or(self.max_error.map(Target::MaxError)).or(self.rel_error.map(Target::RelativeError));
        given.ok_or_else(|| usage("--bits, --bytes, --max-error or --rel-error is needed"))
    }
}

fn pattern(text: &str) -> Result<Pattern, String> {
    Pattern::new(text).map_err(|e| e.to_string())
}

fn named_bits(text: &str) -> Result<(Pattern, f64), String> {
    let (name, bits) = text.rsplit_once('=').ok_or("PATTERN=BITS expected")?;
    Ok((pattern(name)?, bits.parse().map_err(|_| "a number of bits expected after =")?))
}

/// A file, restored where it is a .nz file.
pub fn checkpoint(path: &Path) -> anyhow::Result<Vec<u8>> {
    let name = || path.display().to_string();
    let file = std::fs::read(path).with_context(name)?;
    if nzip::is_nz(&file) { nzip::decompress(&file).with_context(name) } else { Ok(file) }
}

/// The files that tell what the tensors of a model do not, from beside the first of these files that has them there.
pub fn companions(models: &[&Path]) -> anyhow::Result<Companions> {
    let beside = |name: &str| {
        let path = models.iter().map(|m| m.with_file_name(name)).find(|p| p.exists());
        path.map(|p| std::fs::read(&p).with_context(|| p.display().to_string())).transpose()
    };
    let (vocabulary, tokenizer) = (beside("vocab.txt")?, beside("tokenizer.json")?);
    Ok(Companions { vocabulary, tokenizer, config: beside("config.json")? })
}

impl QuantizeArguments {
    /// Quantises the file, and prints what became of it.
    pub fn run(self) -> anyhow::Result<()> {
        let options = Options {
            target: self.target.target()?,
            level: self.level,
            keep: self.keep.clone(),
            bits: self.tensor.clone(),
            sparse: self.sparse,
            codebook: self.codebook,
        };
        let file = checkpoint(&self.file)?;
        let texts = self.calibrate.iter().map(|t| checkpoint(t)).collect::<anyhow::Result<Vec<_>>>()?;
        let companions = if texts.is_empty() { Companions::default() } else { companions(&[&self.file])? };
        let done = if self.progressive {
            let calibration = (!texts.is_empty()).then_some((&companions, &texts[..]));
            nzip_quantize::quantize_progressive(&file, &options, calibration)
        } else if texts.is_empty() {
            nzip_quantize::quantize(&file, &options)
        } else {
            nzip_quantize::quantize_calibrated(&file, &options, &companions, &texts)
        };
        let done = done.with_context(|| self.file.display().to_string())?;
        let read: Vec<_> = Identity::of(&self.file).into_iter().collect();
        let mut out =
            Output::made(&self.output, &Making { force: self.force, read: &read, ..Making::default() })?;
        out.write_all(&done.file)?;
        out.finish(None, false)?;
        print(&report(&done, &self.output))
    }
}

fn report(done: &Outcome, output: &Path) -> String {
    let mut table = Table::new([
        ("values", Align::Right),
        ("type", Align::Left),
        ("bits", Align::Right),
        ("levels", Align::Right),
        ("error", Align::Right),
        ("largest", Align::Right),
        ("tensor", Align::Left),
    ]);
    for t in &done.tensors {
        let (levels, error, largest) = match &t.method {
            Method::Kept(reason) => (format!("kept: {reason}"), "0".into(), "0".into()),
            Method::Corrected => {
                ("moved".into(), format!("{:.4}", t.relative_error), format!("{:.2e}", t.max_error))
            }
            Method::Parts(count) => {
                (format!("{count} parts"), format!("{:.4}", t.relative_error), format!("{:.2e}", t.max_error))
            }
            Method::Levels { levels, .. } => {
                (levels.to_string(), format!("{:.4}", t.relative_error), format!("{:.2e}", t.max_error))
            }
        };
        let bits = format!("{:.2}", t.bits);
        table.row([
            t.elements.to_string(),
            t.dtype.to_string(),
            bits,
            levels,
            error,
            largest,
            t.name.clone(),
        ]);
    }
    let mut text = table.render();
    let changed = |t: &&TensorReport| !matches!(t.method, Method::Kept(_));
    let (count, all) = (done.tensors.iter().filter(changed).count(), done.tensors.len());
    text += &format!("{}: {count} of {all} tensors have new values", output.display());
    if done.stored > 0 {
        text += &format!("; {} bytes once compressed", done.stored);
    }
    text.push('\n');
    text
}
