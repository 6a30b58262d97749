//! The floor of all content: the codecs that need no model and are fast to decode.

use super::encoding::EncodedBlock;
use super::{glance, store, zstd};
use crate::error::Result;

/// The first level at which plain blocks may refer to repetitions farther back than the level's window.
const FAR_LEVEL: u8 = 2;

/// Codes a block with `zstd` or `store`, whichever is smaller.
pub fn plain(raw: &[u8], level: u8) -> Result<EncodedBlock> {
    // Repetitions at distances that the level's own window does not reach.
    let far = level >= FAR_LEVEL && raw.len() > zstd::window(level) && glance::far_share(raw) > 0;
    let coded = zstd::encode(raw, zstd::level(level), far)?;
    // Comparing before `store` copies anything saves the copy for blocks that zstd shrinks.
    if coded.payload.len() + 4 * coded.units.len() < raw.len() + 4 {
        Ok(coded)
    } else {
        Ok(store::encode(raw))
    }
}
