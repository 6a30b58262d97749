//! Vectors of 128 bits that every machine of the target has, with the same operations on AArch64 and in WebAssembly, so
//! that a kernel is written once for both.
//!
//! A vector has no type of its own for its numbers: a method's name says how wide those are that it works on. Arithmetic
//! wraps where nothing else is said.

#[cfg(target_arch = "aarch64")]
mod neon;
#[cfg(not(target_arch = "aarch64"))]
mod simd128;

#[cfg(target_arch = "aarch64")]
pub use neon::{PairSums, V128};
#[cfg(not(target_arch = "aarch64"))]
pub use simd128::{PairSums, V128};

impl V128 {
    /// The products of pairs of 16-bit numbers, added up in pairs: four 32-bit numbers.
    #[inline(always)]
    pub fn dot16(self, other: Self) -> Self {
        let mut sums = PairSums::ZERO;
        sums.add(self, other);
        sums.finish()
    }
}

/// Loads numbers of 256 bits in all.
#[inline(always)]
pub fn load<T: bytemuck::Pod>(from: &T) -> [V128; 2] {
    let from: &[[u8; 16]; 2] = bytemuck::cast_ref(from);
    [V128::load(&from[0]), V128::load(&from[1])]
}

/// Stores numbers of 256 bits in all.
#[inline(always)]
pub fn store<T: bytemuck::Pod>(to: &mut T, value: [V128; 2]) {
    let to: &mut [[u8; 16]; 2] = bytemuck::cast_mut(to);
    value[0].store(&mut to[0]);
    value[1].store(&mut to[1]);
}
