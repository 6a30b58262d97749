//! Short contents: coded at the levels below, too, so that none becomes larger at a higher level.

use super::coder::{Coder, Finished};
use super::plan::plan;
use crate::codec::Codec;
use crate::error::{Error, ErrorKind, Result};
use crate::progress::Progress;
use crate::stream::options::{CodecChoice, Options, SHORT_CONTENT};
use crate::tensor::Layout;
use std::io::Write;

/// The level of `light`, from which on the quickest form of `mix` is tried for such content, too: starting takes most
/// of its time, and what it starts from says much about a short content.
const LIGHT: u8 = 5;

impl Coder {
    /// Whether the content, of which `len` bytes make up all, is coded by [`Coder::finish_short`].
    pub(super) fn is_short(&self, len: u64) -> bool {
        let automatic = self.plan.only.is_none() && self.plan.windowed.is_none();
        // A content that fills a chunk may have been coded before its end was known.
        let most = SHORT_CONTENT.min(self.chunk as u64 - 1);
        automatic && !self.alone && self.out.written == 0 && self.coded == 0 && (1..=most).contains(&len)
    }

    /// Codes all of a short content at each level up to its own, and writes the smallest stream, the first of equal
    /// ones.
    pub(super) fn finish_short(mut self, raw: &[u8], to: &mut dyn Write) -> Result<Finished> {
        let work = self.options.resources.progress.clone();
        let work = work.work(raw.len() as u64);
        let mut best: Option<(Vec<u8>, Finished)> = None;
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
            if best.as_ref().is_none_or(|b| packed.0.len() < b.0.len()) {
                best = Some(packed);
            }
        }
        work.finish();
        let none = || Error::bad_argument("a content that no codec takes");
        let (bytes, finished) = best.ok_or_else(none)?;
        self.out.write(&bytes, to)?;
        to.flush()?;
        Ok(finished)
    }

    fn packed(&self, raw: &[u8], options: Options) -> Result<(Vec<u8>, Finished)> {
        let plan = plan(&options)?;
        let mut coder = Coder::build(options, plan, self.pool.clone());
        coder.alone = true;
        let mut bytes = Vec::new();
        let finished = coder.finish_content(&raw, &mut bytes)?;
        Ok((bytes, finished))
    }

    /// The options that are tried, from the lowest level up.
    fn ways(&self, raw: &[u8]) -> Vec<Options> {
        let own = self.options.level;
        let mut resources = self.options.resources.clone();
        resources.progress = Progress::new();
        let at =
            |level, codec| Options { level, codec, resources: resources.clone(), ..self.options.clone() };
        let described = self.options.described.is_some();
        let tensors = described || Layout::read(raw).is_ok();
        // The own level tries all that these do, with the same floor.
        let spared = |level| level < own && level <= LIGHT && !tensors && self.plan.covers(level, raw.len());
        let levels = (1..=own).filter(|level| !spared(*level));
        let mut ways: Vec<Options> = levels.map(|level| at(level, CodecChoice::Auto)).collect();
        if own >= LIGHT && !described {
            ways.push(at(LIGHT, CodecChoice::Only(Codec::Mix)));
        }
        ways
    }
}
