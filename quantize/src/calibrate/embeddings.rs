//! How far the sentence embeddings of two models are from each other.

use super::{Companions, Network, Tape, batches, parameters};
use crate::bad_argument;
use crate::checkpoint::Checkpoint;
use nzip::Result;

/// Tokens that are run at once.
const BATCH: usize = 2048;

/// The cosine between the embeddings of each sentence of the texts (a line is one) by two sentence encoders of the same shapes.
///
/// # Errors
/// [`nzip::ErrorKind::BadArgument`] for other models, and texts without sentences. Those of reading the files.
pub fn embedding_cosines(
    original: &[u8],
    other: &[u8],
    companions: &Companions,
    texts: &[impl AsRef<[u8]>],
) -> Result<Vec<f64>> {
    let models = [original, other].map(|file| Checkpoint::read(file).map(|c| parameters(&c)));
    let [a, b] = models;
    let (a, b) = (a?, b?);
    let networks = [Network::new(&a, companions)?, Network::new(&b, companions)?];
    let sentences = networks[0].encode(texts);
    if sentences.is_empty() {
        return Err(bad_argument("the texts have no sentences"));
    }
    let mut out = Vec::with_capacity(sentences.len());
    for batch in batches(&sentences, BATCH) {
        let [x, y] = [(&networks[0], &a), (&networks[1], &b)].map(|(network, parameters)| {
            let mut tape = Tape::new(parameters, batch.iter().map(Vec::len).collect());
            let node = network.forward(&mut tape, batch);
            tape.value(node).clone()
        });
        let dot =
            |r: usize| x.row(r).iter().zip(y.row(r)).map(|(p, q)| f64::from(*p) * f64::from(*q)).sum::<f64>();
        out.extend((0..x.rows).map(dot));
    }
    Ok(out)
}
