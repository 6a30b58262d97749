//! The coefficients of one component of a picture.

use crate::error::{Error, Result};

/// The coefficients of a component, block by block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plane {
    /// Blocks in a row, and rows.
    pub wide: usize,
    pub high: usize,
    /// The step of each coefficient, in zigzag order.
    pub steps: [u16; 64],
    /// The coefficients of each block, in zigzag order; empty before [`Plane::reserve`].
    pub blocks: Vec<[i16; 64]>,
}

impl Plane {
    /// A plane without memory for its blocks.
    pub fn new(wide: usize, high: usize, steps: [u16; 64]) -> Self {
        Self { wide, high, steps, blocks: Vec::new() }
    }

    /// Takes the memory for all blocks, and sets them to 0.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::LimitExceeded`] where it cannot be had.
    pub fn reserve(&mut self) -> Result<()> {
        let count = self.wide * self.high;
        self.blocks
            .try_reserve_exact(count)
            .map_err(|_| Error::limit(format!("not enough memory for {count} blocks of coefficients")))?;
        self.blocks.resize(count, [0; 64]);
        Ok(())
    }
}
