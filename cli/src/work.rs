//! `nzip [FILE]...`: which operation is done with each file.

use crate::compress::{self, Compression, Compressor};
use crate::console::{Console, print};
use crate::failure::usage;
use crate::files::each;
use crate::quantity::Span;
use crate::resources::Resources;
use crate::target::Target;
use crate::{decompress, device, list, range, test};
use clap::{ArgAction, Args};
use nzip::Device;
use std::io::{self, IsTerminal};
use std::path::PathBuf;

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

/// The operation, if it is not to compress.
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

impl FileArguments {
    /// Runs the operation on all files; false where some failed.
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
    let files = inputs(arguments)?;
    let device = arguments.resources.device(console);
    let good = all(arguments, &files, &device, console);
    device::report(&device, console);
    good
}

fn all(
    arguments: &FileArguments,
    files: &[PathBuf],
    device: &Device,
    console: Console,
) -> anyhow::Result<bool> {
    let operation = &arguments.operation;
    let target = Target { read: arguments.resources.files(), ..arguments.target.clone() };
    if operation.list {
        let options = arguments.resources.decode_options()?;
        return list::run(files, &options, arguments.verbose > 0, console);
    }
    if operation.decompress || operation.test || operation.range.is_some() {
        let options = arguments.resources.decode_options()?.device(device.clone());
        return each(files, console, |file| {
            if let Some(span) = operation.range {
                range::run(file, span, &options, &target, console)
            } else if operation.test {
                test::run(file, &options, console)
            } else {
                decompress::run(file, &options, &target, console)
            }
        });
    }
    let loaded = arguments.resources.load()?;
    let options = arguments.compression.options(&arguments.resources, loaded.clone())?.device(device.clone());
    compress::check(&options)?;
    let compressor = Compressor {
        options,
        // On the CPU, whatever has encoded.
        verify: arguments.compression.verify.then(|| arguments.resources.decode_with(loaded)),
        described: arguments.compression.dtype.is_some(),
        target: &target,
        console,
    };
    each(files, console, |file| compressor.run(file))
}

/// The files that are named, or standard input; refuses what would lose data.
fn inputs(arguments: &FileArguments) -> anyhow::Result<Vec<PathBuf>> {
    if arguments.files.is_empty() {
        if io::stdin().is_terminal() {
            return Err(usage("no file is named and standard input is a terminal; nzip -h helps"));
        }
        return Ok(vec!["-".into()]);
    }
    if arguments.target.output.is_some() && arguments.files.len() > 1 {
        return Err(usage("-o takes one file; -c joins many"));
    }
    Ok(arguments.files.clone())
}
