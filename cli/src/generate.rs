//! `nzip generate`: man pages and completions.

use crate::console::print;
use clap::{Args, Command, Subcommand};
use clap_complete::Shell;
use clap_mangen::Man;
use roff::{Roff, bold, roman};
use std::fs;
use std::path::{Path, PathBuf};

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
        /// The folder; it is created if needed
        folder: Option<PathBuf>,
    },
    /// Completions to standard output
    Completions {
        /// The shell
        shell: Shell,
    },
}

/// Commands and what they do.
const EXAMPLES: [(&str, &str); 10] = [
    ("nzip book.txt", "Writes book.txt.nz and keeps book.txt."),
    ("nzip -d book.txt.nz", "Restores book.txt."),
    ("nzip -r --rm logs", "Compresses all files of a folder and removes each once its result is on disk."),
    ("nzip -t *.nz", "Verifies files without writing anything."),
    ("nzip --seekable big.log", "Makes ranges cheap to read."),
    ("nzip --range 1M..2M big.log.nz", "Writes the second MiB of the content to standard output."),
    ("nzip -l --json book.txt.nz", "Lists what a file consists of, for programs."),
    (
        "nzip mount folder dir",
        "Shows the contents of a folder's .nz files as files in dir, until Ctrl-C (Linux).",
    ),
    ("tar c folder | nzip > folder.tnz", "Works in pipes; nzip -d folder.tnz makes folder.tar."),
    ("tar -I nzip -cf folder.tar.nz folder", "Serves tar, in both directions."),
];

/// Variables and what they mean.
const ENVIRONMENT: [(&str, &str); 4] = [
    ("NZIP_LEVEL", "The level where none is given, 1 to 9."),
    ("NZIP_THREADS", "The number of threads where -T is not given."),
    ("NZIP_DEVICE", "Where models run where --device is not given."),
    ("NZIP_MODELS", "A folder of models, which is searched before the one below."),
];

/// Files that are read without being named.
const FILES: [(&str, &str); 1] = [(
    "$XDG_DATA_HOME/nzip/models, or ~/.local/share/nzip/models",
    "The model folder: files called HASH.nz (nzip model export) and models that were imported (nzip model import).",
)];

impl GenerateArguments {
    /// Writes man pages or completions for `command`.
    pub fn run(self, mut command: Command) -> anyhow::Result<()> {
        let mut text = Vec::new();
        match self.what {
            What::Man { folder: Some(folder) } => {
                fs::create_dir_all(&folder)?;
                return pages(command, &folder);
            }
            What::Man { folder: None } => page(command, true, &mut text)?,
            What::Completions { shell } => clap_complete::generate(shell, &mut command, "nzip", &mut text),
        }
        print(&String::from_utf8(text)?)
    }
}

/// Writes the pages of a command and of its verbs.
fn pages(mut command: Command, folder: &Path) -> anyhow::Result<()> {
    command.build();
    below(&command, folder, true)
}

fn below(command: &Command, folder: &Path, top: bool) -> anyhow::Result<()> {
    let mut text = Vec::new();
    page(command.clone(), top, &mut text)?;
    let name = command.get_display_name().unwrap_or(command.get_name());
    fs::write(folder.join(format!("{name}.1")), text)?;
    command.get_subcommands().filter(|c| !c.is_hide_set()).try_for_each(|c| below(c, folder, false))
}

/// A man page. The command's own page has more sections than those of its verbs.
fn page(command: Command, top: bool, out: &mut Vec<u8>) -> anyhow::Result<()> {
    let verbs = command.get_subcommands().next().is_some();
    let man = Man::new(command);
    man.render_title(out)?;
    man.render_name_section(out)?;
    man.render_synopsis_section(out)?;
    man.render_description_section(out)?;
    man.render_options_section(out)?;
    if verbs {
        man.render_subcommands_section(out)?;
    }
    if top {
        man.render_extra_section(out)?;
        section("EXAMPLES", &EXAMPLES, out)?;
        section("ENVIRONMENT", &ENVIRONMENT, out)?;
        section("FILES", &FILES, out)?;
        man.render_version_section(out)?;
    }
    Ok(())
}

/// A section of terms and what they mean.
fn section(title: &str, terms: &[(&str, &str)], out: &mut Vec<u8>) -> anyhow::Result<()> {
    let mut roff = Roff::new();
    roff.control("SH", [title]);
    for (term, meaning) in terms {
        roff.control("TP", []).text([bold(*term)]).text([roman(*meaning)]);
    }
    Ok(roff.to_writer(out)?)
}
