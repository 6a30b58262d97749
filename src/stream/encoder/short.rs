//! Short contents: coded at the levels below, too, so that none becomes larger at a higher level.

use super::{Encoder, plan};
use crate::codec::Codec;
use crate::error::{ErrorKind, Result};
use crate::progress::Progress;
use crate::stream::options::{CodecChoice, Options};
use crate::tensor::Layout;
use std::io::Write;

/// The longest content that is coded at several levels, in raw bytes: so short that it costs little time, and
/// that what a codec learns late or stores about itself may decide.
const SHORT: u64 = 16 << 10;
/// The first level that tries the quickest form of `mix` for such content: starting takes most of its time,
/// and what it starts from says much about a short content.
const QUICK_MIX: u8 = 5;

impl<W: Write> Encoder<W> {
    /// Whether the content, of which `len` bytes make up all, is coded by [`Encoder::finish_short`].
    pub(super) fn is_short(&self, len: u64) -> bool {
        let automatic = self.plan.only.is_none() && self.plan.windowed.is_none();
        // A content that fills a chunk may have been coded before its end was known.
        let most = SHORT.min(self.chunk as u64 - 1);
        automatic && !self.alone && self.out.written == 0 && self.coded == 0 && (1..=most).contains(&len)
    }

    /// Codes all of a short content at each level up to its own, and writes the smallest stream, of equal ones
    /// that of the lowest level.
    pub(super) fn finish_short(mut self, raw: &[u8]) -> Result<W> {
        let work = self.options.resources.progress.clone();
        let work = work.work(raw.len() as u64);
        let mut best: Option<Vec<u8>> = None;
        for options in self.ways(raw) {
            let forced = options.codec != CodecChoice::Auto;
            let packed = match self.packed(raw, options) {
                // Nobody has asked for this codec.
                Err(e)
                    if forced && matches!(e.kind(), ErrorKind::LimitExceeded | ErrorKind::MissingModel) =>
                {
                    continue;
                }
                packed => packed?,
            };
            if best.as_ref().is_none_or(|b| packed.len() < b.len()) {
                best = Some(packed);
            }
        }
        work.finish();
        self.out.write(&best.unwrap_or_default())?;
        self.out.writer.flush()?;
        Ok(self.out.writer)
    }

    fn packed(&self, raw: &[u8], options: Options) -> Result<Vec<u8>> {
        let plan = plan(&options)?;
        let mut encoder = Encoder::build(Vec::new(), options, plan, self.pool.clone());
        encoder.alone = true;
        encoder.finish_all(raw)
    }

    /// The options that are tried, from the lowest level up.
    fn ways(&self, raw: &[u8]) -> Vec<Options> {
        let own = self.options.level;
        let mut resources = self.options.resources.clone();
        resources.progress = Progress::new();
        let at =
            |level, codec| Options { level, codec, resources: resources.clone(), ..self.options.clone() };
        let mut ways: Vec<Options> = (1..=own).map(|level| at(level, CodecChoice::Auto)).collect();
        // A reader finds tensors without names only behind the codecs that need no time.
        let tensors = self.options.described.is_some() || Layout::read(raw).is_ok();
        if own >= QUICK_MIX && !tensors {
            ways.insert(usize::from(QUICK_MIX), at(QUICK_MIX, CodecChoice::Only(Codec::Mix)));
        }
        ways
    }
}
