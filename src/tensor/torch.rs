//! Finds the tensors of PyTorch's files (`.pt`, `.pth`, `.bin`): ZIP archives of storages, and a pickle that
//! tells which part of which storage each tensor is. The pickle is read as data and never run.

use super::content::Content;
use super::pickle::{Id, Node, Pickle};
use super::zip::{self, Entry};
use super::{Dtype, FileKind, Layout, TensorInfo};
use crate::error::{Error, Result};
use std::collections::{HashMap, HashSet};

/// The end of the pickle's name in the archive.
const PICKLE: &[u8] = b"data.pkl";
/// The longest pickle that is read, in bytes.
const MAX_PICKLE: u64 = 16 << 20;
/// The first bytes of files from before PyTorch 1.6: a pickle of a magic number.
pub const OLD_MAGIC: [u8; 14] = *b"\x80\x02\x8A\x0Al\xFC\x9CF\xF9\x20j\xA8P\x19";
/// The deepest nesting in which tensors are looked for.
const MAX_DEPTH: u32 = 16;
/// The most dimensions of a tensor.
const MAX_DIMENSIONS: usize = 64;

/// The tensors of an archive with this directory; `None` where it holds no pickle of PyTorch.
///
/// Tensors that lie in the file in another order than that of their dimensions are left out. A storage of
/// which no tensor is left becomes a tensor of one dimension called `data/KEY`.
///
/// # Errors
///
/// Those of reading, and of the pickle.
pub(crate) fn parse(file: &dyn Content, entries: &[Entry]) -> Result<Option<Layout>> {
    let is_pickle = |e: &&Entry| e.stored && e.len <= MAX_PICKLE && e.name.ends_with(PICKLE);
    let Some(pickle) = entries.iter().find(is_pickle) else { return Ok(None) };
    let folder = &pickle.name[..pickle.name.len() - PICKLE.len()];
    let start = zip::content_start(file, pickle)?;
    let bytes = file.read(start..start + pickle.len)?;
    let views = views(&Pickle::read(&bytes)?, bytes.len());
    let mut storages = Storages { file, folder, by_name: HashMap::new(), places: HashMap::new() };
    storages.by_name.extend(entries.iter().filter(|e| e.stored).map(|e| (&e.name[..], e)));
    if storages.is_big_endian()? {
        return Err(Error::corrupt("torch: numbers of the other byte order"));
    }
    storages.layout(&views).map(Some)
}

/// The tensors of a file from before PyTorch 1.6: pickles one after the other, then the storages, each with its
/// length before it.
///
/// # Errors
///
/// Those of reading, and of the pickles.
pub(crate) fn parse_old(file: &dyn Content) -> Result<Layout> {
    let bytes = file.read(0..file.len().min(MAX_PICKLE))?;
    // The magic number, the version, a description of the machine, the tensors, the names of storages.
    let mut at = 0;
    for _ in 0..3 {
        at += Pickle::read(&bytes[at..])?.bytes;
    }
    let tensors = Pickle::read(&bytes[at..])?;
    at += tensors.bytes;
    let views = views(&tensors, tensors.bytes);
    let keys = Pickle::read(&bytes[at..])?;
    let places = old_places(file, (at + keys.bytes) as u64, &keys, &views)?;
    Storages { file, folder: b"", by_name: HashMap::new(), places }.layout(&views)
}

/// The places of the storages whose names a pickle lists, the first of which is at byte `at`, as far as their
/// types are known.
fn old_places(
    file: &dyn Content,
    mut at: u64,
    keys: &Pickle<'_>,
    views: &[(String, View)],
) -> Result<HashMap<String, Option<(u64, u64)>>> {
    let sizes: HashMap<&str, u64> = views.iter().map(|(_, v)| (v.key.as_str(), v.dtype.group().1)).collect();
    let Node::List(list) = keys.get(keys.root) else {
        return Err(Error::corrupt("torch: no list of storages"));
    };
    let mut places = HashMap::new();
    for id in list {
        let Node::Text(key) = keys.get(*id) else { break };
        let Some(size) = sizes.get(key) else { break };
        if file.len() < at + 8 {
            break;
        }
        let count = file.read(at..at + 8)?.first_chunk().map_or(0, |b| u64::from_le_bytes(*b));
        let len = count.checked_mul(*size).filter(|len| *len <= file.len() - at - 8);
        let Some(len) = len else { break };
        places.insert((*key).to_string(), Some((at + 8, len)));
        at += 8 + len;
    }
    Ok(places)
}

/// The tensors that a pickle of this many bytes names, with their places in it.
fn views(pickle: &Pickle<'_>, bytes: usize) -> Vec<(String, View)> {
    let (left, names) = (4 * pickle.len() + 64, 8 * bytes + 4096);
    let mut found = Found { pickle, left, names, tensors: Vec::new() };
    found.walk(pickle.root, "", 0);
    found.tensors
}

/// A tensor as a pickle describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct View {
    dtype: Dtype,
    /// The storage's name.
    key: String,
    /// The bytes of the storage before the tensor.
    offset: u64,
    /// The dimensions, where the elements lie in the order of these; otherwise `None`.
    shape: Option<Vec<u64>>,
}

