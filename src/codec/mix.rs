//! The `mix` codec: context mixing and a binary arithmetic coder. Specified in `formats/mix.md`.

use crate::coder::binary::{BinaryDecoder, BinaryEncoder};
use crate::model::mix::context::Kind;
use crate::model::mix::kernel::has_avx2;
use crate::model::mix::predictor::{Predictor, Shape};
use crate::{Error, ErrorKind, Result};

/// How a block is modelled.
#[derive(Debug, Clone, Copy)]
pub struct MixOptions {
    /// The slot table takes 2^`memory_bits` bytes (16..=30).
    pub memory_bits: u32,
    pub kind: u8,
    pub period: usize,
}

fn shape(kind: u8, bits: u32, period: usize) -> Shape {
    let kind = match kind {
        0 => Kind::Text,
        1 => Kind::Binary,
        2 => Kind::Records { period },
        3 => Kind::Code,
        4 => Kind::Words { stride: period },
        k => Kind::Bytes { width: usize::from(k) - 4, stride: period },
    };
    Shape { kind, memory_bits: bits, contexts: crate::model::mix::predictor::tune(11, 20) as usize, primed: crate::model::mix::predictor::tune(12, 256 << 10) as usize }
}

/// Codes a block.
pub fn encode_block(raw: &[u8], options: &MixOptions) -> Result<Vec<u8>> {
    let mut header = vec![options.kind, options.memory_bits as u8];
    header.extend_from_slice(&(options.period as u16).to_le_bytes());
    let mut predictor = Predictor::new(shape(options.kind, options.memory_bits, options.period))?;
    predictor.reserve(raw.len())?;
    let encoder = BinaryEncoder::new(header);
    let mut filtered;
    let raw = if options.kind == 3 {
        filtered = raw.to_vec();
        crate::codec::filter::x86::apply(&mut filtered);
        &filtered
    } else {
        raw
    };
    #[cfg(target_arch = "x86_64")]
    if has_avx2() {
        // SAFETY: AVX2 was detected.
        return Ok(unsafe { encode_avx2(raw, &mut predictor, encoder) });
    }
    Ok(encode_bits::<false>(raw, &mut predictor, encoder))
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn encode_avx2(raw: &[u8], predictor: &mut Predictor, encoder: BinaryEncoder) -> Vec<u8> {
    encode_bits::<true>(raw, predictor, encoder)
}

#[inline(always)]
fn encode_bits<const A: bool>(raw: &[u8], predictor: &mut Predictor, mut encoder: BinaryEncoder) -> Vec<u8> {
    for &byte in raw {
        for i in (0..8).rev() {
            let bit = u32::from(byte >> i & 1);
            encoder.encode(bit, predictor.p());
            predictor.update::<A>(bit);
        }
    }
    encoder.finish()
}

/// Decodes a block front to back.
pub struct BlockDecoder<'a> {
    predictor: Predictor,
    decoder: BinaryDecoder<'a>,
    left: usize,
}

impl<'a> BlockDecoder<'a> {
    pub fn new(payload: &'a [u8], raw_len: usize, memory_cap: u64) -> Result<Self> {
        let Some((&[kind, bits, p0, p1], rest)) = payload.split_first_chunk::<4>() else {
            return Err(Error::truncated("a mix payload ends inside its header"));
        };
        if !(16..=30).contains(&bits) {
            return Err(Error::corrupt(format!("mix memory bits {bits}, expected 16..=30")));
        }
        if 1u64 << bits > memory_cap {
            return Err(Error::new(ErrorKind::LimitExceeded, "mix table above the memory limit"));
        }
        let predictor = Predictor::new(shape(kind, bits.into(), u16::from_le_bytes([p0, p1]).into()))?;
        Ok(Self { predictor, decoder: BinaryDecoder::new(rest), left: raw_len })
    }

    /// Decodes the next `out.len()` bytes.
    pub fn decode_into(&mut self, out: &mut [u8]) -> Result<()> {
        if out.len() > self.left {
            return Err(Error::bad_argument("more bytes asked for than the mix block has"));
        }
        self.predictor.reserve(out.len())?;
        #[cfg(target_arch = "x86_64")]
        if has_avx2() {
            // SAFETY: AVX2 was detected.
            return unsafe { decode_avx2(self, out) };
        }
        self.decode_bits::<false>(out)
    }

    #[inline(always)]
    fn decode_bits<const A: bool>(&mut self, out: &mut [u8]) -> Result<()> {
        for byte in out.iter_mut() {
            let mut c0 = 1;
            while c0 < 256 {
                let bit = self.decoder.decode(self.predictor.p());
                self.predictor.update::<A>(bit);
                c0 = c0 << 1 | bit;
            }
            *byte = c0 as u8;
            if self.decoder.overrun() > 8 {
                return Err(Error::truncated("a mix payload ends before its last bit"));
            }
        }
        self.left -= out.len();
        Ok(())
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn decode_avx2(decoder: &mut BlockDecoder<'_>, out: &mut [u8]) -> Result<()> {
    decoder.decode_bits::<true>(out)
}

/// Learns priors for a kind from pieces of data, each coded as a block of its own.
#[doc(hidden)]
pub fn learn_priors(kind: u8, pieces: &[Vec<u8>]) -> Result<Vec<u8>> {
    let mut priors = crate::model::mix::predictor::untrained();
    for piece in pieces {
        let mut piece = piece.clone();
        if kind == 3 {
            crate::codec::filter::x86::apply(&mut piece);
        }
        let mut predictor = Predictor::with_priors(shape(kind, 24, 0), &priors)?;
        let coder = BinaryEncoder::new(Vec::new());
        #[cfg(target_arch = "x86_64")]
        if has_avx2() {
            // SAFETY: AVX2 was detected.
            unsafe { encode_avx2(&piece, &mut predictor, coder) };
            priors = predictor.priors();
            continue;
        }
        encode_bits::<false>(&piece, &mut predictor, coder);
        priors = predictor.priors();
    }
    Ok(priors.to_bytes())
}
