//! The `table` codec from outside: round trips, sizes, and refused payloads.

use crate::tables::orders;
use nzip::internal::codec::table;
use nzip::{Archive, Codec, CodecChoice, DecodeOptions, ErrorKind, Options};
use proptest::prelude::*;
use std::io::Cursor;

fn only(codec: Codec) -> Options {
    Options::new().codec(CodecChoice::Only(codec)).threads(1)
}

fn codecs(packed: &[u8]) -> Vec<Codec> {
    let mut archive = Archive::new(Cursor::new(packed)).unwrap();
    (0..).map_while(|i| archive.block(i).unwrap()).filter_map(|b| b.codec).collect()
}

fn packed(raw: &[u8]) -> Vec<u8> {
    let packed = nzip::compress_with(raw, only(Codec::Table)).unwrap();
    assert!(nzip::decompress(&packed).unwrap() == raw);
    packed
}

#[test]
fn odd_tables_come_back() {
    for (delimiter, end) in [(',', "\n"), (';', "\r\n"), ('\t', "\n"), ('|', "\r\n")] {
        let raw = orders(300, delimiter, end);
        assert_eq!(codecs(&packed(&raw)), [Codec::Table], "{delimiter:?} {end:?}");
        // Cut anywhere, with other line ends, with lines doubled or empty.
        let text = String::from_utf8(raw.clone()).unwrap();
        let mixed: String = text
            .split_inclusive('\n')
            .enumerate()
            .map(|(i, l)| match i % 50 {
                7 => format!("{}\n", l.trim_end()),
                9 => format!("{}\r\n", l.trim_end()),
                11 => format!("{l}\n"),
                13 => l.replace('\n', ""),
                _ => l.to_owned(),
            })
            .collect();
        packed(mixed.as_bytes());
        packed(&raw[5..raw.len() - 7]);
        packed(&[&raw[..], b"\n\n\0\xFF"].concat());
    }
}

#[test]
fn a_circuit_pays_for_what_hangs_together() {
    let raw = orders(3000, ',', "\n");
    let payloads = table::payloads(&raw, 2).unwrap();
    let parts: Vec<_> = payloads.iter().map(|p| table::inspect(p, raw.len(), 1 << 28).unwrap()).collect();
    assert_eq!(parts[0].records, 0, "the first plan is the one without a circuit");
    assert!(parts[1].columns.0 >= 3, "{parts:?}");
    let mix = nzip::compress_with(&raw, only(Codec::Mix)).unwrap();
    let table = packed(&raw);
    assert!(table.len() * 10 < mix.len() * 9, "{} and {} bytes, {parts:?}", table.len(), mix.len());
    // The automatic choice finds it, and gives nothing larger.
    let auto = nzip::compress_with(&raw, Options::new().threads(1)).unwrap();
    assert_eq!((codecs(&auto), auto.len()), (vec![Codec::Table], table.len()));
    let own = Archive::new(Cursor::new(&auto)).unwrap().block(0).unwrap().unwrap().own_model_len;
    assert!(own > 100 && own < auto.len() as u64);
    // The first level at which tables are looked for is the default one.
    let quick = nzip::compress_with(&raw, Options::new().level(5)).unwrap();
    assert_ne!(codecs(&quick), [Codec::Table]);
}

#[test]
fn ranges_and_threads() {
    let raw = orders(1000, ',', "\n");
    let one = packed(&raw);
    assert!(one == nzip::compress_with(&raw, only(Codec::Table).threads(3)).unwrap());
    let mut archive = Archive::new(Cursor::new(&one)).unwrap();
    assert!(archive.read_range(1234..2345).unwrap() == raw[1234..2345]);
}

/// Learning is the same on every machine: so are the records that the circuit codes.
#[test]
fn output_is_the_same_everywhere() {
    let raw = orders(500, ',', "\n");
    let payload = table::payloads(&raw, 1).unwrap().remove(1);
    let records = table::inspect(&payload, raw.len(), 1 << 28).unwrap().records;
    let records = &payload[payload.len() - records..];
    assert_eq!((records.len(), twox_hash::XxHash3_64::oneshot(records)), (992, 8_801_685_487_893_322_683));
}

