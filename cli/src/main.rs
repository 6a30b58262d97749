//! The command `nzip`: arguments, verbs (one file each), reports and exit codes.
//!
//! `arguments` knows the verbs. The verbs know what they share: arguments of several verbs (`resources`,
//! `target`, `level`), files and their results (`files`, `output`), names of models (`names`), and what is
//! printed (`console`, `table`, `quantity`).

mod arguments;
mod bench;
mod blocks;
mod compress;
mod console;
mod decompress;
mod device;
mod escape;
mod failure;
mod files;
mod foreign;
mod generate;
mod holes;
mod identity;
mod import;
mod inspect;
mod interrupt;
mod json;
mod level;
mod list;
mod model;
mod names;
mod naming;
mod output;
mod progress;
mod quantity;
mod range;
mod resources;
mod spelling;
mod startup;
mod table;
mod target;
mod tensors;
mod test;
#[cfg(feature = "train")]
mod train;
#[cfg(not(feature = "train"))]
mod untrained;
mod version;
mod walk;
mod work;

use arguments::Arguments;
use failure::{Usage, describe, is_broken_pipe};
use std::io::{self, Write};
use std::process::ExitCode;

/// Runs the command. Exit codes: 0 for success, 1 if something failed, 2 if the command line makes no sense.
fn main() -> ExitCode {
    match Arguments::read().and_then(Arguments::run) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        // Whoever reads our output has seen enough.
        Err(e) if is_broken_pipe(&e) => ExitCode::SUCCESS,
        Err(e) => {
            let _ = writeln!(io::stderr(), "nzip: {}", escape::escaped_lines(&describe(&e)));
            ExitCode::from(if e.is::<Usage>() { 2 } else { 1 })
        }
    }
}
