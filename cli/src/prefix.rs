//! The model that a prefix of a progressive file is: `nzip tensors extract --budget`.

use crate::input::Input;
use crate::quantity::Size;
use crate::resources::Resources;
use anyhow::Context;
use nzip::{Decoder, ErrorKind};
use nzip_quantize::{Restored, restore_progressive};
use std::io::{self, Read};
use std::path::Path;

/// The bytes that tell compressed files from others.
const START: u64 = 16;

/// Reads the first `budget` bytes of a progressive file, plain or compressed, and makes an ordinary safetensors file of them.
///
/// # Errors
///
/// Those of reading; for a budget that is too small, the least that is enough, where the file has it.
pub fn model(file: &Path, budget: Size, resources: &Resources) -> anyhow::Result<Vec<u8>> {
    match read(file, budget.0, resources) {
        Err(e) if kind(&e) == Some(ErrorKind::Truncated) => match least(file, budget.0, resources) {
            Some(least) => Err(e.context(format!("{} bytes are not enough: {least} are", budget.0))),
            None => Err(e),
        },
        other => other,
    }
    .with_context(|| file.display().to_string())
    .map(|restored| restored.file)
}

fn kind(e: &anyhow::Error) -> Option<ErrorKind> {
    e.downcast_ref::<nzip::Error>().map(nzip::Error::kind)
}

/// A budget that is enough, found by doubling and halving; `None` where the whole file is not.
fn least(file: &Path, budget: u64, resources: &Resources) -> Option<u64> {
    let all = file.metadata().ok()?.len();
    let (mut low, mut high) = (budget, all);
    read(file, high, resources).ok()?;
    while high - low > (high / 100).max(1) {
        let middle = low + (high - low) / 2;
        if read(file, middle, resources).is_ok() { high = middle } else { low = middle }
    }
    Some(high)
}

fn read(file: &Path, budget: u64, resources: &Resources) -> anyhow::Result<Restored> {
    let options = resources.decode_options()?;
    let memory = options.memory_cap();
    let mut source = Input::open(file, true)?.reader.take(budget);
    let mut start = Vec::new();
    source.by_ref().take(START).read_to_end(&mut start)?;
    let is_nz = nzip::is_nz(&start);
    let source = io::Cursor::new(start).chain(source);
    Ok(if is_nz {
        restore_progressive(&mut Decoder::with_options(source, options)?, memory)?
    } else {
        restore_progressive(&mut { source }, memory)?
    })
}
