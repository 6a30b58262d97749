//! Codes the header of a block with codes of its own, as its difference from the header that zlib would
//! write.

use super::adaptive::{Bit, Coder, Number};
use super::codes::{Counts, DISTS, END, Item, LITLEN, ORDER};
use super::inflate::Tree;
use super::zlib;
use crate::error::{Error, Result};

/// Models of headers.
#[derive(Clone)]
pub struct TreeModels {
    expected: Bit,
    trimmed: [Bit; 3],
    ends: [Number; 2],
    /// The models of code lengths, by table (litlen, dist), by where the expectation comes from (counts, the
    /// block before), and by the expected length.
    lens: [[[[Bit; 16]; 17]; 2]; 2],
    items_expected: Bit,
    repeats: [[Bit; 16]; 2],
    spans: [Number; 2],
    long: Bit,
    item_lens_expected: Bit,
    item_lens: [[Bit; 8]; 8],
    given: Number,
}

impl Default for TreeModels {
    fn default() -> Self {
        let bit = Bit::default();
        Self {
            expected: bit,
            trimmed: [bit; 3],
            ends: Default::default(),
            lens: [[[[bit; 16]; 17]; 2]; 2],
            items_expected: bit,
            repeats: [[bit; 16]; 2],
            spans: Default::default(),
            long: bit,
            item_lens_expected: bit,
            item_lens: [[bit; 8]; 8],
            given: Number::default(),
        }
    }
}

/// The code lengths that a block is expected to have.
pub struct Expected {
    pub litlen: Vec<u8>,
    pub dist: Vec<u8>,
    /// Whether they are derived from the block's own counts.
    pub counted: bool,
}

impl Expected {
    /// The code lengths that zlib would give a block with these counts.
    pub fn of(counts: &Counts) -> Self {
        let (litlen, dist) = (zlib::lengths(&counts.litlen, 15), zlib::lengths(&counts.dist, 15));
        Self { litlen, dist, counted: true }
    }
}

/// The number of code lengths without the zeros at the end, but at least `least`.
fn trim(lens: &[u8], least: usize) -> usize {
    lens.iter().rposition(|&l| l > 0).map_or(least, |i| (i + 1).max(least))
}

/// Codes a header. `given` is the header to encode; `None` in decoding.
///
/// # Errors
///
/// [`crate::ErrorKind::Corrupt`] for headers that no stream has.
pub fn tree<C: Coder>(
    c: &mut C,
    m: &mut TreeModels,
    expected: &Expected,
    given: Option<&Tree>,
) -> Result<Tree> {
    let (litlen, dist) = lengths(c, m, expected, given)?;
    let items = items(c, m, &litlen, &dist, given)?;
    let mut counts = [0u32; 19];
    items.iter().for_each(|item| counts[usize::from(item.symbol)] += 1);
    let mut item_lens = [0u8; 19];
    item_lens.copy_from_slice(&zlib::lengths(&counts, 7));
    let same = given.is_some_and(|t| t.item_lens == item_lens);
    if !c.flag(&mut m.item_lens_expected, same) {
        for (i, len) in item_lens.iter_mut().enumerate() {
            let value = given.map_or(0, |t| t.item_lens[i].into());
            *len = c.tree(&mut m.item_lens[usize::from(*len)], 3, value) as u8;
        }
    }
    let least = ORDER.iter().rposition(|&i| item_lens[i] > 0).map_or(4, |i| (i + 1).max(4));
    let mut all = least;
    if !c.flag(&mut m.trimmed[2], given.is_some_and(|t| t.given == least)) {
        all = 4 + c.number(&mut m.given, given.map_or(0, |t| t.given as u32 - 4)) as usize;
    }
    if !(least..=19).contains(&all) || items.iter().any(|i| item_lens[usize::from(i.symbol)] == 0) {
        return Err(Error::corrupt("a deflate header without codes for its items"));
    }
    c.check()?;
    Ok(Tree { litlen, dist, items, item_lens, given: all })
}

