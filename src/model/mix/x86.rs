//! Follows the boundaries and fields of x86 instructions (32- and 64-bit code) as far as contexts need them.

/// The field of an instruction to which the next byte belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Field {
    #[default]
    Opcode,
    Second,
    ModRm,
    Sib,
    Displacement,
    Immediate,
}

/// The state between two bytes. On data that is not code it is meaningless, but nothing fails.
#[derive(Debug, Default)]
pub struct Instructions {
    field: Field,
    /// The bytes left of the current displacement or immediate.
    left: u32,
    /// The bytes of the current instruction's immediate and of its displacement.
    immediate: u32,
    displacement: u32,
    /// Whether a prefix has made operands 16 bits wide.
    wide: bool,
    /// The opcode of the current instruction, with bits for its prefixes; 0 at a boundary.
    pub opcode: u32,
    /// Its ModR/M byte plus 256; 0 before it is known.
    pub modrm: u32,
    /// The opcodes and ModR/M bytes of earlier instructions, newest first.
    pub previous: [u32; 3],
    /// A hash of the instruction's bytes so far.
    pub start: u32,
}

/// One bit for each of the opcodes 0x00..=0xFF: whether a ModR/M byte follows it.
const MODRM: [u32; 8] = [
    0x0F0F_0F0F,
    0x0F0F_0F0F,
    0x0000_0000,
    0x0000_0A0C, // 00..7F
    0x0000_FFFF,
    0x0000_0000,
    0xFF0F_00F3,
    0xC0C0_0000, // 80..FF
];

impl Instructions {
    /// The field of the next byte and the number of its bytes left, as one number.
    #[inline(always)]
    pub fn phase(&self) -> u32 {
        self.field as u32 * 8 + self.left.min(7)
    }

    /// Processes one byte.
    #[inline(always)]
    pub fn push(&mut self, byte: u8) {
        self.start = super::history::mix_hash(self.start, u32::from(byte));
        match self.field {
            Field::Opcode => self.opcode(byte),
            Field::Second => self.second(byte),
            Field::ModRm => self.modrm(byte),
            Field::Sib => {
                if byte & 7 == 5 && self.modrm >> 6 & 3 == 0 {
                    self.displacement = 4;
                }
                self.after_address();
            }
            Field::Displacement => {
                self.left -= 1;
                if self.left == 0 {
                    self.after_displacement();
                }
            }
            Field::Immediate => {
                self.left -= 1;
                if self.left == 0 {
                    self.end();
                }
            }
        }
    }

    /// Ends the instruction.
    fn end(&mut self) {
        self.previous.rotate_right(1);
        self.previous[0] = self.opcode | (self.modrm & 0x1F8) << 16;
        self.field = Field::Opcode;
        self.opcode = 0;
        self.modrm = 0;
        self.left = 0;
        self.wide = false;
        self.start = 0;
    }

    /// Processes a prefix or the first byte of an opcode.
    fn opcode(&mut self, byte: u8) {
        match byte {
            0x66 => {
                self.wide = true;
                self.opcode |= 0x100;
                return;
            }
            0x26 | 0x2E | 0x36 | 0x3E | 0x64 | 0x65 | 0xF0 | 0xF2 | 0xF3 => {
                self.opcode |= 0x200;
                return;
            }
            0x0F => {
                self.opcode |= 0x400;
                self.field = Field::Second;
                return;
            }
            _ => {}
        }
        self.opcode |= u32::from(byte) | 0x800;
        let full = if self.wide { 2 } else { 4 };
        self.immediate = match byte {
            0x69 | 0x68 | 0x81 | 0xC7 | 0xA9 | 0xB8..=0xBF => full,
            0xE8 | 0xE9 | 0xA0..=0xA3 => 4,
            0x00..=0x3F if byte & 7 == 5 => full,
            0x00..=0x3F if byte & 7 == 4 => 1,
            0x6A | 0x6B | 0x70..=0x80 | 0x82 | 0x83 | 0xA8 | 0xB0..=0xB7 | 0xC0 | 0xC1 | 0xC6 | 0xCD => 1,
            0xD4 | 0xD5 | 0xE0..=0xE7 | 0xEB => 1,
            0xC2 | 0xCA => 2,
            0xC8 => 3,
            0x9A | 0xEA => 6,
            _ => 0,
        };
        self.operand(MODRM[usize::from(byte >> 5)] >> (byte & 31) & 1 != 0);
    }

    /// Processes the second byte of an opcode.
    fn second(&mut self, byte: u8) {
        self.opcode |= u32::from(byte) | 0x800;
        self.immediate = match byte {
            0x80..=0x8F => 4,
            0x70..=0x73 | 0xA4 | 0xAC | 0xBA | 0xC2 | 0xC4..=0xC6 => 1,
            _ => 0,
        };
        let bare = matches!(byte, 0x05..=0x09 | 0x0B | 0x30..=0x37 | 0x77 | 0x80..=0x8F | 0xA0..=0xA2 | 0xA8..=0xAA | 0xC8..=0xCF);
        self.operand(!bare);
    }

    /// Moves on from the opcode.
    fn operand(&mut self, has_modrm: bool) {
        self.displacement = 0;
        if has_modrm {
            self.field = Field::ModRm;
            self.left = 0;
        } else {
            self.after_displacement();
        }
    }

    /// Processes the ModR/M byte, which determines the size of the displacement.
    fn modrm(&mut self, byte: u8) {
        self.modrm = u32::from(byte) | 256;
        let (mode, rm) = (byte >> 6, byte & 7);
        self.displacement = match (mode, rm) {
            (0, 5) | (2, _) => 4,
            (1, _) => 1,
            _ => 0,
        };
        if self.opcode & 0x4FE == 0xF6 && byte >> 3 & 7 < 2 {
            self.immediate = if self.opcode & 1 == 0 {
                1
            } else if self.wide {
                2
            } else {
                4
            };
        }
        if mode != 3 && rm == 4 {
            self.field = Field::Sib;
        } else {
            self.after_address();
        }
    }

    /// Moves on from the ModR/M and SIB bytes.
    fn after_address(&mut self) {
        if self.displacement > 0 {
            self.field = Field::Displacement;
            self.left = self.displacement;
        } else {
            self.after_displacement();
        }
    }

    /// Moves on from the displacement.
    fn after_displacement(&mut self) {
        if self.immediate > 0 {
            self.field = Field::Immediate;
            self.left = self.immediate;
        } else {
            self.end();
        }
    }
}
