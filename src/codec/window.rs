//! What windowed codecs have in common.

use super::layout::{Arrangement, Layout};
use crate::error::Result;
use crate::format::block::{Units, Window};
use crate::format::checksum::check32;

/// Where an encoder ends a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowLimits {
    /// W: payload bytes of a window, a multiple of 4.
    pub payload: usize,
    /// R: most raw bytes of a window.
    pub raw: usize,
}

/// One window as its codec leaves it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodedWindow {
    /// Raw bytes that it holds.
    pub raw_len: usize,
    /// The shortest string that decodes, at most W bytes; bits past its end read as zero.
    pub payload: Vec<u8>,
}

impl EncodedWindow {
    /// Appends the zeros that a run of near-certain bytes may need to stay within [`max_window_raw`]: past the
    /// payload's end they decode the same.
    pub fn pad(&mut self) {
        let least = min_window_payload(self.raw_len);
        self.payload.resize(self.payload.len().max(least), 0);
    }
}

/// One window to decode.
#[derive(Debug)]
pub struct WindowJob<'a> {
    /// Payload bytes; what lies past them reads as zero.
    pub payload: &'a [u8],
    /// Where the raw bytes go, as long as the stored raw length.
    pub raw: &'a mut [u8],
}

/// A block to decode whose windows follow one another.
#[derive(Debug)]
pub struct ChainJob<'a> {
    /// The block's parameters.
    pub params: &'a [u8],
    /// Its windows from the first one on.
    pub windows: Vec<WindowJob<'a>>,
}

/// A codec whose blocks are made of windows, joined to its model.
pub trait WindowCoder: Send + Sync {
    /// Codes blocks; one window of each steps together.
    fn encode_blocks(&self, blocks: &[&[u8]], limits: WindowLimits) -> Result<Vec<Vec<EncodedWindow>>>;