/// The walk through a pickle's values.
struct Found<'a, 'p> {
    pickle: &'a Pickle<'p>,
    /// The values and the bytes of names that may still be looked at: values that contain others several
    /// times, or themselves, must not make the walk long.
    left: usize,
    names: usize,
    tensors: Vec<(String, View)>,
}

impl Found<'_, '_> {
    /// Notes all tensors in a value whose place is called `path`.
    fn walk(&mut self, id: Id, path: &str, depth: u32) {
        if depth > MAX_DEPTH || self.left == 0 {
            return;
        }
        self.left -= 1;
        let pickle = self.pickle;
        match pickle.get(id) {
            Node::Dict(entries) => {
                for (key, value) in entries {
                    match pickle.get(*key) {
                        Node::Text(key) => self.member(*value, path, key, depth),
                        Node::Int(key) => self.member(*value, path, &key.to_string(), depth),
                        _ => {}
                    }
                }
            }
            Node::List(values) => {
                values
                    .iter()
                    .enumerate()
                    .for_each(|(i, value)| self.member(*value, path, &i.to_string(), depth));
            }
            Node::Object(state) => self.walk(*state, path, depth + 1),
            Node::Call(..) => self.tensors.extend(view(pickle, id, 0).map(|v| (path.to_string(), v))),
            _ => {}
        }
    }

    fn member(&mut self, value: Id, path: &str, key: &str, depth: u32) {
        let interesting = matches!(
            self.pickle.get(value),
            Node::Dict(_) | Node::List(_) | Node::Object(_) | Node::Call(..)
        );
        let len = path.len() + 1 + key.len();
        if !interesting || len > self.names {
            return;
        }
        self.names -= len;
        let path = if path.is_empty() { key.to_string() } else { format!("{path}.{key}") };
        self.walk(value, &path, depth + 1);
    }
}

/// The tensor that a call makes, where it is one of PyTorch's that make tensors.
fn view(pickle: &Pickle<'_>, call: Id, depth: u32) -> Option<View> {
    let Node::Call(function, arguments) = pickle.get(call) else { return None };
    let (Node::Global("torch._utils", name), Node::List(arguments)) =
        (pickle.get(*function), pickle.get(*arguments))
    else {
        return None;
    };
    let argument = |i: usize| arguments.get(i).map(|id| pickle.get(*id));
    match *name {
        "_rebuild_parameter" | "_rebuild_parameter_with_state" if depth == 0 => {
            view(pickle, *arguments.first()?, 1)
        }
        "_rebuild_tensor_v2" | "_rebuild_tensor_v3" | "_rebuild_tensor" => {
            let Node::Outside(storage) = argument(0)? else { return None };
            let (of_storage, key) = storage_of(pickle, *storage)?;
            let given = match argument(6) {
                Some(Node::Global("torch", dtype)) if *name == "_rebuild_tensor_v3" => Some(dtype_of(dtype)?),
                _ => None,
            };
            let dtype = given.or(of_storage)?;
            let Node::Int(offset) = argument(1)? else { return None };
            let (size, stride) = (numbers(pickle, argument(2)?)?, numbers(pickle, argument(3)?)?);
            let (_, bytes) = dtype.group();
            let offset = u64::try_from(*offset).ok()?.checked_mul(bytes)?;
            let shape = is_in_order(&size, &stride).then_some(size);
            Some(View { dtype, key: key.into(), offset, shape })
        }
        _ => None,
    }
}

/// The type and name of a storage; no type for bytes of any type.
fn storage_of<'p>(pickle: &Pickle<'p>, id: Id) -> Option<(Option<Dtype>, &'p str)> {
    let Node::List(parts) = pickle.get(id) else { return None };
    let [word, kind, key, ..] = parts[..] else { return None };
    match (pickle.get(word), pickle.get(kind), pickle.get(key)) {
        (Node::Text("storage"), Node::Global(_, kind), Node::Text(key)) => {
            let dtype = kind.strip_suffix("Storage").and_then(dtype_of);
            (dtype.is_some() || *kind == "UntypedStorage").then_some((dtype, *key))
        }
        _ => None,
    }
}

/// The type that PyTorch calls so, in its names of storages or of types.
fn dtype_of(name: &str) -> Option<Dtype> {
    Some(match name {
        "Float" | "float32" => Dtype::F32,
        "Double" | "float64" => Dtype::F64,
        "Half" | "float16" => Dtype::F16,
        "BFloat16" | "bfloat16" => Dtype::Bf16,
        "Long" | "int64" => Dtype::I64,
        "Int" | "int32" => Dtype::I32,
        "Short" | "int16" => Dtype::I16,
        "Char" | "int8" => Dtype::I8,
        "Byte" | "uint8" => Dtype::U8,
        "Bool" | "bool" => Dtype::Bool,
        "ComplexFloat" | "complex64" => Dtype::C64,
        "ComplexDouble" | "complex128" => Dtype::C128,
        "uint16" => Dtype::U16,
        "uint32" => Dtype::U32,
        "uint64" => Dtype::U64,
        "float8_e4m3fn" => Dtype::F8E4m3,
        "float8_e5m2" => Dtype::F8E5m2,
        "float8_e4m3fnuz" => Dtype::F8E4m3fnuz,
        "float8_e5m2fnuz" => Dtype::F8E5m2fnuz,
        "float8_e8m0fnu" => Dtype::F8E8m0,
        _ => return None,
    })
}

