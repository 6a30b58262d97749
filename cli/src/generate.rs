//! `nzip generate`: man pages and completions.

use crate::console::print;
use clap::{Args, Command, Subcommand};
use clap_complete::Shell;
use std::fs;
use std::path::PathBuf;

/// Write the man pages or the completions of a shell.
#[derive(Debug, Args)]
pub struct GenerateArguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// nzip.1 to standard output, or all pages to a folder
    Man {
        /// The folder; it is made if need be
        folder: Option<PathBuf>,
    },
    /// Completions to standard output
    Completions {
        /// The shell
        shell: Shell,
    },
}

impl GenerateArguments {
    /// Writes them for `command`.
    pub fn run(self, mut command: Command) -> anyhow::Result<()> {
        let mut text = Vec::new();
        match self.what {
            What::Man { folder: Some(folder) } => {
                fs::create_dir_all(&folder)?;
                return Ok(clap_mangen::generate_to(command, folder)?);
            }
            What::Man { folder: None } => clap_mangen::Man::new(command).render(&mut text)?,
            What::Completions { shell } => clap_complete::generate(shell, &mut command, "nzip", &mut text),
        }
        print(&String::from_utf8(text)?)
    }
}
