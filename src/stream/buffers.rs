//! An encoder and a decoder between buffers of the caller, who decides when there are more bytes and more
//! room: for interfaces that have neither readers nor writers, and for code that must not wait.

use super::arriving::Arriving;
use super::encoder::Encoder as Writing;
use super::options::{DecodeOptions, Options, Pool};
use crate::error::{Error, Result};
use std::fmt;
use std::io::Write;

/// The result of a step: the bytes read and written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Step {
    /// The number of bytes that were taken from the start of the input.
    pub read: usize,
    /// The number of bytes that were put at the start of the output.
    pub written: usize,
    /// Encoder: all that [`Then`] asks for has been done, and put out. Decoder: the stream has ended, and all
    /// of it has been put out.
    pub done: bool,
}

/// The action of an encoder once it has taken all of its input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Then {
    /// Waits for more, and may keep what it has taken.
    #[default]
    Continue,
    /// Ends a block, so that everything taken so far can be decoded.
    Flush,
    /// Ends the stream.
    Finish,
}

/// Puts bytes at the start of `out`, as many as fit, and returns how many.
fn put(bytes: &[u8], out: &mut [u8]) -> usize {
    let n = bytes.len().min(out.len());
    out[..n].copy_from_slice(&bytes[..n]);
    n
}

/// Compresses from buffers into buffers.
///
/// ```
/// use nzip::buffers::{Encoder, Then};
/// let (raw, mut packed) = (b"between buffers", Vec::new());
/// let mut encoder = Encoder::new(nzip::Options::new().level(1))?;
/// let (mut room, mut at) = ([0; 10], 0);
/// loop {
///     let step = encoder.step(&raw[at..], &mut room, Then::Finish)?;
///     at += step.read;
///     packed.extend_from_slice(&room[..step.written]);
///     if step.done {
///         break;
///     }
/// }
/// assert_eq!(nzip::decompress(&packed)?, raw);
/// # Ok::<(), nzip::Error>(())
/// ```
pub struct Encoder {
    /// Present until the stream is finished.
    encoder: Option<Writing<Vec<u8>>>,
    /// A part of the stream, of which `given` bytes have been put out.
    ready: Vec<u8>,
    given: usize,
    /// Whether something has been taken since the last flush.
    unflushed: bool,
    error: Option<Error>,
}

impl Encoder {
    /// An encoder of one stream.
    ///
    /// # Errors
    ///
    /// Those of [`crate::Encoder::with_options`].
    pub fn new(options: Options) -> Result<Self> {
        Writing::with_options(Vec::new(), options).map(Self::of)
    }

    pub(super) fn of(encoder: Writing<Vec<u8>>) -> Self {
        Self { encoder: Some(encoder), ready: Vec::new(), given: 0, unflushed: false, error: None }
    }

    /// Takes bytes of `raw` and puts bytes of the stream into `out`, until one of them is used up or what
    /// `then` asks for is done. To be called again with what is left of `raw` and with new room until
    /// [`Step::done`].
    ///
    /// # Errors
    ///
    /// Those of [`crate::Encoder`]; [`crate::ErrorKind::BadArgument`] for bytes after the stream's end. After
    /// an error, each call returns it again.
    pub fn step(&mut self, raw: &[u8], out: &mut [u8], then: Then) -> Result<Step> {
        if let Some(e) = &self.error {
            return Err(e.again());
        }
        let step = self.steps(raw, out, then);
        step.inspect_err(|e| self.error = Some(e.again()))
    }

    /// The number of bytes that are ready, and wait for room.
    pub fn waiting(&self) -> usize {
        self.ready.len() - self.given
    }

    fn steps(&mut self, raw: &[u8], out: &mut [u8], then: Then) -> Result<Step> {
        let mut step = Step::default();
        loop {
            let n = put(&self.ready[self.given..], &mut out[step.written..]);
            self.given += n;
            step.written += n;
            if self.waiting() > 0 {
                return Ok(step);
            }
            let rest = &raw[step.read..];
            if rest.is_empty() && self.has_done(then) {
                return Ok(Step { done: true, ..step });
            }
            step.read += self.advance(rest, then)?;
        }
    }

    /// Whether nothing is left to do once all bytes have been taken.
    fn has_done(&self, then: Then) -> bool {
        match then {
            Then::Continue => true,
            Then::Flush => !self.unflushed,
            Then::Finish => self.encoder.is_none(),
        }
    }