fn numbers(pickle: &Pickle<'_>, node: &Node<'_>) -> Option<Vec<u64>> {
    let Node::List(items) = node else { return None };
    let number = |id: &Id| match pickle.get(*id) {
        Node::Int(n) => u64::try_from(*n).ok(),
        _ => None,
    };
    if items.len() > MAX_DIMENSIONS { None } else { items.iter().map(number).collect() }
}

/// Whether elements with these distances lie one after the other in the order of the dimensions.
fn is_in_order(size: &[u64], stride: &[u64]) -> bool {
    let mut step = 1u64;
    size.len() == stride.len()
        && size.iter().zip(stride).rev().all(|(n, s)| {
            let fits = *n == 1 || *s == step;
            step = step.saturating_mul(*n);
            fits
        })
}

/// The storages of an archive.
struct Storages<'a> {
    file: &'a dyn Content,
    folder: &'a [u8],
    by_name: HashMap<&'a [u8], &'a Entry>,
    /// The places of those that have been looked at: offset and length.
    places: HashMap<String, Option<(u64, u64)>>,
}

impl Storages<'_> {
    /// The tensors of these views, and the storages of which there are none.
    fn layout(mut self, views: &[(String, View)]) -> Result<Layout> {
        let mut tensors = Vec::new();
        for (name, view) in views {
            tensors.extend(self.tensor(name.clone(), view)?);
        }
        let tensors = without_overlaps(tensors);
        let rest = self.whole(views, &tensors)?;
        Layout::new(FileKind::Torch, tensors.into_iter().chain(rest).collect(), self.file.len())
    }

    fn member(&self, name: &str) -> Option<&Entry> {
        self.by_name.get(&[self.folder, name.as_bytes()].concat()[..]).copied()
    }

    fn is_big_endian(&self) -> Result<bool> {
        let Some(entry) = self.member("byteorder").filter(|e| e.len == 3) else { return Ok(false) };
        let start = zip::content_start(self.file, entry)?;
        Ok(*self.file.read(start..start + 3)? == *b"big")
    }

    /// The offset and length of a storage, if the archive has it.
    fn place(&mut self, key: &str) -> Result<Option<(u64, u64)>> {
        if let Some(place) = self.places.get(key) {
            return Ok(*place);
        }
        let entry = self.member(&format!("data/{key}"));
        let place = entry.map(|e| Ok::<_, Error>((zip::content_start(self.file, e)?, e.len))).transpose()?;
        self.places.insert(key.into(), place);
        Ok(place)
    }

    /// The tensor of a view, where its bytes are there and in order.
    fn tensor(&mut self, name: String, view: &View) -> Result<Option<TensorInfo>> {
        let Some((start, len)) = self.place(&view.key)? else { return Ok(None) };
        let Some(shape) = view.shape.clone() else { return Ok(None) };
        let fits =
            view.dtype.bytes(&shape).and_then(|n| n.checked_add(view.offset)).is_some_and(|end| end <= len);
        if !fits || name.is_empty() {
            return Ok(None);
        }
        TensorInfo::new(name, view.dtype, shape, start + view.offset).map(Some)
    }

    /// The storages of which no tensor is among these, as tensors of one dimension.
    fn whole(&mut self, views: &[(String, View)], tensors: &[TensorInfo]) -> Result<Vec<TensorInfo>> {
        let mut starts: Vec<u64> = tensors.iter().filter(|t| t.len > 0).map(|t| t.start).collect();
        starts.sort_unstable();
        let mut seen: HashSet<String> = tensors.iter().map(|t| t.name.clone()).collect();
        let mut found = Vec::new();
        for (_, view) in views {
            let Some((start, len)) = self.place(&view.key)? else { continue };
            let at = starts.partition_point(|s| *s < start);
            let used = starts.get(at).is_some_and(|s| *s < start + len);
            let (_, size) = view.dtype.group();
            let name = format!("data/{}", view.key);
            if !used && len > 0 && len.is_multiple_of(size) && seen.insert(name.clone()) {
                found.push(TensorInfo::new(name, view.dtype, vec![len / size], start)?);
            }
        }
        Ok(without_overlaps(found))
    }
}

/// Leaves out tensors that lie in bytes of earlier ones (as tied weights do), or have their names.
fn without_overlaps(mut tensors: Vec<TensorInfo>) -> Vec<TensorInfo> {
    tensors.sort_by(|a, b| {
        (a.start, std::cmp::Reverse(a.len), &a.name).cmp(&(b.start, std::cmp::Reverse(b.len), &b.name))
    });
    let (mut end, mut names) = (0, HashSet::new());
    tensors.retain(|t| {
        let keep = t.start >= end && names.insert(t.name.clone());
        end = if keep { t.end() } else { end };
        keep
    });
    tensors
}

#[cfg(test)]
mod tests;
