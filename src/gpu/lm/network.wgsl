// The step of the network (formats/lm.md, "Step") for the LANES windows of a workgroup.
//
// The host puts constants before this text: the shape (WIDTH, STATE, HIDDEN, LAYERS, TABLES, TABLE_WIDTH),
// LANES (16), THREADS, and offsets in 32-bit words: into `model` (SQUASH, EXP2, LOG2, TABLE_INFO, INPUT,
// LAYER, HEAD, and inside a layer GATES, OUT, UP, DOWN, LAYER_WORDS), into a workgroup's `scratch` (PRODUCT,
// TREE, SCRATCH_WORDS), and into a lane's `state`. The residual stream is at scratch 0. Numbers of all lanes
// lie next to each other: [row][lane].

@group(0) @binding(0) var<storage, read> model: array<u32>;
// The activations of a workgroup: [four rows][four lanes][digit], with a word per lane that has one byte for
// each of the four rows.
@group(0) @binding(1) var<storage, read_write> act: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read_write> scratch: array<u32>;
@group(0) @binding(3) var<storage, read_write> state: array<u32>;

const QUADS: u32 = LANES / 4u;
const RESIDUAL_MAX: i32 = 4194303;
const ACTIVATION_MAX: i32 = 32767;

var<private> thread: u32;
// The number of words of matrices, offsets and shifts that this thread has read in this dispatch.
var<private> weight_words: u32;
// The start of this workgroup's part of each buffer.
var<private> act_base: u32;
var<private> scratch_base: u32;
var<private> lane_base: u32;

var<workgroup> part_sums: array<vec2<u32>, THREADS>;
var<workgroup> lane_value: array<u32, LANES>;
// The last eight bytes of each lane, the newest in the low byte of x.
var<workgroup> recent: array<vec2<u32>, LANES>;
var<workgroup> table_row: array<u32, TABLES * LANES>;

fn sync() {
    storageBarrier();
    workgroupBarrier();
}

fn squash(log_odds: i32) -> i32 {
    let i = u32(clamp(log_odds, -4096, 4095) + 4096);
    return i32(model[SQUASH + (i >> 1u)] >> (16u * (i & 1u)) & 0xffffu);
}

fn dot4(w: u32, x: vec4<u32>) -> vec4<i32> {
    return vec4(
        dot4I8Packed(w, x.x),
        dot4I8Packed(w, x.y),
        dot4I8Packed(w, x.z),
        dot4I8Packed(w, x.w),
    );
}

// Stores four rows of int16 numbers of four lanes (rows[k][lane]) as activations of two digits: x = 256·high
// + low + 128.
fn put_act(quad_of_rows: u32, quad: u32, rows: array<vec4<i32>, 4>) {
    let a = vec4<u32>(rows[0]);
    let b = vec4<u32>(rows[1]);
    let c = vec4<u32>(rows[2]);
    let d = vec4<u32>(rows[3]);
    let byte = vec4(255u);
    let s8 = vec4(8u);
    let s16 = vec4(16u);
    let s24 = vec4(24u);
    let low = (a & byte) | ((b & byte) << s8) | ((c & byte) << s16) | (d << s24);
    let high = ((a >> s8) & byte) | (((b >> s8) & byte) << s8)
        | (((c >> s8) & byte) << s16) | ((d >> s8) << s24);
    let at = act_base + (quad_of_rows * QUADS + quad) * 2u;
    act[at] = high;
    act[at + 1u] = low ^ vec4(0x80808080u);
}

// The products of a word of weights and the activations of four lanes, which have two digits or one.
fn dot_activations(w: u32, at: u32, two_digits: bool) -> vec4<i32> {
    let high = dot4(w, act[at]);
    if two_digits {
        return high * 256 + dot4(w, act[at + 1u]);
    }
    return high;
}

