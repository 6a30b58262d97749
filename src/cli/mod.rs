//! The command: arguments, verbs (one file each), reports and exit codes.

mod arguments;
mod bench;
mod compress;
mod console;
mod decompress;
mod device;
mod files;
mod generate;
mod import;
mod inspect;
mod level;
mod list;
mod models;
mod output;
mod quantity;
mod range;
mod table;
mod tensors;
#[cfg(feature = "train-circuit")]
pub mod train;
#[cfg(not(feature = "train-circuit"))]
mod untrained;

use arguments::Arguments;
use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;

/// A request that makes no sense, whatever the files hold: exit code 2.
#[derive(Debug)]
struct Usage(String);

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

fn usage(message: impl Into<String>) -> anyhow::Error {
    Usage(message.into()).into()
}

/// Runs the command. Exit codes: 0 all is well, 1 something failed, 2 the command line makes no sense.
pub fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        // Whoever reads our output has seen enough.
        Err(e) if is_broken_pipe(&e) => ExitCode::SUCCESS,
        Err(e) => {
            let _ = writeln!(io::stderr(), "nzip: {e:#}");
            ExitCode::from(if e.is::<Usage>() { 2 } else { 1 })
        }
    }
}

/// False where some file failed, which has been reported by then.
fn run() -> anyhow::Result<bool> {
    match Arguments::read()? {
        Arguments { verb: Some(verb), .. } => verb.run(),
        Arguments { files, .. } => files::run(&files),
    }
}

fn is_broken_pipe(e: &anyhow::Error) -> bool {
    let io_error = |cause: &(dyn std::error::Error + 'static)| {
        cause.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe)
    };
    e.chain().any(io_error)
}

/// Writes a report to standard output.
fn print(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}
