//! The command `nzip` as a function, which the program and the Python package call: arguments, verbs (one file each), reports and exit codes.
//!
//! `arguments` knows the verbs, the verbs know what they share: arguments of several verbs (`resources`, `target`, `level`),
//! files and their results (`files`, `output`), names of models (`names`), and what is printed (`console`, `table`, `quantity`).

pub mod allocator;
mod arguments;
mod bench;
mod blocks;
mod compress;
mod console;
#[cfg(any(feature = "grep", all(feature = "mount", target_os = "linux")))]
mod content;
mod decompress;
mod device;
mod escape;
mod evaluate;
mod failure;
mod files;
mod foreign;
mod gather;
mod generate;
#[cfg(feature = "grep")]
mod grep;
mod holes;
mod identity;
mod import;
mod input;
mod inspect;
mod interrupt;
mod json;
mod level;
mod list;
mod manifest;
mod members;
mod model;
#[cfg(all(feature = "mount", target_os = "linux"))]
mod mount;
mod names;
mod naming;
mod output;
mod pack;
mod place;
mod prefix;
mod progress;
mod quantity;
mod quantize;
mod range;
mod resources;
mod shards;
mod spelling;
mod startup;
mod table;
mod target;
mod tensors;
mod test;
mod tokens;
#[cfg(feature = "train")]
mod train;
#[cfg(not(feature = "train"))]
mod untrained;
mod version;
mod walk;
mod work;

use arguments::Arguments;
use failure::{Usage, describe, is_broken_pipe};
use std::ffi::OsString;
use std::io::{self, Write};

/// Runs the command with these arguments, the first of which is its name, and gives its exit code: 0 all is well, 1 something
/// failed, 2 the command line makes no sense. It takes signals that end the program, and prints to standard output and error.
pub fn run(arguments: Vec<OsString>) -> u8 {
    let run = match Arguments::read(arguments) {
        Ok(Ok(arguments)) => arguments.run(),
        Ok(Err(told)) => return told,
        Err(e) => Err(e),
    };
    match run {
        Ok(true) => 0,
        Ok(false) => 1,
        // Whoever reads our output has seen enough.
        Err(e) if is_broken_pipe(&e) => 0,
        Err(e) => {
            let _ = writeln!(io::stderr(), "nzip: {}", escape::escaped_lines(&describe(&e)));
            if e.is::<Usage>() { 2 } else { 1 }
        }
    }
}
