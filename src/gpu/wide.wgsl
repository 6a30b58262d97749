// Arithmetic that needs 64 bits, on pairs of u32: x is the low half, y the high half.

fn wide_mul(a: u32, b: u32) -> vec2<u32> {
    let low = (a & 0xffffu) * (b & 0xffffu);
    let cross_a = (a >> 16u) * (b & 0xffffu);
    let cross_b = (a & 0xffffu) * (b >> 16u);
    let middle = (low >> 16u) + (cross_a & 0xffffu) + (cross_b & 0xffffu);
    let high = (a >> 16u) * (b >> 16u) + (cross_a >> 16u) + (cross_b >> 16u) + (middle >> 16u);
    return vec2(middle << 16u | (low & 0xffffu), high);
}

fn wide_add(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
    let low = a.x + b.x;
    return vec2(low, a.y + b.y + select(0u, 1u, low < a.x));
}

fn wide_sub(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
    return vec2(a.x - b.x, a.y - b.y - select(0u, 1u, a.x < b.x));
}

fn wide_less(a: vec2<u32>, b: vec2<u32>) -> bool {
    return a.y < b.y || (a.y == b.y && a.x < b.x);
}

// a·b, which must be below 2^64.
fn wide_scale(a: vec2<u32>, b: u32) -> vec2<u32> {
    let low = wide_mul(a.x, b);
    return vec2(low.x, low.y + a.y * b);
}

// floor(a / 2^n) for n in 1..=31.
fn wide_shift_right(a: vec2<u32>, n: u32) -> vec2<u32> {
    return vec2(a.x >> n | a.y << (32u - n), a.y >> n);
}

// floor(a / b) for b below 2^16.
fn wide_divide(a: vec2<u32>, b: u32) -> vec2<u32> {
    var quotient = vec2(0u);
    let q3 = a.y >> 16u;
    quotient.y = (q3 / b) << 16u;
    var rest = (q3 % b) << 16u | (a.y & 0xffffu);
    quotient.y |= rest / b;
    rest = (rest % b) << 16u | a.x >> 16u;
    quotient.x = (rest / b) << 16u;
    rest = (rest % b) << 16u | (a.x & 0xffffu);
    quotient.x |= rest / b;
    return quotient;
}

// Integer square root of a number whose root is below twice the power of two `highest`.
fn wide_root(a: vec2<u32>, highest: u32) -> u32 {
    var root = 0u;
    for (var bit = highest; bit > 0u; bit >>= 1u) {
        let candidate = root | bit;
        if !wide_less(a, wide_mul(candidate, candidate)) {
            root = candidate;
        }
    }
    return root;
}
