use super::decode::Scratch;
use super::encode::{copy, encode_block, encode_delta, encode_with, keep};
use super::stored::{self, Params};
use super::{TileDecoder, tiles};
use crate::codec::block::Block as CheckedBlock;
use crate::codec::encoding::EncodedBlock;
use crate::codec::hints::{BasePiece, Hint};
use crate::error::Result;
use crate::format::block::BlockHeader;
use crate::kernel::Kernel;
use crate::random::SplitMix;
use crate::tensor::Dtype;
use crate::tensor::bases::Bases;
use crate::tensor::form::{Form, Packing};
use crate::tensor::ggml::Block;
use crate::tensor::rounding::Rounding;
use std::sync::Arc;

mod above;
mod pairs;

fn header(block: &EncodedBlock) -> BlockHeader {
    block.clone().into_parts(None).0
}

/// The decoder of a block with this header.
fn tile_decoder(header: &BlockHeader, kernel: Kernel) -> Result<TileDecoder> {
    tiles::decoder(&CheckedBlock::check(header.clone())?, kernel, &Bases::new())
}

fn decoded(block: &EncodedBlock, kernel: Kernel) -> Vec<u8> {
    let header = header(block);
    let mut raw = vec![0xEE; block.raw_len as usize];
    let decoder = tile_decoder(&header, kernel).unwrap();
    let (verified, result) =
        tiles::decode(None, &decoder, &header, &block.payload, 0..header.units.len(), &mut raw);
    result.unwrap();
    assert_eq!(verified, raw.len());
    raw
}

/// Fails unless a block gives these bytes back with every kernel. `what` names the case.
fn comes_back(block: &EncodedBlock, raw: &[u8], what: &str) {
    for kernel in [Kernel::Scalar, Kernel::best()] {
        assert!(decoded(block, kernel) == raw, "{what} {kernel:?}");
    }
}

/// The planes of a block that is no copy.
fn planes(block: &EncodedBlock) -> Arc<stored::Planes> {
    match Params::parse(block.params.as_deref().unwrap()).unwrap() {
        Params::Planes(planes) => planes,
        Params::Copy { .. } => panic!("a copy"),
    }
}

struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u32 {
        let mut generator = SplitMix(self.0);
        let number = generator.next_u64();
        self.0 = generator.0;
        (number >> 33) as u32
    }

    /// About normal, with deviation 1.
    fn normal(&mut self) -> f32 {
        let sum: f32 = (0..12).map(|_| self.next() as f32 / (1u32 << 31) as f32).sum();
        sum - 6.0
    }
}

/// Coded and decoded at several levels; the smallest share that is stored, in thousandths.
fn share(raw: &[u8], dtype: Dtype, row_bytes: u64) -> usize {
    let mut best = usize::MAX;
    for level in [1, 6, 9] {
        let hint = Hint { dtype, row_bytes, form: None, tile: 0 };
        let block = encode_block(raw, hint, level).unwrap().unwrap();
        let plain = encode_with(raw, hint, level, Kernel::Scalar).unwrap().unwrap();
        assert!(block.payload == plain.payload && block.params == plain.params, "{dtype} {level}");
        comes_back(&block, raw, &format!("{dtype} {level}"));
        let stored =
            block.payload.len() + block.params.as_ref().map_or(0, Vec::len) + block.units.stored_len();
        best = best.min(stored * 1000 / raw.len());
    }
    best
}

fn weights(rows: usize, columns: usize, rng: &mut Rng) -> Vec<f32> {
    let scales: Vec<f32> = (0..rows).map(|r| 0.02 * (1.0 + (r % 7) as f32)).collect();
    (0..rows * columns).map(|i| rng.normal() * scales[i / columns]).collect()
}

fn bytes(values: &[f32], mut bits: impl FnMut(f32) -> Vec<u8>) -> Vec<u8> {
    values.iter().flat_map(|v| bits(*v)).collect()
}

/// Half precision by cutting off; of normal numbers only.
fn half(v: f32) -> u16 {
    let b = v.to_bits();
    let e = (b >> 23 & 255) as i32 - 112;
    let sign = (b >> 16 & 0x8000) as u16;
    if e <= 0 { sign } else { sign | (e as u16) << 10 | (b >> 13 & 1023) as u16 }
}

