//! The bound on the work of a search.

/// The number of steps along chains that are left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Work {
    left: u64,
}

/// The number of steps that an inside may take for each of its bytes, and in addition to those.
const PER_BYTE: u64 = 1024;
const BESIDES: u64 = 1 << 20;

impl Work {
    /// The steps for an inside of `len` bytes.
    pub fn new(len: usize) -> Self {
        Self { left: PER_BYTE * len as u64 + BESIDES }
    }

    /// Takes a step; false where none is left.
    #[inline(always)]
    pub fn step(&mut self) -> bool {
        self.left = self.left.saturating_sub(1);
        self.left > 0
    }

    /// Takes steps at once.
    #[inline(always)]
    pub fn steps(&mut self, steps: u32) {
        self.left = self.left.saturating_sub(steps.into());
    }

    /// Whether more steps were asked for than there were.
    pub fn is_spent(&self) -> bool {
        self.left == 0
    }
}
