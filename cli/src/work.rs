//! `nzip [FILE]...`: chooses the operation for each file.

use crate::compress::{self, Compression, Compressor};
use crate::console::{Console, print};
use crate::failure::usage;
use crate::files::each;
use crate::interrupt;
use crate::list::Detail;
use crate::quantity::Span;
use crate::resources::Resources;
use crate::target::Target;
use crate::walk::{self, Found, Selection, Wanted};
use crate::{decompress, device, list, range, test};
use clap::{ArgAction, Args, ValueHint};
use nzip::Device;
use std::io::{self, IsTerminal};
use std::path::PathBuf;

/// Everything that `nzip [FILE]...` takes.
#[derive(Debug, Args)]
pub struct FileArguments {
    /// Files; - is standard input
    #[arg(value_name = "FILE", hide_short_help = true, value_hint = ValueHint::AnyPath)]
    pub files: Vec<PathBuf>,
    /// Say less (-qq: not even errors)
    #[arg(short, long, action = ArgAction::Count)]
    pub quiet: u8,
    /// Say more (-vv: even more)
    #[arg(short, long, action = ArgAction::Count)]
    pub verbose: u8,

    #[command(flatten)]
    pub operation: Operation,

    #[command(flatten)]
    pub selection: Selection,

    #[command(flatten)]
    pub target: Target,

    #[command(flatten, next_help_heading = "Compression")]
    pub compression: Compression,

    #[command(flatten, next_help_heading = "Resources")]
    pub resources: Resources,
}

/// The operation, if it is not compression.
#[derive(Debug, Args)]
#[command(next_help_heading = "Operation (the last one counts; -t and -l before -d)")]
pub struct Operation {
    /// Compress (default)
    #[arg(short = 'z', long, overrides_with_all = ["decompress", "test", "list"])]
    pub compress: bool,
    /// Decompress; with -c and -f, a file that is not .nz is passed on unchanged
    #[arg(short, long, alias = "uncompress", overrides_with = "compress")]
    pub decompress: bool,
    /// Decode and verify everything, write nothing
    #[arg(short, long, overrides_with_all = ["compress", "list"])]
    pub test: bool,
    /// List sizes, ratio, codecs, windows, the cost of a range, and models
    ///
    /// "range" is the most raw bytes that are decoded in order to read one byte. -v also lists streams and
    /// tensors.
    #[arg(short, long, overrides_with_all = ["compress", "test"])]
    pub list: bool,
    /// List as JSON (docs/json.md lists its keys)
    #[arg(long, requires = "list", hide_short_help = true)]
    pub json: bool,
    /// Decode only these raw bytes, to standard output unless -o is given
    #[arg(long, value_name = "A..B", conflicts_with_all = ["compress", "test", "list"], value_hint = ValueHint::Other)]
    pub range: Option<Span>,
    /// Of a family of files (nzip pack), restore only this file, or what is in this folder
    #[arg(long, value_name = "NAME", requires = "decompress", hide_short_help = true, value_hint = ValueHint::Other)]
    pub member: Vec<String>,
}

impl Operation {
    /// Whether compressed files are read.
    fn reads_packed(&self) -> bool {
        self.list || self.test || self.decompress || self.range.is_some()
    }
}

impl FileArguments {
    /// Runs the operation on all files; false if some failed.
    pub fn run(&self) -> anyhow::Result<bool> {
        run(self)
    }
}

fn run(arguments: &FileArguments) -> anyhow::Result<bool> {
    let console = Console::new(arguments.quiet, arguments.verbose);
    if arguments.resources.device.as_deref() == Some("list") {
        return print(&device::list()).map(|()| true);
    }
    let most = nzip::most_threads();
    if arguments.resources.threads > most {
        console.warning(&format!("{most} threads, four for each core, are the most that are started"));
    }
    let found = inputs(arguments, console)?;
    let roots = if arguments.selection.recursive { arguments.files.clone() } else { Vec::new() };
    let target = Target { roots, read: arguments.resources.files(), ..arguments.target.clone() };
    let device = arguments.resources.device(console);
    let good = all(arguments, &found.files, &target, &device, console);
    device::report(&device, console);
    good.map(|good| good && found.good)
}

fn all(
    arguments: &FileArguments,
    files: &[PathBuf],
    target: &Target,
    device: &Device,
    console: Console,
) -> anyhow::Result<bool> {
    let operation = &arguments.operation;
    if operation.list {
        let options = arguments.resources.decode_options()?;
        let detail = Detail { verbose: arguments.verbose > 0, json: operation.json };
        return list::run(files, &options, detail, console);
    }
    interrupt::watch();
    if operation.decompress || operation.test || operation.range.is_some() {
        let options = arguments.resources.decode_options()?.device(device.clone());
        return each(files, console, |file| {
            if let Some(span) = operation.range {
                range::run(file, span, &options, target, console)
            } else if operation.test {
                test::run(file, &options, console)
            } else {
                decompress::run(file, &options, &operation.member, target, console)
            }
        });
    }
    let loaded = arguments.resources.load()?;
    let options = arguments.compression.options(&arguments.resources, loaded.clone())?.device(device.clone());
    compress::check(&options)?;
    let compressor = Compressor {
        options,
        // On the CPU, whatever encoded the file.
        decoding: arguments.resources.decode_with(loaded.clone()),
        verify: arguments.compression.verify,
        bases: loaded.bases,
        candidates: arguments.resources.candidates()?,
        codec: arguments.compression.codec,
        described: arguments.compression.dtype.is_some(),
        target,
        console,
    };
    each(files, console, |file| compressor.run(file))
}

/// The files that are named, or standard input. Refuses requests that would lose data.
fn inputs(arguments: &FileArguments, console: Console) -> anyhow::Result<Found> {
    let FileArguments { files, operation, selection, target, .. } = arguments;
    if files.is_empty() {
        if selection.recursive {
            return Err(usage("-r needs a folder"));
        }
        if io::stdin().is_terminal() {
            return Err(usage("no file is named and standard input is a terminal; nzip -h shows the usage"));
        }
        return Ok(Found { files: vec!["-".into()], good: true });
    }
    let wanted = Wanted {
        recursive: selection.recursive,
        packed: operation.reads_packed(),
        suffix: target.suffix.as_deref(),
        exclude: selection.exclude_compressed && !operation.reads_packed(),
    };
    let found = walk::find(files, wanted, console);
    let one = target.output.is_some() && target.folder().is_none();
    if one && found.files.len().max(files.len()) > 1 {
        return Err(usage("-o takes one file, or a folder; -c joins many"));
    }
    Ok(found)
}
