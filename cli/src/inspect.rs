//! `nzip inspect`.

use crate::console::{Console, print};
use crate::files::{each, label};
use crate::json::{self, Model};
use crate::names::{self, hex};
use crate::place;
use crate::quantity::bits_per_byte;
use crate::table::{Align, Table};
use clap::Args;
use nzip::{BlockInfo, DecodeOptions, ModelInfo, Models, StreamInfo, WindowInfo};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Show the blocks and windows of .nz files
///
/// Units are windows, or the check units of codecs without windows. Offsets count from the start of the
/// file (offset) and of its content (raw offset).
#[derive(Debug, Args)]
pub struct InspectArguments {
    /// .nz files
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Show blocks only
    #[arg(short, long)]
    blocks: bool,
    /// Print JSON (docs/json.md lists its keys)
    #[arg(long)]
    json: bool,
}

impl InspectArguments {
    /// Prints the tables; false if a file could not be read.
    pub fn run(self) -> anyhow::Result<bool> {
        let list = Models::new().list();
        let console = Console::new(0, 0);
        if !self.json {
            return each(&self.files, console, |file| self.show(file, &list));
        }
        let mut reports = Vec::new();
        let good = each(&self.files, console, |file| {
            reports.push(self.report(file, &list)?);
            Ok(())
        })?;
        json::write(&reports).map(|()| good)
    }

    fn report(&self, file: &Path, list: &[ModelInfo]) -> anyhow::Result<Report> {
        let mut archive = place::archive(file, DecodeOptions::new())?;
        let streams: Vec<_> = archive.streams();
        let (mut blocks, mut number) = (Vec::new(), 0);
        while let Some(block) = archive.block(number)? {
            blocks.push(Block::new(&block, &streams, self.blocks, list));
            number += 1;
        }
        Ok(Report {
            file: file.display().to_string(),
            stored_bytes: archive.stored_len(),
            raw_bytes: archive.len(),
            streams: streams.iter().map(json::Stream::new).collect(),
            blocks,
        })
    }

    fn show(&self, file: &Path, list: &[ModelInfo]) -> anyhow::Result<()> {
        let mut archive = place::archive(file, DecodeOptions::new())?;
        print(&format!("{}: {} bytes stored, {} raw\n", label(file), archive.stored_len(), archive.len()))?;
        for (i, stream) in archive.streams().iter().enumerate() {
            print(&stream_line(i, stream))?;
        }
        let mut table = Table::new([
            ("block", Align::Right),
            ("unit", Align::Right),
            ("offset", Align::Right),
            ("stored", Align::Right),
            ("raw offset", Align::Right),
            ("raw", Align::Right),
            ("bpb", Align::Right),
            ("what", Align::Left),
        ]);
        let mut number = 0;
        while let Some(block) = archive.block(number)? {
            table.row(block_row(number, &block, list));
            if !self.blocks {
                (0..block.units.len()).for_each(|i| table.row(unit_row(i, &block)));
            }
            number += 1;
        }
        if number > 0 {
            print(&table.render())?;
        }
        Ok(())
    }
}

fn stream_line(i: usize, s: &StreamInfo) -> String {
    let hash = s.hash.map_or("no hash".into(), |h| format!("hash {}", hex(&h)));
    let (index, embedded) = (s.index_len, s.embedded_len);
    let mut parts = vec![format!("offset {}", s.offset), format!("{} stored", s.stored_len)];
    parts.extend([format!("{} raw", s.raw_len), format!("{} blocks", s.blocks)]);
    if index > 0 {
        parts.push(format!("index {index}"));
    }
    if embedded > 0 {
        parts.push(format!("models {embedded}"));
    }
    format!("stream {i}: {}, {hash}\n", parts.join(", "))
}

fn block_row(number: usize, b: &BlockInfo, list: &[ModelInfo]) -> Vec<String> {
    let mut what = b.codec.map_or(format!("codec {}", b.codec_id), |c| c.name().into());
    if let Some(model) = &b.model {
        what += &format!(", model {}", names::label(model, list));
    }
    if let Some(window) = b.window {
        what += &format!(", {} windows of {window}", b.units.len());
    }
    if b.undone.0 > 0 {
        what += &format!(", {} streams undone, {} bytes inside", b.undone.0, b.undone.1);
    }
    if b.pictures > 0 {
        what += &format!(", {} pictures undone", b.pictures);
    }
    if b.sized {
        what += ", sized";
    }
    if b.flushed {
        what += ", flushed";
    }
    vec![
        number.to_string(),
        String::new(),
        b.offset.to_string(),
        b.stored_len.to_string(),
        b.raw_start.to_string(),
        b.raw_len.to_string(),
        format!("{:.3}", bits_per_byte(b.raw_len, b.stored_len)),
        what,
    ]
}

fn unit_row(i: usize, b: &BlockInfo) -> Vec<String> {
    let u = &b.units[i];
    let stored = u.payload_len.map_or(String::new(), |n| n.to_string());
    let bpb = u.payload_len.map_or(String::new(), |n| format!("{:.3}", bits_per_byte(u.raw_len, n)));
    vec![
        String::new(),
        i.to_string(),
        String::new(),
        stored,
        u.raw_start.to_string(),
        u.raw_len.to_string(),
        bpb,
        format!("check {:08x}", u.check),
    ]
}

/// A file in JSON.
#[derive(Serialize)]
struct Report {
    file: String,
    stored_bytes: u64,
    raw_bytes: u64,
    streams: Vec<json::Stream>,
    blocks: Vec<Block>,
}

#[derive(Serialize)]
struct Block {
    stream: usize,
    offset: u64,
    stored_bytes: u64,
    raw_offset: u64,
    raw_bytes: u64,
    codec: String,
    model: Option<Model>,
    own_model_bytes: u64,
    window_bytes: Option<u32>,
    sized: bool,
    flushed: bool,
    range_bytes: u64,
    units: Vec<Unit>,
}

#[derive(Serialize)]
struct Unit {
    raw_offset: u64,
    raw_bytes: u64,
    stored_bytes: Option<u64>,
    check: String,
}

impl Block {
    fn new(b: &BlockInfo, streams: &[StreamInfo], short: bool, list: &[ModelInfo]) -> Self {
        let embedded = streams.get(b.stream).map_or(0, |s| s.embedded_len);
        let unit = |u: &WindowInfo| Unit {
            raw_offset: u.raw_start,
            raw_bytes: u.raw_len,
            stored_bytes: u.payload_len,
            check: format!("{:08x}", u.check),
        };
        Self {
            stream: b.stream,
            offset: b.offset,
            stored_bytes: b.stored_len,
            raw_offset: b.raw_start,
            raw_bytes: b.raw_len,
            codec: b.codec.map_or(format!("codec {}", b.codec_id), |c| c.name().into()),
            model: b.model.as_ref().map(|m| Model::new(m, embedded, list)),
            own_model_bytes: b.own_model_len,
            window_bytes: b.window,
            sized: b.sized,
            flushed: b.flushed,
            range_bytes: b.range_cost(),
            units: if short { Vec::new() } else { b.units.iter().map(unit).collect() },
        }
    }
}