// P(matrix, activations): writes `rows` rows to scratch[PRODUCT..]. Each thread computes a row: each word of
// weights is read once for all lanes. `two_digits` is constant in every call, so that compilers leave no
// branch.
fn product(matrix: u32, rows: u32, columns: u32, two_digits: bool) {
    let quads_of_columns = (columns + 3u) / 4u;
    let offsets = matrix + rows * quads_of_columns;
    for (var row = thread; row < rows; row += THREADS) {
        var sum0 = vec4<i32>(0);
        var sum1 = vec4<i32>(0);
        var sum2 = vec4<i32>(0);
        var sum3 = vec4<i32>(0);
        for (var k = 0u; k < quads_of_columns; k++) {
            let w = model[matrix + k * rows + row];
            let x = act_base + k * QUADS * 2u;
            sum0 += dot_activations(w, x, two_digits);
            sum1 += dot_activations(w, x + 2u, two_digits);
            sum2 += dot_activations(w, x + 4u, two_digits);
            sum3 += dot_activations(w, x + 6u, two_digits);
        }
        finish(offsets, rows, row, array(sum0, sum1, sum2, sum3));
        weight_words += quads_of_columns;
    }
    sync();
}

// Adds a row's offset, shifts, and stores the results for all lanes.
fn finish(offsets: u32, rows: u32, row: u32, sums: array<vec4<i32>, QUADS>) {
    let offset = vec4(bitcast<i32>(model[offsets + row]));
    let shift = vec4(model[offsets + rows + row]);
    let at = scratch_base + PRODUCT + row * LANES;
    store4(at, (sums[0] + offset) >> shift);
    store4(at + 4u, (sums[1] + offset) >> shift);
    store4(at + 8u, (sums[2] + offset) >> shift);
    store4(at + 12u, (sums[3] + offset) >> shift);
    weight_words += 2u;
}

fn store4(at: u32, values: vec4<i32>) {
    scratch[at] = bitcast<u32>(values.x);
    scratch[at + 1u] = bitcast<u32>(values.y);
    scratch[at + 2u] = bitcast<u32>(values.z);
    scratch[at + 3u] = bitcast<u32>(values.w);
}

fn load4(at: u32) -> vec4<i32> {
    return vec4<i32>(vec4(scratch[at], scratch[at + 1u], scratch[at + 2u], scratch[at + 3u]));
}

// A row of four lanes of the last product; 0 past the last row.
fn product4(row: u32, rows: u32, quad: u32) -> vec4<i32> {
    if row >= rows {
        return vec4(0);
    }
    return load4(scratch_base + PRODUCT + row * LANES + quad * 4u);
}

// Adds the last product to the residual stream (keep = 1), or replaces the stream by it (keep = 0).
fn add_product(keep: i32) {
    for (var i = thread; i < WIDTH * LANES; i += THREADS) {
        let p = clamp(bitcast<i32>(scratch[scratch_base + PRODUCT + i]), -8388608, 8388608);
        let x = bitcast<i32>(scratch[scratch_base + i]) * keep;
        scratch[scratch_base + i] = bitcast<u32>(clamp(x + p, -RESIDUAL_MAX, RESIDUAL_MAX));
    }
    sync();
}

// Finds the table rows of all lanes and stores their entries as activations.
fn embed() {
    for (var i = thread; i < TABLES * LANES; i += THREADS) {
        let table = i / LANES;
        let bytes = recent[i % LANES];
        let order = model[TABLE_INFO + 3u * table];
        var row = bytes.x & 255u;
        if order > 1u {
            var key = order;
            for (var c = 0u; c < order; c++) {
                let word = select(bytes.x, bytes.y, c >= 4u);
                key = (key + (word >> (8u * (c & 3u)) & 255u) + 1u) * 0x9E3779B1u;
                key ^= key >> 15u;
            }
            row = (key * 0x85EBCA6Bu) >> (32u - model[TABLE_INFO + 3u * table + 1u]);
        }
        table_row[i] = row;
    }
    workgroupBarrier();
    const pairs = TABLE_WIDTH / 2u;
    const quads = (TABLES * pairs + 1u) / 2u;
    for (var i = thread; i < quads * QUADS; i += THREADS) {
        let quad_of_entries = i / QUADS;
        let quad = i % QUADS;
        var words = vec4(0u);
        for (var half = 0u; half < 2u; half++) {
            let pair = quad_of_entries * 2u + half;
            let table = pair / pairs;
            if table < TABLES {
                let start = model[TABLE_INFO + 3u * table + 2u];
                for (var lane = 0u; lane < 4u; lane++) {
                    let at = table_row[table * LANES + quad * 4u + lane] * pairs + pair % pairs;
                    let entries = model[start + (at >> 1u)] >> (16u * (at & 1u)) & 0xffffu;
                    words[lane] |= entries << (16u * half);
                }
            }
        }
        act[act_base + (quad_of_entries * QUADS + quad) * 2u] = words;
    }
    sync();
}