#[test]
fn what_is_no_table_is_coded_otherwise() {
    // Prose has lines with commas, but not always the same number of them.
    let prose: String = (0..600).map(|i| "one, ".repeat(i * i % 7 % 5) + "and no columns.\n").collect();
    for raw in [&b""[..], b"a,b,c\n", prose.as_bytes(), &[7; 5000]] {
        let packed = nzip::compress_with(raw, only(Codec::Table)).unwrap();
        assert!(nzip::decompress(&packed).unwrap() == raw);
        assert!(!codecs(&packed).contains(&Codec::Table));
    }
}

#[test]
fn damaged_payloads_do_no_harm() {
    let raw = orders(300, ',', "\n");
    let payload = table::payloads(&raw, 1).unwrap().remove(1);
    assert!(table::decode(&payload, raw.len(), 1 << 30).unwrap() == raw);
    assert_eq!(table::decode(&payload, raw.len(), 1 << 10).unwrap_err().kind(), ErrorKind::LimitExceeded);
    for cut in (0..payload.len()).step_by(97).chain(payload.len() - 3..payload.len()) {
        assert!(table::decode(&payload[..cut], raw.len(), 1 << 30).is_err(), "{cut}");
    }
    for len in [raw.len() - 1, raw.len() + 1, 1, 1 << 29] {
        assert!(table::decode(&payload, len, 1 << 32).is_err(), "{len}");
    }
    for at in (0..payload.len()).step_by(53).chain(0..24) {
        let mut bad = payload.clone();
        bad[at] ^= 1 << (at % 8);
        // The check value of the raw bytes, which is not looked at here, tells the rest.
        if let Ok(other) = table::decode(&bad, raw.len(), 1 << 30) {
            assert_eq!(other.len(), raw.len());
        }
    }
}

#[test]
fn memory_is_capped_and_checks_are_compared() {
    let raw = orders(300, ',', "\n");
    let mut packed = packed(&raw);
    let options = DecodeOptions::new().memory(1 << 12);
    assert_eq!(nzip::decompress_with(&packed, options).unwrap_err().kind(), ErrorKind::LimitExceeded);
    let at = packed.len() - 40;
    packed[at] ^= 1;
    let kind = nzip::decompress(&packed).unwrap_err().kind();
    assert!(matches!(kind, ErrorKind::Corrupt | ErrorKind::Truncated), "{kind:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Rows of any cells, the same few again and again.
    #[test]
    fn any_cells_come_back(
        rows in prop::collection::vec("([0-9.-]{0,4}|[a\" ,]{0,3}),[0-9]{0,20},(0|-?[1-9][0-9]{0,2}\\.[0-9]{1,2}),x?\r?", 1..40),
        level in 1u32..3,
    ) {
        let raw = (0..300).map(|i| format!("{}\n", rows[i * i % rows.len()])).collect::<String>();
        for payload in table::payloads(raw.as_bytes(), level).unwrap() {
            prop_assert!(table::decode(&payload, raw.len(), 1 << 30).unwrap() == raw.as_bytes());
        }
    }

    /// Schemas, records and text of any bytes.
    #[test]
    fn nothing_that_is_stored_does_harm(
        schema in prop::collection::vec(0u8..40, 0..60),
        records in prop::collection::vec(0u8..4, 0..60),
        text in prop::collection::vec(9u8..14, 0..60),
    ) {
        let schema = [&[b',', 9, 0][..], &schema].concat();
        if let Ok(raw) = table::restore(&schema, &records, &text, 40) {
            prop_assert_eq!(raw.len(), 40);
        }
    }
}

#[test]
fn titles_and_two_columns_cost_little() {
    let raw = orders(1000, ',', "\n");
    let titled = [&b"sep=,\nOrders, exported in January\n"[..], &raw].concat();
    let (with, without) = (packed(&titled).len(), packed(&raw).len());
    assert!(with <= without + 60, "{with} and {without} bytes");
    // Steps of a minute and noise.
    let rows = (0..4000u64)
        .map(|i| format!("{},{:02}.{:02}\n", 1_700_000_000 + 60 * i, 20 + i * i % 5, i * i * i % 97));
    let two: String = std::iter::once("t,v\n".to_owned()).chain(rows).collect();
    assert_eq!(codecs(&packed(two.as_bytes())), [Codec::Table]);
}
