//! The encoder's loop in AVX2: four vectors of eight lanes each.
#![allow(unsafe_code)] // a kernel

use super::tables::{Contexts, Encoder};
use super::{BITS, MANY};
use std::arch::x86_64::*;

/// For each mask of lanes that emit a word: the shuffle that packs the words of these lanes at the end of a
/// vector.
static GIVE: [[u8; 16]; 256] = {
    let mut table = [[0x80; 16]; 256];
    let mut mask = 0;
    while mask < 256 {
        let (mut lane, mut next) = (8, 8);
        while lane > 0 {
            lane -= 1;
            if mask >> lane & 1 == 1 {
                next -= 1;
                table[mask][2 * next] = 2 * lane as u8;
                table[mask][2 * next + 1] = 2 * lane as u8 + 1;
            }
        }
        mask += 1;
    }
    table
};

/// Codes whole steps of 32 symbols, from the last to the first, and puts their words below `at`, where there
/// must be room for one word per symbol and eight more. Returns false where a symbol has no frequency.
///
/// If there are contexts, they must be as many as symbols and all have tables.
#[target_feature(enable = "avx2,popcnt")]
pub fn run(
    encoder: &Encoder,
    states: &mut [u32; MANY],
    words: &mut [u16],
    at: &mut usize,
    symbols: &[u8],
    contexts: Contexts<'_>,
) -> bool {
    let tables = encoder.places.len();
    assert!(tables >= 256 && tables == encoder.reciprocals.len());
    assert!(*at <= words.len() && *at >= symbols.len() + 8 && symbols.len().is_multiple_of(MANY));
    match contexts {
        // SAFETY: lengths have been checked.
        Contexts::One => unsafe { steps::<false>(encoder, states, words, at, symbols, &[]) },
        Contexts::Many(ids) => {
            assert!(ids.len() == symbols.len());
            // SAFETY: the same, and the caller has checked that every context has a table.
            unsafe { steps::<true>(encoder, states, words, at, symbols, ids) }
        }
    }
}

#[target_feature(enable = "avx2,popcnt")]
unsafe fn steps<const MANY_TABLES: bool>(
    encoder: &Encoder,
    states: &mut [u32; MANY],
    words: &mut [u16],
    at: &mut usize,
    symbols: &[u8],
    ids: &[u8],
) -> bool {
    let places = encoder.places.as_ptr().cast::<i32>();
    let reciprocals = encoder.reciprocals.as_ptr().cast::<i32>();
    let low = _mm256_set1_epi32(0xFFFF);
    let zero = _mm256_setzero_si256();
    let mut absent = zero;
    let mut x = [zero; 4];
    for (v, lanes) in x.iter_mut().zip(states.chunks_exact(8)) {
        // SAFETY: eight lanes of four bytes.
        *v = unsafe { _mm256_loadu_si256(lanes.as_ptr().cast()) };
    }
    let base = words.as_mut_ptr();
    let mut place = *at;
    let mut step = symbols.len();
    while step > 0 {
        step -= MANY;
        for k in (0..4).rev() {
            // SAFETY: 32 symbols from `step` on are there.
            let eight = unsafe { _mm_loadl_epi64(symbols.as_ptr().add(step + 8 * k).cast()) };
            let mut entry = _mm256_cvtepu8_epi32(eight);
            if MANY_TABLES {
                // SAFETY: there are as many contexts as symbols.
                let table = unsafe { _mm_loadl_epi64(ids.as_ptr().add(step + 8 * k).cast()) };
                entry = _mm256_or_si256(entry, _mm256_slli_epi32::<8>(_mm256_cvtepu8_epi32(table)));
            }
            // SAFETY: a symbol is below 256, and a context has been checked to have 256 entries of its own.
            let (fc, r) = unsafe {
                (_mm256_i32gather_epi32::<4>(places, entry), _mm256_i32gather_epi32::<4>(reciprocals, entry))
            };
            let (f, c) = (_mm256_and_si256(fc, low), _mm256_srli_epi32::<16>(fc));
            absent = _mm256_or_si256(absent, _mm256_cmpeq_epi32(f, zero));
            let stays = _mm256_cmpgt_epi32(f, _mm256_srli_epi32::<{ 32 - BITS as i32 }>(x[k]));
            let due = !_mm256_movemask_ps(_mm256_castsi256_ps(stays)) as usize & 255;
            let parts = _mm256_and_si256(x[k], low);
            let all = _mm_packus_epi32(_mm256_castsi256_si128(parts), _mm256_extracti128_si256::<1>(parts));
            // SAFETY: an entry of 16 bytes; and `place` is at least eight words above the start: it was
            // higher by a word for each symbol, and a symbol takes one at most.
            unsafe {
                let give = _mm_loadu_si128(GIVE[due].as_ptr().cast());
                _mm_storeu_si128(base.add(place - 8).cast(), _mm_shuffle_epi8(all, give));
            }
            place -= due.count_ones() as usize;
            let v = _mm256_blendv_epi8(_mm256_srli_epi32::<16>(x[k]), x[k], stays);
            // The high halves of eight products.
            let even = _mm256_srli_epi64::<32>(_mm256_mul_epu32(v, r));
            let odd = _mm256_mul_epu32(_mm256_srli_epi64::<32>(v), _mm256_srli_epi64::<32>(r));
            let quotient = _mm256_blend_epi32::<0b1010_1010>(even, odd);
            let rest = _mm256_sub_epi32(v, _mm256_mullo_epi32(quotient, f));
            // Where the remainder is no remainder yet, the quotient is one more: its 2^12 less a frequency.
            let done = _mm256_cmpgt_epi32(f, rest);
            let more = _mm256_andnot_si256(done, _mm256_sub_epi32(_mm256_set1_epi32(1 << BITS), f));
            let sum = _mm256_add_epi32(_mm256_add_epi32(rest, c), more);
            x[k] = _mm256_add_epi32(_mm256_slli_epi32::<{ BITS as i32 }>(quotient), sum);
        }
    }
    *at = place;
    for (v, lanes) in x.iter().zip(states.chunks_exact_mut(8)) {
        // SAFETY: eight lanes of four bytes.
        unsafe { _mm256_storeu_si256(lanes.as_mut_ptr().cast(), *v) };
    }
    _mm256_testz_si256(absent, absent) == 1
}
