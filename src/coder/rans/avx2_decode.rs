//! The decoder's loop in AVX2: four vectors of eight lanes each.
#![allow(unsafe_code)] // a kernel

use super::tables::Contexts;
use super::{BITS, LOW, TOTAL};
use std::arch::x86_64::*;

/// For each mask of lanes that need a word: which of the next eight words lane i takes.
static TAKE: [[u32; 8]; 256] = {
    let mut table = [[0; 8]; 256];
    let mut mask = 0;
    while mask < 256 {
        let (mut lane, mut next) = (0, 0);
        while lane < 8 {
            table[mask][lane] = next;
            next += (mask >> lane) as u32 & 1;
            lane += 1;
        }
        mask += 1;
    }
    table
};

/// Decodes whole steps of 32 symbols as long as at least 64 bytes of words are left, which no step exceeds.
/// Returns how many symbols were decoded, and removes the words that they used from the front of `words`.
///
/// If there are contexts, they must be as many as the symbols of `out` and all have tables in `slots`;
/// `states` must have 32 entries.
#[target_feature(enable = "avx2,popcnt")]
pub fn run(
    slots: &[u32],
    states: &mut [u32],
    words: &mut &[u8],
    contexts: Contexts<'_>,
    out: &mut [u8],
) -> usize {
    assert!(states.len() == 32 && slots.len() >= TOTAL as usize);
    match contexts {
        // SAFETY: there are no contexts.
        Contexts::One => unsafe { steps::<false>(slots, states, words, &[], out) },
        Contexts::Many(ids) => {
            assert!(ids.len() == out.len());
            // SAFETY: the caller has checked that every context has a table.
            unsafe { steps::<true>(slots, states, words, ids, out) }
        }
    }
}

#[target_feature(enable = "avx2,popcnt")]
unsafe fn steps<const MANY: bool>(
    slots: &[u32],
    states: &mut [u32],
    words: &mut &[u8],
    ids: &[u8],
    out: &mut [u8],
) -> usize {
    let table = slots.as_ptr().cast::<i32>();
    let low_bits = _mm256_set1_epi32(TOTAL as i32 - 1);
    let low = _mm256_set1_epi32(LOW as i32 - 1);
    let byte = _mm256_set1_epi32(255);
    let order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    let (mut at, mut used) = (0, 0);
    let mut x = [_mm256_setzero_si256(); 4];
    for (v, lanes) in x.iter_mut().zip(states.chunks_exact(8)) {
        // SAFETY: eight lanes of four bytes.
        *v = unsafe { _mm256_loadu_si256(lanes.as_ptr().cast()) };
    }
    while at + 32 <= out.len() && used + 64 <= words.len() {
        let mut symbols = [_mm256_setzero_si256(); 4];
        for k in 0..4 {
            let mut slot = _mm256_and_si256(x[k], low_bits);
            if MANY {
                // SAFETY: `ids` is as long as `out`, of which 32 from `at` on are there.
                let eight = unsafe { _mm_loadl_epi64(ids.as_ptr().add(at + 8 * k).cast()) };
                slot =
                    _mm256_or_si256(slot, _mm256_slli_epi32::<{ BITS as i32 }>(_mm256_cvtepu8_epi32(eight)));
            }
            // SAFETY: a slot is below 2^12, a context has been checked to have 2^12 slots of its own.
            let entry = unsafe { _mm256_i32gather_epi32::<4>(table, slot) };
            symbols[k] = _mm256_and_si256(entry, byte);
            let f = _mm256_and_si256(_mm256_srli_epi32::<8>(entry), low_bits);
            let product = _mm256_mullo_epi32(f, _mm256_srli_epi32::<{ BITS as i32 }>(x[k]));
            x[k] = _mm256_add_epi32(product, _mm256_srli_epi32::<20>(entry));
        }
        for v in &mut x {
            // All bits above the low 16 are zero where a word is due.
            let due = _mm256_cmpeq_epi32(_mm256_andnot_si256(low, *v), _mm256_setzero_si256());
            let mask = _mm256_movemask_ps(_mm256_castsi256_ps(due)) as usize;
            // SAFETY: the four vectors take 32 words at most, and 64 bytes were left before the first.
            let next = unsafe { _mm_loadu_si128(words.as_ptr().add(used).cast()) };
            // SAFETY: eight entries of four bytes.
            let take = unsafe { _mm256_loadu_si256(TAKE[mask].as_ptr().cast()) };
            let next = _mm256_permutevar8x32_epi32(_mm256_cvtepu16_epi32(next), take);
            let grown = _mm256_or_si256(_mm256_slli_epi32::<16>(*v), next);
            *v = _mm256_blendv_epi8(*v, grown, due);
            used += 2 * mask.count_ones() as usize;
        }
        let a = _mm256_packus_epi32(symbols[0], symbols[1]);
        let b = _mm256_packus_epi32(symbols[2], symbols[3]);
        let all = _mm256_permutevar8x32_epi32(_mm256_packus_epi16(a, b), order);
        // SAFETY: 32 bytes from `at` on are there.
        unsafe { _mm256_storeu_si256(out.as_mut_ptr().add(at).cast(), all) };
        at += 32;
    }
    for (v, lanes) in x.iter().zip(states.chunks_exact_mut(8)) {
        // SAFETY: eight lanes of four bytes.
        unsafe { _mm256_storeu_si256(lanes.as_mut_ptr().cast(), *v) };
    }
    *words = &words[used..];
    at
}
