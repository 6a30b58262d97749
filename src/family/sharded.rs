//! Checkpoints that are spread over several files: whether all of them are there, and what they hold belongs together.

use crate::error::{Error, Result};
use crate::stream::FileContent;
use crate::tensor::Layout;
use crate::tensor::content::Content;
use crate::tensor::json::Json;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;

/// How the name of a list of shards ends.
const INDEX: &str = ".index.json";
/// The longest list that is read, in bytes.
const MAX_INDEX: u64 = 256 << 20;

/// The shards of a checkpoint by their numbers.
type Set<'a> = BTreeMap<u64, (Shard<'a>, &'a File)>;

/// The name of a shard: `before-00002-of-00003after`.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Clone)]
struct Shard<'a> {
    before: &'a str,
    after: &'a str,
    digits: usize,
    number: u64,
    of: u64,
}

impl<'a> Shard<'a> {
    fn parse(name: &'a str) -> Option<Self> {
        let at = name.rfind("-of-")?;
        let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
        let (left, right) = (&name[..at], &name[at + 4..]);
        let count = digits(right);
        let start =
            left.len().checked_sub(count).filter(|start| *start > 0 && left.is_char_boundary(*start))?;
        let (before, number) = left.split_at(start);
        let (of, after) = right.split_at(count);
        let before = before.strip_suffix('-')?;
        let (number, of) = (number.parse().ok()?, of.parse().ok()?);
        (1..=1 << 20).contains(&of).then_some(Self { before, after, digits: count, number, of })
    }

    /// The name of another shard of the same checkpoint.
    fn name(&self, number: u64) -> String {
        let Self { before, after, digits, of, .. } = self;
        format!("{before}-{number:0digits$}-of-{of:0digits$}{after}")
    }
}

/// Checks the checkpoints among these files, given by their names in the family, that are spread over several of them
/// (`NAME-00001-of-00003.safetensors` and so on, and `NAME.safetensors.index.json`): all shards must be there, no tensor
/// may be in two of them, and each must be where the list says. Returns the number of files of each such checkpoint, by
/// the name of its first shard.
///
/// # Errors
///
/// [`crate::ErrorKind::BadArgument`] for the first problem, with the names of tensor and files; those of reading.
pub fn check_shards(files: &[(&str, &File)]) -> Result<Vec<(String, u64)>> {
    let mut sets: BTreeMap<(&str, &str, u64), Set<'_>> = BTreeMap::new();
    for (name, file) in files {
        if let Some(shard) = Shard::parse(name) {
            let set = sets.entry((shard.before, shard.after, shard.of)).or_default();
            set.insert(shard.number, (shard, file));
        }
    }
    let mut holders: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    let mut found = Vec::new();
    for set in sets.values() {
        let Some((first, _)) = set.values().next() else { continue };
        if let Some(missing) = (1..=first.of).find(|n| !set.contains_key(n)) {
            return Err(Error::bad_argument(format!("{} is missing", first.name(missing))));
        }
        if let Some((extra, _)) = set.values().find(|s| !(1..=first.of).contains(&s.0.number)) {
            return Err(Error::bad_argument(format!("{} is no shard", extra.name(extra.number))));
        }
        let holder = holders_in(set)?;
        holders.entry(first.before.rsplit_once('/').map_or("", |n| n.0).into()).or_default().extend(holder);
        found.push((first.name(1), first.of));
    }
    for (name, file) in files.iter().filter(|(name, _)| name.ends_with(INDEX)) {
        check_index(name, file, files, &holders).map_err(|e| e.within(*name))?;
    }
    Ok(found)
}

/// The file in which each tensor of a checkpoint is.
fn holders_in(set: &Set<'_>) -> Result<BTreeMap<String, String>> {
    let mut holders: BTreeMap<String, String> = BTreeMap::new();
    for (shard, file) in set.values() {
        let name = shard.name(shard.number);
        // Other files than those of tensors have such names, too.
        let Ok(layout) = Layout::read_file(file) else { continue };
        for tensor in layout.tensors {
            if let Some(other) = holders.insert(tensor.name.clone(), name.clone()) {
                let tensor = tensor.name;
                return Err(Error::bad_argument(format!("tensor {tensor:?} is in both {other} and {name}")));
            }
        }
    }
    Ok(holders)
}

