// Rotation, the cache of keys and values, and attention.

const QUERY: i32 = 8388607;
const KEY: i32 = 4194303;
const VALUE: i32 = 134217727;

// The start of the keys (which = 0) or values (1) of a head in `cache`.
fn cached(lane: u32, head: u32, which: u32) -> u32 {
    let list = ((lane * LAYERS + op.layer) * KV_HEADS + head) * 2u + which;
    return list * TOKENS * HEAD_WORDS;
}

// The start of the scales of these keys or values.
fn scales(lane: u32, head: u32, which: u32) -> u32 {
    let list = ((lane * LAYERS + op.layer) * KV_HEADS + head) * 2u + which;
    return SCALES + list * TOKENS;
}

// Rotates pair i of a head whose entries start at `at`.
fn rotate(at: u32, i: u32, position: u32, limit: i32) {
    let angle = tables[ROPE + position * (HEAD / 2u) + i];
    let c = bitcast<i32>(angle << 16u) >> 16u;
    let s = bitcast<i32>(angle) >> 16u;
    let a = number(at + 2u * i);
    let b = number(at + 2u * i + 1u);
    let x = wide_sub(signed_mul(a, c), signed_mul(b, s));
    let y = wide_add(signed_mul(a, s), signed_mul(b, c));
    work[at + 2u * i] = u32(rounded(x, 14u, limit));
    work[at + 2u * i + 1u] = u32(rounded(y, 14u, limit));
}

// Stores a head whose entries start at `at` as int8 numbers; returns the scale.
fn store_head(at: u32, to: u32, limit: i32) -> u32 {
    var most = 0u;
    for (var i = 0u; i < HEAD; i++) {
        most = max(most, u32(abs(clamp(number(at + i), -limit, limit))));
    }
    // Multiplied by any entry, it stays below 2^31.
    let u = i32((127u << 24u) / max(most, 1u));
    for (var word = 0u; word < HEAD_WORDS; word++) {
        var bytes = 0u;
        for (var k = 0u; k < 4u; k++) {
            let i = 4u * word + k;
            if i < HEAD {
                let x = (clamp(number(at + i), -limit, limit) * u + (1 << 23u)) >> 24u;
                bytes |= (u32(x) & 255u) << (8u * k);
            }
        }
        cache[to + word] = bytes;
    }
    return most;
}

// Rotates queries and keys, and stores keys and values in the cache. The queries, keys and values of a column
// lie next to each other.
@compute @workgroup_size(256)
fn remember(@builtin(local_invocation_index) thread: u32, @builtin(workgroup_id) group: vec3<u32>) {
    let column = group.x;
    let position = position_of(column);
    let lane = lane_of(column);
    let queries = op.source + column * op.source_stride;
    for (var i = thread; i < HEADS * (HEAD / 2u); i += THREADS) {
        rotate(queries + i / (HEAD / 2u) * HEAD, i % (HEAD / 2u), position, QUERY);
    }
    let keys = queries + HEADS * HEAD;
    for (var head = thread; head < KV_HEADS; head += THREADS) {
        let at = keys + head * HEAD;
        for (var i = 0u; i < HEAD / 2u; i++) {
            rotate(at, i, position, KEY);
        }
        let to = cached(lane, head, 0u) + position * HEAD_WORDS;
        cache[scales(lane, head, 0u) + position] = store_head(at, to, KEY);
        let value = keys + (KV_HEADS + head) * HEAD;
        let value_to = cached(lane, head, 1u) + position * HEAD_WORDS;
        cache[scales(lane, head, 1u) + position] = store_head(value, value_to, VALUE);
    }
}

var<workgroup> query: array<vec2<u32>, 32>;
var<workgroup> value_parts: array<vec4<i32>, THREADS>;

// Narrows a query of up to 128 entries to 15 bits; returns the shift.
fn narrow_query(thread: u32, at: u32) -> u32 {
    var own = 0u;
    if thread < HEAD {
        own = u32(abs(number(at + thread)));
    }
    let shift = narrowing(most_over(thread, vec2(own, 0u)).x, 15u);
    if thread < HEAD_WORDS {
        var x = vec4(0);
        for (var k = 0u; k < 4u; k++) {
            if thread * 4u + k < HEAD {
                x[k] = narrowed(number(at + thread * 4u + k), shift, 15u);
            }
        }
        query[thread] = digits(x);
    }
    workgroupBarrier();
    return shift;
}

