//! Decodes streams that need no models, such as weights that are stored compressed.

use super::{Event, Input, Payloads, Walk};
use crate::codec::block::{BlockJob, Environment};
use crate::codec::buffer::reserve;
use crate::codec::decode_blocks;
use crate::error::{Error, Result};
use crate::progress::Meter;
use crate::tensor::bases::Bases;

/// Walks through streams that must not need models, decoding nothing, and checks that they hold `len` raw
/// bytes.
///
/// # Errors
///
/// [`crate::ErrorKind::Corrupt`] where they do not, or name a model; those of walking.
pub fn check_plain(packed: &[u8], len: u64, memory: u64) -> Result<()> {
    let (mut walk, mut input, mut found) = (Walk::new(Payloads::Skip, memory), Input::new(packed), 0u64);
    loop {
        match walk.next(&mut input)? {
            Event::Model(_) => return Err(nested()),
            Event::Block(raw) if raw.block.header.model.is_some() => return Err(nested()),
            Event::Block(raw) => found = found.saturating_add(raw.raw_len()),
            Event::End if found == len => return Ok(()),
            Event::End => {
                return Err(Error::corrupt(format!("weights of {len} bytes expected, {found} found")));
            }
            Event::StreamStart | Event::StreamEnd(_) | Event::Member(_) | Event::Other => {}
        }
    }
}

fn nested() -> Error {
    Error::corrupt("a weight file must not embed a model")
}

/// Decodes all streams in `packed` into one buffer of at most `most` bytes.
///
/// # Errors
///
/// [`crate::ErrorKind::Corrupt`] where the content is longer or names a model: weights that need a model
/// could lead to an endless chain of models. [`crate::ErrorKind::LimitExceeded`] where decoding takes more
/// than `memory` bytes; all other errors of decoding.
pub fn unpack(packed: &[u8], most: u64, memory: u64) -> Result<Vec<u8>> {
    let bases = Bases::new();
    let environment = Environment { bases: &bases, accelerator: None, memory, meter: Meter::NONE };
    let (mut walk, mut input) = (Walk::new(Payloads::Skip, memory), Input::new(packed));
    let (mut out, mut hasher) = (Vec::new(), blake3::Hasher::new());
    loop {
        match walk.next(&mut input)? {
            Event::StreamStart => _ = hasher.reset(),
            Event::Member(_) | Event::Other => {}
            Event::Model(_) => return Err(nested()),
            Event::Block(raw) => {
                let within = |e: Error| e.within(raw.place());
                if raw.block.header.model.is_some() {
                    return Err(within(Error::corrupt("a weight file must not be compressed with a model")));
                }
                if (out.len() as u64).saturating_add(raw.raw_len()) > most {
                    return Err(within(Error::corrupt(format!("weights of more than {most} bytes"))));
                }
                let need = (out.len() as u64).saturating_add(raw.raw_len().saturating_mul(2));
                if need > memory {
                    return Err(within(Error::limit(format!(
                        "unpacking takes {need} bytes of memory; the cap is {memory}"
                    ))));
                }
                let environment = Environment { memory: memory - out.len() as u64, ..environment };
                let mut jobs = [BlockJob::new(&raw.block, None, environment, raw.payload(Some(packed)))];
                decode_blocks(&mut jobs);
                let [job] = jobs;
                if let Some(e) = job.error {
                    return Err(within(e));
                }
                hasher.update(&job.raw);
                reserve(&mut out, job.raw.len())?;
                out.extend_from_slice(&job.raw);
            }
            Event::StreamEnd(end) => end.check_hash(hasher.finalize().as_bytes())?,
            Event::End => return Ok(out),
        }
    }
}