// 2^36 over the root mean square (Q16), from the sum of the squares.
fn norm_scale(sum: vec2<u32>) -> u32 {
    let mean = wide_divide(vec2(sum.x << 8u, sum.y << 8u | sum.x >> 24u), WIDTH);
    let v = max(wide_root(mean, 1u << 26u), 64u);
    var quotient = 0xffffffffu / v;
    var rest = 0xffffffffu - quotient * v + 1u;
    if rest == v {
        quotient += 1u;
        rest = 0u;
    }
    // 2^32 = quotient·v + rest, and rest < v <= 2^26.
    return quotient * 16u + rest * 16u / v;
}

fn normed(x: i32, scale: u32) -> i32 {
    let magnitude = wide_mul(u32(abs(x)), scale);
    // Arithmetic shifts of negative numbers round magnitudes up.
    let round = select(2097152u, 2097151u, x < 0);
    let n = i32(wide_shift_right(wide_add(magnitude, vec2(round, 0u)), 22u).x);
    return clamp(select(n, -n, x < 0), -ACTIVATION_MAX, ACTIVATION_MAX);
}

// Stores the norm of the residual stream as activations.
fn norm() {
    const parts = THREADS / LANES;
    let lane = thread % LANES;
    var sum = vec2(0u);
    for (var row = thread / LANES; row < WIDTH; row += parts) {
        let x = u32(abs(bitcast<i32>(scratch[scratch_base + row * LANES + lane])));
        sum = wide_add(sum, wide_mul(x, x));
    }
    part_sums[thread] = sum;
    workgroupBarrier();
    if thread < LANES {
        for (var part = 1u; part < parts; part++) {
            sum = wide_add(sum, part_sums[part * LANES + lane]);
        }
        lane_value[lane] = norm_scale(sum);
    }
    workgroupBarrier();
    const quads = (WIDTH + 3u) / 4u;
    for (var i = thread; i < quads * QUADS; i += THREADS) {
        let quad = i % QUADS;
        var rows: array<vec4<i32>, 4>;
        for (var k = 0u; k < 4u; k++) {
            let row = i / QUADS * 4u + k;
            if row < WIDTH {
                let x = load4(scratch_base + row * LANES + quad * 4u);
                let l = quad * 4u;
                rows[k] = vec4(
                    normed(x.x, lane_value[l]),
                    normed(x.y, lane_value[l + 1u]),
                    normed(x.z, lane_value[l + 2u]),
                    normed(x.w, lane_value[l + 3u]),
                );
            }
        }
        put_act(i / QUADS, quad, rows);
    }
    sync();
}

// One number of the recurrence: the new state from update gate, candidate and old state.
fn recur(update: i32, candidate: i32, old: i32) -> i32 {
    let z = squash(update);
    let change = clamp(candidate, -ACTIVATION_MAX, ACTIVATION_MAX) * 512 - old;
    // (z·change + 2^15) >> 16 without 64 bits: z times the low half stays below 2^32 - 2^15.
    let low = u32(z) * (bitcast<u32>(change) & 0xffffu) + 32768u;
    return old + z * (change >> 16u) + i32(low >> 16u);
}

