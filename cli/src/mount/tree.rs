//! The folders and files of a mount. They do not change as long as it lasts.

use std::collections::{BTreeMap, HashMap};
use std::ffi::{OsStr, OsString};
use std::ops::Range;
use std::time::SystemTime;

/// The number of the folder that holds everything else.
pub const ROOT: u64 = 1;

/// All folders and files, by their numbers.
pub struct Tree {
    nodes: Vec<Node>,
    /// For each name that was wanted again, with its folder and suffix: the last number that was tried for it.
    taken: HashMap<(u64, OsString, &'static str), usize>,
    /// The folders whose names are those of files.
    renamed: HashMap<(u64, OsString), u64>,
    /// The memory that it takes, in bytes, approximately.
    held: u64,
}

/// A folder or a file.
pub struct Node {
    /// The number of the folder that it lies in; that of the root is its own.
    pub parent: u64,
    /// Owner, permissions and time.
    pub owner: Owner,
    /// File or folder.
    pub kind: Kind,
}

/// The attributes that files have from the compressed file, or folder, that they come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    /// Permissions, without those to write.
    pub mode: u16,
    /// The user's number.
    pub uid: u32,
    /// The group's number.
    pub gid: u32,
    /// The time of the last change.
    pub modified: SystemTime,
}

/// A file or a folder.
pub enum Kind {
    /// A folder, with the numbers of what it holds.
    Folder(BTreeMap<OsString, u64>),
    /// A file.
    File(Body),
}

/// The content of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Body {
    /// The number of the source that it is read from.
    pub source: usize,
    /// Bytes that stand before those of the source.
    pub start: Box<[u8]>,
    /// The ranges of the source's bytes, one directly after the other.
    pub ranges: Vec<Range<u64>>,
}

impl Body {
    /// All bytes of a source.
    pub fn whole(source: usize, len: u64) -> Self {
        Self { source, start: Box::default(), ranges: vec![0..len] }
    }

    /// The number of bytes.
    pub fn len(&self) -> u64 {
        let ranges: u64 = self.ranges.iter().map(|r| r.end - r.start).sum();
        self.start.len() as u64 + ranges
    }

    /// The bytes of a part of the file that stand before those of the source, and the source's ranges that follow.
    pub fn part(&self, wanted: Range<u64>) -> (&[u8], Vec<Range<u64>>) {
        let len = self.start.len() as u64;
        let inside = |at: u64| at.min(len) as usize;
        let start = &self.start[inside(wanted.start)..inside(wanted.end)];
        let (mut ranges, mut at) = (Vec::new(), len);
        for range in &self.ranges {
            let end = at + (range.end - range.start);
            let (from, to) = (wanted.start.max(at), wanted.end.min(end));
            if from < to {
                ranges.push(range.start + (from - at)..range.start + (to - at));
            }
            at = end;
        }
        (start, ranges)
    }
}

impl Tree {
    /// A tree of one folder.
    pub fn new(owner: Owner) -> Self {
        let root = Node { parent: ROOT, owner, kind: Kind::Folder(BTreeMap::new()) };
        Self { nodes: vec![root], taken: HashMap::new(), renamed: HashMap::new(), held: 0 }
    }

    /// The memory that it takes, in bytes, approximately.
    pub fn held(&self) -> u64 {
        self.held
    }

    /// The folder or file with this number.
    pub fn get(&self, number: u64) -> Option<&Node> {
        self.nodes.get(usize::try_from(number.checked_sub(ROOT)?).ok()?)
    }

    /// The number of what has this name in a folder.
    pub fn find(&self, folder: u64, name: &OsStr) -> Option<u64> {
        self.entries(folder)?.get(name).copied()
    }

    /// The entries of a folder; `None` for anything else.
    pub fn entries(&self, folder: u64) -> Option<&BTreeMap<OsString, u64>> {
        match &self.get(folder)?.kind {
            Kind::Folder(entries) => Some(entries),
            Kind::File(_) => None,
        }
    }

