// Makes elements from numbers.

// A piece of `size` bits of number i.
fn piece(plane: u32, size: u32, i: u32) -> u32 {
    let numbers_of_block = 256u / size;
    let byte = plane + i / numbers_of_block * 32u + (i & 31u);
    let run = i % numbers_of_block / 32u;
    return payload_byte(byte) >> (run * size) & ((1u << size) - 1u);
}

// The stored low bits of number i of a tile.
fn low_bits_of(tile: Tile, i: u32) -> u32 {
    var low = 0u;
    for (var k = 0u; k < tile.whole; k++) {
        low |= payload_byte(tile.bytes_at + i * tile.whole + k) << (8u * k);
    }
    var shift = 8u * tile.whole;
    if (tile.part & 4u) != 0u {
        low |= piece(tile.planes_at_4, 4u, i) << shift;
        shift += 4u;
    }
    if (tile.part & 2u) != 0u {
        low |= piece(tile.planes_at_2, 2u, i) << shift;
        shift += 2u;
    }
    if (tile.part & 1u) != 0u {
        low |= piece(tile.planes_at_1, 1u, i) << shift;
    }
    return low;
}

// Element i of the batch, in the low bits; the bits above are unspecified.
fn element_of(i: u32) -> u32 {
    let number = i / params.tile_elements;
    let tile = tiles[number];
    let place = i % params.tile_elements;
    if tile.kind == 3u {
        return 0u;
    }
    if tile.kind != 0u {
        var at = tile.at;
        if tile.kind == 2u {
            at += place * params.element;
        }
        var value = 0u;
        for (var k = 0u; k < params.element; k++) {
            value |= payload_byte(at + k) << (8u * k);
        }
        return value;
    }
    let kept = numbers[tile.first + place];
    if (kept & EXCEPTION) != 0u {
        return exceptions[kept ^ EXCEPTION].y;
    }
    var low = kept >> 16u;
    if tile.low.mode == 3u {
        low = low_bits_of(tile, place);
    }
    let t = (params.base + (kept & 0xffffu)) << (params.low_bits - tile.zeros) | low;
    if params.is_float == 0u {
        return t;
    }
    let width = 8u * params.element - tile.zeros;
    let magnitude = (t & (0xffffffffu >> (32u - width))) >> 1u;
    return (magnitude | (t & 1u) << (width - 1u)) << tile.zeros;
}

@compute @workgroup_size(256)
fn merge(@builtin(global_invocation_id) id: vec3<u32>) {
    let per_word = 4u / params.element;
    let start = id.x * per_word;
    if start >= params.elements {
        return;
    }
    var word = 0u;
    let bits = 8u * params.element;
    for (var k = 0u; k < per_word; k++) {
        if start + k < params.elements {
            word |= (element_of(start + k) & (0xffffffffu >> (32u - bits))) << (bits * k);
        }
    }
    raw[params.first_word + id.x] = word;
}

@compute @workgroup_size(256)
fn except(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x < params.exceptions {
        numbers[exceptions[id.x].x] = EXCEPTION | id.x;
    }
}