// Sums the weighted values. Each thread has four entries, and the positions are shared among threads.
fn weighted(thread: u32, values: u32, weights_at: u32, positions: u32) {
    let slices = THREADS / HEAD_WORDS;
    let word = thread % HEAD_WORDS;
    var sums = vec4(0);
    if thread < slices * HEAD_WORDS {
        for (var j = thread / HEAD_WORDS; j < positions; j += slices) {
            let v = cache[values + j * HEAD_WORDS + word];
            let entries = vec4(byte_of(v, 0u), byte_of(v, 1u), byte_of(v, 2u), byte_of(v, 3u));
            sums += entries * number(weights_at + j);
        }
    }
    value_parts[thread] = sums;
    workgroupBarrier();
    if thread < HEAD_WORDS {
        for (var slice = 1u; slice < slices; slice++) {
            sums += value_parts[slice * HEAD_WORDS + thread];
        }
        value_parts[thread] = sums;
    }
    workgroupBarrier();
}

// Attention, with one query head of a column per workgroup.
@compute @workgroup_size(256)
fn attend(@builtin(local_invocation_index) thread: u32, @builtin(workgroup_id) group: vec3<u32>) {
    let column = group.x / HEADS;
    let head = group.x % HEADS;
    let kv_head = head * KV_HEADS / HEADS;
    let lane = lane_of(column);
    let positions = position_of(column) + 1u;
    let shift = 28u - narrow_query(thread, op.source + column * op.source_stride + head * HEAD);
    let keys = cached(lane, kv_head, 0u);
    let key_scales = scales(lane, kv_head, 0u);
    let list = op.other + group.x * TOKENS;
    var own = -LARGEST - 1;
    for (var j = thread; j < positions; j += THREADS) {
        var sum = 0;
        for (var word = 0u; word < HEAD_WORDS; word++) {
            let k = cache[keys + j * HEAD_WORDS + word];
            let x = query[word];
            // The low digits are 128 too small.
            sum += dot4I8Packed(k, x.x) * 256 + dot4I8Packed(k, x.y) - dot4I8Packed(k, 0x80808080u);
        }
        let score = rounded(signed_mul(sum, i32(cache[key_scales + j])), shift, LARGEST);
        work[list + j] = u32(score);
        own = max(own, score);
    }
    let most = largest_over(thread, own);
    let value_scales = scales(lane, kv_head, 1u);
    var total = vec2(0u);
    var weights_total = vec2(0u);
    var weights_most = vec2(0u);
    for (var j = thread; j < positions; j += THREADS) {
        let p = power(most, number(list + j));
        work[list + j] = p;
        let u = wide_mul(p, cache[value_scales + j]);
        total = wide_add(total, vec2(p, 0u));
        weights_total = wide_add(weights_total, u);
        if wide_less(weights_most, u) {
            weights_most = u;
        }
    }
    total = sum_over(thread, total);
    weights_total = sum_over(thread, weights_total);
    weights_most = most_over(thread, weights_most);
    let excess_of_most = max(wide_bit_length(weights_most), 15u) - 15u;
    let excess_of_total = max(wide_bit_length(weights_total), 24u) - 24u;
    let c = max(excess_of_most, excess_of_total);
    for (var j = thread; j < positions; j += THREADS) {
        let u = wide_mul(work[list + j], cache[value_scales + j]);
        work[list + j] = min(wide_shift(wide_add(u, wide_half(c)), c).x, 32767u);
    }
    sync();
    weighted(thread, cached(lane, kv_head, 1u), list, positions);
    let divisor = wide_scale(total, 127u);
    let n = wide_bit_length(divisor);
    let f = i32(inverse(divisor, n, 20u));
    if thread < HEAD {
        let sum = value_parts[thread / 4u][thread % 4u];
        let to = op.target_at + column * op.target_stride + head * HEAD + thread;
        work[to] = u32(rounded(signed_mul(sum, f), n + 20u - c, WIDE));
    }
}
