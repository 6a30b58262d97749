//! The options of encoders and decoders.

use super::resources::{Resources, resource_setters};
use crate::codec::Codec;
use crate::error::{Error, Result};
use crate::format::member::MemberSection;
use crate::models::registry::Hash;
use crate::tensor::{Dtype, Layout};
use std::sync::{Arc, OnceLock};

/// The raw bytes of a block of codecs without windows, and of the chunks for which codecs are chosen.
pub(super) const CHUNK: usize = 16 << 20;
/// The longest content that is coded at several levels, in raw bytes: so short that it costs little time, and
/// that what a codec learns late or stores about itself may decide.
pub(super) const SHORT_CONTENT: u64 = 16 << 10;
/// The default raw bytes of a block of windows.
pub(super) const WINDOWED_BLOCK: usize = 256 << 10;
/// The default R: the most raw bytes of a window.
pub(super) const WINDOW_RAW: usize = 256 << 10;
/// The default W: the payload bytes of a window.
const WINDOW_PAYLOAD: usize = 32 << 10;
/// The raw bytes of a block if ranges are to be read.
const SEEKABLE_BLOCK: usize = 1 << 20;

/// The codecs that an encoder may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum CodecChoice {
    /// The codec that gives the smallest block; never larger than with `zstd` or `store`.
    #[default]
    Auto,
    /// This codec, even where another one would be smaller.
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
    pub(super) searchable: bool,
    pub(super) member: Option<MemberSection>,
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
            searchable: false,
            member: None,
            resources: Resources::new(),
        }
    }
}

impl Options {
    /// The default level.
    pub const DEFAULT_LEVEL: u8 = 6;

    /// The defaults: level 6, automatic choice of codecs, all cores.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets how hard to try, from 1 (fast) to 9 (small); 6 by default.
    pub fn level(mut self, level: u8) -> Self {
        self.level = level;
        self
    }

    /// Sets the codecs to use; by default they are chosen for each block.
    pub fn codec(mut self, codec: CodecChoice) -> Self {
        self.codec = codec;
        self
    }

    /// Sets W, the payload bytes of a window: a multiple of 4 in 64..=2^20.
    pub fn window(mut self, bytes: usize) -> Self {
        self.window = bytes;
        self
    }

    /// Sets whether the windows of imported language models are chained, which is the default: what the model
    /// learns in a block serves the whole block, which can only be decoded from its start. Otherwise each
    /// window can be decoded alone, and files are larger.
    pub fn chained(mut self, chained: bool) -> Self {
        self.chained = chained;
        self
    }

    /// Sets the most memory that decoding may take, and coding on one thread, in bytes (approximate): blocks
    /// are cut and codecs are chosen so that the same value is enough for [`DecodeOptions::memory`]. There is
    /// no limit by default; 1 GiB is enough for every level.
    pub fn decode_memory(mut self, bytes: u64) -> Self {
        self.decode_memory = bytes;
        self
    }

    /// Sets the model of windowed codecs, by the hash of its weights. It must be among those of
    /// [`Options::models`].
    pub fn model(mut self, hash: [u8; 32]) -> Self {
        self.model = Some(hash);
        self
    }

    /// Sets whether to embed the model in the stream, so that it can be decoded anywhere. With
    /// [`CodecChoice::Auto`] the stream gets no model if the first records (up to 16 MiB of the content) are
    /// smaller without it, counting the bytes of the model itself.
    pub fn embed_model(mut self, embed: bool) -> Self {
        self.embed_model = embed;
        self
    }

    /// Sets the raw bytes of a block, 4 KiB to 1 GiB. The default is 16 MiB (64 MiB at level 9), or
    /// 256 KiB for windowed codecs.
    pub fn block_size(mut self, bytes: usize) -> Self {
        self.block = Some(bytes);
        self
    }

    /// Makes blocks of 1 MiB: with any codec, reading a range then decodes at most that much more than the
    /// range holds, and files become a little larger. See [`Options::block_size`] for the defaults.
    pub fn seekable(self) -> Self {
        self.block_size(SEEKABLE_BLOCK)
    }

    /// Makes blocks of 1 MiB, unless another size was set, and stores which words each of them may hold, in at most 1 % of
    /// the stream: [`crate::Archive::ranges_with`] then tells which blocks need not be decoded in a search.
    pub fn searchable(mut self) -> Self {
        self.searchable = true;
        self.block = self.block.or(Some(SEEKABLE_BLOCK));
        self
    }

    /// Sets whether a stream of one block also gets an index with the BLAKE3 of its content (about 42 bytes).
    /// Longer streams always have it.
    pub fn content_hash(mut self, always: bool) -> Self {
        self.content_hash = always;
        self
    }

    /// The memory cap, in bytes.
    pub(crate) fn memory_cap(&self) -> u64 {
        self.resources.memory
    }

    /// Makes the stream one of a family: it starts with this section, and has the hash of its content.
    pub(crate) fn member(mut self, member: MemberSection) -> Self {
        self.member = Some(member);
        self.content_hash(true)
    }

    /// Sets all resources of the encoder at once.
    pub fn resources(mut self, resources: Resources) -> Self {
        self.resources = resources;
        self
    }

    /// Sets whether deflate streams (gzip, zlib, PNG, ZIP, PDF) and JPEG pictures in the content are undone at
    /// levels from 5 on, where that makes the result smaller; the default. Their contents then take memory too, when
    /// compressing and when decompressing.
    pub fn undo(mut self, undo: bool) -> Self {
        self.undo = undo;
        self
    }

    /// Declares that the content is one tensor of this type and shape, after `start` other bytes. An encoder
    /// that gets the content in pieces must be able to hold all of it in half of [`Options::memory`].
    pub fn tensor(mut self, dtype: crate::tensor::Dtype, shape: &[u64], start: u64) -> Self {
        self.described = Some(Described { dtype, shape: shape.to_vec(), start });
        self
    }

    fn resources_mut(&mut self) -> &mut Resources {
        &mut self.resources
    }

    /// Checks that all values are in range. Encoders do so, too.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::BadArgument`] for the first one that is not.
    pub fn check(&self) -> Result<()> {
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

    /// Sets whether to verify the BLAKE3 of every stream in addition to the check values.
    pub fn verify_hash(mut self, verify: bool) -> Self {
        self.verify_hash = verify;
        self
    }

    fn resources_mut(&mut self) -> &mut Resources {
        &mut self.resources
    }
}

resource_setters!(DecodeOptions);

/// The caller's description of content that does not describe itself.
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

/// The most threads that can be asked for: four per core. More would only wait for each other.
pub fn most_threads() -> usize {
    4 * std::thread::available_parallelism().map_or(1, usize::from)
}

/// A thread pool of the wanted size, started when it is first needed. Clones share one pool.
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
        if cfg!(target_family = "wasm") {
            return 1;
        }
        if self.threads == 0 { rayon::current_num_threads() } else { self.threads }
    }

    /// Runs work whose parallel parts use this pool.
    pub(super) fn run<T: Send>(&mut self, work: impl FnOnce() -> T + Send) -> Result<T> {
        // Browsers have no threads: what would be done by several is done by the one that asks.
        if self.threads == 0 || cfg!(target_family = "wasm") {
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
