//! The command line. The doc comments are the help text.

use super::console::Console;
use super::level::{Level, refuse_long};
use super::quantity::{Size, Span};
use super::{bench, device, generate, inspect, models, tensors, usage};
use anyhow::Context;
use clap::builder::styling::{AnsiColor, Styles};
use clap::{ArgAction, Args, Parser, Subcommand};
use nzip::tensor::Dtype;
use nzip::{Bases, Codec, CodecChoice, DecodeOptions, Device, Models, Options};
use std::ffi::OsString;
use std::path::PathBuf;

#[cfg(feature = "train-circuit")]
use super::train;
#[cfg(not(feature = "train-circuit"))]
use super::untrained as train;

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default())
    .placeholder(AnsiColor::Cyan.on_default().dimmed());

const TEMPLATE: &str = "\
{about}

{usage-heading} {usage}

{all-args}{after-help}";

const AFTER: &str = "\
SIZE takes K, M or G (powers of 1024). Without FILE, or with -, nzip reads standard input.
A verb comes first; a file that is called like one is given as ./NAME.
Exit codes: 0 all is well, 1 a file failed, 2 the command line makes no sense.";

/// Compress files without loss, with learned models
///
/// "nzip FILE" writes FILE.nz and keeps FILE, its mode and its time. "nzip -d FILE.nz" restores it, checked
/// against check values of the original bytes. Options and files may come in any order.
#[derive(Debug, Parser)]
#[command(
    name = "nzip",
    version,
    styles = STYLES,
    help_template = TEMPLATE,
    after_help = AFTER,
    override_usage = "nzip [OPTIONS] [FILE]...\n       nzip VERB ...",
    subcommand_value_name = "VERB",
    subcommand_help_heading = "Verbs",
    disable_help_subcommand = true,
    args_conflicts_with_subcommands = true,
    max_term_width = 100
)]
pub struct Arguments {
    #[command(subcommand)]
    pub verb: Option<Verb>,
    #[command(flatten)]
    pub files: FileArguments,
}

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Show the blocks and windows of .nz files
    Inspect(inspect::InspectArguments),
    /// List, show or export models
    Model(models::ModelArguments),
    /// List, extract or verify tensors of .nz files
    Tensors(tensors::TensorsArguments),
    /// Compare levels of nzip and other compressors
    Bench(bench::BenchArguments),
    /// Learn a language model from a folder of text, or a circuit from records
    Train(train::TrainArguments),
    /// Write the man pages or the completions of a shell
    #[command(hide = true)]
    Generate(generate::GenerateArguments),
}

impl Verb {
    /// False where something failed that has been reported.
    pub fn run(self) -> anyhow::Result<bool> {
        match self {
            Verb::Inspect(a) => a.run(),
            Verb::Model(a) => a.run().map(|()| true),
            Verb::Tensors(a) => a.run().map(|()| true),
            Verb::Bench(a) => a.run(),
            Verb::Train(a) => a.run().map(|()| true),
            Verb::Generate(a) => a.run().map(|()| true),
        }
    }
}

/// Everything that `nzip [FILE]...` takes.
#[derive(Debug, Args)]
pub struct FileArguments {
    /// Files; - is standard input
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,

    #[command(flatten)]
    pub operation: Operation,

    #[command(flatten)]
    pub target: Target,

    #[command(flatten, next_help_heading = "Compression")]
    pub compression: Compression,

    #[command(flatten, next_help_heading = "Resources")]
    pub resources: Resources,

    /// Say less (-qq: not even errors)
    #[arg(short, long, action = ArgAction::Count, help_heading = "Options")]
    pub quiet: u8,
    /// Say more
    #[arg(short, long, action = ArgAction::Count, help_heading = "Options")]
    pub verbose: u8,
}

/// What to do instead of compressing.
#[derive(Debug, Args)]
#[group(id = "what", multiple = false)]
#[command(next_help_heading = "Operation (default: compress)")]
pub struct Operation {
    /// Decompress
    #[arg(short, long)]
    pub decompress: bool,
    /// Decode and verify everything, write nothing
    #[arg(short, long)]
    pub test: bool,
    /// List sizes, ratio, codecs, windows and models
    #[arg(short, long)]
    pub list: bool,
    /// Decode only these raw bytes, to standard output unless -o is given
    #[arg(long, value_name = "A..B")]
    pub range: Option<Span>,
}

/// Where the result goes.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub struct Target {
    /// Write to standard output
    #[arg(short = 'c', long, conflicts_with_all = ["output", "rm"])]
    pub stdout: bool,
    /// Write to this file
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Overwrite files, follow links, write to terminals
    #[arg(short, long)]
    pub force: bool,
    /// Keep the sources (default)
    #[arg(short, long, overrides_with = "rm")]
    pub keep: bool,
    /// Remove each source once its result is safely on disk
    #[arg(long, overrides_with = "keep")]
    pub rm: bool,
}

/// How to compress.
#[derive(Debug, Args)]
pub struct Compression {
    #[command(flatten)]
    pub level: Level,
    /// Use only this codec [default: auto]
    #[arg(long, value_name = "NAME", value_parser = codec_choice)]
    pub codec: Option<CodecChoice>,
    /// Payload bytes of a window, for codecs that have windows
    #[arg(long, value_name = "SIZE")]
    pub window: Option<Size>,
    /// Imported language models: windows decode alone, for ranges; larger files
    #[arg(long)]
    pub unchained: bool,
    /// Decode each result on the CPU and compare it with its source
    #[arg(long, conflicts_with_all = ["decompress", "test", "list", "range", "stdout"])]
    pub verify: bool,
    /// Put the model into the file, so that it decodes anywhere
    ///
    /// Without --codec the model is left out, and not used, where the file would not become smaller by it.
    #[arg(long)]
    pub embed_model: bool,
    /// The file holds one tensor of this type (f32, bf16, i8, ...)
    #[arg(long, value_name = "TYPE", value_parser = dtype, requires = "shape")]
    pub dtype: Option<Dtype>,
    /// The tensor's dimensions, such as 1000x256
    #[arg(long, value_name = "N[xN]...", requires = "dtype")]
    pub shape: Option<String>,
    /// Bytes in front of the tensor
    #[arg(long, value_name = "SIZE", requires = "dtype")]
    pub skip: Option<Size>,
}

