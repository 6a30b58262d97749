//! The vectors of WebAssembly, for modules whose every function has them.

use std::arch::wasm32::*;

/// 128 bits.
#[derive(Clone, Copy)]
pub struct V128(v128);

/// Sums of products of 16-bit numbers in pairs of lanes.
#[derive(Clone, Copy)]
pub struct PairSums(v128);

impl PairSums {
    pub const ZERO: Self = Self(i32x4(0, 0, 0, 0));

    /// Adds the products of two vectors.
    #[inline(always)]
    pub fn add(&mut self, a: V128, b: V128) {
        self.0 = i32x4_add(self.0, i32x4_dot_i16x8(a.0, b.0));
    }

    /// The sum of each of the four pairs.
    #[inline(always)]
    pub fn finish(self) -> V128 {
        V128(self.0)
    }
}

impl V128 {
    /// Loads numbers of 128 bits in all.
    #[inline(always)]
    pub fn load<T: bytemuck::Pod>(from: &T) -> Self {
        const { assert!(size_of::<T>() == 16) };
        // SAFETY: the value holds 128 bits; loads need no alignment.
        Self(unsafe { v128_load(std::ptr::from_ref(from).cast()) })
    }

    /// Stores numbers of 128 bits in all.
    #[inline(always)]
    pub fn store<T: bytemuck::Pod>(self, to: &mut T) {
        const { assert!(size_of::<T>() == 16) };
        // SAFETY: the place holds 128 bits, and its type allows any; stores need no alignment.
        unsafe { v128_store(std::ptr::from_mut(to).cast(), self.0) };
    }

    /// Eight bytes as 16-bit numbers with their signs.
    #[inline(always)]
    pub fn widen(from: &[i8; 8]) -> Self {
        // SAFETY: eight bytes are read; loads need no alignment.
        Self(unsafe { i16x8_load_extend_i8x8(from.as_ptr()) })
    }

    #[inline(always)]
    pub fn splat16(value: i16) -> Self {
        Self(i16x8_splat(value))
    }

    #[inline(always)]
    pub fn splat32(value: i32) -> Self {
        Self(i32x4_splat(value))
    }

    #[inline(always)]
    pub fn and(self, other: Self) -> Self {
        Self(v128_and(self.0, other.0))
    }

    #[inline(always)]
    pub fn or(self, other: Self) -> Self {
        Self(v128_or(self.0, other.0))
    }

    /// For each byte of `self`, which is below 16, the byte of `table` with that number.
    #[inline(always)]
    pub fn look_up(self, table: Self) -> Self {
        Self(i8x16_swizzle(table.0, self.0))
    }

    #[inline(always)]
    pub fn add16(self, other: Self) -> Self {
        Self(i16x8_add(self.0, other.0))
    }

    #[inline(always)]
    pub fn sub16(self, other: Self) -> Self {
        Self(i16x8_sub(self.0, other.0))
    }

    /// The sums, limited to what 16 bits hold.
    #[inline(always)]
    pub fn add_sat16(self, other: Self) -> Self {
        Self(i16x8_add_sat(self.0, other.0))
    }

    /// Limits numbers with signs to `low..=high`.
    #[inline(always)]
    pub fn clamp16(self, low: i16, high: i16) -> Self {
        Self(i16x8_min(i16x8_max(self.0, i16x8_splat(low)), i16x8_splat(high)))
    }

    /// All ones where a number with sign is above the other one.
    #[inline(always)]
    pub fn above16(self, other: Self) -> Self {
        Self(i16x8_gt(self.0, other.0))
    }

    /// `(self * other + 2^14) >> 15`, where not both are -2^15.
    #[inline(always)]
    pub fn scale16(self, other: Self) -> Self {
        Self(i16x8_q15mulr_sat(self.0, other.0))
    }

    /// `(self * other) >> 16` without signs.
    #[inline(always)]
    pub fn high16(self, other: Self) -> Self {
        let (low, high) = (u32x4_extmul_low_u16x8(self.0, other.0), u32x4_extmul_high_u16x8(self.0, other.0));
        Self(i16x8_shuffle::<1, 3, 5, 7, 9, 11, 13, 15>(low, high))
    }

    /// Shift without signs.
    #[inline(always)]
    pub fn shift_right_u16<const N: i32>(self) -> Self {
        Self(u16x8_shr(self.0, N as u32))
    }

    /// The vector with another first 16-bit number.
    #[inline(always)]
    pub fn with_first16(self, value: u16) -> Self {
        Self(u16x8_replace_lane::<0>(self.0, value))
    }

