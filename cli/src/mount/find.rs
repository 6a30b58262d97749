//! Finding what a mount shows, before it is there.

use super::names;
use super::sources::{Identity, Source};
use super::tree::{Body, Owner, ROOT, Tree};
use crate::console::Console;
use crate::content::Content;
use crate::files::label;
use crate::naming;
use crate::place::{self, MANIFEST, Place};
use anyhow::{Context, bail};
use nzip::manifest::Tensor;
use nzip::tensor::{Dtype, TensorInfo, npy};
use nzip::{Archive, DecodeOptions, Error, ErrorKind, Member};
use std::ffi::OsStr;
use std::fs::{self, Metadata};
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::SystemTime;
use walkdir::WalkDir;

/// The end of the name of a folder with the tensors of a file, after the name of the file.
const TENSORS: &str = ".tensors";
/// The longest file that a mount can show: the system counts with a sign.
const MOST_BYTES: u64 = i64::MAX as u64;

/// Names and attributes, and what files are read from.
pub struct Found {
    /// The names.
    pub tree: Tree,
    /// The sources of files, by the numbers that the tree has of them.
    pub sources: Vec<Source>,
    options: DecodeOptions,
    /// The most memory that the tree may take, in bytes.
    most: u64,
    /// The memory of the sources.
    held: u64,
}

/// Where files come from: the number of the source, and their attributes.
#[derive(Clone, Copy)]
struct Origin {
    source: usize,
    owner: Owner,
}

/// A tensor, and the raw ranges in which it lies.
type Lying = (TensorInfo, Vec<Range<u64>>);

/// Finds what a compressed file, a manifest, a URL or a folder holds. Reads indexes and decodes nothing, except for a single
/// short file whose index names no tensors: that is searched for them. What lies in a folder and cannot be opened is reported, and gives errors when it is read.
///
/// # Errors
///
/// A file that cannot be opened; names that take more than an eighth of the memory cap.
pub fn find(path: &Path, options: &DecodeOptions, console: Console) -> anyhow::Result<Found> {
    let most = options.memory_cap() / 8;
    // Indexes are read one at a time, beside the tree.
    let options = options.clone().memory(options.memory_cap() - most);
    let is_folder = place::url(path).is_none() && path.is_dir();
    let owner = if is_folder { Owner::of(&fs::metadata(path)?) } else { owner(path)?.folder() };
    let mut found = Found { tree: Tree::new(owner), sources: Vec::new(), options, most, held: 0 };
    if is_folder {
        found.folder(path, console)?;
    } else {
        let name = naming::raw(path, None).unwrap_or_else(|_| path.to_path_buf());
        let name = name.file_name().context("a file is needed")?.to_os_string();
        found.packed(path, ROOT, &name, true)?;
    }
    Ok(found)
}

impl Found {
    /// The memory that it takes, in bytes.
    pub fn held(&self) -> u64 {
        self.tree.held() + self.held
    }

    fn check(&self) -> nzip::Result<()> {
        if self.held() <= self.most {
            return Ok(());
        }
        let message = format!("the names of files and tensors take more than {} bytes", self.most);
        Err(Error::new(ErrorKind::LimitExceeded, message))
    }

    /// Adds everything in a folder. Links to files are followed, links to folders are not.
    fn folder(&mut self, root: &Path, console: Console) -> anyhow::Result<()> {
        // The folders that lead to the current entry, by their depths.
        let mut folders = vec![ROOT];
        for entry in WalkDir::new(root).min_depth(1).sort_by_file_name() {
            let entry = match entry {
                Ok(entry) => entry,
                Err(e) => {
                    let name = label(e.path().unwrap_or(root));
                    let e = e.into_io_error().unwrap_or_else(|| std::io::Error::other("a circle of links"));
                    console.error(name, &e.into());
                    continue;
                }
            };
            folders.truncate(entry.depth());
            let parent = *folders.last().unwrap_or(&ROOT);
            let Ok(metadata) = fs::metadata(entry.path()) else { continue };
            if entry.file_type().is_dir() {
                folders.push(self.tree.folder(parent, entry.file_name(), Owner::of(&metadata)));
            } else if metadata.is_file() {
                self.file(entry.path(), parent, &metadata, console);
            }
            self.check()?;
        }
        Ok(())
    }

    /// Adds a file of a folder.
    fn file(&mut self, path: &Path, parent: u64, metadata: &Metadata, console: Console) {
        let Some(name) = path.file_name() else { return };
        let is_packed = naming::is_packed(path, None)
            || path.extension().is_some_and(|e| e == MANIFEST.trim_start_matches('.'));
        let restored = naming::raw(path, None).ok().filter(|_| is_packed);
        let Some(restored) = restored.as_deref().and_then(Path::file_name) else {
            return self.plain(path, parent, name, metadata);
        };
        match self.packed(path, parent, restored, false) {
            Ok(()) => {}
            Err(e) if e.downcast_ref::<Error>().is_some_and(|e| e.kind() == ErrorKind::NotNz) => {
                self.plain(path, parent, name, metadata);
            }
            Err(e) => {
                console.error(label(path), &e);
                let body = Body::whole(self.source(Source::broken(path)), 0);
                self.tree.file(parent, restored, "", Owner::of(metadata), body);
            }
        }
    }

    fn plain(&mut self, path: &Path, parent: u64, name: &OsStr, metadata: &Metadata) {
        let body = Body::whole(self.source(Source::plain(path)), metadata.len());
        self.tree.file(parent, name, "", Owner::of(metadata), body);
    }

