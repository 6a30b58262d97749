// Decodes choices through the range decoder (formats/circuit.md, "Symbols"), one thread for each window.

// The state of a lane between two dispatches; all zeros before the first one.
struct LaneState {
    point: vec2<u32>,
    range: vec2<u32>,
    next: u32,
    // The number of complete records.
    done: u32,
    corrupt: u32,
    spare: u32,
}

@group(0) @binding(2) var<storage, read_write> lanes: array<LaneState>;
@group(0) @binding(3) var<storage, read> jobs: array<Job>;
@group(0) @binding(4) var<storage, read> payload: array<u32>;
@group(0) @binding(5) var<storage, read_write> raw: array<u32>;

const PRECISION: u32 = 20u;
const PARTS: u32 = 1u << PRECISION;

// The number of complete records of this thread's window.
var<private> done: u32;

fn load_lane(lane: u32) {
    job = jobs[lane];
    let saved = lanes[lane];
    done = saved.done;
    // The decoder reads two words of the payload when it starts.
    if saved.next == 0u {
        start_decoder();
    } else {
        point = saved.point;
        range = saved.range;
        next = saved.next;
        corrupt = saved.corrupt != 0u;
    }
}

fn save_lane(lane: u32) {
    lanes[lane] = LaneState(point, range, next, done, u32(corrupt), 0u);
}

// The number of the part of the range at which the payload points; PARTS where no encoder points.
fn quantile() -> u32 {
    if !is_in_a_part() {
        return PARTS;
    }
    let part = part_of_range();
    var rest = point;
    var quotient = 0u;
    for (var bit = PRECISION; bit > 0u; bit--) {
        let shift = bit - 1u;
        var shifted = part;
        if shift > 0u {
            shifted = vec2(part.x << shift, part.y << shift | part.x >> (32u - shift));
        }
        if !wide_less(rest, shifted) {
            rest = wide_sub(rest, shifted);
            quotient |= 1u << shift;
        }
    }
    return quotient;
}

// c(i) of the specification, from the sum of the weights before i, the number of symbols and the sum of all
// weights.
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

// Whether c(end) is above q, computed without a division. `before` is the sum of the weights before `end`,
// which is at least 1.
fn passes(before: u32, end: u32, n: u32, sum: u32, q: u32) -> bool {
    return end > q || !wide_less(wide_mul(before, PARTS - n), wide_mul(q - end + 1u, sum));
}

// Decodes symbol i, whose weight lies between the sums `before` and `after`.
fn narrow(before: u32, after: u32, i: u32, n: u32, sum: u32) {
    let start = start_of(before, i, n, sum);
    let width = start_of(after, i + 1u, n, sum) - start;
    let part = part_of_range();
    point = wide_sub(point, wide_scale(part, start));
    range = wide_scale(part, width);
    renormalise();
}
