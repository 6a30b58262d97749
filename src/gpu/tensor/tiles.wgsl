// Tiles of a block with one field (formats/tensor.md). `symbols` decodes the sequences of one tile per
// workgroup, `except` marks the elements that are stored apart, and `merge` makes one word of raw bytes per
// thread.
//
// No loop needs a bound of its own: a tile has at most 2^20 symbols, in 2^15 rounds of 32 lanes, or twice
// half as many.

struct Params {
    element: u32,
    is_float: u32,
    low_bits: u32,
    base: u32,
    fold: u32,
    // In `model`: tables of low bits, their map, and the map of classes followed by the classes of columns.
    low_at: u32,
    low_map_at: u32,
    map_at: u32,
    by_row: u32,
    row_groups: u32,
    columns: u32,
    // For the batch: the elements of a whole tile, the elements of all tiles, and the first word of the
    // result.
    tile_elements: u32,
    elements: u32,
    first_word: u32,
    exceptions: u32,
}

// The places of a sequence's parts in the payload, in bytes.
struct Sequence {
    // 0 rANS, 1 one symbol, 2 plain, 3 does not exist.
    mode: u32,
    // The start of the states; or the symbol; or the start of the symbols.
    at: u32,
    words_at: u32,
    words: u32,
}

struct Tile {
    // 0 planes, 1 one element for all, 2 raw bytes, 3 left to the CPU.
    kind: u32,
    count: u32,
    // The index of its first element in `numbers`.
    first: u32,
    // The number of groups of the block before it.
    first_group: u32,
    // For kinds 1 and 2.
    at: u32,
    zeros: u32,
    rows_at: u32,
    symbols: Sequence,
    low: Sequence,
    folded_at: u32,
    folded: u32,
    bytes_at: u32,
    // Low bits as whole bytes, and the packed rest.
    whole: u32,
    part: u32,
    planes_at_4: u32,
    planes_at_2: u32,
    planes_at_1: u32,
    spare: u32,
}

@group(0) @binding(0) var<storage, read> payload: array<u32>;
@group(0) @binding(1) var<storage, read> tiles: array<Tile>;
@group(0) @binding(2) var<storage, read> model: array<u32>;
// By element: the number without low bits in bits 0..16, a coded low byte in bits 16..24; or EXCEPTION and
// the index of an exception.
@group(0) @binding(3) var<storage, read_write> numbers: array<u32>;
// By tile: 1 where no encoder writes the payload.
@group(0) @binding(4) var<storage, read_write> corrupt: array<u32>;
@group(0) @binding(5) var<storage, read> exceptions: array<vec2<u32>>;
@group(0) @binding(6) var<storage, read_write> raw: array<u32>;
@group(0) @binding(7) var<uniform> params: Params;

const EXCEPTION: u32 = 0x80000000u;
const LANES: u32 = 32u;
const LOW: u32 = 65536u;

fn payload_byte(at: u32) -> u32 {
    return payload[at >> 2u] >> (8u * (at & 3u)) & 255u;
}

fn payload_nibble(at: u32, i: u32) -> u32 {
    return payload_byte(at + (i >> 1u)) >> (4u * (i & 1u)) & 15u;
}
