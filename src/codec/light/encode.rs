//! Encoding of blocks.

use super::header::{self, Named, TABLE_BITS};
use crate::codec::mix::filter::filtered;
use crate::codec::mix::kind::{self, kind_from};
use crate::coder::binary::BinaryEncoder;
use crate::error::Result;
use crate::kernel::{Kernel, dispatch};
use crate::model::mix::context::Kind;
use crate::model::mix::light::code::Code;
use crate::model::mix::light::{Light, Shape};

/// Blocks of at least this many raw bytes store a byte code of their own.
const OWN_CODE: usize = 8 << 10;

/// Codes a block to a payload. The kind of data is `forced` by its number and parameter in the header, or
/// found by trials.
///
/// # Errors
/// `LimitExceeded` where memory is missing; `Corrupt` or `NewerVersion` for a forced kind that does not
/// exist.
pub fn encode_block(raw: &[u8], forced: Option<(u8, u16)>) -> Result<Vec<u8>> {
    encode_known(raw, forced.map(|(kind, parameter)| kind_from(kind, parameter)).transpose()?)
}

/// Does the same for a block whose kind may be known.
pub fn encode_known(raw: &[u8], kind: Option<Kind>) -> Result<Vec<u8>> {
    let kind = match kind {
        Some(kind) => kind,
        // A long block soon learns by itself whatever phrases could teach, so trials on a sample do without
        // them.
        None => kind::choose(raw, None, |sample, kind, _| {
            encode_as(sample, kind, 0).map(|payload| payload.len())
        })?,
    };
    encode_as(raw, kind, if kind == Kind::Text { primed(raw.len()) } else { 0 })
}

/// The number of bytes of phrases that prime text of a length: fewer for short text, where they would take
/// most of the time.
fn primed(raw_len: usize) -> usize {
    match raw_len {
        0..0x4000 => 16 << 10,
        0x4000..0x20000 => 64 << 10,
        _ => 256 << 10,
    }
}

/// log2 of the slot table's size in bytes for a block: enough for most of its contexts.
pub fn table_bits(raw_len: usize) -> u32 {
    ((raw_len.max(1) as u64 * 20).ilog2() + 1).clamp(18, *TABLE_BITS.end())
}

fn encode_as(raw: &[u8], kind: Kind, primed: usize) -> Result<Vec<u8>> {
    let bytes = filtered(kind, raw)?;
    let (code, named) = match kind {
        _ if bytes.len() >= OWN_CODE => {
            let mut frequencies = [0; 256];
            bytes.iter().for_each(|&b| frequencies[usize::from(b)] += 1);
            (Code::new(&Code::lengths_for(&frequencies)).unwrap_or_else(Code::flat), Named::Own)
        }
        Kind::Text => (Code::text(), Named::Text),
        _ => (Code::flat(), Named::Flat),
    };
    let shape = Shape { kind, memory_bits: table_bits(raw.len()), primed, code, flags: true };
    let encoder = BinaryEncoder::new(header::write(&shape, named));
    let mut light = Light::new(shape)?;
    light.reserve(bytes.len())?;
    Ok(dispatch!(
        Kernel::best(),
        scalar: run::<false>(&bytes, &mut light, encoder),
        avx2: run_avx2(&bytes, &mut light, encoder),
        v128: run::<true>(&bytes, &mut light, encoder),
    ))
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn run_avx2(bytes: &[u8], light: &mut Light, encoder: BinaryEncoder) -> Vec<u8> {
    run::<true>(bytes, light, encoder)
}

#[inline(always)]
fn run<const A: bool>(bytes: &[u8], light: &mut Light, mut encoder: BinaryEncoder) -> Vec<u8> {
    for &byte in bytes {
        let (code, mut left) = light.code().code(byte);
        light.code_byte::<A>(|p, expected| {
            let bit = match expected {
                Some(expected) => u32::from(expected == byte),
                None => {
                    left -= 1;
                    code >> left & 1
                }
            };
            encoder.encode(bit, p);
            bit
        });
    }
    encoder.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalar_and_vectors_code_the_same_bits() {
        let mut raw = include_bytes!("../../../formats/lm.md").to_vec();
        raw.extend_from_slice(include_bytes!("../../../formats/tables/squash.bin"));
        // Repetitions with changes, so that flags say yes and no.
        raw.extend_from_within(..6000);
        (raw.len() - 6000..raw.len()).step_by(499).for_each(|i| raw[i] ^= 1);
        for (kind, parameter) in [(0, 0), (1, 0), (2, 12), (4, 64), (7, 96)] {
            let kind = kind_from(kind, parameter).unwrap();
            let fast = encode_as(&raw, kind, 4096 * usize::from(kind == Kind::Text)).unwrap();
            let (shape, at) = header::read(&fast).unwrap();
            let encoder = BinaryEncoder::new(fast[..at].to_vec());
            let scalar = run::<false>(&raw, &mut Light::new(shape).unwrap(), encoder);
            assert!(scalar == fast, "{kind:?}");
        }
    }
    #[test]
    fn short_text_costs_the_same_each_time() {
        let text = &include_bytes!("../../../formats/lm.md")[..3000];
        // The second time, the primed table is a copy of the one that was kept.
        let both = [0; 2].map(|_| encode_as(text, Kind::Text, 8192).unwrap());
        assert!(both[0] == both[1] && both[0].len() < text.len() / 2);
    }

    #[test]
    fn long_repetitions_take_few_decisions() {
        let text = include_bytes!("../../../formats/lm.md");
        let [once, twice] = [1, 2].map(|n| encode_as(&text.repeat(n), Kind::Text, 4096).unwrap().len());
        assert!(twice < once + text.len() / 400, "{once} {twice}");
        let mut flags = 0;
        let light =
            &mut Light::new(header::read(&encode_as(text, Kind::Text, 0).unwrap()).unwrap().0).unwrap();
        for &byte in &text.repeat(2) {
            let (code, mut left) = light.code().code(byte);
            light.code_byte::<false>(|_, expected| match expected {
                Some(expected) => {
                    flags += 1;
                    u32::from(expected == byte)
                }
                None => {
                    left -= 1;
                    code >> left & 1
                }
            });
        }
        assert!(flags > text.len() * 9 / 10, "{flags}");
    }
}