    /// Takes some bytes or, where there are none, does what is asked for. Nothing may be waiting.
    fn advance(&mut self, raw: &[u8], then: Then) -> Result<usize> {
        self.ready.clear();
        self.given = 0;
        let Some(encoder) = &mut self.encoder else {
            return Err(Error::bad_argument("bytes after the end of the stream"));
        };
        if raw.is_empty() && then == Then::Finish {
            let finished = self.encoder.take().map_or(Ok(Vec::new()), Writing::finish);
            self.ready = finished?;
            return Ok(0);
        }
        let taken = if raw.is_empty() {
            encoder.flush()?;
            0
        } else {
            encoder.write(raw)?
        };
        self.unflushed = taken > 0;
        std::mem::swap(&mut self.ready, encoder.get_mut());
        Ok(taken)
    }
}

impl fmt::Debug for Encoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encoder").field("encoder", &self.encoder).finish_non_exhaustive()
    }
}

/// Decompresses one stream from buffers into buffers. A block is decoded once all of it has arrived, and held
/// until there is room: no more than the memory cap allows.
///
/// ```
/// use nzip::buffers::Decoder;
/// let mut packed = nzip::compress(b"between buffers", 1)?;
/// packed.extend(b"behind");
/// let mut decoder = Decoder::new(nzip::DecodeOptions::new());
/// let (mut raw, mut room, mut at) = (Vec::new(), [0; 4], 0);
/// loop {
///     let piece = &packed[at..packed.len().min(at + 5)];
///     let step = decoder.step(piece, &mut room)?;
///     at += step.read;
///     raw.extend_from_slice(&room[..step.written]);
///     if step.done {
///         break;
///     }
///     assert!(step.read + step.written > 0, "the stream is truncated");
/// }
/// assert_eq!(raw, b"between buffers");
/// assert_eq!(&packed[at..], b"behind");
/// # Ok::<(), nzip::Error>(())
/// ```
#[derive(Debug)]
pub struct Decoder {
    arriving: Arriving,
    error: Option<Error>,
}

impl Decoder {
    /// A decoder of one stream.
    pub fn new(options: DecodeOptions) -> Self {
        let pool = Pool::new(options.resources.threads);
        Self::build(options, pool)
    }

    pub(super) fn build(options: DecodeOptions, pool: Pool) -> Self {
        Self { arriving: Arriving::build(options, pool).one_stream(), error: None }
    }

    /// Takes bytes of `packed` and puts raw bytes into `out`, until one of them is used up or the stream has
    /// ended. Where everything was taken, there was room left, and the stream has not ended, it is truncated
    /// unless more bytes follow.
    ///
    /// # Errors
    ///
    /// Those of [`crate::Decoder`], after everything before the place where the error lies has been put out: see
    /// [`Decoder::has_failed`]. After an error, each call returns it again.
    pub fn step(&mut self, packed: &[u8], out: &mut [u8]) -> Result<Step> {
        if let Some(e) = &self.error {
            return Err(e.again());
        }
        let mut step = Step::default();
        match self.steps(packed, out, &mut step) {
            Ok(()) => Ok(step),
            Err(e) => {
                self.error = Some(e.again());
                if step.written > 0 { Ok(step) } else { Err(e) }
            }
        }
    }

    /// Whether the next step returns an error, whatever it is given. The last bytes before the error have been
    /// put out.
    pub fn has_failed(&self) -> bool {
        self.error.is_some()
    }

