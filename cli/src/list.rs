//! `nzip -l`.

use crate::console::{Console, print};
use crate::files::{each, label};
use crate::json::{self, Model};
use crate::members;
use crate::names::{self, hex};
use crate::place::{self, Place};
use crate::quantity::{bits_per_byte, human, ratio};
use crate::table::{Align, Table};
use crate::tensors;
use nzip::manifest::{Manifest, Shard};
use nzip::{Archive, Codec, DecodeOptions, ModelInfo, Models};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// How much a list shows.
#[derive(Debug, Clone, Copy)]
pub struct Detail {
    /// Streams and tensors as well.
    pub verbose: bool,
    /// As JSON, which holds everything.
    pub json: bool,
}

/// Lists files.
pub fn run(
    files: &[PathBuf],
    options: &DecodeOptions,
    detail: Detail,
    console: Console,
) -> anyhow::Result<bool> {
    let list = Models::new().list();
    let mut table = table();
    let (mut all, mut details, mut listings) = (Summary::default(), String::new(), Vec::new());
    let mut families = String::new();
    let good = each(files, console, |file| {
        if let Some(shards) = place::manifest(file, options)? {
            let summary = Summary::of_manifest(shards.manifest());
            if detail.json {
                listings.push(Listing::of_manifest(file, &summary, shards.manifest(), &list));
            } else {
                table.row(summary.row(label(file), &list));
                details += &shards_of(shards.manifest(), file);
            }
            all.add(&summary);
            return Ok(());
        }
        let mut archive = place::archive(file, options.clone())?;
        let summary = Summary::of(&mut archive)?;
        // Only tensors that the index names; a list decodes nothing.
        let known = (detail.verbose || detail.json) && !archive.tensor_infos().is_empty();
        let tensors = if known { archive.tensors()? } else { Vec::new() };
        if detail.json {
            let tensors = tensors::rows(&tensors);
            listings.push(Listing::new(file, &summary, &archive, tensors, &list));
        } else {
            table.row(summary.row(label(file), &list));
            let members = archive.members();
            if !members.is_empty() {
                families += &format!("{}:\n{}", label(file), members::table(&members));
            }
            details += &streams(&archive, file);
            if !tensors.is_empty() {
                details += &format!("{}:\n{}", label(file), tensors::table(&tensors::rows(&tensors)));
            }
        }
        all.add(&summary);
        Ok(())
    })?;
    if detail.json {
        return json::write(&listings).map(|()| good);
    }
    if all.files > 1 {
        table.row(all.row(format!("{} files", all.files), &list));
    }
    if all.files > 0 {
        print(&table.render())?;
    }
    print(&families)?;
    if detail.verbose {
        print(&details)?;
    }
    Ok(good)
}

/// The parts of a compressed file in one line, for `-vv`.
///
/// # Errors
///
/// Those of reading it.
pub fn describe(place: Place) -> anyhow::Result<String> {
    let summary = Summary::of(&mut Archive::new(place)?)?;
    let models = summary.models_cell(&Models::new().list());
    Ok(format!(
        "  {} blocks, codecs {}, windows {}, a range decodes up to {} more, models {models}",
        summary.blocks,
        summary.codecs_cell(),
        summary.windows_cell(),
        human(summary.range)
    ))
}

fn table() -> Table {
    Table::new([
        ("stored", Align::Right),
        ("raw", Align::Right),
        ("ratio", Align::Right),
        ("bpb", Align::Right),
        ("blocks", Align::Right),
        ("codecs", Align::Left),
        ("windows", Align::Left),
        ("range", Align::Right),
        ("model", Align::Left),
        ("file", Align::Left),
    ])
}

fn streams(archive: &Archive<Place>, file: &Path) -> String {
    let mut text = String::new();
    for (i, s) in archive.streams().into_iter().enumerate() {
        let hash = s.hash.map_or("not stored".into(), |h| hex(&h));
        text += &format!(
            "{}, stream {i}: offset {}, {} stored, {} raw, index {} bytes, hash {hash}\n",
            label(file),
            s.offset,
            s.stored_len,
            s.raw_len,
            s.index_len
        );
    }
    text
}

/// The shards and tensors of a manifest.
fn shards_of(manifest: &Manifest, file: &Path) -> String {
    let mut text = String::new();
    for (i, s) in manifest.shards().iter().enumerate() {
        let (stored, raw, hash, name) =
            (s.stored_len, s.raw_len, hex(&s.raw_hash), label(Path::new(&s.name)));
        text += &format!("{}, shard {i}: {stored} stored, {raw} raw, hash {hash}, {name}\n", label(file));
    }
    let tensors: Vec<_> = manifest.tensors().iter().map(|t| tensors::Row::of(&t.info)).collect();
    if !tensors.is_empty() {
        text += &format!("{}:\n{}", label(file), tensors::table(&tensors));
    }
    text
}

