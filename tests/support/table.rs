//! Tables that are made up.

use nzip::internal::SplitMix;

/// A table of orders: rising numbers, numbers that depend on each other, random ones, cells with few values, and some cells
/// that do not fit their column.
pub fn orders(rows: u64, delimiter: char, end: &str) -> Vec<u8> {
    let mut rng = SplitMix(9);
    let d = delimiter;
    let mut out = format!("\"id\"{d}day{d}\"kind\"{d}width{d}height{d}area{d}note{end}");
    let mut day = 100;
    for row in 0..rows {
        day += u64::from(rng.below(5) == 0);
        let kind = rng.below(4);
        let (width, height) = (200 + 50 * kind + rng.below(60), 100 + rng.below(200));
        // In hundredths, with an occasional error.
        let area = (width * height + 50) / 100 + if rng.below(200) == 0 { 999_983 } else { 0 };
        let kind = ["\"plain\"", "\"a, b\"", "", "große"][kind as usize];
        let note = if rng.below(30) == 0 { "see \"above\"" } else { "-" };
        let height = format!("{}.{:02}", height / 100, height % 100);
        let width = format!("{}.{}", width / 10, width % 10).replace(".0", "");
        match rng.below(90) {
            0 => out += &format!("torn {row}{end}"),
            1 => out += &format!("{row}{d}{d}{d}n/a{d}{height}{d}-{d}{end}"),
            _ => out += &format!("{row}{d}{day:04}{d}{kind}{d}{width}{d}{height}{d}{area}{d}{note}{end}"),
        }
    }
    out.into_bytes()
}
