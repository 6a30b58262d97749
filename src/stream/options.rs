//! The choices of a caller.

use super::resources::{Resources, resource_setters};
use crate::codec::Codec;
use crate::error::{Error, Result};
use crate::models::registry::Hash;
use crate::tensor::{Dtype, Layout};
use std::sync::{Arc, OnceLock};

/// Raw bytes of a block of the codecs without windows, and of the chunks that `auto` looks at.
pub(super) const CHUNK: usize = 16 << 20;
/// The same at the last level, where `mix` may be used.
pub(super) const BEST_CHUNK: usize = 64 << 20;
/// The same where `light` is the codec: short, so that two threads share a file of a few megabytes.
pub(super) const LIGHT_CHUNK: usize = 4 << 20;
/// Default raw bytes of a block of windows.
pub(super) const WINDOWED_BLOCK: usize = 256 << 10;
/// Default R: most raw bytes of a window.
pub(super) const WINDOW_RAW: usize = 256 << 10;
/// Default W: payload bytes of a window.
const WINDOW_PAYLOAD: usize = 32 << 10;
/// Raw bytes of a block where ranges are to be read.
const SEEKABLE_BLOCK: usize = 1 << 20;

/// The codecs that an encoder may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum CodecChoice {
    /// The codec that gives the smallest block; never larger than `zstd` or `store`.
    #[default]
    Auto,
    /// This one, even where it does not pay.
    Only(Codec),
}

/// How to compress. The defaults suit a file.
///
/// ```
/// use nzip::{Codec, CodecChoice, Options};
/// let options = Options::new().level(9).codec(CodecChoice::Only(Codec::Zstd)).threads(1);
/// # let _ = options;
/// ```
#[derive(Debug, Clone)]
pub struct Options {
    pub(super) level: u8,
    pub(super) codec: CodecChoice,
    pub(super) window: usize,
    pub(super) chained: bool,
    pub(super) decode_memory: u64,
    pub(super) model: Option<Hash>,
    pub(super) embed_model: bool,
    pub(super) block: Option<usize>,
    pub(super) content_hash: bool,
    pub(super) described: Option<Described>,
    pub(super) undo: bool,
    pub(super) resources: Resources,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            level: Self::DEFAULT_LEVEL,
            codec: CodecChoice::Auto,
            window: WINDOW_PAYLOAD,
            chained: true,
            decode_memory: u64::MAX,
            model: None,
            embed_model: false,
            block: None,
            content_hash: false,
            described: None,
            undo: true,
            resources: Resources::new(),
        }
    }
}

impl Options {
    /// The level where none is chosen.
    pub const DEFAULT_LEVEL: u8 = 6;

    /// The defaults: level 6, automatic choice of codecs, all cores.
    pub fn new() -> Self {
        Self::default()
    }

    /// How hard to try, 1 (fast) to 9 (small); 6 by default.
    pub fn level(mut self, level: u8) -> Self {
        self.level = level;
        self
    }

    /// The codecs to use; chosen for each block by default.
    pub fn codec(mut self, codec: CodecChoice) -> Self {
        self.codec = codec;
        self
    }

    /// W, the payload bytes of a window: a multiple of 4 in 64..=2^20.
    pub fn window(mut self, bytes: usize) -> Self {
        self.window = bytes;
        self
    }

    /// Whether the windows of imported language models follow one another, which is the default: what a block
    /// teaches serves all of it, and it is decoded from its start. Otherwise each window decodes alone, and
    /// files are larger.
    pub fn chained(mut self, chained: bool) -> Self {
        self.chained = chained;
        self
    }

    /// Most memory that decoding, and coding on one thread, may take, in bytes (approximate): blocks are cut
    /// and codecs are chosen so that [`DecodeOptions::memory`] of as much is enough. No limit by default; 1
    /// GiB is enough for every level.
    pub fn decode_memory(mut self, bytes: u64) -> Self {
        self.decode_memory = bytes;
        self
    }

    /// The model of windowed codecs, by the hash of its weights; it must be among those of
    /// [`Options::models`].
    pub fn model(mut self, hash: [u8; 32]) -> Self {
        self.model = Some(hash);
        self
    }

    /// Whether to put the model into the stream, so that it decodes anywhere. With [`CodecChoice::Auto`]
    /// there is none if the first records (up to 16 MiB of the content) are smaller without it, its own bytes
    /// counted.
    pub fn embed_model(mut self, embed: bool) -> Self {
        self.embed_model = embed;
        self
    }

    /// Raw bytes of a block, 4 KiB to 1 GiB. By default 16 MiB (64 MiB at level 9), or 256 KiB for windowed
    /// codecs.
    pub fn block_size(mut self, bytes: usize) -> Self {
        self.block = Some(bytes);
        self
    }