/// The sums over one file or several.
#[derive(Default)]
struct Summary {
    files: u64,
    stored: u64,
    raw: u64,
    blocks: u64,
    windows: u64,
    /// The window sizes that occur.
    sizes: Vec<u32>,
    /// The raw bytes of each codec, in the order of occurrence.
    codecs: Vec<(String, u64)>,
    known: Vec<Codec>,
    models: Vec<[u8; 32]>,
    embedded: u64,
    /// The bytes of the blocks' own models.
    own: u64,
    /// The number of deflate streams and pictures that are undone.
    undone: u64,
    /// The most raw bytes that are decoded in order to read one.
    range: u64,
}

impl Summary {
    fn of(archive: &mut Archive<Place>) -> anyhow::Result<Self> {
        let mut s = Self { files: 1, stored: archive.stored_len(), raw: archive.len(), ..Self::default() };
        s.embedded = archive.streams().iter().map(|s| s.embedded_len).sum();
        // To read a byte, those that it is coded against are read, too.
        let mut depths = vec![0; archive.streams().len()];
        archive.members().iter().for_each(|m| depths[m.stream] = m.depth);
        let mut number = 0;
        while let Some(block) = archive.block(number)? {
            number += 1;
            s.blocks += 1;
            let name = block.codec.map_or(format!("codec {}", block.codec_id), |c| c.name().into());
            s.note_codec(name, block.raw_len);
            block.codec.into_iter().for_each(|c| note(&mut s.known, c));
            if let Some(window) = block.window {
                s.windows += block.units.len() as u64;
                note(&mut s.sizes, window);
            }
            block.model.into_iter().for_each(|m| note(&mut s.models, m));
            s.own += block.own_model_len;
            s.undone += block.undone.0 + block.pictures;
            s.range = s.range.max(block.range_cost() * (1 + depths[block.stream]));
        }
        Ok(s)
    }

    /// Describes a manifest by what it says of its shards; none of them is opened.
    fn of_manifest(manifest: &Manifest) -> Self {
        let (stored, raw) = (manifest.stored_len(), manifest.len());
        let mut s = Self { files: 1, stored, raw, ..Self::default() };
        s.note_codec(format!("{} shards", manifest.shards().len()), raw);
        manifest.shards().iter().flat_map(|s| &s.models).for_each(|m| note(&mut s.models, *m));
        s
    }

    fn add(&mut self, other: &Self) {
        self.files += 1;
        self.stored += other.stored;
        self.raw += other.raw;
        self.blocks += other.blocks;
        self.windows += other.windows;
        self.embedded += other.embedded;
        self.own += other.own;
        self.undone += other.undone;
        self.range = self.range.max(other.range);
        other.codecs.iter().for_each(|(name, raw)| self.note_codec(name.clone(), *raw));
        other.known.iter().for_each(|c| note(&mut self.known, *c));
        other.sizes.iter().for_each(|w| note(&mut self.sizes, *w));
        other.models.iter().for_each(|m| note(&mut self.models, *m));
    }

    fn note_codec(&mut self, name: String, raw: u64) {
        match self.codecs.iter_mut().find(|c| c.0 == name) {
            Some(codec) => codec.1 += raw,
            None => self.codecs.push((name, raw)),
        }
    }

    fn row(&self, name: String, list: &[ModelInfo]) -> Vec<String> {
        vec![
            self.stored.to_string(),
            self.raw.to_string(),
            format!("{:.3}", ratio(self.raw, self.stored)),
            format!("{:.3}", bits_per_byte(self.raw, self.stored)),
            self.blocks.to_string(),
            self.codecs_cell(),
            self.windows_cell(),
            human(self.range),
            self.models_cell(list),
            name,
        ]
    }

    /// `lm`, or `lm 90%, zstd 10%` by raw bytes.
    fn codecs_cell(&self) -> String {
        let percent = |raw: u64| (100 * raw + self.raw / 2) / self.raw.max(1);
        let names = match &self.codecs[..] {
            [] => "-".into(),
            [(name, _)] => name.clone(),
            many => {
                let cells = many.iter().map(|(name, raw)| format!("{name} {}%", percent(*raw)));
                cells.collect::<Vec<_>>().join(", ")
            }
        };
        if self.undone > 0 { format!("{names} ({} undone)", self.undone) } else { names }
    }

