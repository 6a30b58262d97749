//! Chooses the fields of blocks that pack numbers of a few bits each.

use super::plan::{TableChoice, plan_pieces, with_coded_low_bits};
use crate::codec::tensor::stored::{FieldParams, MAX_GROUP, PieceLayout, Planes, Transform};
use crate::tensor::form::{Form, Packing};

/// The least number of elements in a stripe with which classes may pay.
const MIN_STRIPE: usize = 16;

/// Chooses the fields of a block of this form, and how their tables may be chosen. `None` where the block
/// does not have the form.
pub fn plan_packed(raw: &[u8], form: Form) -> Option<(Planes, Vec<TableChoice>)> {
    let (pattern, fields) = pattern(form.packing);
    let (rows, word) = (form.rows.max(1) as usize, form.word as usize);
    let columns = if rows > 1 { form.columns as usize } else { 1 };
    let group = rows.checked_mul(word)?;
    let bits: usize = pattern.iter().map(|p| usize::from(p.0)).sum();
    if !(1..=MAX_GROUP as usize).contains(&group) || !(8 * group).is_multiple_of(bits) {
        return None;
    }
    let layout = PieceLayout { rows, word, columns, pattern };
    if raw.is_empty() || !raw.len().is_multiple_of(layout.band().max(1)) {
        return None;
    }
    let repeats = 8 * group / bits;
    let fields: Vec<FieldParams> = fields
        .into_iter()
        .enumerate()
        .map(|(i, f)| FieldParams { width: f.element * layout.pieces_of(i) * repeats, ..f })
        .collect();
    let choices = fields.iter().enumerate().map(|(i, f)| table_choice(form.packing, i, f)).collect();
    Some((plan_pieces(group, fields, layout), choices))
}

fn table_choice(packing: Packing, number: usize, field: &FieldParams) -> TableChoice {
    let stripes = match packing {
        Packing::Columns(count) => usize::from(count),
        Packing::Bits(_) | Packing::Words(_) => 1,
        // Weights lie around their zero point, which is field 1.
        Packing::Spqr if number == 2 => return TableChoice::EarlierField(1),
        _ => return TableChoice::Usual,
    };
    let elements = field.width / field.element;
    if elements / stripes >= MIN_STRIPE { TableChoice::Classes(stripes) } else { TableChoice::Usual }
}

/// The pattern of a packing (see [`PieceLayout::pattern`]) and its fields, whose widths are still to be set.
fn pattern(packing: Packing) -> (Vec<(u8, u8)>, Vec<FieldParams>) {
    let byte = || FieldParams::new(1, 1, Transform::Plain, 0, 0);
    let two = |transform| with_coded_low_bits(FieldParams::new(2, 2, transform, 8, 0));
    let many = |count: u8, bits: u8, field: &dyn Fn() -> FieldParams| {
        ((0..count).map(|i| (bits, i)).collect(), (0..count).map(|_| field()).collect())
    };
    match packing {
        Packing::Bits(bits) => (vec![(bits, 0)], vec![byte()]),
        Packing::Words(bits) => {
            let mut pattern = vec![(bits, 0); 32 / usize::from(bits)];
            pattern.push((32 % bits, 1));
            (pattern, vec![byte(), byte()])
        }
        Packing::Columns(count) => (vec![(32 / count, 0)], vec![byte()]),
        Packing::Codes8(count) => many(count, 8, &byte),
        Packing::Codes16(count) => many(count, 16, &|| two(Transform::Plain)),
        Packing::Spqr => {
            let mut pattern = vec![(3, 0), (3, 1)];
            pattern.extend([(3, 2); 16]);
            pattern.extend([(8, 3), (2, 4)]);
            (pattern, (0..5).map(|_| byte()).collect())
        }
        Packing::Outliers => (vec![(16, 0), (16, 1)], vec![two(Transform::Delta), two(Transform::Float)]),
        Packing::Growing => (vec![(32, 0)], vec![FieldParams::new(4, 4, Transform::Delta, 0, 0)]),
    }
}
