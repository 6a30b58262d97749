// The step of an imported language model (formats/llm.md, "Step"), one operation per kernel. A column is a
// token of a window.
//
// In the parts of `work`, columns follow one another. Narrowed numbers are stored as two digits, x = 256·high
// + low + 128, four to a word: [four entries][column][digit].

struct Op {
    // The number of entries in a column; where its numbers start in `work`; and the distance between two
    // columns.
    size: u32,
    source: u32,
    source_stride: u32,
    target_at: u32,
    target_stride: u32,
    // A second source: the input of the feed-forward part.
    other: u32,
    // The number of bits of narrowed numbers.
    bits: u32,
    // In `weights`: gains; or a matrix, and the multipliers of its rows followed by their offsets.
    weights_at: u32,
    scale_at: u32,
    rows: u32,
    exponent: u32,
    // Whether results are added to the old content.
    adds: u32,
    // The index of the layer.
    layer: u32,
    epsilon: u32,
    spare0: u32,
    spare1: u32,
}

@group(0) @binding(0) var<storage, read> weights: array<u32>;
@group(0) @binding(1) var<storage, read_write> work: array<u32>;
// Keys and values as int8, four entries to a word, and their scales: [window][layer][head][position].
@group(0) @binding(2) var<storage, read_write> cache: array<u32>;
// The number of columns; then for each column its window, token and position.
@group(0) @binding(3) var<storage, read> columns: array<u32>;
@group(0) @binding(4) var<storage, read> tables: array<u32>;
@group(0) @binding(5) var<uniform> op: Op;

const THREADS: u32 = 256u;
const RESIDUAL: i32 = 134217728;
const WIDE: i32 = 1073741824;
const LARGEST: i32 = 2147483647;

var<workgroup> parts: array<vec2<u32>, THREADS>;
var<workgroup> shared_value: vec2<u32>;

fn lane_of(column: u32) -> u32 {
    return columns[1u + 3u * column];
}

fn position_of(column: u32) -> u32 {
    return columns[3u + 3u * column];
}

fn number(at: u32) -> i32 {
    return bitcast<i32>(work[at]);
}

fn sync() {
    storageBarrier();
    workgroupBarrier();
}

// The sum over all threads of the workgroup.
fn sum_over(thread: u32, own: vec2<u32>) -> vec2<u32> {
    parts[thread] = own;
    workgroupBarrier();
    for (var half = THREADS / 2u; half > 0u; half /= 2u) {
        if thread < half {
            parts[thread] = wide_add(parts[thread], parts[thread + half]);
        }
        workgroupBarrier();
    }
    let sum = parts[0];
    workgroupBarrier();
    return sum;
}

// The largest value over all threads of the workgroup.
fn most_over(thread: u32, own: vec2<u32>) -> vec2<u32> {
    parts[thread] = own;
    workgroupBarrier();
    for (var half = THREADS / 2u; half > 0u; half /= 2u) {
        if thread < half && wide_less(parts[thread], parts[thread + half]) {
            parts[thread] = parts[thread + half];
        }
        workgroupBarrier();
    }
    let most = parts[0];
    workgroupBarrier();
    return most;
}

// The largest signed value over all threads of the workgroup.
fn largest_over(thread: u32, own: i32) -> i32 {
    return i32(most_over(thread, vec2(u32(own) ^ 0x80000000u, 0u)).x ^ 0x80000000u);
}

fn power(most: i32, value: i32) -> u32 {
    let below = min(u32(most) - u32(value), 8191u);
    return tables[EXP2 + (below & 255u)] >> (below >> 8u);
}

// Entry i of a row of int8 numbers, four to a word.
fn byte_of(word: u32, i: u32) -> i32 {
    return bitcast<i32>(word << (24u - 8u * (i & 3u))) >> 24u;
}

// The number of bits by which numbers of magnitude up to `most` are narrowed.
fn narrowing(most: u32, bits: u32) -> u32 {
    return max(bit_length(most), bits) - bits;
}

fn narrowed(x: i32, shift: u32, bits: u32) -> i32 {
    let most = (1 << bits) - 1;
    return clamp((x + ((1 << shift) >> 1u)) >> shift, -most, most);
}

// Four narrowed numbers as two words of digits, the high ones first.
fn digits(x: vec4<i32>) -> vec2<u32> {
    let byte = vec4<u32>(x) & vec4(255u);
    let above = (vec4<u32>(x) >> vec4(8u)) & vec4(255u);
    let high = above.x | above.y << 8u | above.z << 16u | above.w << 24u;
    let low = (byte.x | byte.y << 8u | byte.z << 16u | byte.w << 24u) ^ 0x80808080u;
    return vec2(high, low);
}

// Narrows the numbers of a column, which start at `at`, for the next product.
fn narrow_column(thread: u32, column: u32, at: u32) {
    var own = 0u;
    for (var i = thread; i < op.size; i += THREADS) {
        own = max(own, u32(abs(number(at + i))));
    }
    let shift = narrowing(most_over(thread, vec2(own, 0u)).x, op.bits);
    for (var quad = thread; quad * 4u < op.size; quad += THREADS) {
        var x = vec4(0);
        for (var k = 0u; k < 4u; k++) {
            if quad * 4u + k < op.size {
                x[k] = narrowed(number(at + quad * 4u + k), shift, op.bits);
            }
        }
        let pair = digits(x);
        let to = ACT + (quad * COLUMNS + column) * 2u;
        work[to] = pair.x;
        work[to + 1u] = pair.y;
    }
    if thread == 0u {
        work[SHIFT + column] = shift;
    }
}

