//! NEON, which every AArch64 processor has.

use std::arch::aarch64::*;

// SAFETY of all `unsafe` blocks below: every AArch64 processor has NEON; what loads and stores need is said there.

/// 128 bits.
#[derive(Clone, Copy)]
pub struct V128(int32x4_t);

/// Sums of products of 16-bit numbers, those of the first four lanes and those of the last four, until both belong to
/// pairs at the end.
#[derive(Clone, Copy)]
pub struct PairSums(int32x4_t, int32x4_t);

impl PairSums {
    // SAFETY: any 128 bits are a vector.
    pub const ZERO: Self = unsafe { std::mem::transmute([0u64; 4]) };

    /// Adds the products of two vectors.
    #[inline(always)]
    pub fn add(&mut self, a: V128, b: V128) {
        unsafe {
            let (a, b) = (a.s16(), b.s16());
            self.0 = vmlal_s16(self.0, vget_low_s16(a), vget_low_s16(b));
            self.1 = vmlal_high_s16(self.1, a, b);
        }
    }

    /// The sum of each of the four pairs.
    #[inline(always)]
    pub fn finish(self) -> V128 {
        unsafe { V128(vpaddq_s32(self.0, self.1)) }
    }
}

impl V128 {
    #[inline(always)]
    fn s16(self) -> int16x8_t {
        unsafe { vreinterpretq_s16_s32(self.0) }
    }

    #[inline(always)]
    fn u16(self) -> uint16x8_t {
        unsafe { vreinterpretq_u16_s32(self.0) }
    }

    #[inline(always)]
    fn u32(self) -> uint32x4_t {
        unsafe { vreinterpretq_u32_s32(self.0) }
    }

    #[inline(always)]
    fn u8(self) -> uint8x16_t {
        unsafe { vreinterpretq_u8_s32(self.0) }
    }

    #[inline(always)]
    fn of16(v: int16x8_t) -> Self {
        unsafe { Self(vreinterpretq_s32_s16(v)) }
    }

    #[inline(always)]
    fn of_u16(v: uint16x8_t) -> Self {
        unsafe { Self(vreinterpretq_s32_u16(v)) }
    }

    #[inline(always)]
    fn of_u32(v: uint32x4_t) -> Self {
        unsafe { Self(vreinterpretq_s32_u32(v)) }
    }

    #[inline(always)]
    fn of64(v: int64x2_t) -> Self {
        unsafe { Self(vreinterpretq_s32_s64(v)) }
    }

    /// Loads numbers of 128 bits in all.
    #[inline(always)]
    pub fn load<T: bytemuck::Pod>(from: &T) -> Self {
        const { assert!(size_of::<T>() == 16) };
        unsafe {
            // The value holds 128 bits; loads of bytes need no alignment.
            Self(vreinterpretq_s32_u8(vld1q_u8(std::ptr::from_ref(from).cast())))
        }
    }

    /// Stores numbers of 128 bits in all.
    #[inline(always)]
    pub fn store<T: bytemuck::Pod>(self, to: &mut T) {
        const { assert!(size_of::<T>() == 16) };
        unsafe {
            // The place holds 128 bits, and its type allows any; stores of bytes need no alignment.
            vst1q_u8(std::ptr::from_mut(to).cast(), self.u8())
        }
    }

    /// Eight bytes as 16-bit numbers with their signs.
    #[inline(always)]
    pub fn widen(from: &[i8; 8]) -> Self {
        unsafe {
            // Eight bytes are read.
            Self::of16(vmovl_s8(vld1_s8(from.as_ptr())))
        }
    }

    #[inline(always)]
    pub fn splat16(value: i16) -> Self {
        unsafe { Self::of16(vdupq_n_s16(value)) }
    }

    #[inline(always)]
    pub fn splat32(value: i32) -> Self {
        unsafe { Self(vdupq_n_s32(value)) }
    }

