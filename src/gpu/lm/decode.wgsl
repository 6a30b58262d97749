// Decodes windows, one to a lane: LANES of them to a workgroup, `steps` bytes of each in a dispatch.
//
// Coder state of a lane: CODER + 0, 1 point less low; 2, 3 range; 4 next payload word. Then DONE bytes, and STATUS.

struct Job {
    // Where the raw bytes go and how many there are; in bytes, a multiple of 4.
    raw_start: u32,
    raw_len: u32,
    // Payload in words whose first byte is the highest; zeros are read past its end.
    payload_start: u32,
    payload_words: u32,
}

struct Run {
    steps: u32,
    first: u32,
}

@group(0) @binding(4) var<storage, read> jobs: array<Job>;
@group(0) @binding(5) var<storage, read> payload: array<u32>;
@group(0) @binding(6) var<storage, read_write> raw: array<u32>;
@group(0) @binding(7) var<uniform> run: Run;

const POINT: u32 = CODER;
const RANGE: u32 = CODER + 2u;
const NEXT: u32 = CODER + 4u;
const DONE: u32 = CODER + 5u;
const STATUS: u32 = CODER + 6u;
// What STATUS says: nothing, or that the payload is not one that an encoder writes.
const CORRUPT: u32 = 1u;

var<private> job: Job;
var<private> point: vec2<u32>;
var<private> range: vec2<u32>;
var<private> next: u32;
var<private> corrupt: bool;
var<workgroup> running: atomic<u32>;
var<workgroup> any_running: u32;

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
}

// The next decision; p is the probability of a 1 in 1/65536 (formats/coder.md, "Decoding").
fn decide(p: u32) -> u32 {
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

// Decodes a byte of this thread's lane.
fn decode_byte(lane: u32) {
    let n = state[own + DONE];
    before_byte(n, recent[lane]);
    var node = 1u;
    for (var depth = 0u; depth < 8u; depth++) {
        let child = scratch_base + TREE + 2u * node * LANES + lane;
        let p = predict(node, scratch[child], scratch[child + LANES]);
        let bit = decide(u32(p));
        update(node, bit, p);
        node = 2u * node + bit;
    }
    let byte = node & 255u;
    learn_guesses(byte);
    let at = window + n;
    let shift = 8u * (at & 3u);
    raw[at >> 2u] = (raw[at >> 2u] & ~(255u << shift)) | byte << shift;
    recent[lane] = vec2(recent[lane].x << 8u | byte, recent[lane].y << 8u | recent[lane].x >> 24u);
    state[own + DONE] = n + 1u;
}

// Whether a lane of the workgroup has bytes left to decode.
fn some_lane_runs(lane_runs: bool) -> bool {
    if thread == 0u {
        atomicStore(&running, 0u);
    }
    workgroupBarrier();
    if lane_runs {
        atomicStore(&running, 1u);
    }
    workgroupBarrier();
    if thread == 0u {
        any_running = atomicLoad(&running);
    }
    return workgroupUniformLoad(&any_running) != 0u;
}

@compute @workgroup_size(THREADS)
fn decode(@builtin(local_invocation_index) index: u32, @builtin(workgroup_id) group: vec3<u32>) {
    thread = index;
    act_base = group.x * ACT_WORDS;
    scratch_base = group.x * SCRATCH_WORDS;
    lane_base = group.x * LANES;
    if run.first != 0u {
        clear_lanes();
    }
    let is_lane = thread < LANES;
    if is_lane {
        own = state_of(thread);
        job = jobs[lane_base + thread];
        window = job.raw_start;
        if run.first != 0u {
            recent[thread] = vec2(0u);
            start_coder();
        } else {
            point = vec2(state[own + POINT], state[own + POINT + 1u]);
            range = vec2(state[own + RANGE], state[own + RANGE + 1u]);
            next = state[own + NEXT];
            recent[thread] = vec2(state[own + RECENT], state[own + RECENT + 1u]);
        }
        corrupt = state[own + STATUS] == CORRUPT;
    }
    for (var i = 0u; i < run.steps; i++) {
        let lane_runs = is_lane && !corrupt && state[own + DONE] < job.raw_len;
        if !some_lane_runs(lane_runs) {
            break;
        }
        forward();
        if lane_runs {
            decode_byte(thread);
        }
        sync();
    }
    if is_lane {
        state[own + POINT] = point.x;
        state[own + POINT + 1u] = point.y;
        state[own + RANGE] = range.x;
        state[own + RANGE + 1u] = range.y;
        state[own + NEXT] = next;
        state[own + RECENT] = recent[thread].x;
        state[own + RECENT + 1u] = recent[thread].y;
        state[own + STATUS] = select(0u, CORRUPT, corrupt);
    }
}
