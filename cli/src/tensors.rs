//! `nzip tensors`.

use crate::console::print;
use crate::files::label;
use crate::identity::Identity;
use crate::json;
use crate::output::{Making, Output};
use crate::place::{self, Place};
use crate::prefix;
use crate::quantity::{Size, Span, ratio};
use crate::resources::Resources;
use crate::table::{Align, Table};
use anyhow::bail;
use clap::{Args, Subcommand};
use nzip::manifest::ManifestArchive;
use nzip::tensor::TensorInfo;
use nzip::{Archive, DecodeOptions, StoredTensor};
use serde::Serialize;
use std::collections::HashMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::str::FromStr;

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
        /// Print JSON (docs/json.md lists its keys)
        #[arg(long)]
        json: bool,
    },
    /// Write the bytes of a tensor to a file, or the model that a prefix of a progressive file is
    Extract {
        #[command(flatten)]
        what: What,
        /// Read so many bytes of a progressive file (nzip quantize --progressive) and write the whole model
        #[arg(long, value_name = "SIZE", conflicts_with_all = ["name", "rows", "slice"])]
        budget: Option<Size>,
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
    /// Name of the tensor; not needed where there is one only
    name: Option<String>,
    /// Only these rows
    #[arg(long, value_name = "A..B")]
    rows: Option<Span>,
    /// Only this part: for each dimension an index, A..B, or .. for all; dimensions at the end may be left out
    #[arg(long, value_name = "PART,PART...", conflicts_with = "rows", value_delimiter = ',')]
    slice: Option<Vec<Part>>,
    #[command(flatten)]
    resources: Resources,
}

/// The indices of one dimension.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Part(Span);

impl FromStr for Part {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.contains("..") {
            return text.parse().map(Self);
        }
        let index: u64 = text.parse().map_err(|_| "an index or A..B expected")?;
        let end = index.checked_add(1).ok_or("an index that is too large")?;
        Ok(Self(Span { start: index, end: Some(end) }))
    }
}

