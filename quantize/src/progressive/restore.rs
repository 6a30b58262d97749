//! Reads a progressive file as far as it goes.

use super::chain::State;
use super::description::{self, Described, KEY};
use crate::{bad_argument, safetensors, values};
use nzip::tensor::Dtype;
use nzip::tensor::safetensors::MAX_HEADER;
use nzip::{Error, ErrorKind, Result};
use serde_json::{Map, Value, json};
use std::collections::{HashMap, HashSet};
use std::io::Read;

/// Bytes that a value takes while parts are applied to it.
const VALUE: u64 = 5;

/// An ordinary checkpoint made of what was read of a progressive one.
#[derive(Debug, Clone)]
pub struct Restored {
    /// The safetensors file.
    pub file: Vec<u8>,
    /// The tensors of the progressive file that were read, at least in part, and all that it has.
    pub parts: (usize, usize),
}

/// The ordinary checkpoint for a progressive one, `source`, which may end early: then with the parts that are there.
/// `memory` is the most bytes that are held.
///
/// # Errors
///
/// [`ErrorKind::BadArgument`] for files that are not progressive, [`ErrorKind::Truncated`] where `source` ends before the
/// first parts of all tensors, [`ErrorKind::Corrupt`] for files that contradict themselves, [`ErrorKind::LimitExceeded`] where
/// more memory is needed.
pub fn restore_progressive(source: &mut dyn Read, memory: u64) -> Result<Restored> {
    let mut input = Input { source, left: memory, memory };
    let header = input.header()?;
    let entries = entries(&header)?;
    let metadata = header.get("__metadata__").and_then(Value::as_object);
    let text = metadata.and_then(|m| m.get(KEY)).and_then(Value::as_str);
    let text = text.ok_or_else(|| bad_argument("not a progressive file (nzip quantize --progressive)"))?;
    let described = description::read(text)?;
    let mut job = Job::new(&described, &entries)?;
    for entry in &entries {
        let bytes = input.read(entry.len)?;
        let whole = bytes.len() as u64 == entry.len;
        if !whole && bytes.is_empty() {
            break;
        }
        job.add(entry, bytes, whole, &mut input)?;
        if !whole {
            break;
        }
    }
    let parts = (job.read, entries.len());
    Ok(Restored { file: job.finish(&header, &entries, &mut input)?, parts })
}

fn corrupt(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Corrupt, message)
}

fn truncated(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Truncated, message)
}

/// What is read, and the memory that may still be taken.
struct Input<'a> {
    source: &'a mut dyn Read,
    left: u64,
    memory: u64,
}

impl Input<'_> {
    fn hold(&mut self, bytes: u64) -> Result<()> {
        self.left = self.left.checked_sub(bytes).ok_or_else(|| {
            let message = format!("the checkpoint needs more than {} bytes of memory (-M)", self.memory);
            Error::new(ErrorKind::LimitExceeded, message)
        })?;
        Ok(())
    }

    /// The next `len` bytes, or fewer where the source ends.
    fn read(&mut self, len: u64) -> Result<Vec<u8>> {
        self.hold(len)?;
        let mut bytes = Vec::new();
        match (&mut *self.source).take(len).read_to_end(&mut bytes) {
            Ok(_) => Ok(bytes),
            Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => Ok(bytes),
            Err(e) => Err(Error::from(e)),
        }
    }

    fn header(&mut self) -> Result<Map<String, Value>> {
        let early = || truncated("it ends within the header: more bytes are needed");
        let len = <[u8; 8]>::try_from(&self.read(8)?[..]).map_err(|_| early())?;
        let len = u64::from_le_bytes(len);
        if len > MAX_HEADER {
            return Err(bad_argument("no safetensors file"));
        }
        let text = self.read(len)?;
        if text.len() as u64 != len {
            return Err(early());
        }
        serde_json::from_slice(&text).map_err(|e| corrupt(format!("safetensors: {e}")))
    }
}

/// A tensor in the header.
struct Entry {
    name: String,
    dtype: Dtype,
    shape: Vec<u64>,
    len: u64,
}

