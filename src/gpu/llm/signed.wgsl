// Signed 64-bit numbers in two's complement, as pairs of u32: x is the low half, y the high half.

fn wide_negate(a: vec2<u32>) -> vec2<u32> {
    return wide_sub(vec2(0u), a);
}

fn signed_mul(a: i32, b: i32) -> vec2<u32> {
    let product = wide_mul(u32(abs(a)), u32(abs(b)));
    if (a < 0) != (b < 0) {
        return wide_negate(product);
    }
    return product;
}

// a·2^-n rounded down, for n in 0..=63.
fn signed_shift_right(a: vec2<u32>, n: u32) -> vec2<u32> {
    let sign = u32(i32(a.y) >> 31u);
    if n == 0u {
        return a;
    }
    if n < 32u {
        return vec2(a.x >> n | a.y << (32u - n), u32(i32(a.y) >> n));
    }
    return vec2(u32(i32(a.y) >> (n - 32u)), sign);
}

// Half of 2^n, rounded down.
fn wide_half(n: u32) -> vec2<u32> {
    if n == 0u {
        return vec2(0u);
    }
    if n <= 32u {
        return vec2(1u << (n - 1u), 0u);
    }
    return vec2(0u, 1u << (n - 33u));
}

// round(a, n) within ±limit.
fn rounded(a: vec2<u32>, n: u32, limit: i32) -> i32 {
    let shifted = signed_shift_right(wide_add(a, wide_half(n)), n);
    let low = i32(shifted.x);
    let high = i32(shifted.y);
    if high != low >> 31u {
        return select(limit, -limit, high < 0);
    }
    return clamp(low, -limit, limit);
}

fn bit_length(a: u32) -> u32 {
    return firstLeadingBit(a) + 1u;
}

fn wide_bit_length(a: vec2<u32>) -> u32 {
    if a.y > 0u {
        return 32u + bit_length(a.y);
    }
    return bit_length(a.x);
}

// a·2^-n rounded down, for n in 0..=63 and unsigned a.
fn wide_shift(a: vec2<u32>, n: u32) -> vec2<u32> {
    if n == 0u {
        return a;
    }
    if n < 32u {
        return wide_shift_right(a, n);
    }
    return vec2(a.y >> (n - 32u), 0u);
}

// floor(2^(n + more) / v), where v has n bits, n is in 1..=63 and more is below 32.
fn inverse(v: vec2<u32>, n: u32, more: u32) -> u32 {
    var rest = vec2(0u);
    if n > 32u {
        rest.y = 1u << (n - 33u);
    } else {
        rest.x = 1u << (n - 1u);
    }
    var quotient = 0u;
    if !wide_less(rest, v) {
        rest = wide_sub(rest, v);
        quotient = 1u;
    }
    for (var i = 0u; i < more + 1u; i++) {
        rest = vec2(rest.x << 1u, rest.y << 1u | rest.x >> 31u);
        quotient <<= 1u;
        if !wide_less(rest, v) {
            rest = wide_sub(rest, v);
            quotient |= 1u;
        }
    }
    return quotient;
}
