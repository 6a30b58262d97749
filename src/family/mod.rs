//! Families of files, such as the checkpoints of a training run or a model and what was tuned from it, in one
//! archive.
//!
//! Each file is a stream of the archive, its *member*, and a tensor of a later member may be coded against one of an
//! earlier member: equal tensors take a few bytes, near ones less than they take alone. `formats/family.md` specifies
//! how. [`FamilyWriter`] makes such an archive; [`crate::Archive::members`] lists its files, and everything else of
//! [`crate::Archive`] reads them.

mod distance;
mod known;
mod nearest;
mod sharded;
mod writer;

pub use nearest::{Nearest, nearest};
pub use sharded::check_shards;
pub use writer::{FamilyWriter, MemberBase, MemberReport};

use crate::format::consts::KIND_MEMBER;
use crate::format::header::Header;

/// Whether these are the first bytes of a family; 32 are enough.
pub fn is_family(start: &[u8]) -> bool {
    Header::parse(start).is_ok_and(|(_, len)| start.get(len) == Some(&KIND_MEMBER))
}