/// The tensors of a header in the order of their data, which follow one another without gaps.
fn entries(header: &Map<String, Value>) -> Result<Vec<Entry>> {
    let tensors = header.iter().filter(|(name, _)| *name != "__metadata__");
    let entry = |(name, json): (&String, &Value)| {
        let wrong = || corrupt(format!("tensor {name:?}: its type, shape and place do not fit"));
        let offset = |i: usize| json["data_offsets"][i].as_u64();
        let shape =
            json["shape"].as_array().and_then(|s| s.iter().map(Value::as_u64).collect::<Option<Vec<_>>>());
        let (start, end) = offset(0).zip(offset(1)).ok_or_else(wrong)?;
        let dtype = json["dtype"].as_str().and_then(Dtype::from_name).ok_or_else(wrong)?;
        let shape = shape.ok_or_else(wrong)?;
        let len = end.checked_sub(start).filter(|n| dtype.bytes(&shape) == Some(*n)).ok_or_else(wrong)?;
        Ok(((start, end), Entry { name: name.clone(), dtype, shape, len }))
    };
    let mut found = tensors.map(entry).collect::<Result<Vec<_>>>()?;
    found.sort_by_key(|e| e.0);
    let mut at = 0;
    for ((start, end), entry) in &found {
        if *start != at {
            return Err(corrupt(format!("tensor {:?} starts at {start}, {at} expected", entry.name)));
        }
        at = *end;
    }
    Ok(found.into_iter().map(|e| e.1).collect())
}

/// What a tensor of the file is for.
#[derive(Clone, Copy)]
enum Role {
    /// A part of a run: the tensor, the run, the part.
    Part(usize, usize, usize),
    /// The exponents of a tensor's rows (0) or columns (1).
    Exponents(usize, usize),
}

/// A checkpoint that grows.
struct Job<'a> {
    described: &'a [Described],
    roles: HashMap<String, Role>,
    /// For each tensor the states of its runs, and the number of the next part of each.
    states: Vec<Vec<(State, usize)>>,
    exponents: Vec<[Option<Vec<u8>>; 2]>,
    /// Tensors that are not in parts.
    others: HashMap<String, Vec<u8>>,
    read: usize,
}

impl<'a> Job<'a> {
    fn new(described: &'a [Described], entries: &[Entry]) -> Result<Self> {
        let mut roles = HashMap::new();
        for (t, tensor) in described.iter().enumerate() {
            for (r, run) in tensor.runs.iter().enumerate() {
                let parts = 0..run.parts.len();
                roles.extend(parts.map(|p| (Described::part(&tensor.name, r, p), Role::Part(t, r, p))));
            }
            if tensor.scaled {
                let names = Described::exponents(&tensor.name).into_iter().enumerate();
                roles.extend(names.map(|(side, name)| (name, Role::Exponents(t, side))));
            }
        }
        let known: HashSet<&str> = entries.iter().map(|e| &e.name[..]).collect();
        let there = entries.iter().filter(|e| roles.contains_key(&e.name)).count();
        if there != roles.len() {
            let missing = roles.keys().filter(|n| !known.contains(&n[..])).min();
            return Err(corrupt(format!("part {:?} is missing", missing.map_or("", |n| n))));
        }
        if let Some(twice) = described.iter().find(|t| known.contains(&t.name[..])) {
            return Err(corrupt(format!("tensor {:?} is there whole and in parts", twice.name)));
        }
        Ok(Self {
            described,
            roles,
            states: described.iter().map(|_| Vec::new()).collect(),
            exponents: described.iter().map(|_| [None, None]).collect(),
            others: HashMap::new(),
            read: 0,
        })
    }

