//! The block header with its unit table.

use super::consts::*;
use super::cursor::{Cursor, Parse, Parsed, in_range};
use super::{checksum, varint};
use crate::error::{Error, ErrorKind, Result};

/// One entry of a window table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Raw bytes that the window decodes to, 1..=[`MAX_WINDOW_RAW`].
    pub raw_len: u32,
    /// Payload bytes of the window; stored only where the table is `sized`.
    pub payload_len: u32,
    /// Check value of the raw bytes.
    pub check: u32,
}

/// One entry of a tile table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tile {
    /// Payload bytes of the tile.
    pub payload_len: u32,
    /// Check value of the raw bytes.
    pub check: u32,
}

/// The check units of a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Units {
    /// Units of 2^`log2` raw bytes each (the last may be shorter), decoded in order.
    Fixed {
        /// log2 of the unit's raw size.
        log2: u8,
        /// One check value per unit.
        checks: Vec<u32>,
    },
    /// Windows. Each can be decoded alone, unless they are chained.
    Windows {
        /// W, in bytes and a multiple of 4: the payload length of every window but the last, which may be
        /// shorter. If `sized`, the largest payload length of any window.
        payload: u32,
        /// Whether the table stores the payload length of each window.
        sized: bool,
        /// Whether decoding a window needs all windows of the block before it.
        chained: bool,
        /// The windows in order.
        windows: Vec<Window>,
    },
    /// Tiles of one raw size (the last may be shorter), each of which can be decoded alone.
    Tiles {
        /// Raw bytes of a tile, 1..=[`MAX_TILE_RAW`].
        raw: u32,
        /// The tiles in order.
        tiles: Vec<Tile>,
    },
}

/// The least bytes of an entry in a table of tiles, of windows, and of sized windows.
const TILE_LEAST: usize = 5;
const WINDOW_LEAST: usize = 5;
const SIZED_LEAST: usize = 6;

/// If the current entry lacks bytes, also asks for the least bytes that the `others` entries after it can
/// take. A header that is incomplete is parsed again from its start when more bytes have arrived: asking for
/// many bytes at once limits this to a few times, however the bytes arrive.
fn with_rest<T>(parsed: Parsed<T>, others: u64, least: usize) -> Parsed<T> {
    parsed.map_err(|e| match e {
        Parse::Need(n) => Parse::Need(n.saturating_add(others as usize * least)),
        bad => bad,
    })
}

/// The header of a block: everything it stores before its payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockHeader {
    /// Codec id.
    pub codec: u8,
    /// Whether the writer flushed after this block.
    pub flushed: bool,
    /// Raw bytes of the block, 1..=[`MAX_BLOCK_RAW`].
    pub raw_len: u32,
    /// Payload bytes of the block.
    pub payload_len: u32,
    /// The reference to the model, if the block names one: a built-in id, or 128 + k for model section k of
    /// the stream.
    pub model: Option<u64>,
    /// The codec parameters. `None` and empty parameters are stored differently.
    pub params: Option<Vec<u8>>,
    /// The check units.
    pub units: Units,
}

