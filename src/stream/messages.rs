//! Coding of many contents, one after the other, without starting anew for each.

use super::encoder::plan;
use super::options::Pool;
use super::{DecodeOptions, Decoder, Encoder, Options};
use crate::codec::choose::Plan;
use crate::error::Result;
use std::fmt;

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

    /// Decompresses all streams in `packed` and appends the result to `raw`. After an error, `raw` is
    /// unchanged.
    ///
    /// # Errors
    ///
    /// Those of [`crate::decompress_with`].
    pub fn decompress_into(&self, packed: &[u8], raw: &mut Vec<u8>) -> Result<()> {
        let len = raw.len();
        let result = Decoder::collect(packed, self.options.clone(), self.pool.clone(), raw);
        if result.is_err() {
            raw.truncate(len);
        }
        result
    }
}
