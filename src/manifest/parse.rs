//! Reading manifests.

use super::{Manifest, START, Shard, TensorPart, VERSION};
use crate::error::{Error, Result};
use crate::tensor::json::Json;
use crate::tensor::{Dtype, TensorInfo};

/// The most memory that a list takes for each byte of its text.
const GROWTH: u64 = 16;

/// The last line of a manifest.
struct Last {
    shards: u64,
    raw_len: u64,
    hash: [u8; 32],
}

/// A line after the first one.
enum Line {
    Shard(Shard),
    Last(Last),
}

impl Manifest {
    /// Reads a manifest. The list may take half of `memory` bytes.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::NotNz`] for other files; [`crate::ErrorKind::NewerVersion`] where a feature is needed
    /// that this release does not know; [`crate::ErrorKind::Truncated`] where the last line is missing;
    /// [`crate::ErrorKind::LimitExceeded`] where the list would be too long; otherwise
    /// [`crate::ErrorKind::Corrupt`].
    pub fn parse(bytes: &[u8], memory: u64) -> Result<Self> {
        if !Self::is_manifest(bytes) {
            return Err(if START.starts_with(bytes) {
                Error::truncated("the manifest ends in its first line")
            } else {
                Error::new(crate::ErrorKind::NotNz, "not a manifest: it starts differently")
            });
        }
        let (len, most) = (bytes.len() as u64, Self::most_bytes(memory));
        if len > most {
            return Err(Error::limit(format!("a manifest of {len} bytes; {most} are the most")));
        }
        let (mut manifest, mut at) = (Self::new(), 0);
        for (number, line) in bytes.split_inclusive(|b| *b == b'\n').enumerate() {
            let place = |e: Error| e.within(format!("line {}", number + 1));
            let Some(text) = line.strip_suffix(b"\n") else {
                return Err(place(Error::truncated("the line has no end")));
            };
            let start = at;
            at += line.len();
            if number == 0 {
                first(text).map_err(place)?;
                continue;
            }
            match parse_line(text).map_err(place)? {
                Line::Shard(shard) => manifest.take(shard).map_err(place)?,
                Line::Last(last) => {
                    last.compare(&manifest, &bytes[..start]).map_err(place)?;
                    if at < bytes.len() {
                        return Err(place(Error::corrupt("lines follow the manifest's last line")));
                    }
                    return Ok(manifest);
                }
            }
        }
        Err(Error::truncated("the manifest's last line is missing"))
    }

    /// The most bytes of a manifest whose list takes at most half of `memory` bytes.
    pub fn most_bytes(memory: u64) -> u64 {
        memory / 2 / GROWTH
    }

    /// Adds a shard that says where it starts.
    fn take(&mut self, shard: Shard) -> Result<()> {
        let (expected, found) = (self.len(), shard.raw_start);
        if found != expected {
            return Err(Error::corrupt(format!("start {expected} expected, {found} found")));
        }
        self.push(shard)
    }
}

impl Last {
    fn compare(&self, manifest: &Manifest, before: &[u8]) -> Result<()> {
        let (shards, raw) = (manifest.shards.len() as u64, manifest.len());
        if (self.shards, self.raw_len) != (shards, raw) {
            let Self { shards: a, raw_len: b, .. } = self;
            return Err(Error::corrupt(format!(
                "{a} shards of {b} raw bytes expected, {shards} of {raw} found"
            )));
        }
        if *blake3::hash(before).as_bytes() != self.hash {
            return Err(Error::corrupt("the hash of the lines before differs"));
        }
        Ok(())
    }
}

/// Reads the first line.
fn first(text: &[u8]) -> Result<()> {
    let mut json = Json::new(text);
    let mut version = None;
    json.object(|json, key| match key.as_str() {
        "nzip-manifest" => once(&mut version, json.integer()?, "nzip-manifest"),
        "must" => json.array(|json| {
            let feature = json.string()?;
            Err(newer(&format!("feature {feature:?} of manifests")))
        }),
        _ => json.skip(),
    })?;
    json.end()?;
    match version {
        Some(VERSION) => Ok(()),
        Some(0) | None => Err(Error::corrupt("version 0")),
        Some(version) => Err(newer(&format!("version {version} of manifests"))),
    }
}

fn newer(what: &str) -> Error {
    Error::new(crate::ErrorKind::NewerVersion, format!("needs a newer nzip ({what})"))
}

/// Sets a member that may be there once.
fn once<T>(place: &mut Option<T>, value: T, key: &str) -> Result<()> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(Error::corrupt(format!("{key:?} is there twice"))),
    }
}

/// A member that must be there.
fn needed<T>(value: Option<T>, key: &str) -> Result<T> {
    value.ok_or_else(|| Error::corrupt(format!("{key:?} is missing")))
}

