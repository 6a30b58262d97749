//! Writing of a family, member by member.

use super::known::{Chosen, KnownTensors, Place, Rules, inner_bases};
use crate::error::{Error, Result};
use crate::format::member::{MAX_DEPTH, MAX_NAME, MemberSection, check_name};
use crate::stream::{Encoder, FileContent, Options};
use crate::tensor::bases::{self, BaseTensor, Bases};
use crate::tensor::content::Content;
use crate::tensor::{FileKind, Layout};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::File;
use std::io::Write;
use std::sync::Arc;

/// A member in which bases of another one lie.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct MemberBase {
    /// Its number, from 0.
    pub member: usize,
    /// The number of tensors that have their base in it.
    pub tensors: usize,
    /// The bits in which their elements differ from those of the base, in the mean of samples.
    pub bits: f64,
}

/// The outcome for a file of a family.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct MemberReport {
    /// The name of the member.
    pub name: String,
    /// The number of its bytes.
    pub raw_len: u64,
    /// The number of bytes of the archive that hold it.
    pub stored_len: u64,
    /// The number of its tensors.
    pub tensors: usize,
    /// How many of them have the bytes of a tensor of an earlier member.
    pub equal: usize,
    /// How many others have a base in an earlier member.
    pub near: usize,
    /// The members in which its bases lie, in rising order.
    pub bases: Vec<MemberBase>,
    /// The most other members that are read, one for the other, in order to read a part of this one.
    pub depth: u64,
}

/// Writes the files of a family to `W`, one after the other, as one archive. See the [module](super).
///
/// ```
/// use nzip::family::FamilyWriter;
/// use std::io::Cursor;
/// # let file = |add: f32| {
/// #     let json = r#"{"w":{"dtype":"F32","shape":[40,100],"data_offsets":[0,16000]}}"#;
/// #     let data = (0..4000u32).flat_map(|i| ((i.wrapping_mul(2_654_435_761) >> 8) as f32 + add).to_le_bytes());
/// #     (json.len() as u64).to_le_bytes().into_iter().chain(json.bytes()).chain(data).collect::<Vec<u8>>()
/// # };
/// let (model, tuned) = (file(0.0), file(3.0));
/// let mut family = FamilyWriter::new(Vec::new(), nzip::Options::new())?;
/// family.add_bytes("model.safetensors", model)?;
/// family.add_bytes("tuned.safetensors", tuned.clone())?;
/// let mut archive = nzip::Archive::new(Cursor::new(family.finish()?))?;
/// let member = archive.members()[1].clone();
/// assert_eq!(member.name, "tuned.safetensors");
/// assert_eq!(archive.read_range(member.raw_start..member.raw_start + member.raw_len)?, tuned);
/// # Ok::<(), nzip::Error>(())
/// ```
pub struct FamilyWriter<W> {
    writer: W,
    options: Options,
    chained: bool,
    anchor: u64,
    raw: u64,
    members: Vec<Place>,
    names: BTreeSet<String>,
    known: KnownTensors,
    failed: bool,
}

impl<W> fmt::Debug for FamilyWriter<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FamilyWriter").field("members", &self.members.len()).finish_non_exhaustive()
    }
}

impl<W: Write> FamilyWriter<W> {
    /// The default of [`FamilyWriter::anchor`].
    pub const ANCHOR: u64 = 8;

    /// An empty family. The options hold for all members.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::BadArgument`] for options out of range.
    pub fn new(writer: W, options: Options) -> Result<Self> {
        options.check()?;
        Ok(Self {
            writer,
            options,
            chained: false,
            anchor: Self::ANCHOR,
            raw: 0,
            members: Vec::new(),
            names: BTreeSet::new(),
            known: KnownTensors::default(),
            failed: false,
        })
    }

    /// Sets whether members are a chain, such as the checkpoints of a training run: a tensor is coded against the last one
    /// of its name, and every n-th alone, n being the anchor. Otherwise bases are sought in all earlier members.
    pub fn chained(mut self, chained: bool) -> Self {
        self.chained = chained;
        self
    }

    /// Sets how many members are read at most in order to read a part of one, its own included: 1..=64; 8 by default.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::BadArgument`] for another number.
    pub fn anchor(mut self, members: u64) -> Result<Self> {
        if !(1..=MAX_DEPTH).contains(&members) {
            return Err(Error::bad_argument(format!("anchor: 1..={MAX_DEPTH} expected, {members} given")));
        }
        self.anchor = members;
        Ok(self)
    }

    /// Adds a file, which must stay as it is until the family is finished: later members are coded against it.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::BadArgument`] for a name that is no relative path with `/` between its parts, that another
    /// member has, or that would be a folder of another member; those of reading and writing, after which nothing can be
    /// added.
    pub fn add_file(&mut self, name: &str, file: &File) -> Result<MemberReport> {
        let content = Arc::new(FileContent::new(file)?);
        let report = self.add(name, content.clone())?;
        self.failed = true;
        content.check()?;
        self.failed = false;
        Ok(report)
    }

