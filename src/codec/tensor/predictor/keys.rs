//! The keys with which the maps of contexts find tables (`formats/tensor.md`, "Contexts").

use crate::codec::tensor::kernel::look_up;
use crate::kernel::Kernel;

/// The key for the classes of a row and a column, each below 16: their sum, limited to the 16 values around
/// that of two middle classes (8).
pub fn class_sum(row: u8, column: u8) -> usize {
    usize::from((row + column).clamp(8, 23) - 8)
}

/// Appends the tables of `count` symbols of a row that has class `row`. `columns` holds the classes of their
/// columns, each below 16; `None` where all columns have class 8.
pub fn tables_of_row(
    map: &[u8; 16],
    row: u8,
    columns: Option<&[u8]>,
    count: usize,
    kernel: Kernel,
    out: &mut Vec<u8>,
) {
    let tables: [u8; 16] = std::array::from_fn(|column| map[class_sum(row, column as u8)]);
    match columns {
        Some(classes) => look_up(&tables, classes, kernel, out),
        None => out.resize(out.len() + count, tables[8]),
    }
}

/// Appends the class of each of the `per` symbols of every group: symbol j has class j mod `stripes` of its
/// group. `classes` holds `stripes` classes for each group.
pub fn repeat_classes(classes: &[u8], stripes: usize, per: usize, out: &mut Vec<u8>) {
    out.reserve(classes.len() / stripes * per);
    for of_group in classes.chunks_exact(stripes) {
        match of_group {
            [one] => out.resize(out.len() + per, *one),
            some => out.extend(some.iter().cycle().take(per)),
        }
    }
}

/// The key for two symbols: a − b + 128, limited to 0..=255.
pub fn symbol_difference(a: u8, b: u8) -> u8 {
    (i32::from(a) - i32::from(b) + 128).clamp(0, 255) as u8
}

/// The key for a base's element: the eight bits below its highest bit. In four-byte floats and bfloat16 these
/// are the exponent.
pub fn base_exponent(element: &[u8]) -> u8 {
    let (low, high) = match *element {
        [.., low, high] => (low, high),
        [high] => (0, high),
        [] => (0, 0),
    };
    high << 1 | low >> 7
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponents_of_a_base() {
        assert_eq!(base_exponent(&1.5f32.to_le_bytes()), 127);
        assert_eq!(base_exponent(&[0x81]), 2);
    }
}
