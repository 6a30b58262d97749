//! Learned starting points: phrases that prime the bit histories, and the state a trained predictor had.

use std::sync::LazyLock;

use super::context::{Kind, MAX_CONTEXTS};
use super::matcher::COUNTERS;
use super::mixer::{FAMILIES, FINALS, LANES, Row, Short, VECTORS, WIDTH};

/// Selectors of each set family.
pub const SIZES: [usize; FAMILIES] = [256, 256, 384, 256, 2048];
/// Values of a row.
const INPUTS: usize = LANES * VECTORS;
/// 16-bit values of one kind's learned state, in this order.
const MAPS: usize = MAX_CONTEXTS * 256;
const VALUES: usize = MAPS + 2 * COUNTERS + rows() * INPUTS + FINALS * WIDTH;

const fn rows() -> usize {
    let (mut sum, mut i) = (0, 0);
    while i < FAMILIES {
        sum += SIZES[i];
        i += 1;
    }
    sum
}

/// What a kind of data starts from.
#[derive(Clone)]
pub struct Priors {
    /// 22-bit probabilities by context and state.
    pub maps: Vec<u32>,
    /// Counters of the two match models.
    pub counters: Vec<u32>,
    /// First-layer weights of all families, row after row.
    pub rows: Vec<Row>,
    /// Second-layer weights.
    pub finals: Vec<Short>,
}

impl Priors {
    /// Reads little-endian 16-bit values: maps and counters as the high 16 bits of their probabilities.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let (values, rest) = bytes.as_chunks::<2>();
        if values.len() != VALUES || !rest.is_empty() {
            return None;
        }
        let (maps, values) = values.split_at(MAPS);
        let (counters, values) = values.split_at(2 * COUNTERS);
        let (rows, finals) = values.split_at(rows() * INPUTS);
        let wide = |v: &[u8; 2]| u32::from(u16::from_le_bytes(*v));
        let row = |v: &[[u8; 2]]| {
            Row(std::array::from_fn(|i| std::array::from_fn(|j| i16::from_le_bytes(v[LANES * i + j]))))
        };
        Some(Self {
            maps: maps.iter().map(|v| wide(v) << 6).collect(),
            counters: counters.iter().map(|v| wide(v) << 16 | 100).collect(),
            rows: rows.chunks_exact(INPUTS).map(row).collect(),
            finals: finals
                .chunks_exact(WIDTH)
                .map(|v| Short(std::array::from_fn(|i| i16::from_le_bytes(v[i]))))
                .collect(),
        })
    }

    /// Gives all columns of records the mean of what the first `period` ones have learned: records of other files
    /// have other columns.
    pub fn level_columns(&mut self, period: usize) {
        let columns = SIZES[FAMILIES - 1] / 8;
        let used = period.clamp(1, columns);
        let mean =
            |values: &mut dyn Iterator<Item = i16>| (values.map(i32::from).sum::<i32>() / used as i32) as i16;
        let start = self.rows.len() - SIZES[FAMILIES - 1];
        let rows = &mut self.rows[start..];
        for bit in 0..8 {
            let mut row = Row::splat(0);
            for (i, w) in row.0.as_flattened_mut().iter_mut().enumerate() {
                *w = mean(&mut (0..used).map(|s| rows[s * 8 + bit].0.as_flattened()[i]));
            }
            (0..columns).for_each(|s| rows[s * 8 + bit] = row);
        }
        let row = std::array::from_fn(|i| mean(&mut self.finals[..used].iter().map(|row| row.0[i])));
        self.finals[..columns].fill(Short(row));
    }

    /// The bytes that [`Priors::parse`] reads. Weights are rounded to multiples of 64: so the files stay small.
    pub fn to_bytes(&self) -> Vec<u8> {
        let round = |w: i16| (w.saturating_add(32) & !63) as u16;
        let maps = self.maps.iter().map(|&p| (p >> 6) as u16);
        let counters = self.counters.iter().map(|&c| (c >> 16) as u16);
        let rows = self.rows.iter().flat_map(|r| r.0.as_flattened()).map(|&w| round(w));
        let finals = self.finals.iter().flat_map(|r| r.0).map(round);
        maps.chain(counters).chain(rows).chain(finals).flat_map(u16::to_le_bytes).collect()
    }
}

/// What a file that ships in the binary holds; a test unpacks all of them.
fn unpack(packed: &[u8], size: usize) -> Vec<u8> {
    zstd::bulk::decompress(packed, size).expect("shipped priors unpack")
}

fn learned(packed: &[u8]) -> Priors {
    Priors::parse(&unpack(packed, 2 * VALUES)).expect("shipped priors have their size")
}

/// Priors of guided text with the hash of the model they were learned with.
fn guided(packed: &[u8]) -> ([u8; 32], Priors) {
    let bytes = unpack(packed, 32 + 2 * VALUES);
    let parts = bytes.split_first_chunk::<32>();
    let parts = parts.and_then(|(hash, rest)| Some((*hash, Priors::parse(rest)?)));
    parts.expect("shipped priors have their size")
}

static TEXT: LazyLock<Priors> = LazyLock::new(|| learned(include_bytes!("../../../models/mix/text.zst")));
static BINARY: LazyLock<Priors> = LazyLock::new(|| learned(include_bytes!("../../../models/mix/binary.zst")));
static CODE: LazyLock<Priors> = LazyLock::new(|| learned(include_bytes!("../../../models/mix/code.zst")));
static RECORDS: LazyLock<Priors> =
    LazyLock::new(|| learned(include_bytes!("../../../models/mix/records.zst")));
static PHRASES: LazyLock<Vec<u8>> =
    LazyLock::new(|| unpack(include_bytes!("../../../models/mix/phrases.zst"), 1 << 20));
static GUIDED: LazyLock<[([u8; 32], Priors); 2]> = LazyLock::new(|| {
    [
        guided(include_bytes!("../../../models/mix/guided-tiny.zst")),
        guided(include_bytes!("../../../models/mix/guided-base.zst")),
    ]
});

/// The learned state that a kind starts from; samples have none.
pub fn for_kind(kind: Kind) -> Option<&'static Priors> {
    match kind {
        Kind::Text => Some(&TEXT),
        Kind::Binary => Some(&BINARY),
        Kind::Code => Some(&CODE),
        Kind::Records { .. } => Some(&RECORDS),
        Kind::Bytes { .. } | Kind::Words { .. } => None,
    }
}

/// The learned state that text starts from when the model with this hash guides it, if there is one.
pub fn for_guide(hash: &[u8; 32]) -> Option<&'static Priors> {
    GUIDED.iter().find(|(known, _)| known == hash).map(|(_, priors)| priors)
}

/// Phrases for priming text, each ended by a zero byte, at most `limit` bytes of the commonest.
pub fn phrases(limit: usize) -> &'static [u8] {
    let all = &PHRASES[..];
    let cut = all.len().saturating_sub(limit);
    match all[..cut].iter().rposition(|&b| b == 0) {
        Some(end) => &all[end + 1..],
        None => all,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shipped_priors_unpack() {
        for kind in [Kind::Text, Kind::Binary, Kind::Code, Kind::Records { period: 2 }] {
            assert!(for_kind(kind).is_some());
        }
        assert!(for_guide(&[0; 32]).is_none() && GUIDED[0].0 != GUIDED[1].0);
        assert!(phrases(usize::MAX).len() > 1000);
    }
}
