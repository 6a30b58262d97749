//! Files that are read over the network, a range at a time.
//!
//! [`RemoteFile`] reads a file behind a URL through the crate `object_store`. It is `Read + Seek` like a local file, so
//! [`crate::Decoder`] and [`crate::Archive`] take it; [`crate::Archive::open_url`] also tells it which ranges
//! will be needed, so that they are fetched together.

mod pieces;
mod store;

use crate::error::Result;
use crate::read_at::{ReadAt, moved};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use object_store::path::Path;
use object_store::{GetOptions, GetRange, ObjectMeta, ObjectStore};
use pieces::Pieces;
use std::fmt;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

pub use store::{beside, is_url};

/// The bytes at the end of a file that are fetched when it is opened: the index of most files and the whole of
/// short ones.
const TAIL: u64 = 64 << 10;
/// The fewest bytes that a read fetches where nobody has said what will be needed.
const LEAST: u64 = 16 << 10;
/// The most bytes of one request. Longer ranges are fetched in parts, so that a broken connection costs little.
const MOST: u64 = 8 << 20;
/// The most bytes that are fetched ahead of sequential reading.
const MOST_AHEAD: u64 = 32 << 20;
/// The most requests at the same time.
const CONCURRENT: usize = 8;

/// How a file is reached.
///
/// Credentials, regions and endpoints of object stores are taken from the environment variables that the tools
/// of these stores use: `AWS_ACCESS_KEY_ID`, `AWS_ENDPOINT`, `GOOGLE_SERVICE_ACCOUNT`,
/// `AZURE_STORAGE_ACCOUNT_NAME` and so on.
#[derive(Debug, Clone)]
pub struct RemoteOptions {
    timeout: Duration,
    retries: usize,
}

impl Default for RemoteOptions {
    fn default() -> Self {
        Self { timeout: Duration::from_secs(30), retries: 4 }
    }
}

impl RemoteOptions {
    /// The defaults: 30 seconds, 4 retries.
    pub fn new() -> Self {
        Self::default()
    }

    /// Gives a request up when no byte has arrived for this long; connecting may take as long, too.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How often a request that failed is repeated, after pauses that get longer. Only failures that may pass
    /// are repeated: broken connections, time-outs, and answers such as "503 Service Unavailable".
    #[must_use]
    pub fn retries(mut self, retries: usize) -> Self {
        self.retries = retries;
        self
    }
}

/// A file behind a URL.
///
/// Opening it takes one request, for its last 64 KiB. All later requests ask for the same version of the file:
/// if it changes in the meantime, reading fails.
pub struct RemoteFile {
    store: Arc<dyn ObjectStore>,
    path: Path,
    runtime: Runtime,
    /// The file as it was when it was opened.
    meta: ObjectMeta,
    /// The end of the file, which was fetched when it was opened.
    tail: Bytes,
    pieces: Pieces,
    position: u64,
    /// The bytes that the next read fetches if it goes on where the last one ended.
    ahead: Range<u64>,
    requests: u64,
    received: u64,
}

impl fmt::Debug for RemoteFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteFile")
            .field("path", &self.path.as_ref())
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

impl RemoteFile {
    /// Opens the file behind a URL.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::BadArgument`] for a URL of an unknown kind; [`crate::ErrorKind::Io`] where the server
    /// cannot be reached, refuses, or does not serve ranges.
    pub fn open(url: &str) -> Result<Self> {
        Self::open_with(url, &RemoteOptions::new())
    }

    /// Opens the file behind a URL, with these options.
    ///
    /// # Errors
    ///
    /// See [`RemoteFile::open`].
    pub fn open_with(url: &str, options: &RemoteOptions) -> Result<Self> {
        let (store, path) = store::resolve(url, options)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (meta, tail, requests) = runtime.block_on(store::tail(&*store, &path, TAIL))?;
        let received = tail.len() as u64;
        let pieces = Pieces::default();
        Ok(Self { store, path, runtime, meta, tail, pieces, position: 0, ahead: 0..0, requests, received })
    }

    /// The length of the file in bytes.
    pub fn len(&self) -> u64 {
        self.meta.size
    }

    /// Whether the file has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// When the file was changed last, as the server says.
    pub fn modified(&self) -> SystemTime {
        self.meta.last_modified.into()
    }

    /// The number of requests so far, without those that were repeated.
    pub fn requests(&self) -> u64 {
        self.requests
    }

    /// The number of bytes of the file that have been fetched so far.
    pub fn received(&self) -> u64 {
        self.received
    }

    fn tail_start(&self) -> u64 {
        self.len() - self.tail.len() as u64
    }

    /// The bytes from `offset` on that are at hand; none where they have to be fetched first.
    fn at_hand(&self, offset: u64) -> &[u8] {
        match offset.checked_sub(self.tail_start()) {
            Some(skipped) => self.tail.get(skipped as usize..).unwrap_or_default(),
            None => self.pieces.from(offset),
        }
    }

