//! The command line. The doc comments are the help text.

use crate::level::refuse_long;
use crate::work::FileArguments;
use crate::{
    bench, evaluate, generate, inspect, manifest, model, pack, quantize, spelling, startup, tensors, tokens,
    version,
};
use clap::builder::styling::{AnsiColor, Styles};
use clap::error::ContextKind;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use std::ffi::OsString;

#[cfg(feature = "grep")]
use crate::grep;
#[cfg(all(feature = "mount", target_os = "linux"))]
use crate::mount;
#[cfg(feature = "train")]
use crate::train;
#[cfg(not(feature = "train"))]
use crate::untrained as train;

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
Levels: -1 to -3 zstd; -4 sort; -5 light; -6 mix (context mixing); -7 with model tiny, from -8 base.
SIZE takes K, M or G (powers of 1024). Without FILE, or with -, nzip reads standard input.
A verb comes first; a file that is called like one is given as ./NAME.
Environment: NZIP_LEVEL, NZIP_THREADS, NZIP_DEVICE; NZIP_MODELS is a folder of models.
Exit codes: 0 all is well, 1 a file failed or was left out, 2 the command line makes no sense.";

/// Compress files without loss, with learned models
///
/// "nzip FILE" writes FILE.nz and keeps FILE; the result gets FILE's mode and time. "nzip -d FILE.nz"
/// restores it and verifies it against check values of the original bytes. Options and files may come in any
/// order.
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
    args_override_self = true,
    max_term_width = 100
)]
pub struct Arguments {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    files: FileArguments,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Show the blocks and windows of .nz files
    Inspect(inspect::InspectArguments),
    /// List, show or export models
    Model(model::ModelArguments),
    /// List, extract or verify tensors of .nz files
    Tensors(tensors::TensorsArguments),
    /// Store files that resemble each other, such as checkpoints, in one archive
    Pack(pack::PackArguments),
    /// Make a checkpoint smaller by a stated loss
    Quantize(quantize::QuantizeArguments),
    /// Measure a language model on texts, or compare two checkpoints
    Evaluate(evaluate::EvaluateArguments),
    /// Write text as tokens of equal information, and back
    Tokens(tokens::TokensArguments),
    #[cfg(feature = "grep")]
    /// Search .nz files for lines that match a regular expression
    Grep(grep::GrepArguments),
    #[cfg(all(feature = "mount", target_os = "linux"))]
    /// Show what .nz files hold as a folder of files
    Mount(mount::MountArguments),
    /// List .nz files that make up one content in a manifest
    Manifest(manifest::ManifestArguments),
    /// Compare levels of nzip and other compressors
    Bench(bench::BenchArguments),
    /// Learn a language model from a folder of text, or a circuit from records
    Train(train::TrainArguments),
    /// Write the man pages or the completions of a shell
    #[command(hide = true)]
    Generate(generate::GenerateArguments),
}

impl Verb {
    /// Runs the verb; false where something failed and has been reported.
    fn run(self) -> anyhow::Result<bool> {
        match self {
            Verb::Inspect(a) => a.run(),
            Verb::Model(a) => a.run().map(|()| true),
            Verb::Tensors(a) => a.run().map(|()| true),
            Verb::Pack(a) => a.run().map(|()| true),
            Verb::Quantize(a) => a.run().map(|()| true),
            Verb::Evaluate(a) => a.run().map(|()| true),
            Verb::Tokens(a) => a.run().map(|()| true),
            #[cfg(feature = "grep")]
            Verb::Grep(a) => a.run(),
            #[cfg(all(feature = "mount", target_os = "linux"))]
            Verb::Mount(a) => a.run(),
            Verb::Manifest(a) => a.run().map(|()| true),
            Verb::Bench(a) => a.run(),
            Verb::Train(a) => a.run().map(|()| true),
            Verb::Generate(a) => a.run(Arguments::command()).map(|()| true),
        }
    }
}

/// An unknown option is seldom meant as a file name, so only similar options are suggested.
fn without_tip(mut e: clap::Error) -> clap::Error {
    if e.kind() == clap::error::ErrorKind::UnknownArgument {
        e.remove(ContextKind::Suggested);
    }
    e
}

impl Arguments {
    /// Reads the command line. For `--help`, `--version` and errors of usage prints what is wanted, and gives the exit code.
    pub fn read(arguments: Vec<OsString>) -> anyhow::Result<Result<Self, u8>> {
        let arguments: Vec<OsString> = spelling::rewrite(arguments);
        refuse_long(&arguments)?;
        let command = Self::command().long_version(version::long());
        spelling::refuse_slips(&arguments, command.get_subcommands().map(clap::Command::get_name))?;
        let parsed = command.try_get_matches_from(arguments).and_then(|m| Self::from_arg_matches(&m));
        match parsed {
            Err(e) if !e.use_stderr() => {
                startup::needs_stdout()?;
                e.print()?;
                std::io::Write::flush(&mut std::io::stdout())?;
                Ok(Err(0))
            }
            Err(e) => {
                // There is nowhere else to say it.
                let _ = without_tip(e).print();
                Ok(Err(2))
            }
            Ok(parsed) => Ok(Ok(parsed)),
        }
    }

    /// Runs the verb, or the operation on files; false where something failed and has been reported.
    pub fn run(self) -> anyhow::Result<bool> {
        match self.verb {
            Some(verb) => verb.run(),
            None => self.files.run(),
        }
    }
}
