//! Numbers that look random, the same in every run.

use nzip::internal::SplitMix;

/// A seeded generator.
pub struct Random(SplitMix);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(SplitMix(seed))
    }

    /// A number from 0 up to 1.
    pub fn share(&mut self) -> f32 {
        (self.0.next_u64() >> 40) as f32 / (1 << 24) as f32
    }

    /// 1 or −1.
    pub fn sign(&mut self) -> f32 {
        if self.0.next_u64() >> 63 == 0 { 1.0 } else { -1.0 }
    }
}