    fn source(&mut self, source: Source) -> usize {
        self.held += size_of::<Source>() as u64;
        self.sources.push(source);
        self.sources.len() - 1
    }

    /// Adds the content of a compressed file or manifest, and its tensors; of a family, its members. `alone`: there is nothing
    /// else in the mount.
    fn packed(&mut self, path: &Path, parent: u64, name: &OsStr, alone: bool) -> anyhow::Result<()> {
        let mut content = Content::open(path, &self.options)?;
        let len = content.len();
        if len > MOST_BYTES {
            bail!("a content of {len} bytes; {MOST_BYTES} are the most");
        }
        let owner = owner_of(path, &content)?;
        let identity = Identity::of(&content);
        self.held += identity.held();
        let from = Origin { source: self.source(Source::packed(path, identity)), owner };
        match &mut content {
            Content::One(archive) => {
                let members = archive.members();
                if !members.is_empty() {
                    let top = if alone { parent } else { self.tree.folder(parent, name, owner.folder()) };
                    return Ok(members.iter().try_for_each(|m| self.member(archive, m, top, from))?);
                }
                self.tree.file(parent, name, "", owner, Body::whole(from.source, len));
                if alone && archive.tensor_infos().is_empty() {
                    // What is damaged is told when it is read.
                    let _ = archive.tensors();
                }
                let lying = |t: &TensorInfo| (t.clone(), vec![t.start..t.end()]);
                self.tensors(parent, name, from, archive.tensor_infos().iter().map(lying))?;
            }
            Content::Many(shards) => {
                self.tree.file(parent, name, "", owner, Body::whole(from.source, len));
                let lying = |t: &Tensor| (t.info.clone(), t.parts.clone());
                self.tensors(parent, name, from, shards.manifest().tensors().iter().map(lying))?;
            }
        }
        Ok(())
    }

    /// Adds a member of a family, and its tensors.
    fn member(
        &mut self,
        archive: &Archive<Place>,
        member: &Member,
        top: u64,
        from: Origin,
    ) -> nzip::Result<()> {
        let (mut folder, mut parts) = (top, names::parts(&member.name));
        let last = parts.pop().unwrap_or_default();
        for part in parts {
            folder = self.tree.folder(folder, part.as_ref(), from.owner.folder());
        }
        let range = member.raw_start..member.raw_start + member.raw_len;
        let body = Body { source: from.source, start: Box::default(), ranges: vec![range.clone()] };
        self.tree.file(folder, last.as_ref(), "", from.owner, body);
        let inside =
            archive.tensor_infos().iter().filter(|t| range.contains(&t.start) && t.end() <= range.end);
        let lying = |t: &TensorInfo| (t.clone(), vec![t.start..t.end()]);
        self.tensors(folder, last.as_ref(), from, inside.map(lying))
    }

    /// Adds the folder of the tensors of a file, if there are any.
    fn tensors(
        &mut self,
        parent: u64,
        name: &OsStr,
        from: Origin,
        tensors: impl Iterator<Item = Lying>,
    ) -> nzip::Result<()> {
        let mut folder = None;
        for (info, ranges) in tensors {
            let folder = *folder.get_or_insert_with(|| {
                let mut called = name.to_os_string();
                called.push(TENSORS);
                self.tree.folder(parent, &called, from.owner.folder())
            });
            self.tensor(folder, from, &info, ranges);
            self.check()?;
        }
        self.check()
    }

    /// Adds a tensor to the folder of a file's tensors.
    fn tensor(&mut self, mut folder: u64, from: Origin, t: &TensorInfo, ranges: Vec<Range<u64>>) {
        let mut parts = names::parts(&t.name);
        let Some(last) = parts.pop() else { return };
        for part in parts {
            folder = self.tree.folder(folder, part.as_ref(), from.owner.folder());
        }
        let (start, suffix) = header(t.dtype, &t.shape);
        let body = Body { source: from.source, start, ranges };
        self.tree.file(folder, last.as_ref(), suffix, from.owner, body);
    }
}

/// The bytes before those of a tensor, and the suffix of its name.
fn header(dtype: Dtype, shape: &[u64]) -> (Box<[u8]>, &'static str) {
    match npy::header_of(dtype, shape) {
        Some(header) => (header.into(), ".npy"),
        None => (Box::default(), ".bin"),
    }
}

impl Owner {
    fn of(metadata: &Metadata) -> Self {
        Self {
            mode: (metadata.mode() & 0o555) as u16,
            uid: metadata.uid(),
            gid: metadata.gid(),
            modified: metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH),
        }
    }

    /// The same for a folder: who may read it may also look into it.
    fn folder(self) -> Self {
        Self { mode: self.mode | (self.mode & 0o444) >> 2, ..self }
    }
}

/// The attributes of a file; those of what lies behind a URL are the user's own.
fn owner(path: &Path) -> anyhow::Result<Owner> {
    if place::url(path).is_some() {
        let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        return Ok(Owner { mode: 0o444, uid, gid, modified: SystemTime::now() });
    }
    Ok(Owner::of(&fs::metadata(path)?))
}

/// The attributes of an opened content.
fn owner_of(path: &Path, content: &Content) -> anyhow::Result<Owner> {
    let owner = owner(path)?;
    let modified = match content {
        Content::One(archive) => archive.get_ref().modified(),
        Content::Many(_) => None,
    };
    Ok(Owner { modified: modified.unwrap_or(owner.modified), ..owner })
}
