//! All constants of the container format.

/// The first bytes of a stream. 0x93 detects 7-bit channels, CR LF and LF detect text-mode conversion, and
/// 0x1A stops a listing on old systems.
pub const MAGIC: [u8; 7] = *b"\x93NZ\r\n\x1a\n";
/// The container version that this code writes, and the newest that it reads.
pub const VERSION: u8 = 1;
/// Feature bits that a reader must understand; version 1 defines none.
pub const KNOWN_MUST_FEATURES: u64 = 0;

/// Section kind: a block.
pub const KIND_BLOCK: u8 = 0x01;
/// Section kind: a model that later blocks refer to.
pub const KIND_MODEL: u8 = 0x02;
/// Section kind: the index of the stream's sections.
pub const KIND_INDEX: u8 = 0x03;
/// Section kind: the trailer, which ends the stream.
pub const KIND_TRAILER: u8 = 0x04;
/// The first skippable section kind: a reader that does not know a kind from here on skips the section.
pub const KIND_SKIPPABLE: u8 = 0x80;

/// Section kind: which words blocks may hold (skippable).
pub const KIND_SEARCH: u8 = 0x80;

/// Section kind: which file of a family a stream holds, and where its bases lie (skippable).
pub const KIND_MEMBER: u8 = 0x81;

/// Block flags, bits 0 and 1: the kind of the unit table.
pub const TABLE_MASK: u8 = 0b11;
/// Unit table: check units of a fixed raw size.
pub const TABLE_FIXED: u8 = 0;
/// Unit table: equal-info windows.
pub const TABLE_WINDOWS: u8 = 1;
/// Unit table: windows with stored payload lengths (`sized`).
pub const TABLE_SIZED: u8 = 2;
/// Unit table: tiles of a fixed raw size, each of which decodes on its own.
pub const TABLE_TILES: u8 = 3;
/// Block flag: the writer flushed after this block, so a reader should deliver it at once.
pub const FLAG_FLUSHED: u8 = 1 << 2;
/// Block flag: a model reference is stored.
pub const FLAG_MODEL: u8 = 1 << 3;
/// Block flag: codec parameters are stored.
pub const FLAG_PARAMS: u8 = 1 << 4;
/// Block flag: the windows are chained; each decodes only after all windows of the block before it.
pub const FLAG_CHAINED: u8 = 1 << 5;
/// All block flags of version 1.
pub const KNOWN_FLAGS: u8 = TABLE_MASK | FLAG_FLUSHED | FLAG_MODEL | FLAG_PARAMS | FLAG_CHAINED;

/// Model references below this are built-in ids; this plus k refers to model section k (from 0) of the
/// stream.
pub const FIRST_STREAM_MODEL: u64 = 128;

/// Largest raw length of a block, in bytes.
pub const MAX_BLOCK_RAW: u64 = 1 << 30;
/// Largest length of a block's codec parameters, in bytes.
pub const MAX_PARAMS: u64 = 1 << 18;
/// Smallest log2 of the raw size of a fixed check unit.
pub const MIN_UNIT_LOG2: u8 = 12;
/// Largest log2 of the raw size of a fixed check unit.
pub const MAX_UNIT_LOG2: u8 = 30;
/// Largest payload size of a window, in bytes; always a multiple of 4.
pub const MAX_WINDOW_PAYLOAD: u64 = 1 << 20;
/// Largest raw length of a window, in bytes.
pub const MAX_WINDOW_RAW: u64 = 1 << 24;
/// Largest raw size of a tile, in bytes.
pub const MAX_TILE_RAW: u64 = 1 << 20;
/// Largest body of a section other than a block, in bytes.
pub const MAX_SECTION_BODY: u64 = 1 << 32;
/// Most model sections in one stream.
pub const MAX_MODELS: u64 = 1 << 10;
/// Most records in one index.
pub const MAX_RECORDS: u64 = 1 << 10;
/// Longest trailer, in bytes.
pub const MAX_TRAILER: usize = 26;
/// Shortest trailer, in bytes.
pub const MIN_TRAILER: usize = 8;

/// The largest payload length of a block of `raw_len` raw bytes. A codec may expand its input, but only this
/// far.
pub const fn max_payload(raw_len: u64) -> u64 {
    2 * raw_len + 65536
}

/// The most bytes for which `packed` compressed bytes outside of blocks may stand: embedded weights, names of
/// tensors. It bounds the work and memory that a few bytes of a file can cause before any block is decoded,
/// and also the multiply-adds of an embedded language model, whose file has a byte for each.
pub const fn max_unpacked(packed: u64) -> u64 {
    (1 << 20) + 256 * packed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widths() {
        assert!(KNOWN_FLAGS.count_ones() == 6 && KNOWN_FLAGS < 1 << 6);
        const { assert!(MAX_BLOCK_RAW <= 1 << MAX_UNIT_LOG2, "a unit must be able to hold a block") };
        assert!(max_payload(MAX_BLOCK_RAW) < 1 << 32, "block lengths fit in u32");
        assert!(MAX_WINDOW_PAYLOAD.is_multiple_of(4) && MAX_WINDOW_PAYLOAD / 4 <= u32::MAX as u64);
        assert_eq!(MAX_TRAILER, 1 + 10 + 10 + 4 + 1);
        assert_eq!(MIN_TRAILER, 1 + 1 + 1 + 4 + 1);
        assert!([KIND_BLOCK, KIND_MODEL, KIND_INDEX, KIND_TRAILER].iter().all(|&k| k < KIND_SKIPPABLE));
        assert!(!MAGIC[0].is_ascii() && MAGIC[3..] == *b"\r\n\x1a\n");
    }
}
