//! Learned starting points: phrases that prime the bit histories, and the state a trained predictor had.

use std::sync::LazyLock;

use super::context::{Kind, MAX_CONTEXTS};
use super::matcher::COUNTERS;
use super::mixer::{FAMILIES, LANES, Row, Short, VECTORS, WIDTH};

/// Selectors of each set family.
pub const SIZES: [usize; FAMILIES] = [256, 256, 384, 256, 2048];
/// Selectors of the second layer.
pub const FINALS: usize = 256;
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
        let row = |v: &[[u8; 2]]| Row(std::array::from_fn(|i| std::array::from_fn(|j| i16::from_le_bytes(v[LANES * i + j]))));
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

    /// The bytes that [`Priors::parse`] reads.
    pub fn to_bytes(&self) -> Vec<u8> {
        let maps = self.maps.iter().map(|&p| (p >> 6) as u16);
        let counters = self.counters.iter().map(|&c| (c >> 16) as u16);
        let rows = self.rows.iter().flat_map(|r| r.0.as_flattened()).map(|&w| w as u16);
        let finals = self.finals.iter().flat_map(|r| r.0).map(|w| w as u16);
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

static TEXT: LazyLock<Priors> = LazyLock::new(|| learned(include_bytes!("../../../models/mix/text.zst")));
static GUIDED: LazyLock<Priors> = LazyLock::new(|| learned(include_bytes!("../../../models/mix/guided.zst")));
static BINARY: LazyLock<Priors> = LazyLock::new(|| learned(include_bytes!("../../../models/mix/binary.zst")));
static CODE: LazyLock<Priors> = LazyLock::new(|| learned(include_bytes!("../../../models/mix/code.zst")));
static PHRASES: LazyLock<Vec<u8>> =
    LazyLock::new(|| unpack(include_bytes!("../../../models/mix/phrases.zst"), 1 << 20));

/// The learned state that a kind starts from; records and samples have none.
pub fn for_kind(kind: Kind, guided: bool) -> Option<&'static Priors> {
    if std::env::var_os("UNTRAINED").is_some() { return None; }
    match kind {
        Kind::Text if guided => Some(&GUIDED),
        Kind::Text => Some(&TEXT),
        Kind::Binary => Some(&BINARY),
        Kind::Code => Some(&CODE),
        Kind::Records { .. } | Kind::Bytes { .. } | Kind::Words { .. } => None,
    }
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
        for kind in [Kind::Text, Kind::Binary, Kind::Code] {
            assert!(for_kind(kind, false).is_some());
        }
        assert!(for_kind(Kind::Text, true).is_some());
        assert!(phrases(usize::MAX).len() > 1000);
    }
}
