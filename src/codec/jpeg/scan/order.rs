//! The order of blocks in a scan.

use super::super::header::{Frame, Scan};

/// The units of a scan: what lies between two places where a restart marker may be.
pub struct Units<'a> {
    frame: &'a Frame,
    scan: &'a Scan,
    wide: usize,
    pub count: usize,
}

impl<'a> Units<'a> {
    pub fn new(frame: &'a Frame, scan: &'a Scan) -> Self {
        // The blocks of a single component have no others beside them that would have to be filled up.
        let (wide, high) = match scan.components[..] {
            [(place, _, _)] => (frame.components[place].wide, frame.components[place].high),
            _ => (frame.units_wide, frame.units_high),
        };
        Self { frame, scan, wide, count: wide * high }
    }

    /// Calls `each` with the blocks of a unit: the place of the component in the scan, and the number of the
    /// block in its plane. Ends where `each` returns `None`.
    pub fn blocks(&self, unit: usize, mut each: impl FnMut(usize, usize) -> Option<()>) -> Option<()> {
        let (x, y) = (unit % self.wide, unit / self.wide);
        if let [(place, _, _)] = self.scan.components[..] {
            let row = self.frame.padded(&self.frame.components[place]).0;
            return each(0, y * row + x);
        }
        for (i, &(place, _, _)) in self.scan.components.iter().enumerate() {
            let c = &self.frame.components[place];
            let row = self.frame.padded(c).0;
            for v in 0..c.v {
                for h in 0..c.h {
                    each(i, (y * c.v + v) * row + x * c.h + h)?;
                }
            }
        }
        Some(())
    }
}