impl BlockHeader {
    /// Appends the header.
    pub fn put(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&[KIND_BLOCK, self.codec, self.flags()]);
        varint::put(out, self.raw_len.into());
        varint::put(out, self.payload_len.into());
        if let Some(model) = self.model {
            varint::put(out, model);
        }
        if let Some(params) = &self.params {
            varint::put(out, params.len() as u64);
            out.extend_from_slice(params);
        }
        self.units.put(out);
        checksum::seal(out, start);
    }

    fn flags(&self) -> u8 {
        let (table, chained) = match &self.units {
            Units::Fixed { .. } => (TABLE_FIXED, false),
            Units::Windows { sized: false, chained, .. } => (TABLE_WINDOWS, *chained),
            Units::Windows { sized: true, chained, .. } => (TABLE_SIZED, *chained),
            Units::Tiles { .. } => (TABLE_TILES, false),
        };
        let flag = |on: bool, bit: u8| if on { bit } else { 0 };
        table
            | flag(chained, FLAG_CHAINED)
            | flag(self.flushed, FLAG_FLUSHED)
            | flag(self.model.is_some(), FLAG_MODEL)
            | flag(self.params.is_some(), FLAG_PARAMS)
    }

    /// Reads a header that starts with its kind byte, and returns it with its length in bytes.
    ///
    /// On success, all lengths are within their limits, and those of the units add up to those of the block.
    ///
    /// # Errors
    ///
    /// [`super::cursor::Parse::Need`] where `bytes` ends inside the header; otherwise `Corrupt`, or
    /// `NewerVersion` for flags that this version does not define.
    pub fn parse(bytes: &[u8]) -> Parsed<(Self, usize)> {
        let mut c = Cursor::new(bytes);
        let kind = c.u8()?;
        debug_assert_eq!(kind, KIND_BLOCK);
        let (codec, flags) = (c.u8()?, c.u8()?);
        let (table, chained) = (flags & TABLE_MASK, flags & FLAG_CHAINED != 0);
        if flags & !KNOWN_FLAGS != 0 || chained && !matches!(table, TABLE_WINDOWS | TABLE_SIZED) {
            let found = format!("needs a newer nzip (block flags {flags:#010b})");
            return Err(Error::new(ErrorKind::NewerVersion, found).into());
        }
        let raw_len = c.varint_in("raw length of a block", 1..=MAX_BLOCK_RAW)?;
        let payload_len = c.varint_in("payload length of a block", 0..=max_payload(raw_len))?;
        let model = if flags & FLAG_MODEL != 0 {
            Some(c.varint_in("model reference", 0..=FIRST_STREAM_MODEL + MAX_MODELS - 1)?)
        } else {
            None
        };
        let params = if flags & FLAG_PARAMS != 0 {
            let n = c.varint_in("length of codec parameters", 0..=MAX_PARAMS)?;
            Some(c.take(n as usize)?.to_vec())
        } else {
            None
        };
        let units = match table {
            TABLE_FIXED => Units::parse_fixed(&mut c, raw_len)?,
            TABLE_TILES => Units::parse_tiles(&mut c, raw_len, payload_len)?,
            table => Units::parse_windows(&mut c, table == TABLE_SIZED, chained, raw_len, payload_len)?,
        };
        checksum::open(&mut c, "block header")?;
        units.check_totals(raw_len, payload_len)?;
        let header = Self {
            codec,
            flushed: flags & FLAG_FLUSHED != 0,
            raw_len: raw_len as u32,
            payload_len: payload_len as u32,
            model,
            params,
            units,
        };
        Ok((header, c.pos()))
    }
}

impl Units {
    /// Units of 2^`log2` raw bytes each, the last of which may be shorter, with their check values.
    pub fn fixed(log2: u8, raw: &[u8]) -> Self {
        Self::Fixed { log2, checks: raw.chunks(1 << log2).map(checksum::check32).collect() }
    }

    /// The number of units.
    pub fn len(&self) -> usize {
        match self {
            Units::Fixed { checks, .. } => checks.len(),
            Units::Windows { windows, .. } => windows.len(),
            Units::Tiles { tiles, .. } => tiles.len(),
        }
    }

    /// Whether each unit can be decoded without the others.
    pub fn independent(&self) -> bool {
        !self.chained() && !matches!(self, Units::Fixed { .. })
    }

    /// Whether these are windows that need those before them.
    pub fn chained(&self) -> bool {
        matches!(self, Units::Windows { chained: true, .. })
    }

    /// The payload length of unit `i` in bytes; `None` for fixed units, which share the block's payload.
    pub fn payload_len(&self, i: usize) -> Option<u32> {
        match self {
            Units::Fixed { .. } => None,
            Units::Windows { windows, .. } => Some(windows[i].payload_len),
            Units::Tiles { tiles, .. } => Some(tiles[i].payload_len),
        }
    }

