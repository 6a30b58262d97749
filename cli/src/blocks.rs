//! Arguments that several verbs share: the size of blocks.

use crate::failure::usage;
use crate::quantity::Size;
use clap::{Args, ValueHint};
use nzip::Options;

/// The size of blocks, which bounds the cost of a range.
#[derive(Debug, Args)]
pub struct Blocks {
    /// Blocks of 1 MiB, so that ranges are cheap to read; slightly larger files
    ///
    /// Reading a range then decodes at most 1 MiB more than it holds at either end. Without this option, the
    /// default codec decodes a range from the start of its block, and a block holds up to 16 MiB (64 MiB at
    /// -9). nzip -l shows what a range of a file costs.
    #[arg(long, conflicts_with = "block_size")]
    seekable: bool,
    /// Store which words blocks may hold, so that "nzip grep -w" skips the others (at most 1 % more)
    ///
    /// Blocks have 1 MiB unless --block-size is given. A word is a run of 3 to 64 ASCII letters.
    #[arg(long, hide_short_help = true)]
    searchable: bool,
    /// Raw bytes of a block, 4K to 1G [default: 16M]
    ///
    /// By default blocks hold 16 MiB, 64 MiB where mix is used at -9, and 256 KiB with codecs that have
    /// windows.
    #[arg(long, value_name = "SIZE", value_hint = ValueHint::Other, hide_short_help = true)]
    block_size: Option<Size>,
}

impl Blocks {
    /// The options with this size of blocks.
    ///
    /// # Errors
    ///
    /// A size that this machine cannot address.
    pub fn apply(&self, options: Options) -> anyhow::Result<Options> {
        let options = match self.block_size {
            Some(size) => {
                let bytes = usize::try_from(size.0).map_err(|_| usage("--block-size is too large"))?;
                options.block_size(bytes)
            }
            None if self.seekable => options.seekable(),
            None => options,
        };
        Ok(if self.searchable { options.searchable() } else { options })
    }
}
