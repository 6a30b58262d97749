// The decoder of windows, one binary decision after the other. Its words in a lane's state: 0, 1 point; 2, 3
// range; 4 index of the next payload word; 5 whether no encoder writes this payload, which is also the first
// word of the result.

@group(0) @binding(5) var<storage, read> payload: array<u32>;

const PRECISION: u32 = 16u;

fn start_coder() {
    start_decoder();
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

// The next decision. p is the probability of a 1 in 1/65536.
fn decide(depth: u32, p: u32) -> u32 {
    if !is_in_a_part() {
        corrupt = true;
        return 0u;
    }
    let part = part_of_range();
    let split = wide_scale(part, 65536u - p);
    var bit = 0u;
    if wide_less(point, split) {
        range = split;
    } else {
        bit = 1u;
        point = wide_sub(point, split);
        range = wide_scale(part, p);
    }
    renormalise();
    return bit;
}

fn end_byte(n: u32, byte: u32) -> u32 {
    put_raw_byte(n, byte);
    return n + 1u;
}
