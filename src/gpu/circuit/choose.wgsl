// Choices through the range coder (formats/circuit.md, "Symbols"; formats/coder.md, "Decoding"), one thread for each window.

struct Job {
    // Where the raw bytes go and how many there are; in bytes, a multiple of 4.
    raw_start: u32,
    raw_len: u32,
    // Payload in words whose first byte is the highest; zeros are read past its end.
    payload_start: u32,
    payload_words: u32,
}

// A window's coder between dispatches.
struct Coder {
    point: vec2<u32>,
    range: vec2<u32>,
    next: u32,
    // Records that are complete.
    done: u32,
    corrupt: u32,
    spare: u32,
}

@group(0) @binding(2) var<storage, read_write> coders: array<Coder>;
@group(0) @binding(3) var<storage, read> jobs: array<Job>;
@group(0) @binding(4) var<storage, read> payload: array<u32>;
@group(0) @binding(5) var<storage, read_write> raw: array<u32>;

const PRECISION: u32 = 20u;
const PARTS: u32 = 1u << PRECISION;

var<private> job: Job;
var<private> coder: Coder;

fn next_word() -> u32 {
    let i = coder.next;
    coder.next++;
    if i >= job.payload_words {
        return 0u;
    }
    return payload[job.payload_start + i];
}

fn scale() -> vec2<u32> {
    return wide_shift_right(coder.range, PRECISION);
}

// Which part the payload points at; PARTS where no encoder leads to.
fn quantile() -> u32 {
    let unit = scale();
    var rest = coder.point;
    if !wide_less(rest, vec2(coder.range.x & ~(PARTS - 1u), coder.range.y)) {
        return PARTS;
    }
    var quotient = 0u;
    for (var bit = PRECISION; bit > 0u; bit--) {
        let shift = bit - 1u;
        var shifted = unit;
        if shift > 0u {
            shifted = vec2(unit.x << shift, unit.y << shift | unit.x >> (32u - shift));
        }
        if !wide_less(rest, shifted) {
            rest = wide_sub(rest, shifted);
            quotient |= 1u << shift;
        }
    }
    return quotient;
}

// c(i), from the weights before i, the number of symbols and the sum of all weights.
fn start_of(before: u32, i: u32, n: u32, sum: u32) -> u32 {
    let product = wide_mul(before, PARTS - n);
    // The quotient is below 2^20.
    var rest = wide_shift_right(product, PRECISION).x;
    var quotient = 0u;
    for (var bit = PRECISION; bit > 0u; bit--) {
        let carry = rest >> 31u;
        rest = rest << 1u | (product.x >> (bit - 1u) & 1u);
        quotient <<= 1u;
        if carry == 1u || rest >= sum {
            rest -= sum;
            quotient |= 1u;
        }
    }
    return quotient + i;
}

// Whether c(end) is above q, without dividing; `before` are the weights before `end`, which is at least 1.
fn passes(before: u32, end: u32, n: u32, sum: u32, q: u32) -> bool {
    return end > q || !wide_less(wide_mul(before, PARTS - n), wide_mul(q - end + 1u, sum));
}

// Takes symbol i, whose weight is that between `before` and `after`.
fn narrow(before: u32, after: u32, i: u32, n: u32, sum: u32) {
    let start = start_of(before, i, n, sum);
    let width = start_of(after, i + 1u, n, sum) - start;
    let unit = scale();
    coder.point = wide_sub(coder.point, wide_scale(unit, start));
    coder.range = wide_scale(unit, width);
    if coder.range.y == 0u {
        coder.point = vec2(next_word(), coder.point.x);
        coder.range = vec2(0u, coder.range.x);
    }
}
