//! The program `nzip`.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(nzip_cli::run(std::env::args_os().collect()))
}
