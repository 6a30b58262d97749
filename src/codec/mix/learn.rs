//! Learning of the starting points of predictors.

use super::encode::run;
use super::filter::convert_code;
use super::guide::Ahead;
use super::kind::{self, kind_from};
use super::shape::{MixOptions, shape_for};
use crate::coder::binary::BinaryEncoder;
use crate::error::Result;
use crate::model::lm::Model;
use crate::model::mix::context::Kind;
use crate::model::mix::predictor::{Predictor, Shape, Start};
use crate::model::mix::priors::Priors;
use crate::model::mix::shipped;
use crate::progress::Meter;

/// Learns priors for a kind, given by its number and parameter in the codec header, by coding each piece of
/// data as a block. With a network, these are the priors of text that it guides, and they start with the
/// network's name (its hash).
#[doc(hidden)]
pub fn learn_priors(
    kind: u8,
    parameter: u16,
    pieces: &[Vec<u8>],
    network: Option<&Model>,
) -> Result<Vec<u8>> {
    let kind = kind_from(kind, parameter)?;
    let unguided = match network {
        Some(_) => shipped::for_kind(kind)?,
        None => None,
    };
    let mut priors = unguided.map_or_else(Priors::untrained, Priors::guided);
    let start = network.map_or(Start::Unguided, |_| Start::Derived);
    // Some pieces are coded with fewer contexts, so that the weights of the first contexts suit any number of
    // them.
    for (i, piece) in pieces.iter().enumerate() {
        let mut piece = piece.clone();
        let options = MixOptions { groups: if i % 3 == 2 { 3 } else { 2 }, ..MixOptions::default() };
        let Some(kind) = kind::periodic(kind, &piece) else { continue };
        let shape = Shape { start, ..shape_for(kind, 1 << 17, &options) };
        if let Kind::Code(machine) = shape.kind {
            convert_code(machine, &mut piece, false);
        }
        let mut predictor = Predictor::with_priors(shape, &priors)?;
        let mut guide = network.map(|n| Ahead::new(n, &piece)).transpose()?;
        let coder = BinaryEncoder::new(Vec::new());
        run(&piece, &mut predictor, coder, guide.as_mut(), Meter::NONE);
        priors = predictor.priors();
        if let Kind::Records { period } = kind {
            priors.level_columns(period);
        }
    }
    let mut bytes = network.map_or(Vec::new(), |n| n.name().to_vec());
    bytes.extend(priors.to_bytes());
    Ok(bytes)
}
