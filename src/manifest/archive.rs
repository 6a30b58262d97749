//! Reading any part of a content that is spread over shards.

use super::describe::Hasher;
use super::{Manifest, Shard, Tensor};
use crate::error::{Error, Result};
use crate::read_at::ReadAt;
#[cfg(feature = "remote")]
use crate::remote::{RemoteFile, RemoteOptions};
use crate::stream::{Archive, DecodeOptions, Decoder};
use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::Path;

/// Opens the shard with this name.
pub type OpenShard<S> = Box<dyn FnMut(&str, DecodeOptions) -> Result<Archive<S>> + Send>;

/// A content that is spread over shards, of which any part can be read.
///
/// A shard is opened when something of it is read, and only the last one stays open. Errors name the shard; the
/// others remain readable.
pub struct ManifestArchive<S> {
    manifest: Manifest,
    options: DecodeOptions,
    open: OpenShard<S>,
    /// The shard that was read last.
    opened: Option<(usize, Archive<S>)>,
}

impl<S> fmt::Debug for ManifestArchive<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ManifestArchive").field("shards", &self.manifest.shards.len()).finish_non_exhaustive()
    }
}

impl ManifestArchive<File> {
    /// Opens the manifest at a path; its shards lie below its folder.
    ///
    /// # Errors
    ///
    /// Those of reading the file and of [`Manifest::parse`].
    pub fn open(path: impl AsRef<Path>, options: DecodeOptions) -> Result<Self> {
        let path = path.as_ref();
        let manifest = read(&mut File::open(path)?, &options)?;
        let folder = path.parent().unwrap_or(Path::new("")).to_path_buf();
        let open = move |name: &str, options| Archive::open_with(folder.join(name), options);
        Ok(Self::new(manifest, options, Box::new(open)))
    }
}

#[cfg(feature = "remote")]
impl ManifestArchive<RemoteFile> {
    /// Opens the manifest behind a URL; its shards lie below its folder.
    ///
    /// # Errors
    ///
    /// Those of [`RemoteFile::open_with`] and [`Manifest::parse`].
    pub fn open_url(url: &str, remote: &RemoteOptions, options: DecodeOptions) -> Result<Self> {
        let mut file = RemoteFile::open_with(url, remote)?;
        if file.len() <= Manifest::most_bytes(options.memory_cap()) {
            let all = 0..file.len();
            file.expect(std::slice::from_ref(&all))?;
        }
        let manifest = read(&mut file, &options)?;
        let (url, remote) = (url.to_string(), remote.clone());
        let open = move |name: &str, options| {
            Archive::open_url_with(&crate::remote::beside(&url, name), &remote, options)
        };
        Ok(Self::new(manifest, options, Box::new(open)))
    }
}

/// Reads a manifest. The list may take half of the memory cap.
fn read(file: &mut (impl Read + Seek), options: &DecodeOptions) -> Result<Manifest> {
    let len = file.seek(SeekFrom::End(0))?;
    file.seek(SeekFrom::Start(0))?;
    let most = Manifest::most_bytes(options.memory_cap());
    if len > most {
        return Err(Error::limit(format!("a manifest of {len} bytes; {most} are the most")));
    }
    let mut bytes = Vec::new();
    file.take(len).read_to_end(&mut bytes)?;
    Manifest::parse(&bytes, options.memory_cap())
}

impl<S: Read + Seek> ManifestArchive<S> {
    /// The content that a manifest describes. `open` is given the names of shards.
    pub fn new(manifest: Manifest, options: DecodeOptions, open: OpenShard<S>) -> Self {
        let left = options.memory_cap().saturating_sub(manifest.held());
        let options = options.memory(left);
        Self { manifest, options, open, opened: None }
    }

    /// The list of shards.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The number of raw bytes of all shards together.
    pub fn len(&self) -> u64 {
        self.manifest.len()
    }

    /// Whether there are no raw bytes.
    pub fn is_empty(&self) -> bool {
        self.manifest.is_empty()
    }

