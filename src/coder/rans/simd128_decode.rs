//! The decoder's loop in SIMD128 of WebAssembly: eight vectors of four lanes each. Entries of tables are loaded one by one,
//! since there are no gathers; all else is done four lanes at a time.
#![allow(unsafe_code)] // a kernel

use super::tables::Contexts;
use super::{BITS, MANY, TOTAL};
use std::arch::wasm32::*;

/// The lanes of a vector, and the vectors of a step.
const WIDTH: usize = 4;
const VECTORS: usize = MANY / WIDTH;
/// The bytes of words that a step may use.
const LONGEST: usize = 2 * MANY;

/// For each mask of lanes that need a word: which of the next bytes go to the lower half of each lane; all others become 0.
static TAKE: [[u8; 16]; 16] = {
    const NONE: u8 = 0x80;
    let mut table = [[NONE; 16]; 16];
    let mut mask = 0;
    while mask < 16 {
        let (mut lane, mut next) = (0, 0);
        while lane < WIDTH {
            if mask >> lane & 1 == 1 {
                table[mask][4 * lane] = next;
                table[mask][4 * lane + 1] = next + 1;
                next += 2;
            }
            lane += 1;
        }
        mask += 1;
    }
    table
};

/// Decodes whole steps of all lanes as long as there are words for the longest step. Returns how many symbols were decoded,
/// and removes the words that they used from the front of `words`.
///
/// If there are contexts, they must be as many as the symbols of `out` and all have tables in `slots`; `states` must have
/// as many entries as there are lanes.
pub fn run(
    slots: &[u32],
    states: &mut [u32],
    words: &mut &[u8],
    contexts: Contexts<'_>,
    out: &mut [u8],
) -> usize {
    let tables = slots.as_chunks::<{ TOTAL as usize }>().0;
    let Some(states) = states.first_chunk_mut::<MANY>() else { return 0 };
    match contexts {
        Contexts::One => steps(|_| &tables[0], states, words, out),
        Contexts::Many(ids) => steps(|i| &tables[usize::from(ids[i])], states, words, out),
    }
}

/// The same with the table for each symbol by its number.
#[inline(always)]
fn steps<'a>(
    table: impl Fn(usize) -> &'a [u32; TOTAL as usize],
    states: &mut [u32; MANY],
    words: &mut &[u8],
    out: &mut [u8],
) -> usize {
    let (low, byte, zero) = (u32x4_splat(TOTAL - 1), u32x4_splat(255), u32x4_splat(0));
    let (mut done, mut used) = (0, 0);
    let mut x = [zero; VECTORS];
    for (v, lanes) in x.iter_mut().zip(states.as_chunks::<WIDTH>().0) {
        *v = u32x4(lanes[0], lanes[1], lanes[2], lanes[3]);
    }
    for row in out.as_chunks_mut::<MANY>().0 {
        if used + LONGEST > words.len() {
            break;
        }
        let mut symbols = [zero; VECTORS];
        for (k, (v, symbols)) in x.iter_mut().zip(&mut symbols).enumerate() {
            let slots = v128_and(*v, low);
            let at = done + WIDTH * k;
            let entry = u32x4(
                table(at)[(u32x4_extract_lane::<0>(slots) & (TOTAL - 1)) as usize],
                table(at + 1)[(u32x4_extract_lane::<1>(slots) & (TOTAL - 1)) as usize],
                table(at + 2)[(u32x4_extract_lane::<2>(slots) & (TOTAL - 1)) as usize],
                table(at + 3)[(u32x4_extract_lane::<3>(slots) & (TOTAL - 1)) as usize],
            );
            *symbols = v128_and(entry, byte);
            let f = v128_and(u32x4_shr(entry, 8), low);
            let next = i32x4_add(i32x4_mul(f, u32x4_shr(*v, BITS)), u32x4_shr(entry, 20));
            // All bits above the low 16 are zero where a word is due.
            let due = i32x4_eq(u32x4_shr(next, 16), zero);
            let mask = usize::from(u32x4_bitmask(due));
            // SAFETY: eight bytes; the vectors before have used two for each of their lanes at most, and as many as all
            // lanes may use were left.
            let some = unsafe { v128_load64_zero(words.as_ptr().add(used).cast()) };
            // SAFETY: an entry has 16 bytes.
            let take = unsafe { v128_load(TAKE[mask].as_ptr().cast()) };
            let grown = v128_or(u32x4_shl(next, 16), u8x16_swizzle(some, take));
            *v = v128_bitselect(grown, next, due);
            used += 2 * mask.count_ones() as usize;
        }
        for (half, four) in row.as_chunks_mut::<16>().0.iter_mut().zip(symbols.as_chunks::<4>().0) {
            let pairs = [(four[0], four[1]), (four[2], four[3])].map(|(a, b)| u16x8_narrow_i32x4(a, b));
            // SAFETY: 16 bytes.
            unsafe { v128_store(half.as_mut_ptr().cast(), u8x16_narrow_i16x8(pairs[0], pairs[1])) };
        }
        done += MANY;
    }
    for (v, lanes) in x.iter().zip(states.as_chunks_mut::<WIDTH>().0) {
        // SAFETY: four lanes of four bytes.
        unsafe { v128_store(lanes.as_mut_ptr().cast(), *v) };
    }
    *words = &words[used..];
    done
}
