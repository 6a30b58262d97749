//! The instruction sets for which inner loops are written, and the one way in which a routine chooses its
//! form.
//!
//! All forms of a routine give the same bits, which tests compare: the kernel only affects the speed.

#![allow(unsafe_code)] // prefetches

use std::fmt;

/// The instruction set with which inner loops run.
///
/// A value is a proof: it can only be obtained where this machine has the instructions
/// ([`Kernel::supported`], [`Kernel::best`]). So the check happens once, where a kernel is chosen, and never
/// where it runs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kernel {
    /// Plain Rust for any machine.
    Scalar,
    /// 256-bit integer vectors: AVX2 and POPCNT.
    Avx2(HasAvx2),
    /// 512-bit integer vectors: AVX-512 F, BW, DQ, VL and VNNI, in addition to everything that AVX2 has. A
    /// routine without a form of its own for it runs the form for AVX2.
    Avx512(HasAvx512),
    /// 128-bit vectors that every machine of the target has: NEON on AArch64, SIMD128 in modules of WebAssembly that
    /// are built with it.
    V128(HasV128),
}

/// Proves that the processor has AVX2 and POPCNT.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct HasAvx2(());

/// Proves that the processor has everything that [`Kernel::Avx512`] names.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct HasAvx512(());

/// Proves that the target has vectors of 128 bits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct HasV128(());

impl Kernel {
    /// The kernels that this machine can run, the fastest last.
    pub fn supported() -> impl Iterator<Item = Self> {
        [Some(Self::Scalar), Self::v128(), Self::avx2(), Self::avx512()].into_iter().flatten()
    }

    /// The fastest kernel of this machine.
    pub fn best() -> Self {
        Self::avx512().or(Self::avx2()).or(Self::v128()).unwrap_or(Self::Scalar)
    }

    /// The name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::Avx2(_) => "avx2",
            Self::Avx512(_) => "avx512",
            Self::V128(_) if cfg!(target_arch = "aarch64") => "neon",
            Self::V128(_) => "simd128",
        }
    }

    /// The AVX2 kernel, if this machine has AVX2.
    pub fn avx2() -> Option<Self> {
        // Every processor with AVX2 has POPCNT; an emulator or a hypervisor may hide it.
        #[cfg(target_arch = "x86_64")]
        let found = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("popcnt");
        #[cfg(not(target_arch = "x86_64"))]
        let found = false;
        found.then_some(Self::Avx2(HasAvx2(())))
    }

    /// The AVX-512 kernel, if this machine has these instructions.
    pub fn avx512() -> Option<Self> {
        #[cfg(target_arch = "x86_64")]
        let found = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512vnni");
        #[cfg(not(target_arch = "x86_64"))]
        let found = false;
        (found && Self::avx2().is_some()).then_some(Self::Avx512(HasAvx512(())))
    }

    /// The kernel with vectors of 128 bits, if every machine of the target has them.
    pub fn v128() -> Option<Self> {
        cfg!(any(target_arch = "aarch64", target_feature = "simd128")).then_some(Self::V128(HasV128(())))
    }
}

impl fmt::Debug for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Scalar => "Scalar",
            Self::Avx2(_) => "Avx2",
            Self::Avx512(_) => "Avx512",
            Self::V128(_) => "V128",
        })
    }
}

/// Runs the form of a routine for a kernel: `dispatch!(kernel, scalar: …, avx2: …)`, with `avx512: …` and `v128: …` where
/// there are such forms; otherwise AVX-512 runs the form for AVX2, and vectors of 128 bits the scalar one.
///
/// The forms for AVX2 and AVX-512 must be calls of functions with `#[target_feature]` for no more than the kernel stands
/// for, and exist on x86-64 only; the form for 128 bits exists where [`Kernel::v128`] does. The macro calls the first two
/// as `unsafe`, which is sound as far as instructions go; everything else that an `unsafe fn` requires is up to the caller.
macro_rules! dispatch {
    (
        $kernel:expr, scalar: $scalar:expr, avx2: $avx2:expr
        $(, avx512: $avx512:expr)? $(, v128: $v128:expr)? $(,)?
    ) => {
        match $kernel {
            $(
                #[cfg(target_arch = "x86_64")]
                #[allow(unsafe_code, unused_unsafe)]
                // SAFETY: the kernel shows that the processor has its instructions.
                $crate::kernel::Kernel::Avx512(_) => unsafe { $avx512 },
            )?
            #[cfg(target_arch = "x86_64")]
            #[allow(unsafe_code, unused_unsafe, unreachable_patterns)]
            // SAFETY: as above; AVX-512 includes AVX2.
            $crate::kernel::Kernel::Avx2(_) | $crate::kernel::Kernel::Avx512(_) => unsafe { $avx2 },
            $(
                #[cfg(any(target_arch = "aarch64", target_feature = "simd128"))]
                $crate::kernel::Kernel::V128(_) => $v128,
            )?
            _ => $scalar,
        }
    };
}
pub(crate) use dispatch;

