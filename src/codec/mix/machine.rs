//! Tells whose machine code bytes may be.

use super::{arm64, x86};
use crate::model::mix::context::Machine;
use std::collections::HashSet;

/// x86 code is taken for that of 64 bits if one byte in so many starts an operand relative to the next instruction.
const OPERANDS: usize = 512;
/// ARM code has at least one call in so many instructions, and one RET in so many calls.
const CALLS: usize = 128;
const RETURNS: usize = 64;
/// RET of ARM.
const RET: u32 = 0xD65F_03C0;
/// Branches by which [`pays`] judges; x86 code has at least one in so many bytes.
const BRANCHES: usize = 1 << 14;
const RARE: usize = 512;

/// The machine whose code the bytes may be; x86 where nothing tells.
pub fn machine(raw: &[u8]) -> Machine {
    let (mut calls, mut returns) = (0, 0);
    for word in raw.as_chunks::<{ arm64::WORD }>().0 {
        let word = u32::from_le_bytes(*word);
        calls += usize::from(arm64::is_call(word));
        returns += usize::from(word == RET);
    }
    if calls * CALLS * arm64::WORD >= raw.len() && returns * RETURNS >= calls {
        return Machine::Arm64;
    }
    let operands = raw.windows(6).filter(|window| x86::is_operand(window)).count();
    if operands * OPERANDS >= raw.len() { Machine::X64 } else { Machine::X86 }
}

/// Whether the filter of code pays: surely for code that was recognised, and for what may be x86 if more branches go to
/// addresses that others go to than have displacements that others have.
pub fn pays(machine: Machine, raw: &[u8]) -> bool {
    if machine != Machine::X86 {
        return true;
    }
    let (mut relative, mut absolute) = (HashSet::new(), HashSet::new());
    let (mut walk, mut at, mut count) = (x86::Walk::default(), 0, 0);
    while at < raw.len() && count < BRANCHES {
        match walk.step(raw, at, false) {
            Some(field) => {
                if field != raw[at..at + field.len()] {
                    count += 1;
                    relative.insert(raw[at..at + field.len()].to_vec());
                    absolute.insert(field);
                }
                at += field.len();
            }
            None => at += 1,
        }
    }
    count * RARE > at && absolute.len() + count / 16 < relative.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machines_are_told_apart() {
        let filler = |n: u32| n.wrapping_mul(0x9E37_79B1) >> 3;
        let arm: Vec<u8> = (0..40_000u32)
            .map(|n| match n % 40 {
                0 => RET,
                1 | 2 => 0x9400_0000 | (500 * (n % 13)).wrapping_sub(n) & 0x03FF_FFFF,
                _ => filler(n) & 0x3FFF_FFFF,
            })
            .flat_map(u32::to_le_bytes)
            .collect();
        assert_eq!(machine(&arm), Machine::Arm64);
        let mut long: Vec<u8> = (0..40_000u32).flat_map(|n| filler(n).to_le_bytes()).collect();
        assert_eq!(machine(&long), Machine::X86);
        assert!(!pays(Machine::X86, &long));
        for at in (0..long.len() - 7).step_by(50) {
            let displacement = (1000 * (at as u32 % 7)).wrapping_sub(at as u32 + 7);
            long[at..at + 3].copy_from_slice(&[0x48, 0x8B, 0x05]);
            long[at + 3..at + 7].copy_from_slice(&displacement.to_le_bytes());
        }
        assert_eq!(machine(&long), Machine::X64);
    }
}