    fn steps(&mut self, packed: &[u8], out: &mut [u8], step: &mut Step) -> Result<()> {
        loop {
            match self.arriving.decoded()? {
                Some([]) => {
                    step.done = true;
                    return Ok(());
                }
                Some(bytes) => {
                    let n = put(bytes, &mut out[step.written..]);
                    if n == 0 {
                        return Ok(());
                    }
                    self.arriving.consume(n);
                    step.written += n;
                }
                None if step.read == packed.len() => return Ok(()),
                None => step.read += self.arriving.take(&packed[step.read..])?,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;
    use crate::random::SplitMix;

    fn text(len: usize) -> Vec<u8> {
        let mut random = SplitMix(7);
        let words = ["nine ", "ways ", "to ", "say ", "it\n"];
        let mut text = Vec::new();
        while text.len() < len {
            text.extend_from_slice(words[random.next_u32() as usize % words.len()].as_bytes());
        }
        text
    }

    fn encode(raw: &[u8], pieces: usize, room: usize, flush: bool) -> Vec<u8> {
        let mut encoder = Encoder::new(Options::new().level(1).threads(1)).unwrap();
        let (mut out, mut packed) = (vec![0; room], Vec::new());
        let mut all = |piece: &[u8], then| {
            let mut at = 0;
            loop {
                let step = encoder.step(&piece[at..], &mut out, then).unwrap();
                at += step.read;
                packed.extend_from_slice(&out[..step.written]);
                if step.done {
                    return assert_eq!(at, piece.len());
                }
                assert_eq!(step.written, out.len(), "only missing room stops a step");
            }
        };
        raw.chunks(pieces).for_each(|p| all(p, if flush { Then::Flush } else { Then::Continue }));
        all(&[], Then::Finish);
        all(&[], Then::Finish);
        packed
    }

    /// The raw bytes, how many bytes were read, and the error if there was one.
    fn decode(packed: &[u8], pieces: usize, room: usize) -> (Vec<u8>, usize, Option<Error>) {
        let mut decoder = Decoder::new(DecodeOptions::new().threads(1));
        let (mut out, mut raw, mut at) = (vec![0; room], Vec::new(), 0);
        loop {
            let step = match decoder.step(&packed[at..packed.len().min(at + pieces)], &mut out) {
                Ok(step) => step,
                Err(e) => {
                    assert_eq!(decoder.step(&[], &mut out).unwrap_err().to_string(), e.to_string());
                    return (raw, at, Some(e));
                }
            };
            at += step.read;
            raw.extend_from_slice(&out[..step.written]);
            if step.done || step.read + step.written == 0 {
                return (raw, at, None);
            }
        }
    }

    #[test]
    fn sizes_of_buffers_do_not_matter() {
        let raw = text(20_000);
        let packed = encode(&raw, usize::MAX, 1 << 20, false);
        assert_eq!(packed, crate::compress_with(&raw, Options::new().level(1)).unwrap());
        for (pieces, room) in [(1, 100), (7, 1), (5000, 3)] {
            assert_eq!(encode(&raw, pieces, room, false), packed);
            let flushed = encode(&raw, pieces.max(4000), room, true);
            assert!(flushed.len() > packed.len());
            for packed in [&packed, &flushed] {
                assert_eq!(decode(packed, pieces, room).0, raw);
            }
        }
        let empty = encode(&[], 1, 1, false);
        let (raw, read, error) = decode(&empty, 1, 1);
        assert!(raw.is_empty() && read == empty.len() && error.is_none());
    }

    #[test]
    fn what_stands_behind_is_left_and_what_is_missing_is_seen() {
        let raw = text(5000);
        let packed = encode(&raw, 5000, 5000, false);
        let more = [&packed[..], b"more"].concat();
        let (all, read, error) = decode(&more, 100, 100);
        assert!(all == raw && read == packed.len() && error.is_none());
        for len in 0..packed.len() {
            let (part, read, error) = decode(&packed[..len], 64, 999);
            assert!(raw.starts_with(&part) && read == len && error.is_none(), "{len}");
        }
        let mut bad = packed;
        let middle = bad.len() / 2;
        bad[middle] ^= 1;
        let (part, _, error) = decode(&bad, 1000, 10);
        assert!(raw.starts_with(&part) && error.is_some());
        // An error behind bytes that are put out is seen without another byte.
        let late = [&encode(&raw, 5000, 5000, true)[..], &[0x77; 20]].concat();
        let cut = late.len() - 20 - 6;
        let bad = [&late[..cut], &late[late.len() - 20..]].concat();
        let mut decoder = Decoder::new(DecodeOptions::new().threads(1));
        let step = decoder.step(&bad, &mut vec![0; 9000]).unwrap();
        assert!(step.written == raw.len() && !step.done && decoder.has_failed());
        assert!(decoder.step(&[], &mut []).is_err());
    }

    #[test]
    fn nothing_follows_the_end() {
        let mut encoder = Encoder::new(Options::new().level(1)).unwrap();
        assert!(encoder.step(&[], &mut [0; 100], Then::Finish).unwrap().done);
        let e = encoder.step(b"x", &mut [0; 100], Then::Continue).unwrap_err();
        assert_eq!(e.kind(), ErrorKind::BadArgument);
    }

    #[test]
    fn a_block_is_held_until_there_is_room() {
        let raw = vec![0; 40 << 20];
        let packed = crate::compress(&raw, 1).unwrap();
        assert!(packed.len() < 100_000);
        let mut decoder = Decoder::new(DecodeOptions::new().threads(1).memory(64 << 20));
        let mut out = vec![1; 1000];
        let step = decoder.step(&packed, &mut out).unwrap();
        assert!(step.written == 1000 && !step.done && out == [0; 1000]);
    }
}
