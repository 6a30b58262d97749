//! Functions from probabilities to logits in Q8 octaves (`stretch`) and back (`squash`), in the forms that
//! the mixers need.

use std::sync::LazyLock;

use crate::model::fixed::SQUASH;

/// The largest logit, in Q8 octaves.
pub const LIMIT: i32 = 4095;

/// `squash.bin` with 16-bit entries, and its inverse, sized so that look-ups need no bounds checks.
pub struct Tables {
    squash: [u16; 8192],
    stretch: [i16; 4096],
    /// The two inputs for each 12-bit probability; see [`Tables::inputs`].
    pairs: [u32; 4096],
}

/// The shared tables.
pub static TABLES: LazyLock<Box<Tables>> = LazyLock::new(|| {
    let mut tables = Box::new(Tables { squash: [0; 8192], stretch: [0; 4096], pairs: [0; 4096] });
    for (entry, &p) in tables.squash.iter_mut().zip(&SQUASH) {
        *entry = p as u16;
    }
    let mut a = -LIMIT;
    for i in 0..4096 {
        while a < LIMIT && i32::from(tables.squash[(a + 1 + 4096) as usize]) <= 16 * i as i32 + 8 {
            a += 1;
        }
        tables.stretch[i] = a as i16;
        tables.pairs[i] = pair(a, i as i32 - 2048);
    }
    tables
});

/// Packs two 16-bit inputs into one word, the first in the low half.
#[inline(always)]
pub fn pair(first: i32, second: i32) -> u32 {
    first as u32 & 0xffff | (second as u32) << 16
}

/// The binary logarithm in Q8 of a number in 1..2^24, up to a constant, interpolated linearly between powers of two.
#[inline(always)]
pub fn line(v: u32) -> i32 {
    let exponent = v.ilog2();
    ((exponent << 8) + ((v << 8) >> exponent)) as i32
}

impl Tables {
    /// The probability in 1/65536, 1..=65535, of a logit.
    #[inline(always)]
    pub fn squash(&self, logit: i32) -> u32 {
        let index = (logit.clamp(-4096, LIMIT) + 4096) as usize;
        u32::from(self.squash[index & 8191])
    }

    /// The probability in 1/65536, 1..=65535, of a logit in −4096..=4095, the range of the mixer.
    #[inline(always)]
    pub fn squash_mixed(&self, logit: i32) -> u32 {
        debug_assert!((-4096..=LIMIT).contains(&logit));
        u32::from(self.squash[(logit + 4096) as usize & 8191])
    }

    /// The logit of a 12-bit probability.
    #[inline(always)]
    pub fn stretch(&self, p12: u32) -> i32 {
        i32::from(self.stretch[p12 as usize & 4095])
    }

    /// The two inputs for a 12-bit probability: its logit, which spends most of its range near certainty, and
    /// its distance from one half, which separates the probabilities in between better.
    #[inline(always)]
    pub fn inputs(&self, p12: u32) -> u32 {
        self.pairs[p12 as usize & 4095]
    }
}