    /// Shard `number`, opened and compared with its row as far as that is possible without decoding: sizes,
    /// and the hash of its content where its index has one.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::BadArgument`] where there is none; [`crate::ErrorKind::Corrupt`] where it is another
    /// file than the manifest describes; those of opening it.
    pub fn shard(&mut self, number: usize) -> Result<&mut Archive<S>> {
        let count = self.manifest.shards.len();
        let shard = self.manifest.shards.get(number);
        let shard = shard.ok_or_else(|| Error::bad_argument(format!("shard {number} of {count}")))?;
        let opened = match self.opened.take() {
            Some((open, archive)) if open == number => archive,
            _ => {
                let opened = (self.open)(&shard.name, self.options.clone());
                let checked = opened.and_then(|archive| shard.compare(&archive).map(|()| archive));
                checked.map_err(|e| e.within(place(number, shard)))?
            }
        };
        Ok(&mut self.opened.insert((number, opened)).1)
    }

    /// The raw bytes of a range.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::BadArgument`] for a range outside the content; [`crate::ErrorKind::LimitExceeded`]
    /// for one larger than the memory cap; those of decoding, with the name of the shard.
    pub fn read_range(&mut self, range: Range<u64>) -> Result<Vec<u8>> {
        let len = self.len();
        if range.start > range.end || range.end > len {
            let Range { start, end } = range;
            return Err(Error::bad_argument(format!("range {start}..{end} of {len} bytes")));
        }
        let mut out = self.room(range.end - range.start)?;
        self.read_range_into(range.start, &mut out)?;
        Ok(out)
    }

    /// Zeros to be filled, as many as the memory cap lets there be.
    fn room(&self, len: u64) -> Result<Vec<u8>> {
        let cap = self.options.memory_cap();
        if len > cap {
            return Err(Error::limit(format!("{len} bytes; the cap is {cap}")));
        }
        let mut out = Vec::new();
        crate::codec::buffer::resize(&mut out, len as usize)?;
        Ok(out)
    }

    /// Fills `out` with the raw bytes from offset `start` on.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::BadArgument`] where the content ends before `out` is full, and those of
    /// [`Self::read_range`].
    pub fn read_range_into(&mut self, start: u64, mut out: &mut [u8]) -> Result<()> {
        let (len, wanted) = (self.len(), out.len());
        if start.checked_add(wanted as u64).is_none_or(|end| end > len) {
            return Err(Error::bad_argument(format!("{wanted} bytes from {start} on of {len} bytes")));
        }
        let (mut at, mut number) = (start, self.manifest.shard_at(start));
        while !out.is_empty() {
            let shard = &self.manifest.shards[number];
            let (inside, left, place) = (at - shard.raw_start, shard.raw_end() - at, place(number, shard));
            let n = left.min(out.len() as u64) as usize;
            let (now, rest) = out.split_at_mut(n);
            if n > 0 {
                let read = self.shard(number)?.read_range_into(inside, now);
                read.map_err(|e| e.within(place))?;
            }
            (at, out, number) = (at + n as u64, rest, number + 1);
        }
        Ok(())
    }

    /// The range of raw bytes around an offset that is best decoded together; see [`Archive::around`]. It lies
    /// in one shard.
    ///
    /// # Errors
    ///
    /// Those of [`Self::shard`] and [`Archive::around`].
    pub fn around(&mut self, at: u64) -> Result<Range<u64>> {
        let number = self.manifest.shard_at(at);
        let Some(shard) = self.manifest.shards.get(number) else { return Ok(at..at) };
        let (start, place) = (shard.raw_start, place(number, shard));
        let around = self.shard(number)?.around(at - start).map_err(|e| e.within(place))?;
        Ok(start + around.start..start + around.end)
    }

    /// The bytes of all elements of a tensor, wherever its rows lie.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::BadArgument`] where no tensor has this name; those of [`Self::read_range`].
    pub fn read_tensor(&mut self, name: &str) -> Result<Vec<u8>> {
        let len = self.named(name)?.info.len;
        self.tensor_bytes(name, 0..len)
    }

    /// The bytes of some rows of a tensor; a tensor of fewer than two dimensions is one row.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::BadArgument`] for rows that do not exist, and those of [`Self::read_tensor`].
    pub fn read_rows(&mut self, name: &str, rows: Range<u64>) -> Result<Vec<u8>> {
        let info = &self.named(name)?.info;
        let count = if info.shape.len() < 2 { 1 } else { info.shape[0] };
        if rows.start > rows.end || rows.end > count {
            return Err(Error::bad_argument(format!("rows {}..{} of {count}", rows.start, rows.end)));
        }
        let row = info.row_bytes();
        self.tensor_bytes(name, rows.start * row..rows.end * row)
    }

