//! Sources of language models of any bytes: refused, or converted to weights that can be read and run.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nzip::internal::model::llm::{Column, Model, Session, Weights};

fuzz_target!(|bytes: &[u8]| {
    let weights = nzip::llm::import_gguf(bytes, Some(4));
    let Ok(weights) = weights.or_else(|_| Weights::from_bytes(bytes).map(|w| w.to_bytes())) else { return };
    let read = Weights::from_bytes(&weights).expect("what was written can be read");
    assert!(read.to_bytes() == weights);
    let Ok(model) = Model::new(read) else { return };
    if weights.len() > 1 << 20 {
        return;
    }
    let Ok(mut session) = Session::new(&model, 1, 2) else { return };
    session.step(&[Column { lane: 0, token: model.shape().start }]);
});