    #[inline(always)]
    pub fn and(self, other: Self) -> Self {
        unsafe { Self(vandq_s32(self.0, other.0)) }
    }

    #[inline(always)]
    pub fn or(self, other: Self) -> Self {
        unsafe { Self(vorrq_s32(self.0, other.0)) }
    }

    /// For each byte of `self`, which is below 16, the byte of `table` with that number.
    #[inline(always)]
    pub fn look_up(self, table: Self) -> Self {
        unsafe { Self(vreinterpretq_s32_u8(vqtbl1q_u8(table.u8(), self.u8()))) }
    }

    #[inline(always)]
    pub fn add16(self, other: Self) -> Self {
        unsafe { Self::of16(vaddq_s16(self.s16(), other.s16())) }
    }

    #[inline(always)]
    pub fn sub16(self, other: Self) -> Self {
        unsafe { Self::of16(vsubq_s16(self.s16(), other.s16())) }
    }

    /// The sums, limited to what 16 bits hold.
    #[inline(always)]
    pub fn add_sat16(self, other: Self) -> Self {
        unsafe { Self::of16(vqaddq_s16(self.s16(), other.s16())) }
    }

    /// Limits numbers with signs to `low..=high`.
    #[inline(always)]
    pub fn clamp16(self, low: i16, high: i16) -> Self {
        unsafe { Self::of16(vminq_s16(vmaxq_s16(self.s16(), vdupq_n_s16(low)), vdupq_n_s16(high))) }
    }

    /// All ones where a number with sign is above the other one.
    #[inline(always)]
    pub fn above16(self, other: Self) -> Self {
        unsafe { Self::of_u16(vcgtq_s16(self.s16(), other.s16())) }
    }

    /// `(self * other + 2^14) >> 15`, where not both are -2^15.
    #[inline(always)]
    pub fn scale16(self, other: Self) -> Self {
        unsafe { Self::of16(vqrdmulhq_s16(self.s16(), other.s16())) }
    }

    /// `(self * other) >> 16` without signs.
    #[inline(always)]
    pub fn high16(self, other: Self) -> Self {
        unsafe {
            let (a, b) = (self.u16(), other.u16());
            let low = vmull_u16(vget_low_u16(a), vget_low_u16(b));
            let high = vmull_high_u16(a, b);
            Self::of_u16(vuzp2q_u16(vreinterpretq_u16_u32(low), vreinterpretq_u16_u32(high)))
        }
    }

    /// Shift without signs.
    #[inline(always)]
    pub fn shift_right_u16<const N: i32>(self) -> Self {
        unsafe { Self::of_u16(vshrq_n_u16::<N>(self.u16())) }
    }

    /// The vector with another first 16-bit number.
    #[inline(always)]
    pub fn with_first16(self, value: u16) -> Self {
        unsafe { Self::of_u16(vsetq_lane_u16::<0>(value, self.u16())) }
    }

    /// How many of sixteen 16-bit numbers without signs are at most `most`.
    #[inline(always)]
    pub fn count_up_to16(low: Self, high: Self, most: u16) -> u32 {
        unsafe {
            let most = vdupq_n_u16(most);
            let both = vaddq_u16(vcleq_u16(low.u16(), most), vcleq_u16(high.u16(), most));
            vaddvq_u16(both).wrapping_neg().into()
        }
    }

    #[inline(always)]
    pub fn add32(self, other: Self) -> Self {
        unsafe { Self(vaddq_s32(self.0, other.0)) }
    }

    #[inline(always)]
    pub fn sub32(self, other: Self) -> Self {
        unsafe { Self(vsubq_s32(self.0, other.0)) }
    }

    /// The low 32 bits of the products.
    #[inline(always)]
    pub fn mul32(self, other: Self) -> Self {
        unsafe { Self(vmulq_s32(self.0, other.0)) }
    }

    #[inline(always)]
    pub fn min32(self, other: Self) -> Self {
        unsafe { Self(vminq_s32(self.0, other.0)) }
    }