#[test]
fn floats_of_all_widths() {
    let mut rng = Rng(1);
    let w = weights(400, 256, &mut rng);
    let f32s = bytes(&w, |v| v.to_le_bytes().to_vec());
    assert!(share(&f32s, Dtype::F32, 1024) < 840);
    let bf16 = bytes(&w, |v| ((v.to_bits() >> 16) as u16).to_le_bytes().to_vec());
    assert!(share(&bf16, Dtype::Bf16, 512) < 670);
    let f16 = bytes(&w, |v| half(v).to_le_bytes().to_vec());
    assert!(share(&f16, Dtype::F16, 512) < 850);
    let f64s = bytes(&w, |v| (f64::from(v) * 1.000_000_1).to_le_bytes().to_vec());
    assert!(share(&f64s, Dtype::F64, 2048) < 930);
    // Wider types that hold narrower ones.
    let wide = bytes(&w, |v| (v.to_bits() & 0xFFFF_0000).to_le_bytes().to_vec());
    assert!(share(&wide, Dtype::F32, 1024) < 345);
    assert!(share(&bytes(&w, |v| f64::from(v).to_le_bytes().to_vec()), Dtype::F64, 2048) < 430);
}

#[test]
fn masks_of_two_in_four_cost_their_entropy() {
    let mut rng = Rng(11);
    // Which two of four are not zero, and values that are all alike but for their signs: log2(6)/4 and 1/2
    // bit.
    let pairs = [0b0011, 0b0101, 0b0110, 0b1001, 0b1010, 0b1100];
    let mut signs = Vec::new();
    for _ in 0..100_000 {
        let pair = pairs[rng.next() as usize % 6];
        for k in 0..4 {
            signs.push(if pair >> k & 1 == 0 { 0i8 } else { 1 - 2 * (rng.next() >> 9 & 1) as i8 });
        }
    }
    let ideal = (6f64.log2() / 4.0 + 0.5) / 8.0 * 1000.0;
    let int8: Vec<u8> = signs.iter().map(|s| *s as u8).collect();
    assert!(share(&int8, Dtype::I8, 0) as f64 <= ideal * 1.02, "{}", share(&int8, Dtype::I8, 0));
    let half: Vec<u8> = signs.iter().flat_map(|s| [0, [0xBC, 0, 0x3C][(*s + 1) as usize]]).collect();
    assert!(share(&half, Dtype::F16, 0) as f64 <= ideal / 2.0 * 1.02, "{}", share(&half, Dtype::F16, 0));
}

#[test]
fn rows_of_fewer_bits() {
    let mut rng = Rng(7);
    // Every third row, and at the end all of them, hold half-precision numbers; one row holds zeros.
    for (rows, columns, most) in [(900, 96, 680), (3, 100_000, 700), (2000, 7, 710)] {
        let mut w = weights(rows, columns, &mut rng);
        for (i, v) in w.iter_mut().enumerate() {
            let row = i / columns;
            if row % 3 == 1 || row > rows * 9 / 10 {
                *v = f32::from_bits(v.to_bits() & 0xFFFF_E000);
            }
            if row == 4 {
                *v = 0.0;
            }
        }
        let raw = bytes(&w, |v| v.to_le_bytes().to_vec());
        let found = share(&raw, Dtype::F32, 4 * columns as u64);
        assert!(found < most, "{rows} {columns} {found}");
    }
}

#[test]
fn rare_symbols_are_folded() {
    let mut rng = Rng(8);
    let mut w: Vec<f32> = (0..400 * 256).map(|_| rng.normal()).collect();
    // A few of them are much smaller.
    w.iter_mut().step_by(40).for_each(|v| *v /= 4000.0);
    let raw = bytes(&w, |v| ((v.to_bits() >> 16) as u16).to_le_bytes().to_vec());
    let block = encode_block(&raw, Hint { dtype: Dtype::Bf16, row_bytes: 512, form: None, tile: 0 }, 6)
        .unwrap()
        .unwrap();
    assert!(planes(&block).fields[0].fold > 0);
    comes_back(&block, &raw, "folded");
}

