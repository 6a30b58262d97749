//! An encoder that finishes its stream when it is dropped.

use super::Encoder;
use crate::error::Result;
use std::fmt;
use std::io::{self, Write};
use std::thread;

/// The function that receives the result of finishing.
type Then<'a, W> = Box<dyn FnOnce(Result<W>) + Send + 'a>;

/// An [`Encoder`] that finishes its stream when it is dropped; see [`Encoder::auto_finish`] and
/// [`Encoder::on_finish`].
///
/// It does not finish while the thread panics: the content is then incomplete, and the stream must read as
/// truncated.
pub struct AutoFinish<'a, W: Write> {
    /// Present until it is dropped.
    encoder: Option<Encoder<W>>,
    then: Option<Then<'a, W>>,
}

impl<W: Write> Encoder<W> {
    /// Turns the encoder into one that finishes its stream when it is dropped. An error that occurs then is
    /// lost: use [`Encoder::finish`] or [`Encoder::on_finish`] where that matters.
    ///
    /// ```
    /// use std::io::Write;
    /// let mut packed = Vec::new();
    /// write!(nzip::Encoder::new(&mut packed).auto_finish(), "a line")?;
    /// assert_eq!(nzip::decompress(&packed)?, b"a line");
    /// # Ok::<(), nzip::Error>(())
    /// ```
    pub fn auto_finish<'a>(self) -> AutoFinish<'a, W> {
        AutoFinish { encoder: Some(self), then: None }
    }

    /// Turns the encoder into one that finishes its stream when it is dropped, and passes the result to
    /// `then`.
    ///
    /// ```
    /// use std::io::Write;
    /// let mut packed = Vec::new();
    /// let encoder = nzip::Encoder::new(Vec::new());
    /// write!(encoder.on_finish(|done| packed = done.expect("memory is a good writer")), "a line")?;
    /// assert_eq!(nzip::decompress(&packed)?, b"a line");
    /// # Ok::<(), nzip::Error>(())
    /// ```
    pub fn on_finish<'a>(self, then: impl FnOnce(Result<W>) + Send + 'a) -> AutoFinish<'a, W> {
        AutoFinish { encoder: Some(self), then: Some(Box::new(then)) }
    }
}

impl<W: Write> AutoFinish<'_, W> {
    fn encoder(&mut self) -> &mut Encoder<W> {
        self.encoder.as_mut().expect("only dropping takes it")
    }

    /// The writer.
    pub fn get_ref(&self) -> &W {
        self.encoder.as_ref().expect("only dropping takes it").get_ref()
    }

    /// The writer. What is written to it here damages the stream.
    pub fn get_mut(&mut self) -> &mut W {
        self.encoder().get_mut()
    }
}

impl<W: Write> Write for AutoFinish<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.encoder().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.encoder().flush()
    }
}

impl<W: Write> Drop for AutoFinish<'_, W> {
    fn drop(&mut self) {
        let Some(encoder) = self.encoder.take().filter(|_| !thread::panicking()) else { return };
        let result = encoder.finish();
        if let Some(then) = self.then.take() {
            then(result);
        }
    }
}

impl<W: Write> fmt::Debug for AutoFinish<'_, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AutoFinish").field("encoder", &self.encoder).finish_non_exhaustive()
    }
}
