//! `nzip bench`: nzip's levels next to other compressors, all measured as child processes.

mod figures;
mod measure;
mod plot;
mod report;
mod tools;

use crate::console::print;
use crate::failure::{describe, usage};
use crate::files::{is_dash, open_file};
use anyhow::Context;
use clap::Args;
use figures::Run;
use std::fs;
use std::io::{IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use tools::Tool;

/// Compare levels of nzip and other compressors
///
/// Every run is a process of its own, so that time and memory mean the same for all; runs use one thread if
/// the program can be told to. Each result is restored and compared with its source. "with model" adds
/// everything that the decoder must have: the stored size of the models that the file needs and does not
/// contain, and the starting points of mix if it is used.
#[derive(Debug, Args)]
pub struct BenchArguments {
    /// Files to compress
    #[arg(value_name = "FILE", required_unless_present = "peers")]
    files: Vec<PathBuf>,
    /// Levels of nzip
    #[arg(long, value_name = "N,N", value_delimiter = ',', default_value = "1,3,6,9",
          value_parser = clap::value_parser!(u8).range(1..=9))]
    levels: Vec<u8>,
    /// One more run of nzip with these options, such as "--codec zstd -9"; may be repeated
    #[arg(long, value_name = "OPTIONS", allow_hyphen_values = true)]
    own: Vec<String>,
    /// all, none, list, or names such as "zstd -19,xz -9e"
    #[arg(long, value_name = "NAMES", value_delimiter = ',', default_value = "all")]
    peers: Vec<String>,
    /// Threads of each run
    #[arg(short = 'T', long, value_name = "N", default_value_t = 1)]
    threads: usize,
    /// Where the models of nzip's runs run (as nzip's --device)
    #[arg(long, value_name = "NAME")]
    device: Option<String>,
    /// Runs of each kind; the fastest counts
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    repeat: u32,
    /// Folder for temporary files [default: the system's]
    #[arg(long, value_name = "FOLDER")]
    work: Option<PathBuf>,
    /// Draw ratio against speed
    #[arg(long, value_name = "PATH")]
    svg: Option<PathBuf>,
    /// Write all figures as comma-separated values
    #[arg(long, value_name = "PATH")]
    csv: Option<PathBuf>,
    /// Write all figures as JSON (docs/json.md lists its keys); - writes them to standard output, and no
    /// tables
    #[arg(long, value_name = "PATH")]
    json: Option<PathBuf>,
}

impl BenchArguments {
    /// Measures, prints and draws; false where a program failed or did not restore its source.
    pub fn run(self) -> anyhow::Result<bool> {
        if self.peers == ["list"] {
            return print(&tools::list()).map(|()| true);
        }
        let tools = self.tools()?;
        let mut builder = tempfile::Builder::new();
        builder.prefix("nzip-bench-");
        let folder = match &self.work {
            Some(work) => builder.tempdir_in(work)?,
            None => builder.tempdir()?,
        };
        let mut runs: Vec<Run> = Vec::new();
        let mut failed = false;
        for file in &self.files {
            let name = file.file_name().unwrap_or(file.as_os_str()).to_string_lossy().into_owned();
            let mut start = Vec::new();
            open_file(file, true)
                .and_then(|f| Ok(f.take(2).read_to_end(&mut start)?))
                .with_context(|| file.display().to_string())?;
            fs::copy(file, folder.path().join("raw")).with_context(|| file.display().to_string())?;
            let first = runs.len();
            for tool in tools.iter().filter(|t| t.takes(&start)) {
                progress(&format!("{name}: {}", tool.name));
                match measure::run(tool, folder.path(), &name, self.repeat) {
                    Ok(run) => runs.push(run),
                    Err(e) => {
                        failed = true;
                        let _ = writeln!(std::io::stderr(), "nzip: {name}: {}: {}", tool.name, describe(&e));
                    }
                }
            }
            progress("");
            if !self.only_json() {
                print(&report::table(&name, &runs[first..]))?;
            }
        }
        let totals = report::totals(&runs, &tools);
        if self.files.len() > 1 && !self.only_json() {
            print(&report::table(&format!("all {} files", self.files.len()), &totals))?;
        }
        self.write(&runs, &totals)?;
        Ok(!failed && runs.iter().all(|r| r.good))
    }

    fn tools(&self) -> anyhow::Result<Vec<Tool>> {
        let threads = self.threads;
        let mut tools: Vec<Tool> = self
            .levels
            .iter()
            .map(|n| Tool::own(&[format!("-{n}")], threads, self.device.as_deref()))
            .collect::<Result<_, _>>()?;
        for options in &self.own {
            let options: Vec<String> = options.split_whitespace().map(String::from).collect();
            tools.push(Tool::own(&options, threads, self.device.as_deref())?);
        }
        let peers = tools::peers(threads);
        match &self.peers[..] {
            [all] if all == "all" => tools.extend(peers.into_iter().filter(Tool::is_installed)),
            [none] if none == "none" => {}
            names => {
                for name in names {
                    let peer = peers.iter().find(|p| p.name == *name);
                    let peer =
                        peer.ok_or_else(|| usage(format!("no peer {name:?} (--peers list shows them)")))?;
                    tools.push(peer.clone());
                }
            }
        }
        Ok(tools)
    }

    /// Whether standard output is reserved for JSON.
    fn only_json(&self) -> bool {
        self.json.as_deref().is_some_and(is_dash)
    }

    fn write(&self, runs: &[Run], totals: &[Run]) -> anyhow::Result<()> {
        let write = |path: &Option<PathBuf>, text: String| match path {
            Some(path) if is_dash(path) => print(&text),
            Some(path) => fs::write(path, text).with_context(|| path.display().to_string()),
            None => Ok(()),
        };
        let title = match &self.files[..] {
            [file] => file_name(file),
            files => format!("{} files", files.len()),
        };
        write(&self.csv, report::csv(runs))?;
        write(&self.json, report::json(runs))?;
        write(&self.svg, plot::svg(&title, totals))
    }
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

/// A line on a terminal that the next one replaces.
fn progress(text: &str) {
    let mut err = std::io::stderr();
    if err.is_terminal() {
        let _ = write!(err, "\r\x1b[K{text}");
    }
}