#[test]
fn bits_are_bits() {
    let mut rng = Rng(2);
    let mut raw = Vec::new();
    for i in 0..20_000u32 {
        let odd = [0, 0x8000_0000, 0x7F80_0000, 0x7FC0_0001, 0xFFFF_FFFF, 1, 0x0080_0000];
        let v = if i % 50 == 0 { odd[i as usize / 50 % 7] } else { rng.normal().to_bits() };
        raw.extend(v.to_le_bytes());
    }
    share(&raw, Dtype::F32, 400);
    let noise: Vec<u8> = (0..100_000).map(|_| rng.next() as u8).collect();
    for dtype in [Dtype::F32, Dtype::Bf16, Dtype::F16, Dtype::F64, Dtype::I32, Dtype::U8, Dtype::F8E4m3] {
        assert!(share(&noise, dtype, 1000) <= 1010, "{dtype}");
    }
}

#[test]
fn zeros_constants_palettes_and_decimals() {
    let mut rng = Rng(3);
    let w = weights(300, 256, &mut rng);
    let mut count = 0;
    let two_of_four = bytes(&w, |v| {
        count += 1;
        // Two of each four stay: always the first and one of the others.
        let stays = count % 4 == 1
            || count % 4 == 2 + (count / 4) % 3
            || (count % 4 == 0 && (count / 4 - 1) % 3 == 2);
        if stays { (v.to_bits() >> 16) as u16 } else { 0 }.to_le_bytes().to_vec()
    });
    assert!(share(&two_of_four, Dtype::Bf16, 512) < 400);
    assert!(share(&vec![0; 1 << 20], Dtype::F32, 4096) < 1);
    assert!(share(&1.5f32.to_le_bytes().repeat(50_000), Dtype::F32, 4000) < 2);
    let few = bytes(&w, |v| ((v * 40.0).round() / 3.0).to_le_bytes().to_vec());
    assert!(share(&few, Dtype::F32, 1024) < 150);
    let decimal = bytes(&w, |v| format!("{:.4e}", v * 10.0).parse::<f32>().unwrap().to_le_bytes().to_vec());
    let five = share(&decimal, Dtype::F32, 1024);
    assert!(five < 600, "{five}");
}

#[test]
fn whole_numbers_and_bytes() {
    let mut rng = Rng(4);
    let ids: Vec<u8> =
        (0..30_000u32).flat_map(|i| u64::from(i / 3 + rng.next() % 50).to_le_bytes()).collect();
    assert!(share(&ids, Dtype::I64, 80) < 300);
    let mut int8: Vec<u8> = weights(300, 200, &mut rng).iter().map(|v| (v * 300.0) as i8 as u8).collect();
    int8[200 * 50..200 * 90].fill(0);
    assert!(share(&int8, Dtype::I8, 200) < 830);
    share(&int8[..59_997], Dtype::F6E2m3, 150);
    share(&int8[..1], Dtype::Bool, 0);
}

#[test]
fn blocks_of_ggml() {
    let mut rng = Rng(5);
    for (id, most) in [(3, 960), (2, 960), (8, 990), (12, 1000), (14, 1000), (39, 1000)] {
        let block = Block::from_id(id).unwrap();
        let mut raw = Vec::new();
        for _ in 0..5000 {
            let d = half(0.01 + rng.normal().abs() * 0.003);
            let start = raw.len();
            raw.resize(start + block.bytes(), 0);
            for f in block.fields() {
                for b in &mut raw[start + f.offset..start + f.offset + f.bytes] {
                    let nibble = |rng: &mut Rng| (8.0 + rng.normal() * 3.0).clamp(0.0, 15.0) as u8;
                    *b = nibble(&mut rng) | nibble(&mut rng) << 4;
                }
                if f.bytes == 2 {
                    raw[start + f.offset..start + f.offset + 2].copy_from_slice(&d.to_le_bytes());
                }
            }
        }
        let found = share(&raw, Dtype::Ggml(block), 10 * block.bytes() as u64);
        assert!(found < most, "{} {found}", block.name());
    }
}

/// One bit of the payload changed, so many times: nothing wrong passes for verified.
fn flip_bits(block: &EncodedBlock, raw: &[u8], rng: &mut Rng, times: usize) {
    let header = header(block);
    let decoder = tile_decoder(&header, Kernel::best()).unwrap();
    for _ in 0..times {
        let mut payload = block.payload.clone();
        let bit = rng.next() as usize % (8 * payload.len());
        payload[bit / 8] ^= 1 << (bit % 8);
        let mut out = vec![0; raw.len()];
        let (verified, result) =
            tiles::decode(None, &decoder, &header, &payload, 0..header.units.len(), &mut out);
        assert!(result.is_err() || out == raw);
        assert!(out[..verified] == raw[..verified]);
    }
}

