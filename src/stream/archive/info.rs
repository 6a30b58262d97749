//! Descriptions of the parts of a file: streams, blocks, units, models.

use super::Archive;
use crate::codec::block::Undone;
use crate::codec::{Codec, UNPACKERS};
use crate::error::Result;
use crate::format::block::Units;
use std::io::{Read, Seek};

/// A stream of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StreamInfo {
    /// The offset of the stream in the file.
    pub offset: u64,
    /// The number of its bytes in the file.
    pub stored_len: u64,
    /// How many of these bytes are the index; 0 where there is none.
    pub index_len: u64,
    /// How many of these bytes are embedded models.
    pub embedded_len: u64,
    /// The offset of its first raw byte in the whole content.
    pub raw_start: u64,
    /// The number of its raw bytes.
    pub raw_len: u64,
    /// The BLAKE3 of its raw bytes, if the stream has it.
    pub hash: Option<[u8; 32]>,
    /// The number of blocks.
    pub blocks: usize,
}

/// A block of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct BlockInfo {
    /// The number of the stream to which the block belongs.
    pub stream: usize,
    /// The offset of the block in the file.
    pub offset: u64,
    /// The number of its bytes in the file, header included.
    pub stored_len: u64,
    /// The offset of its first raw byte in the whole content.
    pub raw_start: u64,
    /// The number of its raw bytes.
    pub raw_len: u64,
    /// The number of its payload bytes.
    pub payload_len: u64,
    /// The codec id as stored.
    pub codec_id: u8,
    /// The codec, if this release knows it.
    pub codec: Option<Codec>,
    /// The hash of the model, if the block names one that this release can resolve.
    pub model: Option<[u8; 32]>,
    /// How many bytes of the payload hold a model of the block's own and its description: the circuit of a
    /// `table`.
    pub own_model_len: u64,
    /// The number of deflate streams that are undone in the block, and of the bytes inside them.
    pub undone: (u64, u64),
    /// The number of JPEG pictures that are undone in the block.
    pub pictures: u64,
    /// Whether the writer flushed after this block.
    pub flushed: bool,
    /// W, the payload bytes of a window; `None` for codecs without windows.
    pub window: Option<u32>,
    /// Whether the payload lengths of windows are stored.
    pub sized: bool,
    /// Whether each unit can be decoded alone. Otherwise the block is decoded from its start.
    pub independent: bool,
    /// The windows, or the check units of codecs without windows.
    pub units: Vec<WindowInfo>,
}

impl BlockInfo {
    /// The most raw bytes that are decoded in order to read one byte of the block: its largest unit where
    /// units can be decoded alone, otherwise the whole block.
    pub fn range_cost(&self) -> u64 {
        if self.independent { self.units.iter().map(|u| u.raw_len).max().unwrap_or(0) } else { self.raw_len }
    }
}

/// A window or check unit of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct WindowInfo {
    /// The offset of its first raw byte in the whole content.
    pub raw_start: u64,
    /// The number of its raw bytes.
    pub raw_len: u64,
    /// The number of its payload bytes, if it is a window or tile.
    pub payload_len: Option<u64>,
    /// The low 32 bits of XXH3-64 of its raw bytes.
    pub check: u32,
}

impl<S: Read + Seek> Archive<S> {
    /// The streams of the file.
    pub fn streams(&self) -> Vec<StreamInfo> {
        let info = |s: &super::map::StreamMap| StreamInfo {
            offset: s.offset,
            stored_len: s.stored_len,
            index_len: s.index_len,
            embedded_len: s.embedded,
            raw_start: s.raw_start,
            raw_len: s.raw_len,
            hash: s.hash,
            blocks: s.blocks.len(),
        };
        self.streams.iter().map(info).collect()
    }

    /// The number of blocks in all streams.
    pub fn block_count(&self) -> usize {
        self.streams.last().map_or(0, |s| s.first_block + s.blocks.len())
    }

    /// Block `number`, counted from 0 through all streams; `None` past the last one.
    ///
    /// # Errors
    ///
    /// Those of reading the block's header.
    pub fn block(&mut self, number: usize) -> Result<Option<BlockInfo>> {
        let behind = self.streams.partition_point(|s| s.first_block <= number);
        let Some(stream) = behind.checked_sub(1) else { return Ok(None) };
        let number = number - self.streams[stream].first_block;
        if number < self.streams[stream].blocks.len() {
            return self.block_info(stream, number).map(Some);
        }
        Ok(None)
    }

    fn block_info(&mut self, stream: usize, number: usize) -> Result<BlockInfo> {
        self.expect_headers(stream, number)?;
        let place = self.streams[stream].blocks[number];
        let (header, payload_at) = self.own_header(stream, number)?;
        let (payload_len, codec) = (u64::from(header.payload_len), Codec::from_id(header.codec).ok());
        let mut read = |n: u64| self.source.read(payload_at, n.min(payload_len));
        let own_model_len = codec.map_or(Ok(0), |codec| codec.object().own_model_len(&mut read))?;
        let unpacker = UNPACKERS.into_iter().find(|u| Some(u.id()) == codec);
        let params = unpacker.and_then(|u| u.params(&header).ok().flatten());
        let undone = params.map_or_else(Undone::default, |p| p.undone());
        let (window, sized) = match &header.units {
            Units::Windows { payload, sized, .. } => (Some(*payload), *sized),
            Units::Fixed { .. } | Units::Tiles { .. } => (None, false),
        };
        let mut raw_start = place.raw_start;
        let units = (0..header.units.len()).map(|i| {
            let (len, check) = header.units.unit(i, header.raw_len);
            let payload_len = header.units.payload_len(i).map(u64::from);
            let info = WindowInfo { raw_start, raw_len: len as u64, payload_len, check };
            raw_start += len as u64;
            info
        });
        Ok(BlockInfo {
            stream,
            offset: place.offset,
            stored_len: place.stored_len,
            raw_start: place.raw_start,
            raw_len: place.raw_len,
            payload_len,
            codec_id: header.codec,
            codec,
            model: header.model.and_then(|m| self.streams[stream].models.hash(m, place.models as usize).ok()),
            own_model_len,
            undone: (undone.streams, undone.inside),
            pictures: undone.pictures,
            flushed: header.flushed,
            window,
            sized,
            independent: header.units.independent(),
            units: units.collect(),
        })
    }
}