    /// Takes a tensor of the file, or its first bytes.
    fn add(&mut self, entry: &Entry, bytes: Vec<u8>, whole: bool, input: &mut Input<'_>) -> Result<()> {
        let wrong = |what: String| corrupt(format!("tensor {:?}: {what}", entry.name));
        let Some(&role) = self.roles.get(&entry.name) else {
            if whole {
                self.others.insert(entry.name.clone(), bytes);
                self.read += 1;
            }
            return Ok(());
        };
        if entry.dtype != Dtype::I8 {
            return Err(wrong(format!("type I8 expected, {} found", entry.dtype)));
        }
        match role {
            Role::Exponents(t, side) => {
                let sides = self.described[t].sides();
                let expected = [sides.0, sides.1][side];
                if entry.len != expected {
                    return Err(wrong(format!("{expected} exponents expected, {} found", entry.len)));
                }
                self.exponents[t][side] = whole.then_some(bytes);
            }
            Role::Part(t, r, part) => {
                let run = &self.described[t].runs[r];
                if part == 0 {
                    // The first part of each run is read whole or not at all; runs follow one another.
                    if !whole {
                        return Ok(());
                    }
                    if r != self.states[t].len() || entry.len != run.values {
                        let (n, next) = (run.values, self.states[t].len());
                        return Err(wrong(format!("run {next} was to follow, with {n} digits in run {r}")));
                    }
                    input.hold(VALUE * run.values)?;
                    self.states[t].push((State::new(bytes.len()), 0));
                }
                let state = self.states[t].get_mut(r).filter(|s| s.1 == part);
                let (state, next) = state.ok_or_else(|| wrong("it comes before an earlier part".into()))?;
                let expected = state.digits(part) as u64;
                if expected != entry.len {
                    return Err(wrong(format!("{expected} digits expected, {} found", entry.len)));
                }
                let digits: Vec<i8> = bytes.iter().map(|b| *b as i8).collect();
                let applied = state.apply(part, &digits);
                applied.ok_or_else(|| wrong("a digit that such a part cannot have".into()))?;
                *next += 1;
                input.left += entry.len;
            }
        }
        self.read += 1;
        Ok(())
    }

    /// The file that is made of all that was taken.
    fn finish(
        self,
        header: &Map<String, Value>,
        entries: &[Entry],
        input: &mut Input<'_>,
    ) -> Result<Vec<u8>> {
        let early = |name: &str| {
            truncated(format!("it ends before the first part of {name:?}: more bytes are needed"))
        };
        let mut tensors = Vec::new();
        for entry in entries.iter().filter(|e| !self.roles.contains_key(&e.name)) {
            let bytes = self.others.get(&entry.name).ok_or_else(|| early(&entry.name))?;
            tensors.push(safetensors::Tensor {
                name: entry.name.clone(),
                dtype: entry.dtype,
                shape: entry.shape.clone(),
                bytes: bytes.clone(),
            });
        }
        for (t, tensor) in self.described.iter().enumerate() {
            if self.states[t].len() < tensor.runs.len() {
                return Err(early(&tensor.name));
            }
            let scale = self.scale(t).ok_or_else(|| early(&tensor.name))?;
            input.hold(tensor.values() * values::size(tensor.dtype) as u64)?;
            let runs = self.states[t].iter().zip(&tensor.runs);
            let all = runs
                .flat_map(|((state, _), run)| state.values(run.step, &run.parts.iter().collect::<Vec<_>>()));
            let mut bytes = Vec::new();
            for (i, v) in all.enumerate() {
                let value = values::rounded(tensor.dtype, (f64::from(v) * scale(i)) as f32);
                if !value.is_finite() {
                    return Err(corrupt(format!(
                        "tensor {:?}: its parts add up to no finite number",
                        tensor.name
                    )));
                }
                bytes.extend_from_slice(&values::bytes_of(tensor.dtype, value)[..values::size(tensor.dtype)]);
            }
            let (name, shape) = (tensor.name.clone(), tensor.shape.clone());
            tensors.push(safetensors::Tensor { name, dtype: tensor.dtype, shape, bytes });
        }
        let mut metadata = header.get("__metadata__").and_then(Value::as_object).cloned().unwrap_or_default();
        metadata.remove(KEY);
        let note = json!({ "parts_read": self.read, "parts": entries.len() }).to_string();
        metadata.insert("nzip.extract".into(), Value::String(note));
        Ok(safetensors::file(metadata, &tensors))
    }

    /// The factor of each value of a tensor. `None` where exponents were not read.
    fn scale(&self, t: usize) -> Option<impl Fn(usize) -> f64> {
        let sides = match &self.exponents[t] {
            [Some(rows), Some(columns)] => Some((rows, columns)),
            _ if self.described[t].scaled => return None,
            _ => None,
        };
        Some(move |i: usize| match sides {
            Some((rows, columns)) => {
                let e =
                    i32::from(rows[i / columns.len()] as i8) + i32::from(columns[i % columns.len()] as i8);
                f64::exp2(-f64::from(e))
            }
            None => 1.0,
        })
    }
}
