//! Symbols whose tables depend on the row above.

use super::*;

/// Rows of bytes whose upper halves are mostly those of the row above; the lower halves are noise.
fn slow(rows: usize, columns: usize, rng: &mut Rng) -> Vec<u8> {
    let mut row: Vec<u8> = (0..columns).map(|_| rng.next() as u8).collect();
    let mut raw = Vec::new();
    for _ in 0..rows {
        for value in &mut row {
            let kept = if rng.next().is_multiple_of(16) { rng.next() as u8 } else { *value };
            *value = kept & 0xF0 | rng.next() as u8 & 0x0F;
            raw.push(*value);
        }
    }
    raw
}

fn context(block: &EncodedBlock) -> stored::Context {
    planes(block).fields[0].context.clone()
}

#[test]
fn the_row_above_tells() {
    let mut rng = Rng(21);
    for columns in [32, 33, 64, 100] {
        let raw = slow(4000, columns, &mut rng);
        for (dtype, level) in [(Dtype::F8E4m3, 4), (Dtype::F8E5m2, 6), (Dtype::I8, 7)] {
            // Tiles that end within rows, and whole rows.
            for tile in [0, 7777, 50 * columns as u32] {
                let hint = Hint { dtype, row_bytes: columns as u64, form: None, tile };
                let block = encode_block(&raw, hint, level).unwrap().unwrap();
                let stored::Context::Above { groups, .. } = context(&block) else {
                    panic!("{columns} {dtype}")
                };
                assert_eq!(groups, columns);
                comes_back(&block, &raw, &format!("{columns} {dtype} {tile}"));
            }
            share(&raw, dtype, columns as u64);
        }
        let hint = Hint { dtype: Dtype::F8E4m3, row_bytes: columns as u64, form: None, tile: 0 };
        flip_bits(&encode_block(&raw, hint, 6).unwrap().unwrap(), &raw, &mut rng, 50);
    }
    // Rows of fewer symbols than the coder has lanes have other contexts.
    let raw = slow(4000, 31, &mut rng);
    let hint = Hint { dtype: Dtype::F8E4m3, row_bytes: 31, form: None, tile: 0 };
    let block = encode_block(&raw, hint, 6).unwrap().unwrap();
    assert!(!matches!(context(&block), stored::Context::Above { .. }));
}

#[test]
fn absurd_rows_are_refused() {
    let raw = slow(1000, 64, &mut Rng(22));
    let hint = Hint { dtype: Dtype::F8E4m3, row_bytes: 64, form: None, tile: 0 };
    let block = encode_block(&raw, hint, 6).unwrap().unwrap();
    let good = block.params.as_deref().unwrap();
    let parse = |wanted: usize| {
        let Params::Planes(mut planes) = Params::parse(good).unwrap() else { panic!() };
        let stored::Context::Above { groups, .. } = &mut Arc::make_mut(&mut planes).fields[0].context else {
            panic!()
        };
        *groups = wanted;
        let mut bytes = Vec::new();
        Params::Planes(planes).put(&mut bytes);
        Params::parse(&bytes).map_err(|e| e.to_string())
    };
    assert!(parse(32).is_ok() && parse(1 << 20).is_ok());
    for wanted in [0, 1, 31, (1 << 20) + 1] {
        assert!(parse(wanted).unwrap_err().contains("groups of a row"), "{wanted}");
    }
}
