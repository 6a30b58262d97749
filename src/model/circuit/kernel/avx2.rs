//! The operations in AVX2: a vector holds one number for each of the eight lanes.

use std::arch::x86_64::*;

use super::{LANES, Ops, PerLane, shifts};

/// The operations in AVX2. They may only run on a processor that has it: the type is named only inside of
/// functions compiled for AVX2, and in tests.
pub struct Avx2;

/// The number of rows whose sums are held in registers together.
const ROWS: usize = 8;

impl Ops for Avx2 {
    #[inline(always)]
    fn product(weights: &[u32], x: &[PerLane], out: &mut [PerLane]) {
        assert_eq!(weights.len(), x.len() * out.len());
        // SAFETY: the processor has AVX2 (see `Avx2`), the sizes were checked.
        unsafe { product(weights, x, out) }
    }

    #[inline(always)]
    fn peak(x: &[PerLane], out: &mut [PerLane]) {
        assert_eq!(x.len(), 2 * out.len());
        // SAFETY: as above.
        unsafe { peak(x, out) }
    }

    #[inline(always)]
    fn mass(x: &[PerLane], out: &mut [PerLane]) {
        assert_eq!(x.len(), out.len());
        // SAFETY: as above.
        unsafe { mass(x, out) }
    }

    #[inline(always)]
    fn times(a: &[PerLane], b: &[PerLane], out: &mut [PerLane]) {
        assert!(a.len() == b.len() && out.len() == 2 * a.len());
        // SAFETY: as above.
        unsafe { times(a, b, out) }
    }

    #[inline(always)]
    fn gather(table: &[u32], row: &[u32; LANES], out: &mut [PerLane]) {
        let rows = table.len() / out.len().max(1);
        assert!(row.iter().all(|&r| (r as usize) < rows));
        // SAFETY: as above.
        unsafe { gather(table, row, out) }
    }
}

/// # Safety
/// The processor has AVX2.
#[target_feature(enable = "avx2")]
fn load(lane: &PerLane) -> __m256i {
    // SAFETY: a PerLane is 32 bytes, aligned to 32.
    unsafe { _mm256_load_si256(lane.0.as_ptr().cast()) }
}

/// # Safety
/// The processor has AVX2.
#[target_feature(enable = "avx2")]
fn store(lane: &mut PerLane, value: __m256i) {
    // SAFETY: a PerLane is 32 bytes, aligned to 32.
    unsafe { _mm256_store_si256(lane.0.as_mut_ptr().cast(), value) }
}

/// # Safety
/// The processor has AVX2, and `weights` holds `x.len()` pairs for each of `out`.
#[target_feature(enable = "avx2")]
unsafe fn product(weights: &[u32], x: &[PerLane], out: &mut [PerLane]) {
    let n = x.len();
    let mut rows = weights.chunks_exact(ROWS * n);
    let mut outs = out.chunks_exact_mut(ROWS);
    for (rows, out) in rows.by_ref().zip(outs.by_ref()) {
        let mut sums = [_mm256_setzero_si256(); ROWS];
        for (p, x) in x.iter().enumerate() {
            let x = load(x);
            for (r, sum) in sums.iter_mut().enumerate() {
                // SAFETY: r < ROWS and p < n, and the chunk holds ROWS · n pairs.
                let w = unsafe { *rows.get_unchecked(r * n + p) };
                *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(_mm256_set1_epi32(w as i32), x));
            }
        }
        out.iter_mut().zip(sums).for_each(|(o, s)| store(o, s));
    }
    for (row, out) in rows.remainder().chunks_exact(n).zip(outs.into_remainder()) {
        let mut sum = _mm256_setzero_si256();
        for (&w, x) in row.iter().zip(x) {
            sum = _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_set1_epi32(w as i32), load(x)));
        }
        store(out, sum);
    }
}

