//! Decoding blocks.

use super::{Header, SortCodec, decoding_need};
use crate::codec::block::BlockCodec;
use crate::codec::buffer::reserve_exact;
use crate::codec::mix::filter::convert_code;
use crate::coder::range::{BitDecoder, Part};
use crate::error::{Error, Result};
use crate::kernel::{Kernel, dispatch};
use crate::model::sort::kernel::{self, Bounds};
use crate::model::sort::mixture::Coder;
use crate::model::sort::{self, Mode, transform};

/// Decodes a block of `raw_len` bytes.
///
/// # Errors
///
/// `Truncated`, `Corrupt` or `NewerVersion` for a bad payload; `LimitExceeded` if decoding would take more than `memory_cap`
/// bytes.
pub fn decode_block(payload: &[u8], raw_len: usize, memory_cap: u64) -> Result<Vec<u8>> {
    if raw_len as u64 > SortCodec.max_raw(payload.len() as u64) {
        return Err(Error::corrupt(format!(
            "{} bytes of sort cannot hold {raw_len} raw bytes",
            payload.len()
        )));
    }
    let (header, coded) = Header::read(payload, raw_len)?;
    let need = decoding_need(raw_len);
    if need > memory_cap {
        return Err(Error::limit(format!(
            "a sort block needs {need} bytes of memory, the limit is {memory_cap}"
        )));
    }
    let mut sorted = Vec::new();
    reserve_exact(&mut sorted, raw_len)?;
    let mut reader = Reader(BitDecoder::new(coded));
    run(&mut sorted, raw_len, header.mode, &mut reader)?;
    reader.0.finish()?;
    let mut raw = transform::restore(&sorted, &header.starts)?;
    if let Some(machine) = header.machine {
        convert_code(machine, &mut raw, true);
    }
    Ok(raw)
}

/// Decodes sorted bytes with the best kernel.
fn run(sorted: &mut Vec<u8>, len: usize, mode: Mode, coder: &mut Reader<'_>) -> Result<()> {
    dispatch!(
        Kernel::best(),
        scalar: sort::decode::<false>(sorted, len, mode, coder),
        avx2: run_avx2(sorted, len, mode, coder),
        v128: sort::decode::<true>(sorted, len, mode, coder),
    )
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn run_avx2(sorted: &mut Vec<u8>, len: usize, mode: Mode, coder: &mut Reader<'_>) -> Result<()> {
    sort::decode::<true>(sorted, len, mode, coder)
}

/// Reads symbols.
struct Reader<'a>(BitDecoder<'a>);

impl Coder for Reader<'_> {
    #[inline(always)]
    fn symbol<const A: bool>(&mut self, _: usize, bounds: &Bounds) -> Result<usize> {
        let symbol = self.0.decode_part(|part| {
            let symbol = kernel::find::<A>(bounds, part as u16) & 15;
            let end = if symbol == 15 { 1 << 16 } else { bounds.0[symbol + 1].into() };
            Part::<16>::new(symbol, bounds.0[symbol].into(), end)
        })?;
        Ok(symbol as usize)
    }

    #[inline(always)]
    fn bits(&mut self, _: u32, count: u32) -> Result<u32> {
        if count == 0 {
            return Ok(0);
        }
        let value = self.0.decode_part(|part| {
            let value = part >> (16 - count);
            let start = u64::from(value) << (16 - count);
            Part::<16>::new(value as usize, start, start + (1 << (16 - count)))
        })?;
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::encode::encode_block;
    use super::*;
    use crate::ErrorKind;

    #[test]
    fn all_kinds_of_bytes_come_back() {
        let text = include_bytes!("../../../formats/lm.md");
        let table = include_bytes!("../../../formats/tables/squash.bin");
        let runs: Vec<u8> = (0..300_000u32).map(|i| (i / 70_000 % 2) as u8).collect();
        for raw in [&text[..], &table[..], &runs[..], &[7][..], &[7; 5000][..], &[text, &table[..]].concat()]
        {
            let payload = encode_block(raw).unwrap();
            assert!(decode_block(&payload, raw.len(), u64::MAX).unwrap() == raw);
            let more = [&payload[..], &[1; 16]].concat();
            if payload.len() > 100 {
                assert_eq!(decode_block(&more, raw.len(), u64::MAX).unwrap_err().kind(), ErrorKind::Corrupt);
                let cut = &payload[..payload.len() / 2];
                let kind = decode_block(cut, raw.len(), u64::MAX).unwrap_err().kind();
                assert!(matches!(kind, ErrorKind::Truncated | ErrorKind::Corrupt), "{kind:?}");
            }
        }
    }

    #[test]
    fn wrong_headers_are_refused() {
        let raw = [b'x'; 5000];
        let good = encode_block(&raw).unwrap();
        for (at, value, kind) in
            [(0, 2, ErrorKind::NewerVersion), (1, 8, ErrorKind::NewerVersion), (4, 0xFF, ErrorKind::Corrupt)]
        {
            let mut bad = good.clone();
            bad[at] = value;
            assert_eq!(decode_block(&bad, raw.len(), u64::MAX).unwrap_err().kind(), kind);
        }
        for cut in 0..20 {
            let error = decode_block(&good[..cut.min(good.len())], raw.len(), u64::MAX).unwrap_err();
            assert!(cut >= 17 || error.kind() == ErrorKind::Truncated, "{cut}: {error}");
        }
        assert_eq!(decode_block(&good, raw.len(), 1000).unwrap_err().kind(), ErrorKind::LimitExceeded);
        assert_eq!(decode_block(&good, 1 << 23, u64::MAX).unwrap_err().kind(), ErrorKind::Corrupt);
    }

    proptest! {
        #[test]
        fn round_trip(raw in prop::collection::vec(prop_oneof![0u8..3, any::<u8>()], 1..6000)) {
            let payload = encode_block(&raw).unwrap();
            prop_assert!(decode_block(&payload, raw.len(), u64::MAX).unwrap() == raw);
        }

        #[test]
        fn any_payload_ends(payload in prop::collection::vec(any::<u8>(), 0..300), flags in 0u8..8, raw_len in 1usize..6000) {
            let payload = [&[1, flags], &payload[..]].concat();
            let _ = decode_block(&payload, raw_len, u64::MAX);
        }
    }
}
