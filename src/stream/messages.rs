//! Coding of many contents, one after the other, without starting anew for each.

use super::decoder;
use super::encoder::plan;
use super::options::Pool;
use super::{Archive, DecodeOptions, Decoder, Encoder, Options, buffers};
use crate::codec::plan::Plan;
use crate::error::{Error, ErrorKind, Result};
use std::fmt;
use std::io::{self, BufRead, Cursor, Write};

/// Memory of the caller that is being filled.
struct Room<'a> {
    out: &'a mut [u8],
    used: usize,
}

impl Room<'_> {
    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        let (len, used) = (self.out.len(), self.used);
        let place = self.out[used..].get_mut(..bytes.len()).ok_or_else(|| {
            let need = used + bytes.len();
            Error::new(ErrorKind::NoRoom, format!("{need} bytes or more; there is room for {len}"))
        })?;
        place.copy_from_slice(bytes);
        self.used += bytes.len();
        Ok(())
    }
}

impl Write for Room<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.put(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Compresses many contents with the same options: models are loaded and threads are started only once. The
/// result is byte for byte that of [`crate::compress_with`]. Can be shared between threads.
///
/// ```
/// use nzip::{Compressor, Decompressor, DecodeOptions, Options};
/// let compressor = Compressor::new(Options::new().level(2))?;
/// let decompressor = Decompressor::new(DecodeOptions::new());
/// for message in ["one", "two", "three"] {
///     let packed = compressor.compress(message.as_bytes())?;
///     assert_eq!(decompressor.decompress(&packed)?, message.as_bytes());
/// }
/// # Ok::<(), nzip::Error>(())
/// ```
#[derive(Clone)]
pub struct Compressor {
    options: Options,
    plan: Plan,
    pool: Pool,
}

impl fmt::Debug for Compressor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compressor").field("options", &self.options).finish_non_exhaustive()
    }
}

impl Compressor {
    /// A compressor with these options. Loads the models that they need.
    ///
    /// # Errors
    ///
    /// Those of [`Encoder::with_options`].
    pub fn new(options: Options) -> Result<Self> {
        options.check()?;
        let (plan, pool) = (plan(&options)?, Pool::new(options.resources.threads));
        Ok(Self { options, plan, pool })
    }

    /// Compresses `raw` into one stream.
    ///
    /// # Errors
    ///
    /// Those of [`crate::compress_with`].
    pub fn compress(&self, raw: &[u8]) -> Result<Vec<u8>> {
        let mut packed = Vec::new();
        self.compress_into(raw, &mut packed)?;
        Ok(packed)
    }

    /// Compresses `raw` into one stream at the start of `out`, and returns its length, which is at most
    /// [`crate::compress_bound`].
    ///
    /// ```
    /// let mut room = [0; 100];
    /// let compressor = nzip::Compressor::new(nzip::Options::new())?;
    /// let len = compressor.compress_to(b"a message", &mut room)?;
    /// assert_eq!(nzip::decompress(&room[..len])?, b"a message");
    /// # Ok::<(), nzip::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NoRoom`] where `out` is too short, and those of [`crate::compress_with`]. What `out` holds
    /// then is of no use.
    pub fn compress_to(&self, raw: &[u8], out: &mut [u8]) -> Result<usize> {
        let room = Room { out, used: 0 };
        let encoder = Encoder::build(room, self.options.clone(), self.plan.clone(), self.pool.clone());
        Ok(encoder.finish_all(raw)?.used)
    }

    /// An encoder of one stream, which uses the models and threads of this compressor.
    pub fn stream(&self) -> buffers::Encoder {
        let (options, plan, pool) = (self.options.clone(), self.plan.clone(), self.pool.clone());
        buffers::Encoder::of(Encoder::build(Vec::new(), options, plan, pool))
    }

    /// Compresses `raw` into one stream and appends it to `packed`. After an error, `packed` is unchanged.
    ///
    /// # Errors
    ///
    /// Those of [`crate::compress_with`].
    pub fn compress_into(&self, raw: &[u8], packed: &mut Vec<u8>) -> Result<()> {
        let len = packed.len();
        let encoder =
            Encoder::build(&mut *packed, self.options.clone(), self.plan.clone(), self.pool.clone());
        let result = encoder.finish_all(raw).map(|_| ());
        if result.is_err() {
            packed.truncate(len);
        }
        result
    }
}

/// Decompresses many contents with the same options: models are loaded and threads are started only once. Can
/// be shared between threads. [`Compressor`] has an example.
#[derive(Debug, Clone, Default)]
pub struct Decompressor {
    options: DecodeOptions,
    pool: Pool,
}

impl Decompressor {
    /// A decompressor with these options. It loads a model when a content first needs it.
    pub fn new(options: DecodeOptions) -> Self {
        let pool = Pool::new(options.resources.threads);
        Self { options, pool }
    }

    /// Decompresses all streams in `packed`.
    ///
    /// # Errors
    ///
    /// Those of [`crate::decompress_with`].
    pub fn decompress(&self, packed: &[u8]) -> Result<Vec<u8>> {
        let mut raw = Vec::new();
        self.decompress_into(packed, &mut raw)?;
        Ok(raw)
    }

    /// Decompresses all streams in `packed` to the start of `out`, and returns the length of the result.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NoRoom`] where `out` is too short, and those of decoding. What `out` holds then is of no
    /// use.
    pub fn decompress_to(&self, packed: &[u8], out: &mut [u8]) -> Result<usize> {
        let mut decoder = Decoder::with_pool(packed, self.options.clone(), self.pool.clone());
        let mut room = Room { out, used: 0 };
        loop {
            let bytes = decoder.fill_buf()?;
            if bytes.is_empty() {
                return Ok(room.used);
            }
            room.put(bytes)?;
            let n = bytes.len();
            decoder.consume(n);
        }
    }

    /// Appends the content of a family, in which blocks have bases in earlier streams. `None` where it is none.
    fn archived(&self, packed: &[u8], raw: &mut Vec<u8>) -> Option<Result<()>> {
        let archive = Archive::with_options(Cursor::new(packed), self.options.clone());
        let mut archive = archive.ok().filter(Archive::has_inner_bases)?;
        let verified = if self.options.verify_hash { archive.verify().map(drop) } else { Ok(()) };
        let read = verified.and_then(|()| archive.read_range(..));
        Some(read.map(|bytes| raw.extend_from_slice(&bytes)))
    }

    /// A decoder of one stream, which uses the models and threads of this decompressor.
    pub fn stream(&self) -> buffers::Decoder {
        buffers::Decoder::build(self.options.clone(), self.pool.clone())
    }

    /// Decompresses all streams in `packed` and appends the result to `raw`. After an error, `raw` is
    /// unchanged.
    ///
    /// # Errors
    ///
    /// Those of [`crate::decompress_with`].
    pub fn decompress_into(&self, packed: &[u8], raw: &mut Vec<u8>) -> Result<()> {
        let len = raw.len();
        let mut result = decoder::collect(packed, self.options.clone(), self.pool.clone(), raw);
        if result.as_ref().is_err_and(|e| e.kind() == ErrorKind::LimitExceeded) {
            raw.truncate(len);
            // Read front to back, earlier files of a family take memory.
            result = self.archived(packed, raw).unwrap_or(result);
        }
        if result.is_err() {
            raw.truncate(len);
        }
        result
    }
}