#[derive(Default)]
struct Members {
    shard: Option<String>,
    start: Option<u64>,
    raw_bytes: Option<u64>,
    stored_bytes: Option<u64>,
    raw_hash: Option<[u8; 32]>,
    stored_hash: Option<[u8; 32]>,
    models: Option<Vec<[u8; 32]>>,
    tensors: Option<Vec<TensorPart>>,
    source: Option<String>,
    shards: Option<u64>,
    hash: Option<[u8; 32]>,
}

fn parse_line(text: &[u8]) -> Result<Line> {
    let mut json = Json::new(text);
    let mut m = Members::default();
    json.object(|json, key| m.read(json, &key))?;
    json.end()?;
    match (m.shard.take(), m.shards) {
        (Some(name), None) => m.shard(name).map(Line::Shard),
        (None, Some(shards)) => {
            let (raw_len, hash) = (needed(m.raw_bytes, "raw_bytes")?, needed(m.hash, "hash")?);
            Ok(Line::Last(Last { shards, raw_len, hash }))
        }
        _ => Err(Error::corrupt("neither a shard nor the last line")),
    }
}

impl Members {
    fn read(&mut self, json: &mut Json<'_>, key: &str) -> Result<()> {
        match key {
            "shard" => once(&mut self.shard, json.string()?, key),
            "start" => once(&mut self.start, json.integer()?, key),
            "raw_bytes" => once(&mut self.raw_bytes, json.integer()?, key),
            "stored_bytes" => once(&mut self.stored_bytes, json.integer()?, key),
            "raw_hash" => once(&mut self.raw_hash, hash(json)?, key),
            "stored_hash" => once(&mut self.stored_hash, hash(json)?, key),
            "models" => once(&mut self.models, list(json, hash)?, key),
            "tensors" => once(&mut self.tensors, list(json, tensor)?, key),
            "source" => once(&mut self.source, json.string()?, key),
            "shards" => once(&mut self.shards, json.integer()?, key),
            "hash" => once(&mut self.hash, hash(json)?, key),
            _ => json.skip(),
        }
    }

    fn shard(self, name: String) -> Result<Shard> {
        Ok(Shard {
            name,
            raw_start: needed(self.start, "start")?,
            raw_len: needed(self.raw_bytes, "raw_bytes")?,
            stored_len: needed(self.stored_bytes, "stored_bytes")?,
            raw_hash: needed(self.raw_hash, "raw_hash")?,
            stored_hash: needed(self.stored_hash, "stored_hash")?,
            models: self.models.unwrap_or_default(),
            tensors: self.tensors.unwrap_or_default(),
            source: self.source,
        })
    }
}

impl Shard {
    /// Reads the row of a shard.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::Corrupt`] where it is none.
    pub fn parse(row: &str) -> Result<Self> {
        match parse_line(row.as_bytes())? {
            Line::Shard(shard) => Ok(shard),
            Line::Last(_) => Err(Error::corrupt("the last line of a manifest where a shard is expected")),
        }
    }
}

fn list<T>(json: &mut Json<'_>, one: fn(&mut Json<'_>) -> Result<T>) -> Result<Vec<T>> {
    let mut out = Vec::new();
    json.array(|json| {
        out.push(one(json)?);
        Ok(())
    })?;
    Ok(out)
}

/// Reads 64 lower-case hexadecimal digits.
fn hash(json: &mut Json<'_>) -> Result<[u8; 32]> {
    let text = json.string()?;
    let digit = |b: u8| match b {
        b'0'..=b'9' => Some(b - b'0'),
        b'a'..=b'f' => Some(b - b'a' + 10),
        _ => None,
    };
    let pairs = text.as_bytes().chunks(2).map(|p| Some(digit(p[0])? << 4 | digit(*p.get(1)?)?));
    let bytes = pairs.collect::<Option<Vec<u8>>>().and_then(|b| b.try_into().ok());
    bytes.ok_or_else(|| Error::corrupt("64 hexadecimal digits expected"))
}

fn tensor(json: &mut Json<'_>) -> Result<TensorPart> {
    let (mut name, mut dtype, mut shape, mut start, mut first_row) = (None, None, None, None, None);
    json.object(|json, key| match key.as_str() {
        "name" => once(&mut name, json.string()?, &key),
        "dtype" => once(&mut dtype, json.string()?, &key),
        "shape" => once(&mut shape, list(json, |json| json.integer())?, &key),
        "start" => once(&mut start, json.integer()?, &key),
        "first_row" => once(&mut first_row, json.integer()?, &key),
        _ => json.skip(),
    })?;
    let (name, dtype) = (needed(name, "name")?, needed(dtype, "dtype")?);
    let known = Dtype::from_name(&dtype).filter(|d| d.name() == dtype);
    let known = known.ok_or_else(|| newer(&format!("type {dtype:?} of tensor {name:?}")))?;
    let info = TensorInfo::new(name, known, needed(shape, "shape")?, needed(start, "start")?)?;
    Ok(TensorPart::new(info, first_row.unwrap_or(0)))
}