    /// The number of the folder with this name in another one; it is made where it is missing. Where a file has the
    /// name, the folder gets another one.
    pub fn folder(&mut self, parent: u64, name: &OsStr, owner: Owner) -> u64 {
        match self.find(parent, name) {
            Some(found) if self.entries(found).is_some() => found,
            found => {
                let key = (parent, name.to_os_string());
                if let Some(renamed) = self.renamed.get(&key) {
                    return *renamed;
                }
                let made =
                    self.add(parent, name, "", Node { parent, owner, kind: Kind::Folder(BTreeMap::new()) });
                if found.is_some() {
                    self.renamed.insert(key, made);
                }
                made
            }
        }
    }

    /// Adds a file to a folder, under this name and suffix. Where they are taken, a number stands between them.
    pub fn file(&mut self, parent: u64, name: &OsStr, suffix: &'static str, owner: Owner, body: Body) {
        self.add(parent, name, suffix, Node { parent, owner, kind: Kind::File(body) });
    }

    fn add(&mut self, parent: u64, name: &OsStr, suffix: &'static str, node: Node) -> u64 {
        let number = self.nodes.len() as u64 + ROOT;
        let Some(Node { kind: Kind::Folder(entries), .. }) = self.nodes.get_mut((parent - ROOT) as usize)
        else {
            return parent;
        };
        let mut called = joined(name, "", suffix);
        if entries.contains_key(&called) {
            let count = self.taken.entry((parent, name.to_os_string(), suffix)).or_insert(1);
            while entries.contains_key(&called) {
                *count += 1;
                called = joined(name, &format!("~{count}"), suffix);
            }
        }
        let body = match &node.kind {
            Kind::File(body) => body.start.len() + size_of::<Range<u64>>() * body.ranges.len(),
            Kind::Folder(_) => 0,
        };
        // Names also lie in the maps of those that were wanted again, at worst.
        self.held += (size_of::<Node>() + 4 * called.len() + 128 + body) as u64;
        entries.insert(called, number);
        self.nodes.push(node);
        number
    }
}

fn joined(name: &OsStr, number: &str, suffix: &str) -> OsString {
    let mut called = name.to_os_string();
    called.push(number);
    called.push(suffix);
    called
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWNER: Owner = Owner { mode: 0o444, uid: 0, gid: 0, modified: SystemTime::UNIX_EPOCH };

    #[test]
    fn names_that_are_taken_get_numbers() {
        let mut tree = Tree::new(OWNER);
        for source in 0..1000 {
            tree.file(ROOT, "t".as_ref(), ".npy", OWNER, Body::whole(source, 9));
        }
        let folder = tree.folder(ROOT, "t.npy".as_ref(), OWNER);
        assert_eq!(tree.folder(ROOT, "t.npy".as_ref(), OWNER), folder);
        assert_eq!(tree.folder(ROOT, "d".as_ref(), OWNER), tree.folder(ROOT, "d".as_ref(), OWNER));
        let source = |name: &str| match &tree.get(tree.find(ROOT, name.as_ref()).unwrap()).unwrap().kind {
            Kind::File(body) => body.source,
            Kind::Folder(_) => panic!("a folder"),
        };
        assert_eq!((source("t.npy"), source("t~2.npy"), source("t~1000.npy")), (0, 1, 999));
        assert_eq!(tree.find(ROOT, "t.npy~2".as_ref()), Some(folder));
        assert!(tree.held() > 1000 * 50);
        assert!(tree.get(0).is_none() && tree.get(1 << 40).is_none() && tree.entries(2).is_none());
    }

    #[test]
    fn parts_of_files() {
        let body = Body { source: 0, start: Box::from(*b"head"), ranges: vec![10..13, 20..30] };
        assert_eq!(body.len(), 17);
        assert_eq!(body.part(0..17), (&b"head"[..], vec![10..13, 20..30]));
        assert_eq!(body.part(2..5), (&b"ad"[..], vec![10..11]));
        assert_eq!(body.part(6..8), (&b""[..], vec![12..13, 20..21]));
        assert_eq!(body.part(9..9), (&b""[..], vec![]));
        assert_eq!(body.part(16..17), (&b""[..], vec![29..30]));
    }
}
