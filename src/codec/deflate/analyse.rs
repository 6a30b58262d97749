//! Finds the method that explains a stream best.

use super::adaptive::Writing;
use super::chains::Chains;
use super::inflate::{Kind, Parsed};
use super::method::{DEFAULT, Method};
use super::models::Models;
use super::output::Output;
use super::record::{State, stream};
use super::search::{Search, Settings};
use super::work::Work;
use crate::coder::binary::BinaryEncoder;

/// The number of tokens that trials look at.
const FIRST: usize = 2_000;
const MORE: usize = 20_000;

/// The parameters `good`, `lazy`, `nice` and `chain` of zlib's levels, the common levels first, and whether a
/// level searches fast.
const LEVELS: [(bool, [u32; 4]); 9] = [
    (false, [8, 16, 128, 128]),
    (false, [32, 258, 258, 4096]),
    (true, [4, 4, 8, 4]),
    (false, [32, 128, 258, 1024]),
    (false, [8, 16, 32, 32]),
    (false, [8, 32, 128, 256]),
    (false, [4, 4, 16, 16]),
    (true, [4, 6, 32, 32]),
    (true, [4, 5, 16, 8]),
];

/// The number of wrong expectations among the first `tokens` tokens with these settings.
fn wrong(s: &Parsed, settings: Settings, chains: &mut Chains, tokens: usize, most: usize) -> usize {
    let mut work = Work::new(s.raw.len());
    let mut search = Search::new(&s.raw, settings);
    let (mut wrong, mut seen) = (0, 0);
    chains.restart();
    for block in &s.blocks {
        let mut at = block.raw.start;
        for &token in &s.tokens[block.tokens.clone()] {
            let (expected, _) = search.predict(chains, at, &mut work);
            wrong += usize::from(expected != token);
            seen += 1;
            if seen >= tokens || wrong > most {
                return wrong;
            }
            search.pass(chains, at, token);
            at += token.span();
        }
    }
    wrong
}

/// The settings of zlib that explain the stream's first tokens best, with the number of tokens that they get
/// wrong and the number looked at.
pub fn settings(s: &Parsed, last: Option<Settings>, chains: &mut Chains) -> (Settings, usize, usize) {
    let farthest = s.tokens.iter().map(|t| t.dist()).max().unwrap_or(0);
    let far = if farthest > 32506 { 32768 } else { 32506 };
    let dynamic = s.blocks.iter().any(|b| !matches!(b.kind, Kind::Stored { .. }));
    let (first, more) = (FIRST.min(s.tokens.len()), MORE.min(s.tokens.len()));
    if !dynamic || first == 0 {
        return (last.unwrap_or(DEFAULT), 0, 0);
    }
    let long_blocks = s.blocks[0].tokens.len() > 16383;
    let mut tried: Vec<(usize, Settings)> = Vec::new();
    let mut candidates: Vec<Settings> = last.into_iter().collect();
    for hash_bits in if long_blocks { [16, 15] } else { [15, 16] } {
        for least in [3, 6] {
            for (fast, [good, lazy, nice, chain]) in LEVELS {
                let near = if fast { 32768 } else { 4096 };
                candidates.push(Settings { fast, good, lazy, nice, chain, least, near, far, hash_bits });
            }
        }
    }
    let mut best = usize::MAX;
    for settings in candidates {
        if tried.iter().any(|t| t.1 == settings) {
            continue;
        }
        let count = wrong(s, settings, chains, first, best.saturating_add(best / 2).saturating_add(4));
        best = best.min(count);
        tried.push((count, settings));
        // Settings that are never wrong need not be compared with others.
        if count == 0 && wrong(s, settings, chains, more, 0) == 0 {
            return (settings, 0, more);
        }
    }
    tried.sort_by_key(|t| t.0);
    let mut result = (DEFAULT, usize::MAX, 1);
    for &(count, settings) in tried.iter().take(8) {
        if count > best + best / 2 + 4 {
            break;
        }
        let count = wrong(s, settings, chains, more, result.1);
        if count < result.1 {
            result = (settings, count, more);
            if count == 0 {
                break;
            }
        }
    }
    result
}

/// The bytes that the record of a stream takes with these models; `None` where the method takes too many
/// steps.
pub fn cost_with(models: &Models, s: &Parsed, method: Method) -> Option<usize> {
    let mut c = Writing(BinaryEncoder::new(Vec::new()));
    let (mut models, mut state) = (models.clone(), State::new());
    stream(&mut c, &mut models, &mut state, &s.raw, Some((s, method)), &mut Output::default()).ok()?;
    Some(c.0.finish().len())
}