    /// Decodes windows, all of them together. Damaged payloads may give any bytes.
    fn decode_windows(&self, jobs: &mut [WindowJob<'_>]) -> Result<()>;

    /// What decodes the same windows in another way, should this one go wrong without noticing.
    fn fallback(&self) -> Option<&dyn WindowCoder> {
        None
    }

    /// Codes blocks whose windows follow one another, which are smaller where the codec has such; also gives their
    /// parameters.
    fn encode_chains(
        &self,
        _blocks: &[&[u8]],
        _limits: WindowLimits,
    ) -> Result<(Vec<u8>, Vec<Vec<EncodedWindow>>)> {
        Err(super::newer("chained windows"))
    }

    /// Decodes blocks whose windows follow one another, all of them together.
    fn decode_chains(&self, _jobs: &mut [ChainJob<'_>]) -> Result<()> {
        Err(super::newer("chained windows"))
    }

    /// Variables of a record. 1 for codecs of any bytes.
    fn record(&self) -> usize {
        1
    }

    /// Where records lie in a file that starts so, if that is told.
    fn layout(&self, _head: &[u8]) -> Option<Layout> {
        None
    }

    /// Codes blocks whose records do not lie byte after byte.
    fn encode_records(
        &self,
        _arrangement: &Arrangement,
        _blocks: &[&[u8]],
        _limits: WindowLimits,
    ) -> Result<Vec<Vec<EncodedWindow>>> {
        Err(super::newer("arrangements of records"))
    }

    /// Decodes windows of blocks whose parameters say how records lie.
    fn decode_records(&self, _params: &[u8], _jobs: &mut [WindowJob<'_>]) -> Result<()> {
        Err(super::newer("arrangements of records"))
    }
}

/// Raw bytes that a window may hold for each stored byte, and stored bytes that it need not have for that.
const RAW_PER_BYTE: usize = 2048;
const FREE_BYTES: usize = 32;

/// Most raw bytes that a window of `payload_len` stored bytes may hold. A rule of the format that bounds
/// the work of a reader; a codec may cost less (`lm`: down to 0.0007 bits a byte), see [`EncodedWindow::pad`].
pub fn max_window_raw(payload_len: usize) -> usize {
    RAW_PER_BYTE * (payload_len + FREE_BYTES)
}

/// Fewest stored bytes with which a window may hold `raw_len` raw bytes; the inverse of [`max_window_raw`].
fn min_window_payload(raw_len: usize) -> usize {
    raw_len.div_ceil(RAW_PER_BYTE).saturating_sub(FREE_BYTES)
}

/// Lays windows out as a payload and its table: equal-info, or `sized` where padding costs over 0.5 %. W is what the
/// longest one needs, if that is more than it should be.
pub fn assemble(
    raw: &[u8],
    mut windows: Vec<EncodedWindow>,
    mut limits: WindowLimits,
    chained: bool,
) -> (Units, Vec<u8>) {
    windows.iter_mut().for_each(EncodedWindow::pad);
    let longest = windows.iter().map(|w| w.payload.len()).max().unwrap_or(0);
    limits.payload = limits.payload.max(longest.next_multiple_of(4));
    let used: usize = windows.iter().map(|w| w.payload.len()).sum();
    let last = windows.last().map_or(0, |w| w.payload.len());
    let equal = windows.len().saturating_sub(1) * limits.payload + last;
    let sized = equal - used > used / 200;
    let count = windows.len();
    let (mut payload, mut table, mut start) = (Vec::with_capacity(equal), Vec::with_capacity(count), 0);
    for (i, w) in windows.into_iter().enumerate() {
        let at = payload.len();
        payload.extend_from_slice(&w.payload);
        if !sized && i + 1 < count {
            payload.resize(at + limits.payload, 0);
        }
        table.push(Window {
            raw_len: w.raw_len as u32,
            payload_len: (payload.len() - at) as u32,
            check: check32(&raw[start..start + w.raw_len]),
        });
        start += w.raw_len;
    }
    (Units::Windows { payload: limits.payload as u32, sized, chained, windows: table }, payload)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(raw_len: usize, len: usize) -> EncodedWindow {
        EncodedWindow { raw_len, payload: vec![7; len] }
    }

    #[test]
    fn sized_where_padding_costs() {
        let raw = vec![0; 3000];
        let limits = WindowLimits { payload: 1000, raw: 4096 };
        let (units, payload) =
            assemble(&raw, vec![window(1000, 999), window(1000, 1000), window(1000, 3)], limits, false);
        assert!(matches!(units, Units::Windows { sized: false, .. }));
        assert_eq!(payload.len(), 2003);
        assert_eq!(payload[999], 0);
        let (units, payload) = assemble(&raw, vec![window(1000, 900), window(2000, 1000)], limits, true);
        assert!(matches!(units, Units::Windows { sized: true, .. }));
        assert_eq!(payload.len(), 1900);
    }

    #[test]
    fn a_long_window_has_room() {
        let limits = WindowLimits { payload: 1000, raw: 4096 };
        let (units, payload) =
            assemble(&[0; 2000], vec![window(1000, 1998), window(1000, 2000)], limits, false);
        assert!(matches!(units, Units::Windows { payload: 2000, sized: false, .. }));
        assert_eq!(payload.len(), 4000);
    }

    #[test]
    fn the_bound_is_the_same_from_both_sides() {
        for raw_len in [0, 1, 65_535, 65_536, 65_537, 67_584, 67_585, 1 << 20] {
            let least = min_window_payload(raw_len);
            assert!(raw_len <= max_window_raw(least), "{raw_len}");
            assert!(least == 0 || raw_len > max_window_raw(least - 1), "{raw_len}");
        }
    }

    #[test]
    fn certain_bytes_stay_inside_the_bound() {
        let raw = vec![0; 1 << 20];
        let limits = WindowLimits { payload: 4096, raw: 1 << 20 };
        let (units, payload) = assemble(&raw, vec![window(1 << 20, 0)], limits, false);
        assert!(units.unit(0, 1 << 20).0 <= max_window_raw(payload.len()));
    }
}
