//! `nzip tensors`.

use crate::console::print;
use crate::files::{label, open_file};
use crate::identity::Identity;
use crate::output::{Making, Output};
use crate::quantity::{Span, ratio};
use crate::resources::Resources;
use crate::table::{Align, Table};
use clap::{Args, Subcommand};
use nzip::{Archive, StoredTensor};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Tensors of .nz files, one at a time
#[derive(Debug, Args)]
pub struct TensorsArguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List the tensors of a file: type, shape, sizes and how they are coded
    List {
        /// .nz file
        file: PathBuf,
    },
    /// Write the bytes of a tensor to a file
    Extract {
        #[command(flatten)]
        what: What,
        /// File to write
        #[arg(short, long)]
        output: PathBuf,
        /// Overwrite the file
        #[arg(short, long)]
        force: bool,
    },
    /// Write the bytes of a tensor to standard output
    Cat {
        #[command(flatten)]
        what: What,
    },
    /// Decode and verify some tensors, or all
    Verify {
        /// .nz file
        file: PathBuf,
        /// Names of tensors
        names: Vec<String>,
        #[command(flatten)]
        resources: Resources,
    },
}

#[derive(Debug, Args)]
struct What {
    /// .nz file
    file: PathBuf,
    /// Name of the tensor
    name: String,
    /// Only these rows
    #[arg(long, value_name = "A..B")]
    rows: Option<Span>,
    #[command(flatten)]
    resources: Resources,
}

impl TensorsArguments {
    /// Runs the action.
    pub fn run(self) -> anyhow::Result<()> {
        match self.action {
            Action::List { file } => {
                let mut archive = Archive::new(open_file(&file, true)?)?;
                print(&table(&archive.tensors()?))
            }
            Action::Extract { what, output, force } => {
                let bytes = what.read()?;
                let mut read = what.resources.files();
                read.extend(Identity::of(&what.file));
                let mut out = Output::made(&output, &Making { force, read: &read, ..Making::default() })?;
                out.write_all(&bytes)?;
                out.finish(None, false)
            }
            Action::Cat { what } => {
                let mut out = Output::stdout(false)?;
                out.write_all(&what.read()?)?;
                out.finish(None, false)
            }
            Action::Verify { file, names, resources } => verify(&file, names, &resources),
        }
    }
}

impl What {
    fn read(&self) -> anyhow::Result<Vec<u8>> {
        let mut archive = open(&self.file, &self.resources)?;
        let mut tensor = archive.tensor(&self.name)?;
        Ok(match &self.rows {
            Some(span) => {
                let rows = span.within(tensor.row_count());
                tensor.rows(rows)?
            }
            None => tensor.read()?,
        })
    }
}

fn open(file: &Path, resources: &Resources) -> anyhow::Result<Archive<File>> {
    Ok(Archive::with_options(open_file(file, true)?, resources.decode_options()?)?)
}

fn verify(file: &Path, names: Vec<String>, resources: &Resources) -> anyhow::Result<()> {
    let mut archive = open(file, resources)?;
    let mut bytes = 0;
    let count = if names.is_empty() {
        // By number: several may have one name.
        let count = archive.tensors()?.len();
        for number in 0..count {
            bytes += archive.tensor_at(number)?.read()?.len();
        }
        count
    } else {
        for name in &names {
            bytes += archive.tensor(name)?.read()?.len();
        }
        names.len()
    };
    print(&format!("{}: {count} tensors, {bytes} bytes, ok\n", label(file)))
}

/// The table that `tensors list` and `-l -v` print.
pub fn table(tensors: &[StoredTensor]) -> String {
    let mut table = Table::new([
        ("stored", Align::Right),
        ("raw", Align::Right),
        ("ratio", Align::Right),
        ("type", Align::Left),
        ("shape", Align::Left),
        ("how", Align::Left),
        ("tensor", Align::Left),
    ]);
    for t in tensors {
        let shape: Vec<String> = t.shape.iter().map(u64::to_string).collect();
        table.row([
            t.stored_len.to_string(),
            t.raw_len.to_string(),
            format!("{:.3}", ratio(t.raw_len, t.stored_len)),
            t.dtype.to_string(),
            if shape.is_empty() { "-".into() } else { shape.join("x") },
            t.method.clone(),
            t.name.clone(),
        ]);
    }
    table.render()
}