fn recurrence(layer: u32) {
    const quads = (STATE + 3u) / 4u;
    for (var i = thread; i < quads * QUADS; i += THREADS) {
        let quad = i % QUADS;
        var rows: array<vec4<i32>, 4>;
        for (var k = 0u; k < 4u; k++) {
            let row = i / QUADS * 4u + k;
            if row < STATE {
                let update = product4(row, 3u * STATE, quad);
                let candidate = product4(row + STATE, 3u * STATE, quad);
                let gate = product4(row + 2u * STATE, 3u * STATE, quad);
                for (var lane = 0u; lane < 4u; lane++) {
                    let at = state_of(quad * 4u + lane) + layer * STATE + row;
                    let h = recur(update[lane], candidate[lane], bitcast<i32>(state[at]));
                    state[at] = bitcast<u32>(h);
                    rows[k][lane] = ((h >> 9u) * squash(gate[lane]) + 32768) >> 16u;
                }
            }
        }
        put_act(i / QUADS, quad, rows);
    }
    sync();
}

fn squared_relu() {
    const quads = (HIDDEN + 3u) / 4u;
    for (var i = thread; i < quads * QUADS; i += THREADS) {
        let quad = i % QUADS;
        var rows: array<vec4<i32>, 4>;
        for (var k = 0u; k < 4u; k++) {
            let q = clamp(product4(i / QUADS * 4u + k, HIDDEN, quad), vec4(0), vec4(1448));
            rows[k] = (q * q + 32) >> vec4(6u);
        }
        put_act(i / QUADS, quad, rows);
    }
    sync();
}

// Makes a tree of the weights of the 256 symbols: node n is the sum of its children 2n and 2n + 1, and leaf
// 256 + s is symbol s.
fn weight_tree() {
    const parts = THREADS / LANES;
    let lane = thread % LANES;
    var most = -2147483647 - 1;
    for (var s = thread / LANES; s < 256u; s += parts) {
        most = max(most, bitcast<i32>(scratch[scratch_base + PRODUCT + s * LANES + lane]));
    }
    part_sums[thread] = vec2(bitcast<u32>(most), 0u);
    workgroupBarrier();
    if thread < LANES {
        for (var part = 1u; part < parts; part++) {
            most = max(most, bitcast<i32>(part_sums[part * LANES + lane].x));
        }
        lane_value[lane] = bitcast<u32>(most);
    }
    workgroupBarrier();
    for (var i = thread; i < 256u * LANES; i += THREADS) {
        let d = min(lane_value[i % LANES] - scratch[scratch_base + PRODUCT + i], 8191u);
        scratch[scratch_base + TREE + 256u * LANES + i] = (model[EXP2 + (d & 255u)] >> (d >> 8u)) + 1u;
    }
    sync();
    for (var nodes = 128u; nodes > 0u; nodes >>= 1u) {
        for (var i = thread; i < nodes * LANES; i += THREADS) {
            let node = nodes + i / LANES;
            let child = scratch_base + TREE + 2u * node * LANES + i % LANES;
            scratch[scratch_base + TREE + node * LANES + i % LANES] = scratch[child] + scratch[child + LANES];
        }
        sync();
    }
}

// Predicts the next byte of all lanes: their weights go to scratch[TREE..].
fn forward() {
    embed();
    product(INPUT, WIDTH, TABLES * TABLE_WIDTH, false);
    add_product(0);
    for (var layer = 0u; layer < LAYERS; layer++) {
        let at = LAYER + layer * LAYER_WORDS;
        norm();
        product(at + GATES, 3u * STATE, WIDTH, true);
        recurrence(layer);
        product(at + OUT, WIDTH, STATE, true);
        add_product(1);
        norm();
        product(at + UP, HIDDEN, WIDTH, true);
        squared_relu();
        product(at + DOWN, WIDTH, HIDDEN, true);
        add_product(1);
    }
    norm();
    product(HEAD, 256u, WIDTH, true);
    weight_tree();
}