    /// Adds a file from memory, where it stays until the family is finished.
    ///
    /// # Errors
    ///
    /// Those of [`FamilyWriter::add_file`].
    pub fn add_bytes(&mut self, name: &str, bytes: Vec<u8>) -> Result<MemberReport> {
        self.add(name, Arc::new(bytes))
    }

    /// Ends the archive.
    ///
    /// # Errors
    ///
    /// Those of the writer; [`crate::ErrorKind::BadArgument`] where there are no members, or adding one has failed.
    pub fn finish(mut self) -> Result<W> {
        if self.failed || self.members.is_empty() {
            return Err(Error::bad_argument("a family without members, or with one that could not be added"));
        }
        self.writer.flush()?;
        Ok(self.writer)
    }

    fn add(&mut self, name: &str, content: Arc<dyn Content>) -> Result<MemberReport> {
        if self.failed {
            return Err(Error::bad_argument("adding a member has failed before"));
        }
        self.check_name(name)?;
        let tensors = match layout(&*content)? {
            Some(layout) => bases::tensors(&content, layout)?,
            None => Vec::new(),
        };
        let members = &self.members;
        let rules = Rules { members, anchor: self.anchor, chained: self.chained };
        let chosen = self.known.choose(&tensors, self.raw, &rules)?;
        let depth = chosen.iter().map(|c| members[c.member].depth + 1).max().unwrap_or(0);
        let root = chosen.iter().map(|c| members[c.member].root).min().unwrap_or(members.len());
        let section = MemberSection { name: name.into(), depth, bases: inner_bases(&chosen) };
        let (equal, sums) = (chosen.iter().filter(|c| c.equal).count(), sums(&chosen));
        let (count, near) = (tensors.len(), chosen.len() - equal);
        let given = Bases::of(chosen.into_iter().map(|c| c.tensor).collect());
        self.failed = true;
        let stored_len = self.write(section, given, content.clone(), tensors)?;
        self.failed = false;
        self.raw += content.len();
        self.members.push(Place { depth, root });
        self.names.insert(name.into());
        let (name, raw_len) = (name.into(), content.len());
        Ok(MemberReport { name, raw_len, stored_len, tensors: count, equal, near, bases: sums, depth })
    }

    fn check_name(&self, name: &str) -> Result<()> {
        let bad = |what: &str| Err(Error::bad_argument(format!("{name:?}: {what}")));
        if name.is_empty() || name.len() as u64 > MAX_NAME || check_name(name).is_err() {
            return bad("no relative path of a file");
        }
        if self.names.contains(name) {
            return bad("another member has this name");
        }
        let folder = format!("{name}/");
        let inside = self.names.range(folder.clone()..).next().is_some_and(|n| n.starts_with(&folder));
        let above = name.match_indices('/').any(|(at, _)| self.names.contains(&name[..at]));
        if inside || above {
            bad("a file and a folder of another member would have one name")
        } else {
            Ok(())
        }
    }

    /// Writes the stream of a member, and notes its tensors as bases of later ones. Returns the stream's length.
    fn write(
        &mut self,
        section: MemberSection,
        given: Bases,
        content: Arc<dyn Content>,
        tensors: Vec<BaseTensor>,
    ) -> Result<u64> {
        let options = self.options.clone().bases(given).member(section);
        let memory = self.options.memory_cap();
        let (_, finished) = Encoder::with_options(&mut self.writer, options)?.finish_content(&*content)?;
        self.known.add(tensors, self.members.len(), self.raw, &finished.unfit);
        if self.known.memory() > memory / 2 {
            let cap = memory;
            return Err(Error::limit(format!(
                "the list of tensors takes half of the memory cap of {cap} bytes"
            )));
        }
        Ok(finished.written)
    }
}

/// The layout of a content that holds tensors.
fn layout(content: &dyn Content) -> Result<Option<Layout>> {
    if !Layout::is_likely(&content.read(0..content.len().min(16))?) {
        return Ok(None);
    }
    match Layout::read_content(content) {
        Err(e) if e.kind() == crate::ErrorKind::Io => Err(e),
        layout => Ok(layout.ok().filter(|l| l.kind != FileKind::Described && !l.tensors.is_empty())),
    }
}

/// For each member in which bases lie: how many, and their mean distance in bits.
fn sums(chosen: &[Chosen]) -> Vec<MemberBase> {
    let mut sums: BTreeMap<usize, (usize, u64)> = BTreeMap::new();
    for c in chosen {
        let sum = sums.entry(c.member).or_default();
        *sum = (sum.0 + 1, sum.1 + c.distance);
    }
    let base =
        |(member, (tensors, sum))| MemberBase { member, tensors, bits: sum as f64 / tensors as f64 / 256.0 };
    sums.into_iter().map(base).collect()
}