    /// Blocks of 1 MiB: whatever the codec, a range decodes at most that much more than it holds, and files
    /// become a little larger. See [`Options::block_size`] for what holds otherwise.
    pub fn seekable(self) -> Self {
        self.block_size(SEEKABLE_BLOCK)
    }

    /// Whether a stream of one block gets an index with the BLAKE3 of its content too (42 bytes or so);
    /// longer streams always have it.
    pub fn content_hash(mut self, always: bool) -> Self {
        self.content_hash = always;
        self
    }

    /// Sets all resources of the encoder at once.
    pub fn resources(mut self, resources: Resources) -> Self {
        self.resources = resources;
        self
    }

    /// Whether streams of deflate in the content (gzip, zlib, PNG, ZIP, PDF) are undone, at levels from 5 on,
    /// where that makes the result smaller; the default. What is inside them then needs memory too, in
    /// compressing and in decompressing.
    pub fn undo(mut self, undo: bool) -> Self {
        self.undo = undo;
        self
    }

    /// Says that the content is one tensor of this type and shape, behind `start` other bytes. An encoder
    /// that gets the content in pieces must be able to hold all of it in half of [`Options::memory`].
    pub fn tensor(mut self, dtype: crate::tensor::Dtype, shape: &[u64], start: u64) -> Self {
        self.described = Some(Described { dtype, shape: shape.to_vec(), start });
        self
    }

    fn resources_mut(&mut self) -> &mut Resources {
        &mut self.resources
    }

    pub(super) fn check(&self) -> Result<()> {
        let bad = |what: &str, range: &str, found: usize| {
            Err(Error::bad_argument(format!("{what}: {range} expected, {found} given")))
        };
        if !(1..=9).contains(&self.level) {
            return bad("level", "1..=9", self.level.into());
        }
        if !(64..=1 << 20).contains(&self.window) || !self.window.is_multiple_of(4) {
            return bad("window size", "a multiple of 4 in 64..=1048576", self.window);
        }
        match self.block {
            Some(block) if !(4096..=1 << 30).contains(&block) => {
                bad("block size", "4096..=1073741824", block)
            }
            _ => Ok(()),
        }
    }
}

resource_setters!(Options);

/// How to decompress.
#[derive(Debug, Clone, Default)]
pub struct DecodeOptions {
    pub(super) resources: Resources,
    pub(super) verify_hash: bool,
}

impl DecodeOptions {
    /// The defaults: all cores, 1 GiB of memory, check values verified, stream hashes not.
    pub fn new() -> Self {
        Self::default()
    }

    /// The memory cap, in bytes.
    pub fn memory_cap(&self) -> u64 {
        self.resources.memory
    }

    /// Sets all resources of the decoder at once.
    pub fn resources(mut self, resources: Resources) -> Self {
        self.resources = resources;
        self
    }

    /// Whether to verify the BLAKE3 of every stream besides the check values.
    pub fn verify_hash(mut self, verify: bool) -> Self {
        self.verify_hash = verify;
        self
    }

    fn resources_mut(&mut self) -> &mut Resources {
        &mut self.resources
    }
}

resource_setters!(DecodeOptions);

/// The caller's description of bytes that do not describe themselves.
#[derive(Clone, Debug)]
pub struct Described {
    pub dtype: Dtype,
    pub shape: Vec<u64>,
    pub start: u64,
}

impl Described {
    pub(super) fn layout(&self, len: u64) -> Result<Layout> {
        let layout = Layout::described(self.dtype, self.shape.clone(), self.start, len);
        layout.map_err(|e| Error::bad_argument(e.to_string()))
    }
}

/// The most threads that are started: four for each core. More would only wait for each other.
pub fn most_threads() -> usize {
    4 * std::thread::available_parallelism().map_or(1, usize::from)
}

/// A thread pool of the wanted size, started when it is first needed. Clones are the same pool.
#[derive(Debug, Clone, Default)]
pub(super) struct Pool {
    threads: usize,
    pool: Arc<OnceLock<rayon::ThreadPool>>,
}

impl Pool {
    pub(super) fn new(threads: usize) -> Self {
        Self { threads: threads.min(most_threads()), pool: Arc::default() }
    }

    pub(super) fn threads(&self) -> usize {
        if self.threads == 0 { rayon::current_num_threads() } else { self.threads }
    }

    /// Runs work whose parallel parts use this pool.
    pub(super) fn run<T: Send>(&mut self, work: impl FnOnce() -> T + Send) -> Result<T> {
        if self.threads == 0 {
            return Ok(work());
        }
        let pool = match self.pool.get() {
            Some(pool) => pool,
            None => {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(self.threads).build();
                let pool = pool.map_err(|e| Error::bad_argument(format!("{} threads: {e}", self.threads)))?;
                self.pool.get_or_init(|| pool)
            }
        };
        Ok(pool.install(work))
    }
}
