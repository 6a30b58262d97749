// The range decoder (formats/coder.md, "Decoding"). Its words of a lane's state: 0, 1 point less low; 2, 3 range; 4 next payload word; 5 whether
// the payload is one that no encoder writes, which is also the result.

@group(0) @binding(5) var<storage, read> payload: array<u32>;

var<private> point: vec2<u32>;
var<private> range: vec2<u32>;
var<private> next: u32;
var<private> corrupt: bool;

// The next word of the payload; zeros are read past its end.
fn next_word() -> u32 {
    let i = next;
    next++;
    if i >= job.payload_words {
        return 0u;
    }
    return payload[job.payload_start + i];
}

fn start_coder() {
    next = 0u;
    point.y = next_word();
    point.x = next_word();
    range = vec2(0xffffffffu);
    corrupt = false;
}

fn load_coder() {
    point = vec2(state[own + CODER], state[own + CODER + 1u]);
    range = vec2(state[own + CODER + 2u], state[own + CODER + 3u]);
    next = state[own + CODER + 4u];
    corrupt = state[own + CODER + 5u] != 0u;
}

fn save_coder() {
    state[own + CODER] = point.x;
    state[own + CODER + 1u] = point.y;
    state[own + CODER + 2u] = range.x;
    state[own + CODER + 3u] = range.y;
    state[own + CODER + 4u] = next;
    state[own + CODER + 5u] = u32(corrupt);
    results[lane_base + thread][2] = u32(corrupt);
}

fn is_stopped() -> bool {
    return corrupt;
}

fn begin_byte(n: u32) {}

// The next decision; p is the probability of a 1 in 1/65536.
fn decide(depth: u32, p: u32) -> u32 {
    if !wide_less(point, vec2(range.x & 0xffff0000u, range.y)) {
        corrupt = true;
        return 0u;
    }
    let scale = wide_shift_right(range, 16u);
    let split = wide_scale(scale, 65536u - p);
    var bit = 0u;
    if wide_less(point, split) {
        range = split;
    } else {
        bit = 1u;
        point = wide_sub(point, split);
        range = wide_scale(scale, p);
    }
    if range.y == 0u {
        point = vec2(next_word(), point.x);
        range = vec2(0u, range.x);
    }
    return bit;
}

fn end_byte(n: u32, byte: u32) -> u32 {
    let at = window + n;
    let shift = 8u * (at & 3u);
    raw[at >> 2u] = (raw[at >> 2u] & ~(255u << shift)) | byte << shift;
    return n + 1u;
}