#[test]
fn damage_is_found() {
    let mut rng = Rng(6);
    let raw = bytes(&weights(40, 100, &mut rng), |v| v.to_le_bytes().to_vec());
    let block = encode_block(&raw, Hint { dtype: Dtype::F32, row_bytes: 400, form: None, tile: 0 }, 9)
        .unwrap()
        .unwrap();
    flip_bits(&block, &raw, &mut rng, 2000);
}

fn form(packing: Packing, rows: u32, word: u32, columns: u32) -> Form {
    Form { packing, rows, word, columns }
}

/// Coded with a form and decoded by both kernels; the bytes of the block, and whether it was cut.
fn with_form(raw: &[u8], form: Form) -> (EncodedBlock, bool) {
    let hint = Hint { dtype: Dtype::U8, row_bytes: 0, form: Some(form), tile: 0 };
    let block = encode_block(raw, hint, 6).unwrap().unwrap();
    assert!(encode_with(raw, hint, 6, Kernel::Scalar).unwrap().unwrap() == block);
    comes_back(&block, raw, &format!("{form:?}"));
    let is_cut = planes(&block).pieces.is_some();
    (block, is_cut)
}

const FORMS: [(Packing, u32, u32, u32); 14] = [
    (Packing::Bits(4), 16, 4, 24),
    (Packing::Bits(3), 12, 4, 32),
    (Packing::Bits(5), 1, 20, 1),
    (Packing::Bits(1), 4, 1, 12),
    (Packing::Bits(8), 1, 64, 1),
    (Packing::Words(3), 1, 48, 1),
    (Packing::Words(5), 4, 4, 8),
    (Packing::Columns(8), 128, 4, 3),
    (Packing::Columns(4), 64, 4, 6),
    (Packing::Codes8(3), 1, 3, 1),
    (Packing::Codes16(2), 1, 4, 1),
    (Packing::Spqr, 1, 8, 1),
    (Packing::Outliers, 1, 4, 1),
    (Packing::Growing, 1, 4, 1),
];

#[test]
fn any_bytes_in_any_form() {
    let mut rng = Rng(7);
    for (packing, rows, word, columns) in FORMS {
        let unit = (rows * word * columns) as usize;
        let raw: Vec<u8> =
            (0..30_000 / unit * unit).map(|i| (rng.next() & rng.next()) as u8 | (i / 7000) as u8).collect();
        with_form(&raw, form(packing, rows, word, columns));
        with_form(&vec![0x5A; unit * 3], form(packing, rows, word, columns));
        // Rows that differ, groups that do not.
        let rows_differ: Vec<u8> =
            (0..unit * 4).map(|i| (i / (word * columns) as usize % rows as usize) as u8).collect();
        with_form(&rows_differ, form(packing, rows, word, columns));
        // Not of this form: coded some other way.
        assert!(rows == 1 || !with_form(&raw[..raw.len() - 1], form(packing, rows, word, columns)).1);
    }
}

/// Three-bit weights whose groups of 128 have one of two spreads, from a column of 12 words.
#[test]
fn groups_have_classes_across_rows() {
    let mut rng = Rng(8);
    let (columns, bands) = (96, 10);
    let mut words = vec![[0u8; 4]; 12 * columns * bands];
    for band in 0..bands {
        for column in 0..columns {
            let wide = if rng.next().is_multiple_of(2) { 0.5 } else { 2.0 };
            let mut bits = 0usize;
            for _ in 0..128 {
                let code = (4.0 + rng.normal() * wide).clamp(0.0, 7.0) as u8;
                for b in 0..3 {
                    let word = &mut words[(band * 12 + bits / 32) * columns + column];
                    word[bits % 32 / 8] |= (code >> b & 1) << (bits % 8);
                    bits += 1;
                }
            }
        }
    }
    let raw = words.concat();
    let (block, cut) = with_form(&raw, form(Packing::Bits(3), 12, 4, columns as u32));
    assert!(cut && block.cost() * 100 < raw.len() * 75, "{} of {}", block.cost(), raw.len());
    flip_bits(&block, &raw, &mut rng, 500);
}