    fn windows_cell(&self) -> String {
        match self.sizes[..] {
            [] => "-".into(),
            [size] => format!("{} x {}", self.windows, human(size.into())),
            _ => format!("{} of several sizes", self.windows),
        }
    }

    fn models_cell(&self, list: &[ModelInfo]) -> String {
        let cell = |m| format!("{} ({})", names::label(m, list), names::cost(m, self.embedded, list));
        let mut cells: Vec<_> = self.models.iter().map(cell).collect();
        match names::start_of(&self.known) {
            0 => {}
            start => cells.push(format!("start of mix (built in, {})", human(start))),
        }
        if self.own > 0 {
            cells.push(format!("its own ({})", human(self.own)));
        }
        if cells.is_empty() { "-".into() } else { cells.join(", ") }
    }
}

/// Adds an item unless it is already there.
fn note<T: PartialEq>(all: &mut Vec<T>, one: T) {
    if !all.contains(&one) {
        all.push(one);
    }
}

/// A file in JSON.
#[derive(Serialize)]
struct Listing {
    file: String,
    stored_bytes: u64,
    raw_bytes: u64,
    ratio: f64,
    bits_per_byte: f64,
    blocks: u64,
    codecs: Vec<CodecShare>,
    windows: u64,
    window_bytes: Vec<u32>,
    range_bytes: u64,
    models: Vec<Model>,
    own_model_bytes: u64,
    stored_with_model_bytes: u64,
    streams: Vec<json::Stream>,
    tensors: Vec<tensors::Row>,
    /// Of a family.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    members: Vec<members::Row>,
    /// Of a manifest.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    shards: Vec<ShardRow>,
}

/// A shard of a manifest in JSON.
#[derive(Serialize)]
struct ShardRow {
    file: String,
    raw_offset: u64,
    raw_bytes: u64,
    stored_bytes: u64,
    hash: String,
}

#[derive(Serialize)]
struct CodecShare {
    name: String,
    raw_bytes: u64,
}

impl Listing {
    fn new(
        file: &Path,
        s: &Summary,
        archive: &Archive<Place>,
        tensors: Vec<tensors::Row>,
        list: &[ModelInfo],
    ) -> Self {
        let codecs = s.codecs.iter().map(|(name, raw)| CodecShare { name: name.clone(), raw_bytes: *raw });
        Self {
            file: file.display().to_string(),
            stored_bytes: s.stored,
            raw_bytes: s.raw,
            ratio: ratio(s.raw, s.stored),
            bits_per_byte: bits_per_byte(s.raw, s.stored),
            blocks: s.blocks,
            codecs: codecs.collect(),
            windows: s.windows,
            window_bytes: s.sizes.clone(),
            range_bytes: s.range,
            models: s.models.iter().map(|m| Model::new(m, s.embedded, list)).collect(),
            own_model_bytes: s.own,
            stored_with_model_bytes: s.stored + names::brought_along(&s.models, s.embedded, &s.known, list),
            streams: archive.streams().iter().map(json::Stream::new).collect(),
            tensors,
            members: members::rows(&archive.members()),
            shards: Vec::new(),
        }
    }

    fn of_manifest(file: &Path, s: &Summary, manifest: &Manifest, list: &[ModelInfo]) -> Self {
        let shard = |s: &Shard| ShardRow {
            file: s.name.clone(),
            raw_offset: s.raw_start,
            raw_bytes: s.raw_len,
            stored_bytes: s.stored_len,
            hash: hex(&s.raw_hash),
        };
        Self {
            file: file.display().to_string(),
            stored_bytes: s.stored,
            raw_bytes: s.raw,
            ratio: ratio(s.raw, s.stored),
            bits_per_byte: bits_per_byte(s.raw, s.stored),
            blocks: 0,
            codecs: Vec::new(),
            windows: 0,
            window_bytes: Vec::new(),
            range_bytes: 0,
            models: s.models.iter().map(|m| Model::new(m, 0, list)).collect(),
            own_model_bytes: 0,
            stored_with_model_bytes: s.stored + names::brought_along(&s.models, 0, &[], list),
            streams: Vec::new(),
            tensors: manifest.tensors().iter().map(|t| tensors::Row::of(&t.info)).collect(),
            members: Vec::new(),
            shards: manifest.shards().iter().map(shard).collect(),
        }
    }
}
