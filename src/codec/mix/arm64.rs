//! The filter of ARM code of 64 bits: the relative displacements of BL and ADRP become absolute, so that all calls of
//! a function, and all references to a page, look alike. Specified in `formats/mix.md`.

/// The bytes of an instruction. Instructions lie at multiples of this.
pub const WORD: usize = 4;
/// An ADRP is converted if its displacement lies in -2^16..2^16 pages; the result wraps into the same range.
const PAGES: u32 = 1 << 16;

/// Whether an instruction is BL, a call.
pub fn is_call(word: u32) -> bool {
    word >> 26 == 0b100101
}

/// Whether an instruction is ADRP, the address of a page.
fn is_page(word: u32) -> bool {
    word & 0x9F00_0000 == 0x9000_0000
}

/// The instruction number `index` of a block, converted, or back (`inverse`).
#[inline(always)]
fn converted(word: u32, index: u32, inverse: bool) -> u32 {
    let moved = |value: u32, by: u32| if inverse { value.wrapping_sub(by) } else { value.wrapping_add(by) };
    if is_call(word) {
        return word & 0xFC00_0000 | moved(word, index) & 0x03FF_FFFF;
    }
    // The displacement has 21 bits: the lower two above the upper 19.
    let pages = word >> 29 & 3 | word >> 3 & 0x1F_FFFC;
    let shifted = pages.wrapping_add(PAGES) & 0x1F_FFFF;
    if !is_page(word) || shifted >= 2 * PAGES {
        return word;
    }
    let pages = (moved(shifted, index >> 10) & (2 * PAGES - 1)).wrapping_sub(PAGES) & 0x1F_FFFF;
    word & 0x9F00_001F | (pages & 3) << 29 | (pages >> 2) << 5
}

/// Filters a block in place, or undoes that (`inverse`).
pub fn convert(bytes: &mut [u8], inverse: bool) {
    for (index, word) in bytes.as_chunks_mut::<WORD>().0.iter_mut().enumerate() {
        *word = converted(u32::from_le_bytes(*word), index as u32, inverse).to_le_bytes();
    }
}

/// Fills `out` with the raw bytes from `at` on. `bytes` are the filtered bytes from the block's start on, with the rest of
/// the last instruction, unless the block ends there.
pub fn restore(bytes: &[u8], at: usize, out: &mut [u8]) {
    for (i, byte) in (at..).zip(out) {
        let index = i / WORD;
        let word = bytes[index * WORD..].first_chunk().map(|word| u32::from_le_bytes(*word));
        *byte = word.map_or(bytes[i], |word| converted(word, index as u32, true).to_le_bytes()[i % WORD]);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn calls_and_pages_become_equal() {
        // BL to instruction 1000, and ADRP of page 3, from several places.
        let call = |at: u32| 0x9400_0000 | 1000u32.wrapping_sub(at) & 0x03FF_FFFF;
        let page = |at: u32| {
            let pages = 3u32.wrapping_sub(at >> 10) & 0x1F_FFFF;
            0x9000_0007 | (pages & 3) << 29 | (pages >> 2) << 5
        };
        let mut code = vec![0xD503_201F_u32; 8000];
        for at in [5, 2000, 7000] {
            (code[at], code[at + 1]) = (call(at as u32), page(at as u32 + 1));
        }
        let mut bytes: Vec<u8> = code.iter().flat_map(|word| word.to_le_bytes()).collect();
        convert(&mut bytes, false);
        let word = |at: usize| u32::from_le_bytes(*bytes[4 * at..].first_chunk().unwrap());
        assert_eq!([5, 2000, 7000].map(word), [0x9400_0000 | 1000; 3]);
        assert_eq!([6, 2001, 7001].map(word), [0xF000_0007; 3]);
        assert_eq!(word(0), 0xD503_201F);
    }

    proptest! {
        #[test]
        fn inverts(words in prop::collection::vec(any::<u32>(), 0..100), pages: bool, more in 0usize..4) {
            let set = |word: u32| if pages { word & !0x6F00_0000 | 0x9000_0000 } else { word & 0x03FF_FFFF | 0x9400_0000 };
            let mut raw: Vec<u8> = words.iter().flat_map(|word| set(*word).to_le_bytes()).collect();
            raw.resize(raw.len() + more, 0x94);
            let mut bytes = raw.clone();
            convert(&mut bytes, false);
            let mut restored = vec![0; raw.len()];
            let middle = raw.len() / 3;
            let known = (middle + WORD - 1).min(raw.len());
            restore(&bytes[..known], 0, &mut restored[..middle]);
            restore(&bytes, middle, &mut restored[middle..]);
            prop_assert_eq!(&restored, &raw);
            convert(&mut bytes, true);
            prop_assert_eq!(bytes, raw);
        }
    }
}