#[test]
fn damaged_parameters_of_cuts_are_found_or_harmless() {
    let mut rng = Rng(9);
    for (packing, rows, word, columns) in FORMS {
        let unit = (rows * word * columns) as usize;
        let raw: Vec<u8> = (0..8000 / unit * unit).map(|_| (rng.next() & rng.next() & 0x77) as u8).collect();
        let (block, _) = with_form(&raw, form(packing, rows, word, columns));
        let mut header = header(&block);
        let params = block.params.clone().unwrap();
        for _ in 0..400 {
            let mut bad = params.clone();
            let at = rng.next() as usize % bad.len();
            bad[at] ^= 1 << (rng.next() % 8);
            bad.truncate(bad.len() - usize::from(rng.next().is_multiple_of(8)));
            header.params = Some(bad);
            let mut out = vec![0; raw.len()];
            if let Ok(decoder) = tile_decoder(&header, Kernel::best()) {
                let (_, result) =
                    tiles::decode(None, &decoder, &header, &block.payload, 0..header.units.len(), &mut out);
                assert!(result.is_err() || out == raw);
            }
        }
    }
}

#[test]
fn folded_symbols_above_nothing_but_zeros() {
    let mut rng = Rng(8);
    // Some are much smaller, and one tile has nothing but powers of two.
    let value = |i: usize| rng.normal() / if i.is_multiple_of(40) { 4000.0 } else { 1.0 };
    let mut bits: Vec<u32> = (0..400 * 512).map(value).map(f32::to_bits).collect();
    for (i, b) in bits[65536..131072].iter_mut().enumerate() {
        let few = [0x3600_0000, 0xB600_0000, 0x3780_0000, 0xB720_0000];
        let many = [0x3F00_0000, 0xBE00_0000, 0x3F80_0000, 0xC000_0000];
        *b = if i % 40 == 0 { few } else { many }[i / 40 % 4];
    }
    let raw: Vec<u8> = bits.iter().flat_map(|b| ((b >> 16) as u16).to_le_bytes()).collect();
    let hint = Hint { dtype: Dtype::Bf16, row_bytes: 512, form: None, tile: 0 };
    let block = encode_block(&raw, hint, 6).unwrap().unwrap();
    let field = &planes(&block).fields[0];
    assert!(field.fold > 0 && field.low_bits > 0);
    assert!(decoded(&block, Kernel::Scalar) == raw);
}

/// Rows of numbers that resemble each other but for every third.
fn related(rows: usize, columns: usize, rng: &mut Rng) -> Vec<f32> {
    let mut numbers = Vec::new();
    for row in 0..rows {
        let (first, size) = (rng.normal(), 0.01 * (1 + row % 3) as f32);
        numbers.extend((0..columns).map(|column| {
            let own = rng.normal();
            size * if column % 3 == 0 { own } else { first + own / 16.0 }
        }));
    }
    numbers
}

#[test]
fn rows_predict_their_numbers() {
    let mut rng = Rng(12);
    for (rows, columns) in [(3000, 12), (400, 100), (997, 65), (8001, 2)] {
        let w = related(rows, columns, &mut rng);
        let decimals: Vec<f32> = w.iter().map(|v| (v * 1e5).round() / 1e5).collect();
        let some = |v: &f32, i: usize| {
            v.to_bits() & if (i / columns).is_multiple_of(2) { 0xFFFF_E000 } else { u32::MAX }
        };
        let f32s = w.iter().enumerate().flat_map(|(i, v)| some(v, i).to_le_bytes()).collect();
        let cases: [(Dtype, Vec<u8>); 6] = [
            (Dtype::F32, f32s),
            (Dtype::F32, bytes(&decimals, |v| v.to_le_bytes().to_vec())),
            (Dtype::F16, bytes(&w, |v| half(v).to_le_bytes().to_vec())),
            (Dtype::Bf16, bytes(&w, |v| ((v.to_bits() >> 16) as u16).to_le_bytes().to_vec())),
            (Dtype::F64, bytes(&w, |v| (f64::from(v) * 1.000_000_1).to_le_bytes().to_vec())),
            (Dtype::I8, bytes(&w, |v| vec![(v * 2000.0 + 0.5) as i8 as u8])),
        ];
        for (dtype, raw) in cases {
            let hint = Hint { dtype, row_bytes: (raw.len() / rows) as u64, form: None, tile: 0 };
            let [before, after] = [8, 9].map(|level| encode_block(&raw, hint, level).unwrap().unwrap());
            let predicted = matches!(planes(&after).fields[0].context, stored::Context::Predicted(_));
            // Few rows, or those of two, may not pay for what they would have to store.
            let pays = columns == 12 || columns == 65;
            assert!(predicted && after.cost() < before.cost() || !pays, "{rows} {columns} {dtype}");
            share(&raw, dtype, hint.row_bytes);
        }
        let raw = bytes(&w, |v| v.to_le_bytes().to_vec());
        let hint = Hint { dtype: Dtype::F32, row_bytes: 4 * columns as u64, form: None, tile: 0 };
        flip_bits(&encode_block(&raw, hint, 9).unwrap().unwrap(), &raw, &mut rng, 100);
    }
}

