//! The filter of x86 branches: the relative displacements of CALL, JMP and Jcc become absolute addresses, so
//! that all branches to one place look alike. Specified in `formats/mix.md`.

/// Length of a branch's displacement in bytes.
const WIDTH: usize = 4;
/// The number of bytes, from a position on, that undoing the filter there may need.
pub const LOOKAHEAD: usize = WIDTH;
/// A displacement is converted if it lies in -2^24..2^24. The result wraps into the same range, which makes
/// the filter reversible.
const RANGE: u32 = 1 << 24;

/// Whether the two bytes before a position end the opcode of a branch.
#[inline(always)]
fn is_branch(before: u8, last: u8) -> bool {
    last & 0xFE == 0xE8 || (before == 0x0F && last & 0xF0 == 0x80)
}

/// The displacement plus `offset`, wrapped into the range; `None` if the displacement is outside the range.
#[inline(always)]
fn moved(bytes: [u8; WIDTH], offset: u32) -> Option<[u8; WIDTH]> {
    let value = u32::from_le_bytes(bytes);
    if value.wrapping_add(RANGE) >= 2 * RANGE {
        return None;
    }
    let sum = value.wrapping_add(offset) & (2 * RANGE - 1);
    Some((sum ^ RANGE).wrapping_sub(RANGE).to_le_bytes())
}

/// The state of a walk through a block from front to back: the two bytes before the position.
#[derive(Debug, Default)]
pub struct Walk {
    before: u8,
    last: u8,
}

impl Walk {
    /// Looks at `position` of `bytes`, which are raw when encoding and filtered when decoding (`inverse`). If
    /// the next four bytes are the displacement of a branch, returns their replacement, and the next position
    /// is four further; `None` if the byte stays as it is.
    #[inline(always)]
    pub fn step(&mut self, bytes: &[u8], position: usize, inverse: bool) -> Option<[u8; WIDTH]> {
        let replaced = if is_branch(self.before, self.last) {
            let field = bytes[position..].first_chunk::<WIDTH>();
            let offset = (position + WIDTH) as u32;
            // A displacement that is out of range is skipped as a whole, so that no later one overlaps it.
            field.map(|&f| moved(f, if inverse { offset.wrapping_neg() } else { offset }).unwrap_or(f))
        } else {
            None
        };
        (self.before, self.last) = if replaced.is_some() { (0, 0) } else { (self.last, bytes[position]) };
        replaced
    }
}

/// Undoes the filter while a block is decoded front to back.
#[derive(Debug, Default)]
pub struct Unfilter {
    walk: Walk,
    /// The number of raw bytes given out so far.
    position: usize,
    /// Raw bytes that have not been given out yet, the next one last; at most three between calls.
    ahead: Vec<u8>,
}

impl Unfilter {
    /// Fills `out` with the next raw bytes. `bytes` are the filtered bytes from the block's start on, at
    /// least [`LOOKAHEAD`] more than are given out, or all of the block.
    pub fn next(&mut self, bytes: &[u8], out: &mut [u8]) {
        for byte in out {
            if self.ahead.is_empty() {
                match self.walk.step(bytes, self.position, true) {
                    Some(field) => self.ahead.extend(field.iter().rev()),
                    None => self.ahead.push(bytes[self.position]),
                }
            }
            *byte = self.ahead.pop().unwrap_or(0);
            self.position += 1;
        }
    }
}

/// Filters a block in place.
pub fn apply(bytes: &mut [u8]) {
    convert(bytes, false);
}

/// Undoes [`apply`] in place.
pub fn invert(bytes: &mut [u8]) {
    convert(bytes, true);
}

fn convert(bytes: &mut [u8], inverse: bool) {
    let mut walk = Walk::default();
    let mut at = 0;
    while at < bytes.len() {
        match walk.step(bytes, at, inverse) {
            Some(field) => {
                bytes[at..at + WIDTH].copy_from_slice(&field);
                at += WIDTH;
            }
            None => at += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn calls_to_one_place_become_equal() {
        let mut bytes = vec![0x90; 64];
        for at in [8usize, 40] {
            bytes[at] = 0xE8;
            let displacement = 1000u32.wrapping_sub(at as u32 + 5);
            bytes[at + 1..at + 5].copy_from_slice(&displacement.to_le_bytes());
        }
        apply(&mut bytes);
        assert_eq!(bytes[9..13], 1000u32.to_le_bytes());
        assert_eq!(bytes[41..45], 1000u32.to_le_bytes());
    }

    proptest! {
        #[test]
        fn inverts(raw in prop::collection::vec(prop::sample::select(vec![0u8, 0xFF, 0xE8, 0xE9, 0x0F, 0x85, 7]), 0..400)) {
            let mut bytes = raw.clone();
            apply(&mut bytes);
            invert(&mut bytes);
            prop_assert_eq!(bytes, raw);
        }
    }
}