impl TensorsArguments {
    /// Runs the action.
    pub fn run(self) -> anyhow::Result<()> {
        match self.action {
            Action::List { file, json } => {
                let rows = match place::manifest(&file, &DecodeOptions::new())? {
                    Some(shards) => shards.manifest().tensors().iter().map(|t| Row::of(&t.info)).collect(),
                    None => rows(&place::archive(&file, DecodeOptions::new())?.tensors()?),
                };
                if json { json::write(&rows) } else { print(&table(&rows)) }
            }
            Action::Extract { what, budget, output, force } => {
                let bytes = match budget {
                    Some(budget) => prefix::model(&what.file, budget, &what.resources)?,
                    None => what.read()?,
                };
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
    /// The tensor that is meant: the only one, whatever its name, or the one with this name.
    fn pick(&self, tensors: &[String]) -> anyhow::Result<String> {
        const MOST: usize = 12;
        match (tensors, &self.name) {
            ([], _) => bail!("{}: holds no tensors", self.file.display()),
            ([only], _) => Ok(only.clone()),
            (_, Some(name)) if tensors.contains(name) => Ok(name.clone()),
            (_, wanted) => {
                let mut names: Vec<_> = tensors.iter().take(MOST).map(String::as_str).collect();
                if tensors.len() > MOST {
                    names.push("... (nzip tensors list shows all)");
                }
                let what =
                    wanted.as_ref().map_or("which tensor?".into(), |name| format!("no tensor {name:?}"));
                bail!("{}: {what} There are {}: {}", self.file.display(), tensors.len(), names.join(", "))
            }
        }
    }

    fn read(&self) -> anyhow::Result<Vec<u8>> {
        if let Some(mut shards) = place::manifest(&self.file, &self.resources.decode_options()?)? {
            let tensors = shards.manifest().tensors();
            let name = self.pick(&tensors.iter().map(|t| t.info.name.clone()).collect::<Vec<_>>())?;
            let rows = shards.manifest().tensor(&name).map_or(1, |t| row_count(&t.info.shape));
            return Ok(match &self.rows {
                Some(span) => shards.read_rows(&name, span.within(rows))?,
                None => shards.read_tensor(&name)?,
            });
        }
        let mut archive = open(&self.file, &self.resources)?;
        let name = match &self.name {
            Some(name) if archive.tensor_number(name).is_ok() => name.clone(),
            _ => self.pick(&names(&mut archive)?)?,
        };
        let mut tensor = archive.tensor(&name)?;
        Ok(match (&self.rows, &self.slice) {
            (Some(span), _) => {
                let rows = span.within(tensor.row_count());
                tensor.rows(rows)?
            }
            (None, Some(parts)) => {
                // Of more parts than dimensions, the library tells.
                let ends = tensor.info().shape.iter().copied().chain(std::iter::repeat(0));
                let ranges: Vec<_> = parts.iter().zip(ends).map(|(part, end)| part.0.within(end)).collect();
                tensor.slice(&ranges)?
            }
            (None, None) => tensor.read()?,
        })
    }
}

/// The names of all tensors; of those of a family that are not unique, with the file.
fn names(archive: &mut Archive<Place>) -> anyhow::Result<Vec<String>> {
    if archive.members().is_empty() && !archive.tensor_infos().is_empty() {
        return Ok(archive.tensor_infos().iter().map(|t| t.name.clone()).collect());
    }
    Ok(rows(&archive.tensors()?).iter().map(Row::full_name).collect())
}

fn row_count(shape: &[u64]) -> u64 {
    if shape.len() < 2 { 1 } else { shape[0] }
}

/// Verifies tensors of a manifest, by default all.
fn verify_shards(
    file: &Path,
    mut shards: ManifestArchive<Place>,
    mut names: Vec<String>,
) -> anyhow::Result<()> {
    if names.is_empty() {
        names = shards.manifest().tensors().iter().map(|t| t.info.name.clone()).collect();
    }
    let mut bytes = 0;
    for name in &names {
        bytes += shards.read_tensor(name)?.len();
    }
    print(&format!("{}: {} tensors, {bytes} bytes, ok\n", label(file), names.len()))
}

fn open(file: &Path, resources: &Resources) -> anyhow::Result<Archive<Place>> {
    place::archive(file, resources.decode_options()?)
}

fn verify(file: &Path, names: Vec<String>, resources: &Resources) -> anyhow::Result<()> {
    if let Some(shards) = place::manifest(file, &resources.decode_options()?)? {
        return verify_shards(file, shards, names);
    }
    let mut archive = open(file, resources)?;
    let mut bytes = 0;
    let count = if names.is_empty() {
        // By index, since several may have the same name.
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
pub fn table(tensors: &[Row]) -> String {
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
        let unknown = || "-".to_string();
        table.row([
            t.stored_bytes.map_or_else(unknown, |n| n.to_string()),
            t.raw_bytes.to_string(),
            t.stored_bytes.map_or_else(unknown, |n| format!("{:.3}", ratio(t.raw_bytes, n))),
            t.dtype.clone(),
            if shape.is_empty() { unknown() } else { shape.join("x") },
            t.method.clone().unwrap_or_else(unknown),
            t.full_name(),
        ]);
    }
    table.render()
}

/// The rows of tensors of one file.
pub fn rows(tensors: &[StoredTensor]) -> Vec<Row> {
    let mut count: HashMap<&str, usize> = HashMap::new();
    tensors.iter().for_each(|t| *count.entry(&t.name).or_default() += 1);
    tensors.iter().map(|t| Row { is_unique: count[t.name.as_str()] == 1, ..Row::new(t) }).collect()
}

/// A tensor in JSON.
#[derive(Debug, Serialize)]
pub struct Row {
    name: String,
    #[serde(rename = "type")]
    dtype: String,
    shape: Vec<u64>,
    /// Unknown in manifests.
    stored_bytes: Option<u64>,
    raw_bytes: u64,
    /// Unknown in manifests.
    method: Option<String>,
    /// The file of a family that holds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    member: Option<String>,
    #[serde(skip)]
    is_unique: bool,
}

impl Row {
    fn new(t: &StoredTensor) -> Self {
        Self {
            name: t.name.clone(),
            dtype: t.dtype.to_string(),
            shape: t.shape.clone(),
            stored_bytes: Some(t.stored_len),
            raw_bytes: t.raw_len,
            method: Some(t.method.clone()),
            member: t.member.clone(),
            is_unique: true,
        }
    }

    /// The name under which the tensor is found: with its file, unless no other one has its name.
    fn full_name(&self) -> String {
        match &self.member {
            Some(member) if !self.is_unique => format!("{member}:{}", self.name),
            _ => self.name.clone(),
        }
    }

    /// Describes a tensor of a manifest.
    pub fn of(t: &TensorInfo) -> Self {
        let (name, dtype, shape) = (t.name.clone(), t.dtype.to_string(), t.shape.clone());
        let (member, is_unique) = (None, true);
        Self { name, dtype, shape, stored_bytes: None, raw_bytes: t.len, method: None, member, is_unique }
    }
}