fn lengths<C: Coder>(
    c: &mut C,
    m: &mut TreeModels,
    expected: &Expected,
    given: Option<&Tree>,
) -> Result<(Vec<u8>, Vec<u8>)> {
    if expected.counted {
        let litlen = &expected.litlen[..trim(&expected.litlen, 257)];
        let dist = &expected.dist[..trim(&expected.dist, 1)];
        let same = given.is_some_and(|t| t.litlen == litlen && t.dist == dist);
        if c.flag(&mut m.expected, same) {
            return Ok((litlen.to_vec(), dist.to_vec()));
        }
    }
    let mut code = |which: usize, least: usize, most: usize| -> Result<Vec<u8>> {
        let like = if which == 0 { &expected.litlen } else { &expected.dist };
        let given = given.map(|t| if which == 0 { &t.litlen } else { &t.dist });
        let value = given.map_or(0, |g| (g.len() - least) as u32);
        let len = least + c.number(&mut m.ends[which], value) as usize;
        if len > most {
            return Err(Error::corrupt("a deflate header with too many codes"));
        }
        let models = &mut m.lens[which][usize::from(expected.counted)];
        let lens = (0..len).map(|i| {
            let context = like.get(i).map_or(16, |&l| usize::from(l));
            let context = if i == END { 16 } else { context };
            c.tree(&mut models[context], 4, given.map_or(0, |g| g[i].into())) as u8
        });
        Ok(lens.collect())
    };
    let litlen = code(0, 257, LITLEN)?;
    let dist = code(1, 1, DISTS)?;
    if litlen[END] == 0 {
        return Err(Error::corrupt("a deflate block without a code for its end"));
    }
    Ok((litlen, dist))
}

fn items<C: Coder>(
    c: &mut C,
    m: &mut TreeModels,
    litlen: &[u8],
    dist: &[u8],
    given: Option<&Tree>,
) -> Result<Vec<Item>> {
    let mut expected = Vec::new();
    zlib::items(litlen, &mut expected);
    zlib::items(dist, &mut expected);
    if c.flag(&mut m.items_expected, given.is_some_and(|t| t.items == expected)) {
        return Ok(expected);
    }
    let lens = [litlen, dist].concat();
    let mut given = given.map(|t| t.items.iter());
    let (mut items, mut at) = (Vec::new(), 0);
    while at < lens.len() {
        let len = lens[at];
        let run = lens[at..].iter().take_while(|l| **l == len).count();
        let repeats = at > 0 && lens[at - 1] == len;
        let zero = usize::from(len == 0);
        let item = given.as_mut().and_then(Iterator::next).copied();
        let mut symbol = len;
        // Whether a run is written as one item, and with which symbol.
        let may = run >= 3 && (len == 0 || repeats);
        if may && c.flag(&mut m.repeats[zero][run.min(15)], item.is_some_and(|i| i.symbol > 15)) {
            symbol = if len > 0 { 16 } else { 17 };
            if len == 0 && repeats && c.flag(&mut m.long, item.is_some_and(|i| i.symbol == 16)) {
                symbol = 16;
            }
        }
        let mut out = Item { symbol, extra: 0 };
        if symbol > 15 {
            let span = item.map_or(3, Item::span) as u32;
            let most = if symbol == 16 { 6 } else { 138 };
            // How much shorter than the longest possible item this one is.
            let top = run.min(most) as u32;
            let short = c.number(&mut m.spans[zero], top.wrapping_sub(span));
            let span = top.checked_sub(short).filter(|s| *s >= 3);
            let span = span.ok_or_else(|| Error::corrupt("an item of a deflate header that is too short"))?;
            out = match (symbol, span) {
                (16, n) => Item { symbol: 16, extra: n as u8 - 3 },
                (_, n @ ..=10) => Item { symbol: 17, extra: n as u8 - 3 },
                (_, n) => Item { symbol: 18, extra: n as u8 - 11 },
            };
        }
        at += out.span();
        items.push(out);
    }
    Ok(items)
}