    /// How many of sixteen 16-bit numbers without signs are at most `most`.
    #[inline(always)]
    pub fn count_up_to16(low: Self, high: Self, most: u16) -> u32 {
        let most = u16x8_splat(most);
        let both = i8x16_narrow_i16x8(u16x8_le(low.0, most), u16x8_le(high.0, most));
        i8x16_bitmask(both).count_ones()
    }

    #[inline(always)]
    pub fn add32(self, other: Self) -> Self {
        Self(i32x4_add(self.0, other.0))
    }

    #[inline(always)]
    pub fn sub32(self, other: Self) -> Self {
        Self(i32x4_sub(self.0, other.0))
    }

    /// The low 32 bits of the products.
    #[inline(always)]
    pub fn mul32(self, other: Self) -> Self {
        Self(i32x4_mul(self.0, other.0))
    }

    #[inline(always)]
    pub fn min32(self, other: Self) -> Self {
        Self(i32x4_min(self.0, other.0))
    }

    #[inline(always)]
    pub fn max32(self, other: Self) -> Self {
        Self(i32x4_max(self.0, other.0))
    }

    /// The minimum without signs.
    #[inline(always)]
    pub fn min_u32(self, other: Self) -> Self {
        Self(u32x4_min(self.0, other.0))
    }

    /// All ones where a number with sign is above the other one.
    #[inline(always)]
    pub fn above32(self, other: Self) -> Self {
        Self(i32x4_gt(self.0, other.0))
    }

    #[inline(always)]
    pub fn shift_left32<const N: i32>(self) -> Self {
        Self(i32x4_shl(self.0, N as u32))
    }

    /// Shift with signs.
    #[inline(always)]
    pub fn shift_right32<const N: i32>(self) -> Self {
        Self(i32x4_shr(self.0, N as u32))
    }

    /// Shift without signs.
    #[inline(always)]
    pub fn shift_right_u32<const N: i32>(self) -> Self {
        Self(u32x4_shr(self.0, N as u32))
    }

    /// Shift with signs by a number below 32.
    #[inline(always)]
    pub fn shift_right_by32(self, by: u32) -> Self {
        Self(i32x4_shr(self.0, by))
    }

    /// The bits of the nearest floating-point numbers.
    #[inline(always)]
    pub fn float_bits32(self) -> Self {
        Self(f32x4_convert_i32x4(self.0))
    }

    /// Eight numbers with signs, limited to what 16 bits hold.
    #[inline(always)]
    pub fn narrow32(low: Self, high: Self) -> Self {
        Self(i16x8_narrow_i32x4(low.0, high.0))
    }

    /// Eight numbers with signs, limited to what 16 bits without signs hold.
    #[inline(always)]
    pub fn narrow_u32(low: Self, high: Self) -> Self {
        Self(u16x8_narrow_i32x4(low.0, high.0))
    }

    /// The sum of the four numbers.
    #[inline(always)]
    pub fn sum32(self) -> i32 {
        let two = i32x4_add(self.0, i32x4_shuffle::<2, 3, 0, 1>(self.0, self.0));
        i32x4_extract_lane::<0>(two).wrapping_add(i32x4_extract_lane::<1>(two))
    }

    /// The sums of the numbers of each of four vectors.
    #[inline(always)]
    pub fn sums32([a, b, c, d]: [Self; 4]) -> Self {
        let two = |a, b| i32x4_add(i32x4_shuffle::<0, 4, 1, 5>(a, b), i32x4_shuffle::<2, 6, 3, 7>(a, b));
        let (ab, cd) = (two(a.0, b.0), two(c.0, d.0));
        Self(i32x4_add(i32x4_shuffle::<0, 1, 4, 5>(ab, cd), i32x4_shuffle::<2, 3, 6, 7>(ab, cd)))
    }

    /// `(self * other + 2^(N - 1)) >> N` with products of 64 bits, 1 <= N <= 32; the low 32 bits of that.
    #[inline(always)]
    pub fn mul_shift32<const N: i32>(self, other: Self) -> Self {
        let round = i64x2_splat(1 << (N - 1));
        let half = |product| i64x2_shr(i64x2_add(product, round), N as u32);
        let low = half(i64x2_extmul_low_i32x4(self.0, other.0));
        let high = half(i64x2_extmul_high_i32x4(self.0, other.0));
        Self(i32x4_shuffle::<0, 2, 4, 6>(low, high))
    }

    /// The products of 64 bits of the first two numbers, and of the last two.
    #[inline(always)]
    pub fn products64(self, other: Self) -> [Self; 2] {
        [Self(i64x2_extmul_low_i32x4(self.0, other.0)), Self(i64x2_extmul_high_i32x4(self.0, other.0))]
    }

    #[inline(always)]
    pub fn add64(self, other: Self) -> Self {
        Self(i64x2_add(self.0, other.0))
    }
}