    fn named(&self, name: &str) -> Result<&Tensor> {
        let missing = || Error::bad_argument(format!("no tensor is called {name:?}"));
        self.manifest.tensor(name).ok_or_else(missing)
    }

    fn tensor_bytes(&mut self, name: &str, bytes: Range<u64>) -> Result<Vec<u8>> {
        let ranges = self.named(name)?.ranges(bytes.clone());
        let mut out = self.room(bytes.end - bytes.start)?;
        let mut left = &mut out[..];
        for range in ranges {
            let (now, rest) = left.split_at_mut((range.end - range.start) as usize);
            self.read_range_into(range.start, now)?;
            left = rest;
        }
        Ok(out)
    }

    /// The raw ranges of the blocks that may hold a word; see [`Archive::ranges_with`].
    ///
    /// # Errors
    ///
    /// Those of [`Self::shard`] and [`Archive::ranges_with`].
    pub fn ranges_with(&mut self, word: &str) -> Result<Vec<Range<u64>>> {
        let mut found = Vec::new();
        for number in 0..self.manifest.shards.len() {
            let shard = &self.manifest.shards[number];
            let (start, place) = (shard.raw_start, place(number, shard));
            let ranges = self.shard(number)?.ranges_with(word).map_err(|e| e.within(place))?;
            found.extend(ranges.into_iter().map(|r| start + r.start..start + r.end));
        }
        Ok(found)
    }

    /// A shard front to back, from its first raw byte on.
    ///
    /// # Errors
    ///
    /// Those of [`Self::shard`].
    pub fn decoder(&mut self, number: usize) -> Result<Decoder<&mut S>> {
        let options = self.options.clone();
        let file = self.shard(number)?.get_mut();
        file.seek(SeekFrom::Start(0))?;
        Decoder::with_options(file, options)
    }

    /// Decodes a shard and compares it with its row: hash of the file, check values, hash and length of the
    /// content.
    ///
    /// # Errors
    ///
    /// The first problem that is found, with the name of the shard.
    pub fn verify(&mut self, number: usize) -> Result<()> {
        let file = self.shard(number)?.get_mut();
        file.seek(SeekFrom::Start(0))?;
        let mut stored = Hasher(blake3::Hasher::new());
        io::copy(file, &mut stored)?;
        let mut raw = Hasher(blake3::Hasher::new());
        let decoded = self.decoder(number).and_then(|mut d| Ok(io::copy(&mut d, &mut raw)?));
        let shard = &self.manifest.shards[number];
        let same = decoded.and_then(|len| {
            differs("raw bytes", shard.raw_len, len)?;
            differs("hash of the content", shard.raw_hash, *raw.0.finalize().as_bytes())?;
            differs("hash of the file", shard.stored_hash, *stored.0.finalize().as_bytes())
        });
        same.map_err(|e| e.within(place(number, shard)))
    }
}

impl<S: Read + Seek> ReadAt for ManifestArchive<S> {
    fn size(&self) -> u64 {
        self.len()
    }

    /// Decodes what is wanted, and no more: small reads are better buffered.
    fn read_at(&mut self, offset: u64, out: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.len().saturating_sub(offset)).unwrap_or(usize::MAX);
        let n = out.len().min(left);
        self.read_range_into(offset.min(self.len()), &mut out[..n])?;
        Ok(n)
    }
}

fn place(number: usize, shard: &Shard) -> String {
    format!("shard {number} ({:?})", shard.name)
}

/// An error unless what was found is what the manifest says.
fn differs<T: PartialEq>(what: &str, expected: T, found: T) -> Result<()> {
    if expected == found { Ok(()) } else { Err(Error::corrupt(format!("{what}: not as the manifest says"))) }
}

impl Shard {
    /// Compares an opened file with this row.
    fn compare<S: Read + Seek>(&self, archive: &Archive<S>) -> Result<()> {
        let (stored, raw) = (archive.stored_len(), archive.len());
        if (stored, raw) != (self.stored_len, self.raw_len) {
            return Err(Error::corrupt(format!(
                "{} bytes with {} raw bytes expected, {stored} with {raw} found",
                self.stored_len, self.raw_len
            )));
        }
        match &archive.streams()[..] {
            [only] => only.hash.map_or(Ok(()), |h| differs("hash of the content", self.raw_hash, h)),
            _ => Ok(()),
        }
    }
}