@compute @workgroup_size(256)
fn embed(@builtin(local_invocation_index) thread: u32, @builtin(workgroup_id) group: vec3<u32>) {
    let column = group.x;
    let token = columns[2u + 3u * column];
    let multiplier = i32(weights[op.scale_at + token]);
    for (var i = thread; i < op.size; i += THREADS) {
        let w = byte_of(weights[op.weights_at + i / 4u * op.rows + token], i);
        let x = rounded(signed_mul(w * multiplier, 4096), op.exponent, RESIDUAL);
        work[op.target_at + column * op.target_stride + i] = u32(x);
    }
}

// Computes a norm with its gains, and narrows it.
@compute @workgroup_size(256)
fn norm(@builtin(local_invocation_index) thread: u32, @builtin(workgroup_id) group: vec3<u32>) {
    let column = group.x;
    let source = op.source + column * op.source_stride;
    let wide = op.target_at + column * op.target_stride;
    var own = vec2(0u);
    for (var i = thread; i < op.size; i += THREADS) {
        let x = u32(abs(number(source + i)));
        own = wide_add(own, wide_shift_right(wide_mul(x, x), 4u));
    }
    let sum = sum_over(thread, own);
    let whole = wide_divide(sum, op.size);
    // The rest is below 2^13.
    let rest = sum.x - whole.x * op.size;
    var mean = vec2(whole.x << 12u, whole.y << 12u | whole.x >> 20u);
    mean = wide_add(mean, vec2((rest << 12u) / op.size, 0u));
    let v = max(wide_root(wide_add(mean, vec2(op.epsilon, 0u)), 1u << 31u), 1u);
    let n = bit_length(v);
    let u = i32(inverse(vec2(v, 0u), n, 29u));
    for (var i = thread; i < op.size; i += THREADS) {
        let y = rounded(signed_mul(number(source + i), u), n + 9u, LARGEST);
        work[wide + i] = u32(rounded(signed_mul(y, bitcast<i32>(weights[op.weights_at + i])), 20u, WIDE));
    }
    sync();
    narrow_column(thread, column, wide);
}

@compute @workgroup_size(256)
fn narrow(@builtin(local_invocation_index) thread: u32, @builtin(workgroup_id) group: vec3<u32>) {
    narrow_column(thread, group.x, op.source + group.x * op.source_stride);
}

// Multiplies the gate by the input of the feed-forward part, and narrows the products.
@compute @workgroup_size(256)
fn gate(@builtin(local_invocation_index) thread: u32, @builtin(workgroup_id) group: vec3<u32>) {
    let column = group.x;
    let wide = op.target_at + column * op.target_stride;
    for (var i = thread; i < op.size; i += THREADS) {
        let g = number(op.source + column * op.source_stride + i);
        let up = number(op.other + column * op.source_stride + i);
        let sigmoid = i32(tables[SIGMOID + u32(clamp(g >> 1u, -32768, 32767) + 32768)]);
        let s = rounded(signed_mul(g, sigmoid), 20u, LARGEST);
        work[wide + i] = u32(rounded(signed_mul(s, up), 10u, WIDE));
    }
    sync();
    narrow_column(thread, column, wide);
}

// Multiplies by a matrix: each thread computes a row of four columns.
@compute @workgroup_size(256)
fn product(@builtin(global_invocation_id) id: vec3<u32>) {
    let row = id.x % op.rows;
    let first = id.x / op.rows * 4u;
    if first >= columns[0] {
        return;
    }
    var sums = vec4(0);
    let quads = (op.size + 3u) / 4u;
    for (var k = 0u; k < quads; k++) {
        let w = weights[op.weights_at + k * op.rows + row];
        let x = ACT + (k * COLUMNS + first) * 2u;
        let high = vec4(
            dot4I8Packed(w, work[x]),
            dot4I8Packed(w, work[x + 2u]),
            dot4I8Packed(w, work[x + 4u]),
            dot4I8Packed(w, work[x + 6u]),
        );
        let low = vec4(
            dot4I8Packed(w, work[x + 1u]),
            dot4I8Packed(w, work[x + 3u]),
            dot4I8Packed(w, work[x + 5u]),
            dot4I8Packed(w, work[x + 7u]),
        );
        sums += high * 256 + low;
    }
    let multiplier = i32(weights[op.scale_at + row]);
    let offset = bitcast<i32>(weights[op.scale_at + op.rows + row]);
    for (var k = 0u; k < 4u; k++) {
        let column = first + k;
        if column < columns[0] {
            let shift = op.exponent - work[SHIFT + column];
            let p = rounded(signed_mul(sums[k] + offset, multiplier), shift, LARGEST);
            let to = op.target_at + column * op.target_stride + row;
            if op.adds != 0u {
                // A larger sum would be clamped anyway.
                let x = number(to) + clamp(p, -2 * RESIDUAL, 2 * RESIDUAL);
                work[to] = u32(clamp(x, -RESIDUAL, RESIDUAL));
            } else {
                work[to] = u32(p);
            }
        }
    }
}

// Replaces the logits of the vocabulary by its weights.
@compute @workgroup_size(256)
fn powers(@builtin(local_invocation_index) thread: u32, @builtin(workgroup_id) group: vec3<u32>) {
    let at = op.target_at + group.x * op.target_stride;
    var own = -LARGEST - 1;
    for (var i = thread; i < op.size; i += THREADS) {
        own = max(own, number(at + i));
    }
    let most = largest_over(thread, own);
    for (var i = thread; i < op.size; i += THREADS) {
        work[at + i] = power(most, number(at + i));
    }
}
