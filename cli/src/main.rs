//! The program `nzip`.

use nzip_cli::{allocator, run};
use std::process::ExitCode;

fn main() -> ExitCode {
    allocator::give_back_large_buffers();
    ExitCode::from(run(std::env::args_os().collect()))
}