/// # Safety
/// The processor has AVX2, and `x` is twice as long as `out`.
#[target_feature(enable = "avx2")]
unsafe fn peak(x: &[PerLane], out: &mut [PerLane]) {
    let mut most = _mm256_setzero_si256();
    x.iter().for_each(|x| most = _mm256_max_epu32(most, load(x)));
    let mut tops = PerLane::default();
    store(&mut tops, most);
    let (mut half, mut right, mut left) = (PerLane::default(), PerLane::default(), PerLane::default());
    for lane in 0..LANES {
        (half.0[lane], right.0[lane], left.0[lane]) = shifts(tops.0[lane]);
    }
    let (half, right, left) = (load(&half), load(&right), load(&left));
    let limit = _mm256_set1_epi32(32767);
    let scale = |x| {
        let x = _mm256_sllv_epi32(_mm256_srlv_epi32(_mm256_add_epi32(x, half), right), left);
        _mm256_min_epu32(x, limit)
    };
    // Lanes whose entries are all 0 become ones.
    let ones =
        _mm256_and_si256(_mm256_cmpeq_epi32(most, _mm256_setzero_si256()), _mm256_set1_epi32(0x0001_0001));
    for (o, x) in out.iter_mut().zip(x.chunks_exact(2)) {
        let high = _mm256_slli_epi32::<16>(scale(load(&x[1])));
        store(o, _mm256_or_si256(_mm256_or_si256(scale(load(&x[0])), high), ones));
    }
}

/// # Safety
/// The processor has AVX2, and the lengths are equal.
#[target_feature(enable = "avx2")]
unsafe fn mass(x: &[PerLane], out: &mut [PerLane]) {
    let one = _mm256_set1_epi16(1);
    let mut sum = _mm256_setzero_si256();
    x.iter().for_each(|x| sum = _mm256_add_epi32(sum, _mm256_madd_epi16(load(x), one)));
    let mut sums = PerLane::default();
    store(&mut sums, sum);
    let (mut half, mut right) = (PerLane::default(), PerLane::default());
    for lane in 0..LANES {
        (half.0[lane], right.0[lane], _) = shifts(sums.0[lane]);
    }
    let (half, right) = (load(&half), load(&right));
    let low = _mm256_set1_epi32(0xffff);
    let scale = |x| _mm256_srlv_epi32(_mm256_add_epi32(x, half), right);
    for (o, x) in out.iter_mut().zip(x) {
        let x = load(x);
        let high = _mm256_slli_epi32::<16>(scale(_mm256_srli_epi32::<16>(x)));
        store(o, _mm256_or_si256(scale(_mm256_and_si256(x, low)), high));
    }
}

/// # Safety
/// The processor has AVX2, and `out` is twice as long as `a` and `b`.
#[target_feature(enable = "avx2")]
unsafe fn times(a: &[PerLane], b: &[PerLane], out: &mut [PerLane]) {
    let low = _mm256_set1_epi32(0xffff);
    for ((a, b), out) in a.iter().zip(b).zip(out.chunks_exact_mut(2)) {
        let (a, b) = (load(a), load(b));
        store(&mut out[0], _mm256_madd_epi16(_mm256_and_si256(a, low), b));
        store(&mut out[1], _mm256_madd_epi16(_mm256_andnot_si256(low, a), b));
    }
}

/// # Safety
/// The processor has AVX2, and every row lies inside the table.
#[target_feature(enable = "avx2")]
unsafe fn gather(table: &[u32], row: &[u32; LANES], out: &mut [PerLane]) {
    let n = out.len();
    let starts: [usize; LANES] = row.map(|r| r as usize * n);
    let mut rows = [std::ptr::null::<u32>(); LANES];
    for (p, &s) in rows.iter_mut().zip(&starts) {
        *p = table[s..s + n].as_ptr();
    }
    for (p, o) in out.iter_mut().enumerate() {
        for (o, row) in o.0.iter_mut().zip(rows) {
            // SAFETY: the slices above were n long, and p < n.
            *o = unsafe { *row.add(p) };
        }
    }
}