    #[inline(always)]
    pub fn max32(self, other: Self) -> Self {
        unsafe { Self(vmaxq_s32(self.0, other.0)) }
    }

    /// The minimum without signs.
    #[inline(always)]
    pub fn min_u32(self, other: Self) -> Self {
        unsafe { Self::of_u32(vminq_u32(self.u32(), other.u32())) }
    }

    /// All ones where a number with sign is above the other one.
    #[inline(always)]
    pub fn above32(self, other: Self) -> Self {
        unsafe { Self::of_u32(vcgtq_s32(self.0, other.0)) }
    }

    #[inline(always)]
    pub fn shift_left32<const N: i32>(self) -> Self {
        unsafe { Self(vshlq_n_s32::<N>(self.0)) }
    }

    /// Shift with signs.
    #[inline(always)]
    pub fn shift_right32<const N: i32>(self) -> Self {
        unsafe { Self(vshrq_n_s32::<N>(self.0)) }
    }

    /// Shift without signs.
    #[inline(always)]
    pub fn shift_right_u32<const N: i32>(self) -> Self {
        unsafe { Self::of_u32(vshrq_n_u32::<N>(self.u32())) }
    }

    /// Shift with signs by a number below 32.
    #[inline(always)]
    pub fn shift_right_by32(self, by: u32) -> Self {
        unsafe { Self(vshlq_s32(self.0, vdupq_n_s32(-(by as i32)))) }
    }

    /// The bits of the nearest floating-point numbers.
    #[inline(always)]
    pub fn float_bits32(self) -> Self {
        unsafe { Self(vreinterpretq_s32_f32(vcvtq_f32_s32(self.0))) }
    }

    /// Eight numbers with signs, limited to what 16 bits hold.
    #[inline(always)]
    pub fn narrow32(low: Self, high: Self) -> Self {
        unsafe { Self::of16(vqmovn_high_s32(vqmovn_s32(low.0), high.0)) }
    }

    /// Eight numbers with signs, limited to what 16 bits without signs hold.
    #[inline(always)]
    pub fn narrow_u32(low: Self, high: Self) -> Self {
        unsafe { Self::of_u16(vqmovun_high_s32(vqmovun_s32(low.0), high.0)) }
    }

    /// The sum of the four numbers.
    #[inline(always)]
    pub fn sum32(self) -> i32 {
        unsafe { vaddvq_s32(self.0) }
    }

    /// The sums of the numbers of each of four vectors.
    #[inline(always)]
    pub fn sums32([a, b, c, d]: [Self; 4]) -> Self {
        unsafe { Self(vpaddq_s32(vpaddq_s32(a.0, b.0), vpaddq_s32(c.0, d.0))) }
    }

    /// `(self * other + 2^(N - 1)) >> N` with products of 64 bits, 1 <= N <= 32; the low 32 bits of that.
    #[inline(always)]
    pub fn mul_shift32<const N: i32>(self, other: Self) -> Self {
        unsafe {
            let low = vmull_s32(vget_low_s32(self.0), vget_low_s32(other.0));
            let high = vmull_high_s32(self.0, other.0);
            Self(vrshrn_high_n_s64::<N>(vrshrn_n_s64::<N>(low), high))
        }
    }

    /// The products of 64 bits of the first two numbers, and of the last two.
    #[inline(always)]
    pub fn products64(self, other: Self) -> [Self; 2] {
        unsafe {
            let low = vmull_s32(vget_low_s32(self.0), vget_low_s32(other.0));
            [Self::of64(low), Self::of64(vmull_high_s32(self.0, other.0))]
        }
    }

    #[inline(always)]
    pub fn add64(self, other: Self) -> Self {
        unsafe { Self::of64(vaddq_s64(vreinterpretq_s64_s32(self.0), vreinterpretq_s64_s32(other.0))) }
    }
}
