//! `--daemon`: the mount goes on in the background.

use std::env;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

/// Set for the command that runs in the background: whoever has started it waits for a byte on standard output.
const WAITED_FOR: &str = "NZIP_MOUNT_WAITED_FOR";

/// Starts this command once more, without `--daemon`, and waits until it has mounted. Gives false where it has not, and has
/// said why.
///
/// # Errors
///
/// Those of starting it.
pub fn start() -> io::Result<bool> {
    let mut command = Command::new(env::current_exe()?);
    command.args(env::args_os().skip(1).filter(|argument| argument != "--daemon"));
    command.env(WAITED_FOR, "1").stdin(Stdio::null()).stdout(Stdio::piped());
    // Ctrl-C in the terminal is not meant for it.
    let mut child = command.process_group(0).spawn()?;
    let mut told = Vec::new();
    if let Some(mut out) = child.stdout.take() {
        out.read_to_end(&mut told)?;
    }
    Ok(!told.is_empty())
}

/// Tells whoever waits that the files are there, and lets go of standard output.
///
/// # Errors
///
/// Those of writing.
pub fn mounted() -> io::Result<()> {
    if env::var_os(WAITED_FOR).is_none() {
        return Ok(());
    }
    let mut out = io::stdout();
    out.write_all(b".")?;
    out.flush()?;
    rustix::stdio::dup2_stdout(File::options().write(true).open("/dev/null")?)?;
    Ok(())
}