    /// Fetches ranges of bytes that will be read soon, unless the first one, which will be read at once, is at hand.
    ///
    /// # Errors
    ///
    /// Those of the server and the connection; also where the server has another version of the file now.
    pub fn expect(&mut self, wanted: &[Range<u64>]) -> io::Result<()> {
        match wanted.first() {
            Some(first) if !self.holds(first) => self.fetch(wanted),
            _ => Ok(()),
        }
    }

    fn holds(&self, range: &Range<u64>) -> bool {
        let mut at = range.start;
        while at < range.end {
            match self.at_hand(at).len() as u64 {
                0 => return false,
                n => at += n,
            }
        }
        true
    }

    /// Fetches ranges, unless they are at hand. Near ranges share a request, and requests
    /// run at the same time. What was fetched before and belongs to none of the ranges is forgotten.
    fn fetch(&mut self, wanted: &[Range<u64>]) -> io::Result<()> {
        let end = self.tail_start();
        let wanted: Vec<Range<u64>> =
            wanted.iter().map(|r| r.start..r.end.min(end)).filter(|r| !r.is_empty()).collect();
        self.pieces.keep(&wanted);
        let missing = pieces::requests(&self.pieces.missing(&wanted), MOST);
        let mut left = missing.into_iter();
        let (store, path, meta) = (&self.store, &self.path, &self.meta);
        let start = |running: &mut JoinSet<io::Result<(u64, Bytes)>>, range: Range<u64>| {
            let (store, path, meta) = (store.clone(), path.clone(), meta.clone());
            running.spawn(async move { Ok((range.start, exactly(&*store, &path, &meta, range).await?)) });
        };
        let mut fetched = Vec::new();
        let result = self.runtime.block_on(async {
            let mut running = JoinSet::new();
            left.by_ref().take(CONCURRENT).for_each(|range| start(&mut running, range));
            while let Some(done) = running.join_next().await {
                fetched.push(done.map_err(io::Error::other)??);
                left.by_ref().take(1).for_each(|range| start(&mut running, range));
            }
            Ok(())
        });
        for (start, bytes) in fetched {
            self.requests += 1;
            self.received += bytes.len() as u64;
            self.pieces.add(start, bytes);
        }
        result
    }

    /// Fetches what a read of `wanted` bytes at `offset` needs, and more where reading is sequential: twice as much as the
    /// time before.
    fn fetch_for_read(&mut self, offset: u64, wanted: u64) -> io::Result<()> {
        let sequential = self.ahead.end == offset;
        let before = self.ahead.end - self.ahead.start;
        let len =
            if sequential { (2 * before).min(MOST_AHEAD) } else { 0 }.max(LEAST).max(wanted.min(MOST_AHEAD));
        let range = offset..offset.saturating_add(len).min(self.len());
        self.fetch(std::slice::from_ref(&range))?;
        self.ahead = range;
        Ok(())
    }
}

/// The bytes of a range of the file, which must still be the one that `meta` describes.
async fn exactly(
    store: &dyn ObjectStore,
    path: &Path,
    meta: &ObjectMeta,
    range: Range<u64>,
) -> io::Result<Bytes> {
    // A weak tag never matches, by RFC 9110, section 13.1.1; it is compared below.
    let tag = meta.e_tag.clone().filter(|tag| !tag.starts_with("W/"));
    let options =
        GetOptions { if_match: tag, range: Some(GetRange::Bounded(range.clone())), ..GetOptions::default() };
    let got = store.get_opts(path, options).await.map_err(store::failure)?;
    let same = got.meta.size == meta.size
        && got.meta.e_tag == meta.e_tag
        && got.meta.last_modified == meta.last_modified;
    if !same {
        return Err(store::changed());
    }
    whole(got.into_stream(), range.end - range.start).await
}

/// The bytes of an answer, which must be `len`: a server may send any number.
async fn whole(
    mut parts: impl futures_util::Stream<Item = object_store::Result<Bytes>> + Unpin,
    len: u64,
) -> io::Result<Bytes> {
    let mut bytes = BytesMut::new();
    while let Some(part) = parts.next().await {
        let part = part.map_err(store::failure)?;
        if bytes.len() as u64 + part.len() as u64 > len {
            return Err(io::Error::other(format!(
                "the server sent more than the {len} bytes that were asked for"
            )));
        }
        bytes.extend_from_slice(&part);
    }
    if (bytes.len() as u64) < len {
        let found = bytes.len();
        return Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            format!("the server sent {found} of {len} bytes"),
        ));
    }
    Ok(bytes.freeze())
}

impl ReadAt for RemoteFile {
    fn size(&self) -> u64 {
        self.len()
    }

    fn read_at(&mut self, offset: u64, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() || offset >= self.len() {
            return Ok(0);
        }
        if self.at_hand(offset).is_empty() {
            self.fetch_for_read(offset, out.len() as u64)?;
        }
        let bytes = self.at_hand(offset);
        let n = bytes.len().min(out.len());
        out[..n].copy_from_slice(&bytes[..n]);
        Ok(n)
    }
}

impl Read for RemoteFile {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let n = self.read_at(self.position, out)?;
        self.position += n as u64;
        Ok(n)
    }
}

impl Seek for RemoteFile {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.position = moved(self.position, self.len(), to)?;
        Ok(self.position)
    }
}
