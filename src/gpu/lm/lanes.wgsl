// The kernel: LANES windows in a workgroup, one in each lane. A dispatch codes up to `steps` bytes of every
// lane.
//
// The coder (decode.wgsl or encode.wgsl) declares `payload` and the functions start_coder, load_coder,
// save_coder, begin_byte, decide, end_byte (which returns the number of bytes that have been coded) and
// is_stopped.

struct Run {
    steps: u32,
    first: u32,
}

@group(0) @binding(4) var<storage, read> jobs: array<Job>;
@group(0) @binding(6) var<storage, read_write> raw: array<u32>;
@group(0) @binding(7) var<storage, read_write> results: array<array<u32, 10>>;
@group(0) @binding(8) var<uniform> run: Run;

// The number of bytes of the window that have been coded; it stands after the last eight of them.
const DONE: u32 = RECENT + 2u;

var<workgroup> running: atomic<u32>;
var<workgroup> words_read: atomic<u32>;
var<workgroup> any_running: u32;

// The start of the state of a lane of this workgroup.
fn state_of(lane: u32) -> u32 {
    return (lane_base + lane) * STATE_WORDS;
}

// Word i of the adaptive stage's state at the start of a window (formats/lm.md, "State").
fn initial(i: u32) -> u32 {
    if i >= BY_NODE && i < BY_LAST {
        return select(0u, 7500u, (i - BY_NODE) % 4u == 0u);
    }
    if i >= BY_MATCH && i < ORDER0 {
        return array(2048u << 16u, 1500u << 16u | 1500u, 1500u << 16u | 1500u, 0u)[(i - BY_MATCH) % 4u];
    }
    if i >= ORDER0 && i < GUESSES {
        return 0x80008000u;
    }
    if i >= CONFIDENCE && i < MATCHES {
        // Both entries of a word start with the same value.
        let entry = 2u * (i - CONFIDENCE);
        let step = select(entry & 7u, entry, entry < 16u);
        let confidence = 65536u - (65536u >> (step / 2u + 2u));
        return confidence << 16u | confidence;
    }
    return 0u;
}

// Starts a window in every lane of the workgroup.
fn clear_lanes() {
    for (var i = thread; i < LANES * STATE_WORDS; i += THREADS) {
        state[lane_base * STATE_WORDS + i] = initial(i % STATE_WORDS);
    }
    sync();
}

// Whether any lane of the workgroup still runs.
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

// Codes a byte of this thread's lane.
fn code_byte(lane: u32) {
    let n = state[own + DONE];
    begin_byte(n);
    before_byte(n, recent[lane]);
    var node = 1u;
    for (var depth = 0u; depth < 8u; depth++) {
        let child = scratch_base + TREE + 2u * node * LANES + lane;
        let p = predict(node, scratch[child], scratch[child + LANES]);
        let bit = decide(depth, u32(p));
        update(node, bit, p);
        node = 2u * node + bit;
    }
    let byte = node & 255u;
    learn_guesses(byte);
    state[own + DONE] = end_byte(n, byte);
    recent[lane] = vec2(recent[lane].x << 8u | byte, recent[lane].y << 8u | recent[lane].x >> 24u);
}

// Adds the words of weights that the workgroup has read to the first two words of its first lane's result.
fn count_words() {
    if thread == 0u {
        atomicStore(&words_read, 0u);
    }
    workgroupBarrier();
    atomicAdd(&words_read, weight_words);
    workgroupBarrier();
    if thread == 0u {
        let before = vec2(results[lane_base][0], results[lane_base][1]);
        let sum = wide_add(before, vec2(atomicLoad(&words_read), 0u));
        results[lane_base][0] = sum.x;
        results[lane_base][1] = sum.y;
    }
}

@compute @workgroup_size(THREADS)
fn code(@builtin(local_invocation_index) index: u32, @builtin(workgroup_id) group: vec3<u32>) {
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
        recent[thread] = vec2(state[own + RECENT], state[own + RECENT + 1u]);
        if run.first != 0u {
            start_coder();
        } else {
            load_coder();
        }
    }
    for (var i = 0u; i < run.steps; i++) {
        let lane_runs = is_lane && state[own + DONE] < job.raw_len && !is_stopped();
        if !some_lane_runs(lane_runs) {
            break;
        }
        forward();
        if lane_runs {
            code_byte(thread);
        }
        sync();
    }
    if is_lane {
        state[own + RECENT] = recent[thread].x;
        state[own + RECENT + 1u] = recent[thread].y;
        save_coder();
    }
    count_words();
}
