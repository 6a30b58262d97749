// The adaptive stage (formats/lm.md, "Adaptive stage"), one thread per lane. Arrays of int16 and uint16 have
// two entries per word.
//
// Offsets into a lane's state, in words: BY_NODE, BY_LAST, BY_MATCH, ORDER0, GUESSES, CONFIDENCE, MATCHES,
// SCALARS.

const INPUTS: u32 = 8u;
const EXPERTS: u32 = 5u;
const MATCH_CLASSES: u32 = 16u;

// Scalars of a lane.
const MATCH_POSITION: u32 = SCALARS;
const MATCH_LENGTH: u32 = SCALARS + 1u;
const MATCH_EXPECTED: u32 = SCALARS + 2u;
const WORD: u32 = SCALARS + 3u;

// The start of this thread's lane in `state`.
var<private> own: u32;

// Kept while a byte is coded.
var<private> last: u32;
var<private> rate_shift: u32;
// For each expert: the byte that it expects plus 256, or 0; the index of its confidence; and the log-odds for
// that confidence.
var<private> expected: array<u32, EXPERTS>;
var<private> cell: array<u32, EXPERTS>;
var<private> strength: array<i32, EXPERTS>;
// The index and the check for each table of guesses.
var<private> guess: array<u32, 4>;
var<private> check: array<u32, 4>;

// Kept from a prediction for its update.
var<private> inputs: array<i32, INPUTS>;
var<private> match_class: u32;

fn half_word(part: u32, i: u32) -> u32 {
    return state[own + part + (i >> 1u)] >> (16u * (i & 1u)) & 0xffffu;
}

fn set_half_word(part: u32, i: u32, value: u32) {
    let at = own + part + (i >> 1u);
    let shift = 16u * (i & 1u);
    state[at] = (state[at] & (0xffff0000u >> shift)) | value << shift;
}

fn logarithm(p: u32) -> i32 {
    let exponent = firstLeadingBit(p);
    let i = (p << (16u - exponent)) >> 8u & 255u;
    return i32(exponent << 8u | (model[LOG2 + (i >> 2u)] >> (8u * (i & 3u)) & 255u));
}

fn stretch(p: u32) -> i32 {
    return logarithm(p) - logarithm(65536u - p);
}

fn mix(key: u32) -> u32 {
    let k = key * 0x9E3779B1u;
    return (k ^ (k >> 15u)) * 0x85EBCA6Bu;
}

// The number of bytes before `position` that equal those at the window's end `n`, at most 32; 0 for fewer
// than 5.
fn common_suffix(position: u32, n: u32) -> u32 {
    if position == 0u || position >= n {
        return 0u;
    }
    let most = min(position, 32u);
    var length = 0u;
    while length < most && raw_byte(position - 1u - length) == raw_byte(n - 1u - length) {
        length++;
    }
    return select(length, 0u, length < 5u);
}

// Follows or finds a match (steps 1 to 3 of "Before each byte").
fn advance_match(n: u32, bytes: vec2<u32>) {
    if n == 0u {
        return;
    }
    var position = state[own + MATCH_POSITION];
    var length = state[own + MATCH_LENGTH];
    if length > 0u && state[own + MATCH_EXPECTED] == last {
        length = min(length + 1u, 32u);
        position++;
    } else {
        length = 0u;
    }
    if n >= 5u {
        // bytes holds the newest byte in its lowest bits; x holds the four bytes before it, the oldest
        // lowest.
        let x = bytes.x;
        let v = (bytes.y & 255u) | (x >> 24u) << 8u | (x >> 16u & 255u) << 16u | (x >> 8u & 255u) << 24u;
        let key = ((v * 0x9E3779B1u) ^ last) * 0x85EBCA6Bu;
        let i = key >> 20u;
        if length == 0u {
            let distance = (n - half_word(MATCHES, i)) & 0xffffu;
            position = select(0u, n - distance, distance <= n);
            length = common_suffix(position, n);
        }
        set_half_word(MATCHES, i, n & 0xffffu);
    }
    if length > 0u {
        state[own + MATCH_EXPECTED] = raw_byte(position);
    }
    state[own + MATCH_POSITION] = position;
    state[own + MATCH_LENGTH] = length;
}

fn expect_guess(table: u32, key: u32, start: u32, log2: u32) {
    let hash = mix(key);
    guess[table] = start + (hash >> (32u - log2));
    check[table] = hash >> (28u - log2) & 15u;
    let entry = half_word(GUESSES, guess[table]);
    let count = select(0u, entry & 15u, (entry >> 4u & 15u) == check[table]);
    expected[1u + table] = select(0u, (entry >> 8u) + 256u, count > 0u);
    cell[1u + table] = select(0u, MATCH_CLASSES + table * 8u + count, count > 0u);
}

