//! Progress of encoders and decoders: counts of bytes taken and coded.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// How far the encoders and decoders that use this handle have come. Clones share the counts, so that one
/// thread can show what another one does.
///
/// ```
/// use nzip::{Options, Progress};
/// let progress = Progress::new();
/// let packed = nzip::compress_with(&[7; 50_000], Options::new().level(1).progress(progress.clone()))?;
/// assert_eq!((progress.raw_taken(), progress.raw_done()), (50_000, 50_000));
/// # let _ = packed;
/// # Ok::<(), nzip::Error>(())
/// ```
#[derive(Clone, Default)]
pub struct Progress(Arc<Counts>);

#[derive(Default)]
struct Counts {
    taken: AtomicU64,
    done: AtomicU64,
    tokens: AtomicU64,
    refused: AtomicU64,
}

impl Progress {
    /// A handle whose counts are zero.
    pub fn new() -> Self {
        Self::default()
    }

    /// The number of raw bytes taken so far: those that an encoder was given, and those of the blocks that a
    /// decoder or an archive has begun to decode.
    pub fn raw_taken(&self) -> u64 {
        self.0.taken.load(Ordering::Relaxed)
    }

    /// The number of raw bytes coded so far, never more than [`Progress::raw_taken`]. While an encoder tries
    /// several ways to code the same bytes, it counts a share of them for each.
    pub fn raw_done(&self) -> u64 {
        self.0.done.load(Ordering::Relaxed)
    }

    /// The number of tokens that imported language models have coded so far.
    pub fn tokens(&self) -> u64 {
        self.0.tokens.load(Ordering::Relaxed)
    }

    /// The number of raw bytes that the only codec allowed ([`crate::CodecChoice::Only`]) could not code or make
    /// smaller, so that `zstd` or `store` coded them.
    ///
    /// ```
    /// use nzip::{Codec, CodecChoice, Options, Progress};
    /// let progress = Progress::new();
    /// let options = Options::new().codec(CodecChoice::Only(Codec::Table)).progress(progress.clone());
    /// nzip::compress_with(b"this is no table", options)?;
    /// assert_eq!(progress.raw_refused(), 16);
    /// # Ok::<(), nzip::Error>(())
    /// ```
    pub fn raw_refused(&self) -> u64 {
        self.0.refused.load(Ordering::Relaxed)
    }

    /// Counts raw bytes that will be coded.
    pub(crate) fn take(&self, bytes: u64) {
        self.0.taken.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Starts coding `len` raw bytes that have been taken.
    pub(crate) fn work(&self, len: u64) -> Work<'_> {
        Work { progress: self, len, parts: AtomicU64::new(0) }
    }
}

impl fmt::Debug for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut fields = f.debug_struct("Progress");
        fields.field("raw_taken", &self.raw_taken()).field("raw_done", &self.raw_done());
        fields.field("tokens", &self.tokens()).finish()
    }
}

/// The number of parts of a raw byte in which work is counted.
const PARTS: u64 = 256;

/// Raw bytes that are being coded. They count once, however many passes are made over them.
pub(crate) struct Work<'p> {
    progress: &'p Progress,
    len: u64,
    /// The work done so far, in parts of raw bytes; it may exceed the total.
    parts: AtomicU64,
}

impl Work<'_> {
    /// A meter for a pass over all of the bytes.
    pub(crate) fn meter(&self) -> Meter<'_> {
        Meter { work: Some(self), share: PARTS }
    }

    /// Counts everything that is left: the bytes are coded.
    pub(crate) fn finish(&self) {
        self.add(self.len * PARTS);
    }

    fn add(&self, parts: u64) {
        let before = self.parts.fetch_add(parts, Ordering::Relaxed);
        let bytes = |parts: u64| (parts / PARTS).min(self.len);
        let done = bytes(before.saturating_add(parts)) - bytes(before);
        self.progress.0.done.fetch_add(done, Ordering::Relaxed);
    }
}

/// Counts one of the passes over bytes that are being coded.
#[derive(Clone, Copy)]
pub struct Meter<'w> {
    work: Option<&'w Work<'w>>,
    /// The share of the work that this pass makes up, in [`PARTS`].
    share: u64,
}

impl Meter<'static> {
    /// Counts nothing.
    pub const NONE: Self = Self { work: None, share: 0 };
}

impl Meter<'_> {
    /// A meter for a pass that is `part` of `whole` parts of this one.
    pub(crate) fn share(self, part: u64, whole: u64) -> Self {
        Self { share: self.share * part / whole, ..self }
    }

    /// Counts raw bytes that the pass has processed.
    pub(crate) fn advance(self, bytes: usize) {
        if let Some(work) = self.work {
            work.add(bytes as u64 * self.share);
        }
    }

    /// Counts raw bytes that the codec which was asked for does not take.
    pub(crate) fn refuse(self, bytes: usize) {
        if let Some(work) = self.work {
            work.progress.0.refused.fetch_add(bytes as u64, Ordering::Relaxed);
        }
    }

    /// Counts a token that has been coded.
    pub(crate) fn token(self) {
        if let Some(work) = self.work {
            work.progress.0.tokens.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl fmt::Debug for Meter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Meter")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_count_once_however_often_they_are_passed_over() {
        let progress = Progress::new();
        progress.take(1000);
        let work = progress.work(1000);
        work.meter().share(1, 2).advance(1000);
        assert_eq!(progress.raw_done(), 500);
        for _ in 0..3 {
            work.meter().advance(400);
        }
        assert_eq!(progress.raw_done(), 1000);
        work.finish();
        assert_eq!((progress.raw_taken(), progress.raw_done()), (1000, 1000));
    }

    #[test]
    fn what_no_pass_has_counted_counts_at_the_end() {
        let progress = Progress::new();
        let work = progress.work(10);
        // Shares of single bytes add up.
        (0..7).for_each(|_| work.meter().share(1, 4).advance(1));
        assert_eq!(progress.raw_done(), 1);
        work.finish();
        assert_eq!(progress.raw_done(), 10);
        Meter::NONE.advance(5);
    }
}
