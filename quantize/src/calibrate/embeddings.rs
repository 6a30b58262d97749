//! How far the sentence embeddings of two models are from each other.

use super::bert::Bert;
use super::tape::{Parameters, Tape};
use super::{Companions, Network, batches, parameters};
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
    let encoder = |file| -> Result<(Parameters, Bert)> {
        let checkpoint = Checkpoint::read(file)?;
        let parameters = parameters(&checkpoint);
        match Network::new(&checkpoint, &parameters, companions)? {
            Network::Bert(bert) => Ok((parameters, bert)),
            Network::Llama(_) => Err(bad_argument("a language model has no embeddings of sentences")),
        }
    };
    let models = [encoder(original)?, encoder(other)?];
    let texts = texts.iter().map(|t| String::from_utf8_lossy(t.as_ref()));
    let lines = texts.flat_map(|t| t.lines().map(|l| models[0].1.encode(l)).collect::<Vec<_>>());
    let sentences: Vec<Vec<u32>> = lines.filter(|ids| ids.len() > 2).collect();
    if sentences.is_empty() {
        return Err(bad_argument("the texts have no sentences"));
    }
    let mut out = Vec::with_capacity(sentences.len());
    for batch in batches(&sentences, BATCH) {
        let [x, y] = models.each_ref().map(|(parameters, bert)| {
            let mut tape = Tape::new(parameters, batch.iter().map(Vec::len).collect());
            let node = bert.forward(&mut tape, batch);
            tape.value(node).clone()
        });
        let dot =
            |r: usize| x.row(r).iter().zip(y.row(r)).map(|(p, q)| f64::from(*p) * f64::from(*q)).sum::<f64>();
        out.extend((0..x.rows).map(dot));
    }
    Ok(out)
}