// Prepares the next byte ("Before each byte") after n bytes of the window.
fn before_byte(n: u32, bytes: vec2<u32>) {
    last = bytes.x & 255u;
    rate_shift = select(18u, 19u, n >= 8192u);
    advance_match(n, bytes);
    let lower = last | 32u;
    let letter = (lower >= 97u && lower <= 122u) || last >= 128u;
    let word = select(0u, mix(state[own + WORD] + lower + 1u), n > 0u && letter);
    state[own + WORD] = word;
    let length = state[own + MATCH_LENGTH];
    expected[0] = select(0u, state[own + MATCH_EXPECTED] + 256u, length > 0u);
    let length_class = select(12u + (length - 16u) / 5u, min(length - 4u, 11u), length < 16u);
    cell[0] = select(0u, length_class, length > 0u);
    expect_guess(0u, (bytes.x & 0xffffu) + 2u, 0u, 9u);
    expect_guess(1u, (bytes.x & 0xffffffu) + 3u, 512u, 10u);
    expect_guess(2u, bytes.x + 4u, 1536u, 10u);
    expect_guess(3u, word + last + 5u, 2560u, 10u);
    for (var i = 0u; i < EXPERTS; i++) {
        strength[i] = stretch(half_word(CONFIDENCE, cell[i]));
    }
}

// The sum of two products with a word of mixer weights.
fn dot2(weights: u32, pair: u32) -> i32 {
    return (bitcast<i32>(weights << 16u) >> 16u) * inputs[2u * pair]
        + (bitcast<i32>(weights) >> 16u) * inputs[2u * pair + 1u];
}

// The network's probability of a 1, from the weight sums of both halves.
fn network_probability(zero: u32, one: u32) -> u32 {
    let total = zero + one;
    let bits = firstLeadingBit(total) + 1u;
    let excess = select(0u, bits - 16u, bits > 16u);
    return clamp(((one >> excess) << 16u) / (total >> excess), 1u, 65535u);
}

// The probability of a 1 at a node, from the weight sums of its children.
fn predict(node: u32, zero: u32, one: u32) -> i32 {
    let depth = firstLeadingBit(node);
    inputs[0] = stretch(network_probability(zero, one));
    for (var i = 0u; i < EXPERTS; i++) {
        let signed = select(-strength[i], strength[i], (expected[i] >> (7u - depth) & 1u) == 1u);
        inputs[1u + i] = select(0, signed, expected[i] >> (8u - depth) == node);
    }
    inputs[6] = stretch((half_word(ORDER0, node) | 15u) - 7u);
    inputs[7] = 256;
    match_class = select(0u, cell[0], expected[0] >> (8u - depth) == node);
    var sum = 0;
    for (var pair = 0u; pair < INPUTS / 2u; pair++) {
        sum += dot2(state[own + BY_NODE + node * 4u + pair], pair);
        sum += dot2(state[own + BY_LAST + last * 4u + pair], pair);
        sum += dot2(state[own + BY_MATCH + match_class * 4u + pair], pair);
    }
    return clamp(squash((sum + 4096) >> 13u), 4, 65532);
}

fn learned(weight: i32, input: i32, error: i32) -> i32 {
    return clamp(weight + ((input * error + (1 << (rate_shift - 1u))) >> rate_shift), -16384, 16384);
}

fn learn_pair(at: u32, pair: u32, error: i32) {
    let weights = state[at + pair];
    let even = learned(bitcast<i32>(weights << 16u) >> 16u, inputs[2u * pair], error);
    let odd = learned(bitcast<i32>(weights) >> 16u, inputs[2u * pair + 1u], error);
    state[at + pair] = (bitcast<u32>(even) & 0xffffu) | bitcast<u32>(odd) << 16u;
}

// Learns from a decision whose probability was p.
fn update(node: u32, bit: u32, p: i32) {
    let error = (i32(bit << 16u) - p) >> 1u;
    for (var pair = 0u; pair < INPUTS / 2u; pair++) {
        learn_pair(own + BY_NODE + node * 4u, pair, error);
        learn_pair(own + BY_LAST + last * 4u, pair, error);
        learn_pair(own + BY_MATCH + match_class * 4u, pair, error);
    }
    let counter = half_word(ORDER0, node);
    let old = i32(counter >> 4u);
    let n = counter & 15u;
    let target_p = select(0, 4095, bit == 1u);
    let fresh = old + (((target_p - old) * i32(131072u / (2u * n + 3u)) + 32768) >> 16u);
    set_half_word(ORDER0, node, u32(fresh) << 4u | min(n + 1u, 14u));
    let depth = firstLeadingBit(node);
    for (var i = 0u; i < EXPERTS; i++) {
        if expected[i] >> (8u - depth) == node {
            let old_confidence = i32(half_word(CONFIDENCE, cell[i]));
            let goal = select(0, 65535, expected[i] >> (7u - depth) == 2u * node + bit);
            let confidence = clamp(old_confidence + ((goal - old_confidence) >> 6u), 64, 65471);
            set_half_word(CONFIDENCE, cell[i], u32(confidence));
        }
    }
}

// Updates the tables of guesses ("After each byte").
fn learn_guesses(byte: u32) {
    for (var i = 0u; i < 4u; i++) {
        let entry = half_word(GUESSES, guess[i]);
        let old = entry >> 8u;
        let count = select(0u, entry & 15u, (entry >> 4u & 15u) == check[i]);
        var next = vec2(byte, 1u);
        if count > 0u && old == byte {
            next = vec2(old, min(count + 1u, 7u));
        } else if count > 2u {
            next = vec2(old, count / 2u);
        }
        set_half_word(GUESSES, guess[i], next.x << 8u | check[i] << 4u | next.y);
    }
}
