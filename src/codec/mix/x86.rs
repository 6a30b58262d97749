//! The filter of x86 code: relative displacements become absolute addresses, so that all references to one
//! place look alike. Those of CALL, JMP and Jcc, and in code of 64 bits also those of common instructions with an
//! operand in memory that is addressed relative to the next instruction. Specified in `formats/mix.md`.

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

/// The number of bytes between the displacement that two bytes end before and the next instruction, if they are the
/// opcode and ModR/M byte of an instruction with an operand relative to that, in 64-bit code.
#[inline(always)]
fn immediate_of(opcode: u8, modrm: u8) -> Option<u32> {
    match opcode {
        _ if modrm & 0xC7 != 5 => None,
        // ADD, CMP, MOVSXD, TEST, MOV and LEA.
        0x03 | 0x39 | 0x3B | 0x63 | 0x85 | 0x89 | 0x8B | 0x8D => Some(0),
        // Arithmetic and MOV with an immediate of one byte, then of four.
        0x80 | 0x83 | 0xC6 => Some(1),
        0x81 | 0xC7 => Some(4),
        _ => None,
    }
}

/// Whether six bytes are the opcode, ModR/M byte and displacement of an operand that the filter of 64-bit code converts.
pub fn is_operand(bytes: &[u8]) -> bool {
    let [opcode, modrm, field @ ..] = bytes else { return false };
    let field = field.first_chunk().map(|field| moved(*field, 0));
    immediate_of(*opcode, *modrm).is_some() && field.flatten().is_some()
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
    /// Whether the code is of 64 bits.
    long: bool,
    before: u8,
    last: u8,
}

impl Walk {
    /// A walk through code of 64 bits, if `long`, or of 32.
    pub fn new(long: bool) -> Self {
        Self { long, ..Self::default() }
    }

    /// Looks at `position` of `bytes`, which are raw when encoding and filtered when decoding (`inverse`). If
    /// the next four bytes are a displacement to convert, returns their replacement, and the next position
    /// is four further; `None` if the byte stays as it is.
    #[inline(always)]
    pub fn step(&mut self, bytes: &[u8], position: usize, inverse: bool) -> Option<[u8; WIDTH]> {
        let behind = if is_branch(self.before, self.last) {
            Some(0)
        } else if self.long {
            immediate_of(self.before, self.last)
        } else {
            None
        };
        let replaced = behind.and_then(|behind| {
            let field = bytes[position..].first_chunk::<WIDTH>();
            let offset = (position + WIDTH) as u32 + behind;
            // A displacement that is out of range is skipped as a whole, so that no later one overlaps it.
            field.map(|&f| moved(f, if inverse { offset.wrapping_neg() } else { offset }).unwrap_or(f))
        });
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
    /// See [`Walk::new`].
    pub fn new(long: bool) -> Self {
        Self { walk: Walk::new(long), ..Self::default() }
    }

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

/// Filters a block in place, as code of 64 bits if `long`, or undoes that (`inverse`).
pub fn convert(bytes: &mut [u8], long: bool, inverse: bool) {
    let mut walk = Walk::new(long);
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
        convert(&mut bytes, false, false);
        assert_eq!(bytes[9..13], 1000u32.to_le_bytes());
        assert_eq!(bytes[41..45], 1000u32.to_le_bytes());
    }

    #[test]
    fn operands_in_one_place_become_equal() {
        let mut bytes = vec![0x90; 64];
        // MOV, and MOV of an immediate of four bytes, both at address 1000.
        for (at, opcode, behind) in [(8usize, 0x8B, 0), (40, 0xC7, 4)] {
            (bytes[at], bytes[at + 1]) = (opcode, 0x05);
            let displacement = 1000u32.wrapping_sub(at as u32 + 6 + behind);
            bytes[at + 2..at + 6].copy_from_slice(&displacement.to_le_bytes());
        }
        let mut short = bytes.clone();
        convert(&mut bytes, true, false);
        assert_eq!(
            (&bytes[10..14], &bytes[42..46]),
            (&1000u32.to_le_bytes()[..], &1000u32.to_le_bytes()[..])
        );
        let before = short.clone();
        convert(&mut short, false, false);
        assert!(short == before);
    }

    proptest! {
        #[test]
        fn inverts(
            raw in prop::collection::vec(
                prop::sample::select(vec![0u8, 0xFF, 0xE8, 0xE9, 0x0F, 0x85, 7, 0x8B, 0x05, 0x83, 0xC7]),
                0..400,
            ),
            long: bool,
        ) {
            let mut bytes = raw.clone();
            convert(&mut bytes, long, false);
            convert(&mut bytes, long, true);
            prop_assert_eq!(bytes, raw);
        }
    }
}