/// Defines kernels whose form was chosen around them, in code that is compiled once for each: their first parameter,
/// `A`, says whether they run in vectors. `avx2::NAME` and `v128::NAME` are their forms in vectors.
macro_rules! kernels {
    ($(
        $(#[$doc:meta])*
        $name:ident$(<$k:ident>)?($($arg:ident: $type:ty),* $(,)?) $(-> $out:ty)?: $scalar:expr;
    )*) => {$(
        $(#[$doc])*
        #[allow(unsafe_code)] // the call of a function that needs AVX2
        #[inline(always)]
        pub fn $name<const A: bool $(, const $k: usize)?>($($arg: $type),*) $(-> $out)? {
            match A {
                // SAFETY: `A` is only chosen where the processor has AVX2.
                #[cfg(target_arch = "x86_64")]
                true => unsafe { avx2::$name$(::<$k>)?($($arg),*) },
                #[cfg(any(target_arch = "aarch64", target_feature = "simd128"))]
                true => v128::$name$(::<$k>)?($($arg),*),
                _ => $scalar,
            }
        }
    )*};
}
pub(crate) use kernels;

#[cfg(any(target_arch = "aarch64", target_feature = "simd128"))]
pub mod v128;

/// Vectors of 256 bits in memory.
#[cfg(target_arch = "x86_64")]
pub mod avx2 {
    use std::arch::x86_64::{__m256i, _mm256_loadu_si256, _mm256_storeu_si256};

    /// Loads numbers of 256 bits in all.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub fn load<T: bytemuck::Pod>(from: &T) -> __m256i {
        const { assert!(size_of::<T>() == 32) };
        // SAFETY: the value holds 256 bits; an unaligned load is used.
        unsafe { _mm256_loadu_si256(std::ptr::from_ref(from).cast()) }
    }

    /// Stores numbers of 256 bits in all.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub fn store<T: bytemuck::Pod>(to: &mut T, value: __m256i) {
        const { assert!(size_of::<T>() == 32) };
        // SAFETY: the place holds 256 bits, and its type allows any; an unaligned store is used.
        unsafe { _mm256_storeu_si256(std::ptr::from_mut(to).cast(), value) };
    }
}

/// Hints that the cache line at the start of `item` will be read soon.
#[inline(always)]
pub fn prefetch<T>(item: &T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch changes nothing but caches, and every x86-64 processor has it.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(item).cast());
    }
    // WebAssembly has no prefetch. A load whose value nobody waits for does the same where several follow each other:
    // their misses overlap.
    #[cfg(target_arch = "wasm32")]
    // SAFETY: the item's first byte can be read, whatever it holds.
    unsafe {
        const { assert!(size_of::<T>() > 0) };
        let _ = std::ptr::from_ref(item).cast::<std::mem::MaybeUninit<u8>>().read_volatile();
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "wasm32")))]
    let _ = item;
}

/// Hints that the item at `index` will be read soon; does nothing if it is out of range.
#[inline(always)]
pub fn prefetch_at<T>(memory: &[T], index: usize) {
    if let Some(item) = memory.get(index) {
        prefetch(item);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_is_the_last_of_those_supported() {
        assert_eq!(Kernel::supported().next(), Some(Kernel::Scalar));
        assert_eq!(Kernel::supported().last(), Some(Kernel::best()));
        assert_eq!(Kernel::best() == Kernel::Scalar, Kernel::supported().count() == 1);
    }
}
