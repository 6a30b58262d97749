//! Parameters for tensors that pack fields of some bits. Not part of the format; integers only.

use super::params::{Field, MAX_GROUP, Planes, Transform};
use super::pieces::Cut;
use super::plan::{coded, field};
use crate::tensor::form::{Form, Packing};

/// What may choose the tables of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// What may of any field.
    Usual,
    /// Classes of this many stripes.
    Classes(usize),
    /// The symbol of an earlier field.
    By(usize),
    /// What the numbers before it in its row predict; of a field that is all there is.
    Predicted,
}

/// Parameters without frequencies and contexts, and a wish for each field. `None` where the block does not have this form.
pub fn skeleton(raw: &[u8], form: Form) -> Option<(Planes, Vec<Wish>)> {
    let (pattern, fields) = pieces(form.packing);
    let (rows, word) = (form.rows.max(1) as usize, form.word as usize);
    let columns = if rows > 1 { form.columns as usize } else { 1 };
    let group = rows.checked_mul(word)?;
    let bits: usize = pattern.iter().map(|p| usize::from(p.0)).sum();
    if !(1..=MAX_GROUP as usize).contains(&group) || !(8 * group).is_multiple_of(bits) {
        return None;
    }
    let cut = Cut { rows, word, columns, pattern };
    if raw.is_empty() || !raw.len().is_multiple_of(cut.unit().max(1)) {
        return None;
    }
    let repeats = 8 * group / bits;
    let fields: Vec<Field> = fields
        .into_iter()
        .enumerate()
        .map(|(i, f)| {
            let pieces = cut.pattern.iter().filter(|p| usize::from(p.1) == i).count();
            Field { width: f.element * pieces * repeats, ..f }
        })
        .collect();
    let wishes = fields.iter().enumerate().map(|(i, f)| wish(form.packing, i, f)).collect();
    Some((Planes { kept: false, delta: None, group, fields, mask: None, cut: Some(cut) }, wishes))
}

/// Elements of a stripe from which on classes may pay.
const STRIPE: usize = 16;

fn wish(packing: Packing, number: usize, field: &Field) -> Wish {
    let per = field.width / field.element;
    let stripes = match packing {
        Packing::Columns(count) => usize::from(count),
        Packing::Bits(_) | Packing::Words(_) => 1,
        // Weights lie around their zero.
        Packing::Spqr if number == 2 => return Wish::By(1),
        _ => return Wish::Usual,
    };
    if per / stripes >= STRIPE { Wish::Classes(stripes) } else { Wish::Usual }
}

/// The pattern of a form, and its fields without widths.
fn pieces(packing: Packing) -> (Vec<(u8, u8)>, Vec<Field>) {
    let byte = || field(1, 1, Transform::Plain, 0, 0);
    let two = |transform| coded(field(2, 2, transform, 8, 0));
    let many = |count: u8, piece: u8, f: &dyn Fn() -> Field| {
        ((0..count).map(|i| (piece, i)).collect(), (0..count).map(|_| f()).collect())
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
        Packing::Growing => (vec![(32, 0)], vec![field(4, 4, Transform::Delta, 0, 0)]),
    }
}
