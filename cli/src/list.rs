//! `nzip -l`.

use crate::console::{Console, print};
use crate::files::{each, is_dash, label, open_file};
use crate::names::{self, hex};
use crate::quantity::{bits_per_byte, human, ratio};
use crate::table::{Align, Table};
use crate::tensors;
use anyhow::bail;
use nzip::{Archive, DecodeOptions, ModelInfo, Models};
use std::fs::File;
use std::path::{Path, PathBuf};

/// Lists files; their streams too if `verbose`.
pub fn run(
    files: &[PathBuf],
    options: &DecodeOptions,
    verbose: bool,
    console: Console,
) -> anyhow::Result<bool> {
    let list = Models::new().list();
    let mut table = Table::new([
        ("stored", Align::Right),
        ("raw", Align::Right),
        ("ratio", Align::Right),
        ("bpb", Align::Right),
        ("blocks", Align::Right),
        ("codecs", Align::Left),
        ("windows", Align::Left),
        ("model", Align::Left),
        ("file", Align::Left),
    ]);
    let (mut all, mut details, mut tensor_tables) = (Summary::default(), String::new(), String::new());
    let good = each(files, console, |file| {
        let mut archive = open(file, options)?;
        let summary = Summary::of(&mut archive)?;
        table.row(summary.row(label(file), &list));
        details += &streams(&archive, file);
        // Of what the index names; a list decodes nothing.
        let found = if archive.tensor_infos().is_empty() { Vec::new() } else { archive.tensors()? };
        if !found.is_empty() {
            tensor_tables += &format!("{}:\n{}", label(file), tensors::table(&found));
        }
        all.add(&summary);
        Ok(())
    })?;
    if all.files > 1 {
        table.row(all.row(format!("{} files", all.files), &list));
    }
    if all.files > 0 {
        print(&table.render())?;
    }
    if !tensor_tables.is_empty() {
        print(&tensor_tables)?;
    }
    if verbose {
        print(&details)?;
    }
    Ok(good)
}

fn open(file: &Path, options: &DecodeOptions) -> anyhow::Result<Archive<File>> {
    if is_dash(file) {
        bail!("-l needs a file: standard input cannot be read at random");
    }
    Ok(Archive::with_options(open_file(file, true)?, options.clone())?)
}

fn streams(archive: &Archive<File>, file: &Path) -> String {
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
    /// Raw bytes by codec, in the order in which they occur.
    codecs: Vec<(String, u64)>,
    models: Vec<[u8; 32]>,
    embedded: u64,
    /// Bytes of models that blocks have of their own.
    own: u64,
}

impl Summary {
    fn of(archive: &mut Archive<File>) -> anyhow::Result<Self> {
        let mut s = Self { files: 1, stored: archive.stored_len(), raw: archive.len(), ..Self::default() };
        s.embedded = archive.streams().iter().map(|s| s.embedded_len).sum();
        let mut number = 0;
        while let Some(block) = archive.block(number)? {
            number += 1;
            s.blocks += 1;
            s.note_codec(
                block.codec.map_or(format!("codec {}", block.codec_id), |c| c.name().into()),
                block.raw_len,
            );
            if let Some(window) = block.window {
                s.windows += block.units.len() as u64;
                s.note_window(window);
            }
            block.model.iter().for_each(|m| s.note_model(*m));
            s.own += block.own_model_len;
        }
        Ok(s)
    }

    fn add(&mut self, other: &Self) {
        self.files += 1;
        self.stored += other.stored;
        self.raw += other.raw;
        self.blocks += other.blocks;
        self.windows += other.windows;
        self.embedded += other.embedded;
        self.own += other.own;
        other.codecs.iter().for_each(|(name, raw)| self.note_codec(name.clone(), *raw));
        other.sizes.iter().for_each(|w| self.note_window(*w));
        other.models.iter().for_each(|m| self.note_model(*m));
    }

    fn note_codec(&mut self, name: String, raw: u64) {
        match self.codecs.iter_mut().find(|c| c.0 == name) {
            Some(codec) => codec.1 += raw,
            None => self.codecs.push((name, raw)),
        }
    }

    fn note_window(&mut self, size: u32) {
        if !self.sizes.contains(&size) {
            self.sizes.push(size);
        }
    }

    fn note_model(&mut self, hash: [u8; 32]) {
        if !self.models.contains(&hash) {
            self.models.push(hash);
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
            self.models_cell(list),
            name,
        ]
    }

    /// `lm`, or `lm 90%, zstd 10%` by raw bytes.
    fn codecs_cell(&self) -> String {
        let percent = |raw: u64| (100 * raw + self.raw / 2) / self.raw.max(1);
        match &self.codecs[..] {
            [] => "-".into(),
            [(name, _)] => name.clone(),
            many => {
                let cells = many.iter().map(|(name, raw)| format!("{name} {}%", percent(*raw)));
                cells.collect::<Vec<_>>().join(", ")
            }
        }
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
        if self.own > 0 {
            cells.push(format!("its own ({})", human(self.own)));
        }
        if cells.is_empty() { "-".into() } else { cells.join(", ") }
    }
}
