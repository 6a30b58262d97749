// The range encoder (formats/coder.md, "Encoding"). It ends a window when one more byte would not fit into
// its payload.
//
// Digits of the payload are words of 32 bits. Those that have left `low` are, in order: `written` words in
// the payload, which can no longer change; `held`, which a carry may still reach, and which is never all
// ones; and `ones` words of all ones. The state before the last byte is kept, so that a byte that does not
// fit can be taken back. The result is the raw length, followed by this state.

@group(0) @binding(5) var<storage, read_write> payload: array<u32>;

struct Encoder {
    low: vec2<u32>,
    range: vec2<u32>,
    written: u32,
    // Whether a word is held, which one, and how many words of ones follow it.
    holds: u32,
    held: u32,
    ones: u32,
    // The number of bytes of the written words up to the last one that is not zero.
    significant: u32,
}

var<private> coder: Encoder;
var<private> before: Encoder;
var<private> stopped: bool;
var<private> symbol: u32;

fn start_coder() {
    coder = Encoder(vec2(0u), vec2(0xffffffffu), 0u, 0u, 0u, 0u, 0u);
    stopped = false;
    // A window of no bytes, which an encoder never asks for, also ends in this state.
    before = coder;
}

fn load_coder() {
    let at = own + CODER;
    coder = Encoder(
        vec2(state[at], state[at + 1u]),
        vec2(state[at + 2u], state[at + 3u]),
        state[at + 4u],
        state[at + 5u],
        state[at + 6u],
        state[at + 7u],
        state[at + 8u],
    );
    stopped = state[at + 9u] != 0u;
}

fn save_coder() {
    let at = own + CODER;
    state[at] = coder.low.x;
    state[at + 1u] = coder.low.y;
    state[at + 2u] = coder.range.x;
    state[at + 3u] = coder.range.y;
    state[at + 4u] = coder.written;
    state[at + 5u] = coder.holds;
    state[at + 6u] = coder.held;
    state[at + 7u] = coder.ones;
    state[at + 8u] = coder.significant;
    state[at + 9u] = u32(stopped);
    let held_words = select(0u, 1u + coder.ones, coder.holds != 0u);
    let result = array(
        state[own + DONE],
        coder.written,
        held_words,
        coder.held,
        coder.low.x,
        coder.low.y,
        coder.range.x,
        coder.range.y,
    );
    for (var i = 0u; i < 8u; i++) {
        results[lane_base + thread][2u + i] = result[i];
    }
}

fn is_stopped() -> bool {
    return stopped;
}

fn begin_byte(n: u32) {
    before = coder;
    symbol = raw_byte(n);
}

// The number of bytes of a word up to the last one that is not zero.
fn bytes_of(word: u32) -> u32 {
    return select(4u - (firstTrailingBit(word) >> 3u), 0u, word == 0u);
}

fn write_word(word: u32) {
    // A word that does not fit is either zero, or is taken back with its byte.
    if coder.written < job.payload_words {
        payload[job.payload_start + coder.written] = word;
    }
    if word != 0u {
        coder.significant = 4u * coder.written + bytes_of(word);
    }
    coder.written++;
}

// Writes the held word, then the words of ones after it as `digit`; then holds `word`.
fn hold(word: u32, digit: u32) {
    if coder.holds != 0u {
        write_word(coder.held);
        for (var i = 0u; i < coder.ones; i++) {
            write_word(digit);
        }
    }
    coder.holds = 1u;
    coder.held = word;
    coder.ones = 0u;
}

fn carry() {
    coder.held++;
    if coder.ones > 0u {
        // The last of the words of ones, which is now zero, is held instead.
        coder.ones--;
        hold(0u, 0u);
    }
}

fn decide(depth: u32, p: u32) -> u32 {
    let bit = symbol >> (7u - depth) & 1u;
    let scale = wide_shift_right(coder.range, 16u);
    let split = wide_scale(scale, 65536u - p);
    if bit == 0u {
        coder.range = split;
    } else {
        coder.range = wide_scale(scale, p);
        let low = wide_add(coder.low, split);
        if wide_less(low, split) {
            carry();
        }
        coder.low = low;
    }
    if coder.range.y == 0u {
        if coder.low.y == 0xffffffffu && coder.holds != 0u {
            coder.ones++;
        } else {
            hold(coder.low.y, 0xffffffffu);
        }
        coder.low = vec2(0u, coder.low.x);
        coder.range = vec2(0u, coder.range.x);
    }
    return bit;
}

// The length in bytes of the shortest payload that decodes to everything so far.
fn payload_bytes() -> u32 {
    let low = coder.low;
    let end = wide_add(low, wide_sub(coder.range, vec2(1u, 0u)));
    let words = coder.written + select(0u, 1u + coder.ones, coder.holds != 0u);
    if wide_less(end, low) {
        // The interval contains a carry followed by zeros: the ones become zeros, and the held word is one
        // more.
        return 4u * coder.written + bytes_of(coder.held + 1u);
    }
    if low.x != 0u || low.y != 0u {
        // The number in first..=end.y with the most trailing zeros; the interval is at least 2^32 wide.
        let first = low.y + select(0u, 1u, low.x != 0u);
        let kept = firstLeadingBit((first - 1u) ^ end.y);
        return 4u * words + bytes_of(end.y >> kept << kept);
    }
    if coder.holds != 0u && coder.ones > 0u {
        return 4u * words;
    }
    if coder.holds != 0u && coder.held != 0u {
        return 4u * coder.written + bytes_of(coder.held);
    }
    return coder.significant;
}

fn end_byte(n: u32, byte: u32) -> u32 {
    if payload_bytes() > 4u * job.payload_words {
        coder = before;
        stopped = true;
        return n;
    }
    return n + 1u;
}
