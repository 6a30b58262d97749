//! Random numbers that are the same on every machine.

use crate::random::SplitMix;

/// Random numbers in the forms that learning needs, from [`SplitMix`]. The seed is the whole state.
#[derive(Debug, Clone)]
pub struct Random(pub u64);

impl Random {
    /// The next 64 random bits.
    fn bits(&mut self) -> u64 {
        let mut generator = SplitMix(self.0);
        let number = generator.next_u64();
        self.0 = generator.0;
        number
    }

    /// A uniform number in 0..1.
    pub fn unit(&mut self) -> f32 {
        (self.bits() >> 40) as f32 / (1u64 << 24) as f32
    }

    /// A uniform number in 0..n.
    pub fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.bits()) * n as u128) >> 64) as usize
    }

    /// A nearly standard normal number: the sum of twelve uniform numbers, less 6.
    pub fn normal(&mut self) -> f32 {
        (0..12).map(|_| self.unit()).sum::<f32>() - 6.0
    }

    /// Puts items into a random order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            let j = self.below(i + 1);
            items.swap(i, j);
        }
    }
}