/// What may be used.
#[derive(Debug, Args)]
pub struct Resources {
    /// Threads; 0 is one per core [default: 0]
    #[arg(short = 'T', long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    pub threads: usize,
    /// Most memory to use [default: 1G]
    #[arg(short = 'M', long, value_name = "SIZE", value_parser = memory)]
    pub memory: Option<Size>,
    /// File of tensors (or .nz file of one) that those of the same names are, or were, coded against
    #[arg(long, value_name = "FILE")]
    pub base: Vec<PathBuf>,
    /// Name, hash or file of a model, to compress or to decompress with
    #[arg(long, value_name = "MODEL")]
    pub model: Option<String>,
    /// Where models run: cpu, gpu, auto (a GPU if it is hardware), part of a GPU's name, or list [default: cpu]
    #[arg(long, value_name = "NAME", env = "NZIP_DEVICE", hide_env_values = true)]
    pub device: Option<String>,
}

/// What the files hold that the options name.
#[derive(Clone)]
pub struct Loaded {
    models: Models,
    /// The hash of `--model`.
    model: Option<[u8; 32]>,
    bases: Bases,
}

impl Arguments {
    /// Reads the command line; ends the program for `--help`, `--version` and errors.
    pub fn read() -> anyhow::Result<Self> {
        let arguments: Vec<OsString> = std::env::args_os().collect();
        refuse_long(&arguments)?;
        Ok(Self::parse_from(arguments))
    }
}

fn dtype(name: &str) -> Result<Dtype, String> {
    Dtype::from_name(name)
        .ok_or_else(|| "a type of safetensors expected: f32, f16, bf16, f64, i8, u8, i32 ...".into())
}

fn shape(text: &str) -> anyhow::Result<Vec<u64>> {
    let dims = text.split(['x', ',']).map(|d| d.trim().parse());
    dims.collect::<Result<_, _>>()
        .map_err(|_| usage(format!("--shape {text}: whole numbers expected, as in 1000x256")))
}

fn codec_choice(name: &str) -> Result<CodecChoice, String> {
    if name == "auto" {
        return Ok(CodecChoice::Auto);
    }
    let available = Codec::AVAILABLE.iter();
    available.clone().find(|c| c.name() == name).map(|c| CodecChoice::Only(*c)).ok_or_else(|| {
        let names: Vec<_> = available.map(|c| c.name()).collect();
        format!("auto, {} expected", names.join(", "))
    })
}

/// Below this no block can be coded.
const LEAST_MEMORY: u64 = 1 << 20;

fn memory(text: &str) -> Result<Size, String> {
    let size: Size = text.parse()?;
    if size.0 < LEAST_MEMORY {
        return Err(format!("{} bytes are too few; did you mean {text}M?", size.0));
    }
    Ok(size)
}

impl FileArguments {
    /// What the library needs to know to compress.
    pub fn encode_options(&self, loaded: Loaded) -> anyhow::Result<Options> {
        let (compression, resources) = (&self.compression, &self.resources);
        let mut options = Options::new().threads(resources.threads).embed_model(compression.embed_model);
        options = options.chained(!compression.unchained);
        if let Some(model) = loaded.model {
            options = options.model(model);
        }
        if let (Some(dtype), Some(text)) = (compression.dtype, &compression.shape) {
            options = options.tensor(dtype, &shape(text)?, compression.skip.map_or(0, |s| s.0));
        }
        if let Some(level) = compression.level.0 {
            options = options.level(level);
        }
        if let Some(codec) = compression.codec {
            options = options.codec(codec);
        }
        if let Some(window) = compression.window {
            options = options.window(usize::try_from(window.0).map_err(|_| usage("--window is too large"))?);
        }
        if let Some(memory) = resources.memory {
            options = options.memory(memory.0);
        }
        Ok(options.models(loaded.models).bases(loaded.bases))
    }
}

impl Resources {
    /// The device of `--device`, or the CPU and a warning.
    pub fn device(&self, console: Console) -> Device {
        device::choose(self.device.as_deref(), console)
    }

    /// Loads what `--model` and `--base` name.
    pub fn load(&self) -> anyhow::Result<Loaded> {
        let (mut models, mut bases) = (Models::new(), Bases::new());
        let model = self.model.as_ref().map(|name| models::resolve(&mut models, name)).transpose()?;
        for path in &self.base {
            bases.add_file(path).with_context(|| format!("--base {}", path.display()))?;
        }
        Ok(Loaded { models, model, bases })
    }

    /// What the library needs to know to decompress.
    pub fn decode_options(&self) -> anyhow::Result<DecodeOptions> {
        Ok(self.decode_with(self.load()?))
    }

    /// The same with what has been loaded.
    pub fn decode_with(&self, loaded: Loaded) -> DecodeOptions {
        let options = DecodeOptions::new().threads(self.threads).models(loaded.models).bases(loaded.bases);
        self.memory.map_or(options.clone(), |m| options.memory(m.0))
    }
}