    /// The raw length in bytes and the check value of unit `i`, in a block of `raw_len` raw bytes.
    pub fn unit(&self, i: usize, raw_len: u32) -> (usize, u32) {
        match self {
            Units::Fixed { log2, checks } => {
                let start = (i as u64) << log2;
                ((u64::from(raw_len) - start).min(1 << log2) as usize, checks[i])
            }
            Units::Windows { windows, .. } => (windows[i].raw_len as usize, windows[i].check),
            Units::Tiles { raw, tiles } => {
                let start = i as u64 * u64::from(*raw);
                ((u64::from(raw_len) - start).min(u64::from(*raw)) as usize, tiles[i].check)
            }
        }
    }

    /// The length of the unit table on disk, in bytes.
    pub fn stored_len(&self) -> usize {
        let mut out = Vec::new();
        self.put(&mut out);
        out.len()
    }

    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Units::Fixed { log2, checks } => {
                out.push(*log2);
                checks.iter().for_each(|c| out.extend_from_slice(&c.to_le_bytes()));
            }
            Units::Windows { payload, sized, windows, .. } => {
                varint::put(out, u64::from(payload / 4));
                varint::put(out, windows.len() as u64);
                for w in windows {
                    varint::put(out, w.raw_len.into());
                    if *sized {
                        varint::put(out, w.payload_len.into());
                    }
                    out.extend_from_slice(&w.check.to_le_bytes());
                }
            }
            Units::Tiles { raw, tiles } => {
                varint::put(out, u64::from(*raw));
                for t in tiles {
                    varint::put(out, t.payload_len.into());
                    out.extend_from_slice(&t.check.to_le_bytes());
                }
            }
        }
    }

    fn parse_tiles(c: &mut Cursor<'_>, raw_len: u64, payload_len: u64) -> Parsed<Self> {
        let raw = c.varint_in("raw size of a tile", 1..=MAX_TILE_RAW)?;
        let count = raw_len.div_ceil(raw);
        c.expect(TILE_LEAST * count as usize)?;
        let mut tiles = Vec::with_capacity(count as usize);
        let mut tile = || -> Parsed<Tile> {
            let payload_len = c.varint_in("payload length of a tile", 0..=payload_len)? as u32;
            Ok(Tile { payload_len, check: c.u32()? })
        };
        for i in 0..count {
            tiles.push(with_rest(tile(), count - i - 1, TILE_LEAST)?);
        }
        Ok(Units::Tiles { raw: raw as u32, tiles })
    }

    fn parse_fixed(c: &mut Cursor<'_>, raw_len: u64) -> Parsed<Self> {
        let log2 = c.u8()?;
        in_range("log2 of the check unit", log2.into(), MIN_UNIT_LOG2.into()..=MAX_UNIT_LOG2.into())?;
        let count = raw_len.div_ceil(1 << log2) as usize;
        c.expect(4 * count)?;
        let checks = (0..count).map(|_| c.u32()).collect::<Parsed<_>>()?;
        Ok(Units::Fixed { log2, checks })
    }

    fn parse_windows(
        c: &mut Cursor<'_>,
        sized: bool,
        chained: bool,
        raw_len: u64,
        payload_len: u64,
    ) -> Parsed<Self> {
        let payload = 4 * c.varint_in("window size / 4", 1..=MAX_WINDOW_PAYLOAD / 4)?;
        let count = c.varint_in("number of windows", 1..=raw_len)?;
        // A count that the bytes at hand cannot hold allocates nothing.
        let least = if sized { SIZED_LEAST } else { WINDOW_LEAST };
        c.expect((count as usize).saturating_mul(least))?;
        let mut windows = Vec::with_capacity(count as usize);
        let mut window = |i: u64| -> Parsed<Window> {
            let raw_len = c.varint_in("raw length of a window", 1..=MAX_WINDOW_RAW)? as u32;
            let len = if sized {
                c.varint_in("payload length of a window", 0..=payload)?
            } else if i + 1 < count {
                payload
            } else {
                payload_len.saturating_sub(i * payload).min(payload)
            };
            Ok(Window { raw_len, payload_len: len as u32, check: c.u32()? })
        };
        for i in 0..count {
            windows.push(with_rest(window(i), count - i - 1, least)?);
        }
        Ok(Units::Windows { payload: payload as u32, sized, chained, windows })
    }

    fn check_totals(&self, raw_len: u64, payload_len: u64) -> Result<()> {
        if let Units::Windows { windows, .. } = self {
            let raw: u64 = windows.iter().map(|w| u64::from(w.raw_len)).sum();
            in_range("sum of the windows' raw lengths", raw, raw_len..=raw_len)?;
        }
        let payload: Option<u64> = (0..self.len()).map(|i| self.payload_len(i).map(u64::from)).sum();
        match payload {
            Some(sum) => in_range("sum of the units' payload lengths", sum, payload_len..=payload_len),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples() -> Vec<BlockHeader> {
        let base = BlockHeader {
            codec: 1,
            flushed: false,
            raw_len: 5000,
            payload_len: 1234,
            model: None,
            params: None,
            units: Units::Fixed { log2: 12, checks: vec![7, 0xFFFF_FFFF] },
        };
        let window = |raw_len, payload_len| Window { raw_len, payload_len, check: raw_len * 3 };
        let equal = vec![window(3000, 1000), window(2000, 234)];
        let sized = vec![window(10, 0), window(4990, 1234)];
        let tile = |payload_len| Tile { payload_len, check: payload_len * 7 };
        vec![
            BlockHeader { flushed: true, params: Some(vec![]), ..base.clone() },
            BlockHeader {
                params: Some(vec![9]),
                units: Units::Tiles { raw: 2000, tiles: vec![tile(1000), tile(0), tile(234)] },
                ..base.clone()
            },
            BlockHeader {
                model: Some(3),
                units: Units::Windows { payload: 1000, sized: false, chained: true, windows: equal },
                ..base.clone()
            },
            BlockHeader {
                model: Some(200),
                params: Some(vec![1, 2, 3]),
                units: Units::Windows { payload: 2000, sized: true, chained: false, windows: sized },
                ..base.clone()
            },
            base,
        ]
    }

    #[test]
    fn round_trip_and_cut_anywhere() {
        for header in samples() {
            let mut out = Vec::new();
            header.put(&mut out);
            assert_eq!(BlockHeader::parse(&out).unwrap(), (header, out.len()));
            for cut in 0..out.len() {
                match BlockHeader::parse(&out[..cut]) {
                    Err(Parse::Need(n)) => assert!(n > cut && n <= out.len()),
                    other => panic!("{cut}: {other:?}"),
                }
            }
        }
    }

    #[test]
    fn a_long_header_is_parsed_few_times() {
        let count = 1 << 16;
        for sized in [false, true] {
            let windows: Vec<_> = (0..count)
                .map(|i| Window { raw_len: 1 + i * 97 % (1 << 14), payload_len: 4, check: i })
                .collect();
            let header = BlockHeader {
                codec: 2,
                flushed: false,
                raw_len: windows.iter().map(|w| w.raw_len).sum(),
                payload_len: 4 * count,
                model: Some(1),
                params: None,
                units: Units::Windows { payload: 4, sized, chained: false, windows },
            };
            let mut out = Vec::new();
            header.put(&mut out);
            let (mut have, mut rounds) = (0, 0);
            while let Err(Parse::Need(n)) = BlockHeader::parse(&out[..have]) {
                (have, rounds) = (n, rounds + 1);
            }
            assert!(have <= out.len() && rounds < 60, "{rounds} rounds");
        }
    }

    #[test]
    fn totals_must_agree() {
        for mut header in samples() {
            if let Units::Windows { windows, .. } = &mut header.units {
                windows[0].raw_len += 1;
                let mut out = Vec::new();
                header.put(&mut out);
                assert!(matches!(BlockHeader::parse(&out), Err(Parse::Bad(_))));
            }
        }
    }
}