/// Compares a list with the shards beside it.
fn check_index(
    name: &str,
    file: &File,
    files: &[(&str, &File)],
    holders: &BTreeMap<String, BTreeMap<String, String>>,
) -> Result<()> {
    let folder = name.rsplit_once('/').map_or("", |n| n.0);
    let listed = weight_map(file)?;
    let inside = |file: &str| if folder.is_empty() { file.to_string() } else { format!("{folder}/{file}") };
    let there: BTreeSet<&str> = files.iter().map(|f| f.0).collect();
    if let Some((_, missing)) = listed.iter().find(|(_, file)| !there.contains(inside(file).as_str())) {
        return Err(Error::bad_argument(format!("{missing} is missing")));
    }
    let Some(found) = holders.get(folder) else { return Ok(()) };
    for (tensor, file) in &listed {
        match found.get(tensor) {
            Some(holder) if *holder == inside(file) => {}
            Some(holder) => {
                return Err(Error::bad_argument(format!("tensor {tensor:?} is in {holder}, not in {file}")));
            }
            None => return Err(Error::bad_argument(format!("tensor {tensor:?} is missing in {file}"))),
        }
    }
    Ok(())
}

/// The tensors that a list names, and their files.
fn weight_map(file: &File) -> Result<BTreeMap<String, String>> {
    let content = FileContent::new(file)?;
    if content.len() > MAX_INDEX {
        return Err(Error::limit(format!("a list of {} bytes; {MAX_INDEX} are the most", content.len())));
    }
    let bytes = content.read(0..content.len())?;
    let mut listed = BTreeMap::new();
    let mut json = Json::new(&bytes);
    json.object(|json, key| {
        if key != "weight_map" {
            return json.skip();
        }
        json.object(|json, tensor| {
            let file = json.string()?;
            listed.insert(tensor, file);
            Ok(())
        })
    })?;
    json.end()?;
    Ok(listed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    /// A file of tensors of one byte each.
    fn shard(names: &[&str]) -> File {
        let entry = |(i, n): (usize, &&str)| {
            format!(r#""{n}":{{"dtype":"U8","shape":[1],"data_offsets":[{i},{}]}}"#, i + 1)
        };
        let json = format!("{{{}}}", names.iter().enumerate().map(entry).collect::<Vec<_>>().join(","));
        let mut bytes = (json.len() as u64).to_le_bytes().to_vec();
        bytes.extend(json.bytes());
        bytes.extend(vec![7; names.len()]);
        file(&bytes)
    }

    fn file(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    fn check(files: &[(&str, &File)]) -> std::result::Result<Vec<(String, u64)>, String> {
        check_shards(files).map_err(|e| e.to_string())
    }

    #[test]
    fn names_are_parsed() {
        let shard = Shard::parse("a/model-00002-of-00003.safetensors").unwrap();
        assert_eq!((shard.before, shard.number, shard.of), ("a/model", 2, 3));
        assert_eq!(shard.name(1), "a/model-00001-of-00003.safetensors");
        for name in ["model.safetensors", "best-of-all", "-of-3", "1-of-1", "a-1-of-0", "ü1-of-22"] {
            assert_eq!(Shard::parse(name), None, "{name}");
        }
    }

    #[test]
    fn problems_are_named() {
        let (a, b, both) = (shard(&["x", "y"]), shard(&["z"]), shard(&["z", "y"]));
        let names = ["d/m-00001-of-00002.safetensors", "d/m-00002-of-00002.safetensors"];
        let index = |map: &str| {
            file(format!(r#"{{"metadata":{{"total_size":3}},"weight_map":{{{map}}}}}"#).as_bytes())
        };
        let good = index(r#""x":"m-00001-of-00002.safetensors","z":"m-00002-of-00002.safetensors""#);
        let list = "d/m.safetensors.index.json";
        assert_eq!(check(&[(names[0], &a), (names[1], &b), (list, &good)]), Ok(vec![(names[0].into(), 2)]));
        assert!(check(&[(names[1], &b)]).unwrap_err().contains("d/m-00001-of-00002.safetensors is missing"));
        let e = check(&[(names[0], &a), (names[1], &both)]).unwrap_err();
        assert!(e.contains("\"y\" is in both d/m-00001") && e.contains("and d/m-00002"), "{e}");
        let wrong = index(r#""x":"m-00002-of-00002.safetensors""#);
        let e = check(&[(names[0], &a), (names[1], &b), (list, &wrong)]).unwrap_err();
        assert!(e.contains("\"x\" is in d/m-00001"), "{e}");
        let more = index(r#""w":"m-00002-of-00002.safetensors""#);
        let e = check(&[(names[0], &a), (names[1], &b), (list, &more)]).unwrap_err();
        assert!(e.contains("\"w\" is missing in m-00002"), "{e}");
        let gone = index(r#""x":"m-00009-of-00009.safetensors""#);
        assert!(check(&[(list, &gone)]).unwrap_err().contains("m-00009-of-00009.safetensors is missing"));
        assert!(check(&[(list, &file(b"{"))]).is_err());
        assert_eq!(
            check(&[("text-1-of-1.txt", &file(b"no tensors"))]),
            Ok(vec![("text-1-of-1.txt".into(), 1)])
        );
    }
}