#[test]
fn absurd_predictions_are_refused() {
    let mut rng = Rng(13);
    let raw = bytes(&related(3000, 12, &mut rng), |v| vec![(v * 2000.0 + 0.5) as i8 as u8]);
    let hint = Hint { dtype: Dtype::I8, row_bytes: 12, form: None, tile: 0 };
    let block = encode_block(&raw, hint, 9).unwrap().unwrap();
    let good = block.params.clone().unwrap();
    let change = |change: &dyn Fn(&mut stored::LinearPrediction)| {
        let Params::Planes(mut planes) = Params::parse(&good).unwrap() else { panic!() };
        let fields = &mut Arc::make_mut(&mut planes).fields;
        let stored::Context::Predicted(prediction) = &mut fields[0].context else { panic!() };
        change(prediction);
        let mut bytes = Vec::new();
        Params::Planes(planes).put(&mut bytes);
        Params::parse(&bytes).map_err(|e| e.to_string())
    };
    assert!(change(&|_| {}).is_ok());
    assert!(change(&|p| p.scales[3] = 0x8000).unwrap_err().contains("scale"));
    assert!(change(&|p| p.map[77] = 255).unwrap_err().contains("a table that does not exist"));
    assert!(change(&|p| p.columns.truncate(1)).is_err());
    assert!(change(&|p| p.multipliers.clear()).is_err());
    let decoder = tile_decoder(&header(&block), Kernel::best()).unwrap();
    for (start, len) in [(0, 11), (1, 12)] {
        let error = decoder.tile(&block.payload, start, &mut vec![0; len], &mut Scratch::default());
        let error = error.unwrap_err().to_string();
        assert!(error.contains("tiles of whole rows"), "{error}");
    }
    // Any bit of the parameters.
    for _ in 0..2000 {
        let mut params = good.clone();
        let bit = rng.next() as usize % (8 * params.len());
        params[bit / 8] ^= 1 << (bit % 8);
        let parsed = Params::parse(&params);
        let raw_len = raw.len() as u64;
        if let Ok(decoder) = parsed.and_then(|p| TileDecoder::new(&p, raw_len, Kernel::best(), &Bases::new()))
        {
            let mut out = vec![0; 12 * 32];
            let _ = decoder.tile(&block.payload, 0, &mut out, &mut Scratch::default());
        }
    }
}

#[test]
fn blocks_are_kept_where_they_may_have_copies() {
    let raw = bytes(&weights(40, 100, &mut Rng(14)), |v| v.to_le_bytes().to_vec());
    let hint = Hint { dtype: Dtype::F32, row_bytes: 400, form: None, tile: 0 };
    let mut block = encode_block(&raw, hint, 6).unwrap().unwrap();
    let is_kept = |block: &EncodedBlock| CheckedBlock::check(header(block)).unwrap().has_copies();
    assert!(!is_kept(&block));
    assert!(keep(&mut block) && is_kept(&block));
    assert!(decoded(&block, Kernel::best()) == raw);
    let mut repeated = copy(&block, 7).unwrap();
    assert_eq!(CheckedBlock::check(header(&repeated)).unwrap().copy_of(), Some(7));
    assert!(!keep(&mut repeated));
    let base = BasePiece { bytes: &raw, rounding: Rounding::None, hash: [3; 32], offset: 0 };
    let mut delta = encode_delta(&raw, hint, base, 6).unwrap().unwrap();
    assert!(!keep(&mut delta) && !is_kept(&delta));
    let mut stored = crate::codec::store::encode(&[1; 10]);
    assert!(!keep(&mut stored));
}
