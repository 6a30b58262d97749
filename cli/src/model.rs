//! `nzip model`.

use crate::console::print;
use crate::identity::Identity;
use crate::import::ImportArguments;
use crate::names::{hex, pack, resolve};
use crate::output::{Making, Output};
use crate::table::{Align, Table};
use clap::{Args, Subcommand};
use nzip::{ModelInfo, Models};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Models that nzip can use.
#[derive(Debug, Args)]
pub struct ModelArguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List the built-in models and those in the model folder
    List,
    /// Show one model
    Show {
        /// Name, hash (or its start) or file
        model: String,
    },
    /// Convert a language model of the Llama family and put it into the model folder
    Import(ImportArguments),
    /// Write a model's weights to a file for --model or the model folder
    Export {
        /// Name, hash (or its start) or file
        model: String,
        /// File to write [default: HASH.nz]
        #[arg(short, long)]
        output: Option<PathBuf>,
        /// Write the plain weights, not as .nz
        #[arg(long)]
        raw: bool,
        /// Overwrite the file
        #[arg(short, long)]
        force: bool,
    },
}

impl ModelArguments {
    /// Runs the action.
    pub fn run(self) -> anyhow::Result<()> {
        match self.action {
            Action::List => print(&list(&Models::new())),
            Action::Show { model } => print(&show(&model)?),
            Action::Import(a) => a.run(),
            Action::Export { model, output, raw, force } => export(&model, output, raw, force),
        }
    }
}

fn list(models: &Models) -> String {
    let list = models.list();
    if list.is_empty() {
        return "no model is built in or in the model folder\n".into();
    }
    let mut table = Table::new([
        ("name", Align::Left),
        ("id", Align::Right),
        ("stored", Align::Right),
        ("hash", Align::Left),
        ("where", Align::Left),
    ]);
    for m in list {
        table.row([
            m.name.unwrap_or("-").into(),
            m.id.map_or("-".into(), |id| id.to_string()),
            m.stored_len.map_or("-".into(), |n| n.to_string()),
            hex(&m.hash),
            place(&m),
        ]);
    }
    table.render()
}

fn place(m: &ModelInfo) -> String {
    match (&m.path, m.stored_len) {
        (Some(path), _) => path.display().to_string(),
        (None, Some(_)) => "built in".into(),
        (None, None) => "retired".into(),
    }
}

fn show(model: &str) -> anyhow::Result<String> {
    let mut models = Models::new();
    let hash = resolve(&mut models, model)?;
    let weights = models.find(&hash)?;
    let listed = models.list().into_iter().find(|m| m.hash == hash);
    let mut text = format!("hash     {}\nweights  {} bytes\n", hex(&hash), weights.len());
    if let Some(m) = listed {
        let stored = m.stored_len.map_or("-".into(), |n| format!("{n} bytes"));
        text += &format!("stored   {stored}\nwhere    {}\n", place(&m));
        if let (Some(name), Some(id)) = (m.name, m.id) {
            text += &format!("name     {name}\nid       {id}\n");
        }
    }
    Ok(text)
}

fn export(model: &str, output: Option<PathBuf>, raw: bool, force: bool) -> anyhow::Result<()> {
    let mut models = Models::new();
    let hash = resolve(&mut models, model)?;
    let weights = models.find(&hash)?;
    let path = output.unwrap_or_else(|| PathBuf::from(format!("{}.nz", hex(&hash))));
    let read: Vec<_> = Identity::of(Path::new(model)).into_iter().collect();
    let mut out = Output::made(&path, &Making { force, read: &read, ..Making::default() })?;
    if raw {
        out.write_all(&weights)?;
    } else {
        out.write_all(&pack(&weights, 9)?)?;
    }
    out.finish(None, false)
}
