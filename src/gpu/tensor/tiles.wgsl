// Tiles of a block of one field (formats/tensor.md). `symbols` decodes the sequences of a tile in each
// workgroup, `except` notes the elements that are stored apart, and `merge` makes a word of raw bytes in each
// thread.
//
// No loop needs a bound of its own: a tile has at most 2^20 symbols, 2^15 rounds of 32 lanes, or half of that
// twice.

struct Params {
    element: u32,
    is_float: u32,
    low_bits: u32,
    base: u32,
    fold: u32,
    // In `model`: tables of low bits, their map, and the map of classes with the classes of columns behind
    // it.
    low_at: u32,
    low_map_at: u32,
    map_at: u32,
    by_row: u32,
    row_groups: u32,
    columns: u32,
    // Of a batch: elements of a whole tile, of all tiles, and the first word of the result.
    tile_elements: u32,
    elements: u32,
    first_word: u32,
    exceptions: u32,
}

// The places of a sequence's parts in the payload, in bytes.
struct Sequence {
    // 0 rANS, 1 one symbol, 2 plain, 3 not there.
    mode: u32,
    // States; or the symbol; or the symbols.
    at: u32,
    words_at: u32,
    words: u32,
}

struct Tile {
    // 0 planes, 1 one element for all, 2 raw bytes, 3 left to the CPU.
    kind: u32,
    count: u32,
    // Its first element in `numbers`.
    first: u32,
    // Groups of the block before it.
    first_group: u32,
    // Of kinds 1 and 2.
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
// By element: the number without low bits in bits 0..16, a coded low byte in 16..24; or EXCEPTION and the
// number of one.
@group(0) @binding(3) var<storage, read_write> numbers: array<u32>;
// By tile, 1 where the payload is not one that an encoder writes.
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
