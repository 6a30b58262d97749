// The range decoder (formats/coder.md, "Decoding") of each thread's window. The text after this one declares
// the buffer `payload` and PRECISION: a choice has 2^PRECISION equal parts.

// The payload's number minus `low`.
var<private> point: vec2<u32>;
var<private> range: vec2<u32>;
// The index of the next payload word.
var<private> next: u32;
// Whether no encoder writes this payload.
var<private> corrupt: bool;

// The next word of the payload; zeros past its end.
fn next_word() -> u32 {
    let i = next;
    next++;
    if i >= job.payload_words {
        return 0u;
    }
    return payload[job.payload_start + i];
}

fn start_decoder() {
    next = 0u;
    point.y = next_word();
    point.x = next_word();
    range = vec2(0xffffffffu);
    corrupt = false;
}

// The width of one of the equal parts of the range.
fn part_of_range() -> vec2<u32> {
    return wide_shift_right(range, PRECISION);
}

// Whether the point lies in one of these parts, and not in the rest of the range, where no encoder points.
fn is_in_a_part() -> bool {
    return wide_less(point, vec2(range.x & ~((1u << PRECISION) - 1u), range.y));
}

// Shifts a word of the payload in, if the range has become small.
fn renormalise() {
    if range.y == 0u {
        point = vec2(next_word(), point.x);
        range = vec2(0u, range.x);
    }
}
