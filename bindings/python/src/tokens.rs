//! Text as tokens: `python/nzip/_tokens.py` makes arrays of the bytes that pass here.

use crate::buffer::Bytes;
use crate::error::{bad_argument, exception};
use crate::model::Model;
use nzip::tokens::{Choices, Policy, Tokenizer, WindowEnds};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

/// A tokenizer whose tokens are little-endian numbers of four bytes.
#[pyclass(module = "nzip._nzip", frozen)]
pub struct TokenizerCore(Tokenizer);

/// The buffers of a list of objects.
fn buffers(list: &[Bound<'_, PyAny>]) -> PyResult<Vec<Bytes>> {
    list.iter().map(Bytes::of).collect()
}

/// The value that a name stands for.
fn named<T: Copy>(what: &str, name: &str, values: [(&str, T); 2]) -> PyResult<T> {
    let found = values.iter().find(|(n, _)| *n == name).map(|(_, value)| *value);
    found.ok_or_else(|| {
        let [a, b] = values.map(|(n, _)| n);
        exception(&bad_argument(format!("{what} {name:?}: {a:?} or {b:?} is wanted")))
    })
}

#[pymethods]
impl TokenizerCore {
    #[new]
    #[allow(clippy::too_many_arguments)]
    fn new(
        py: Python<'_>,
        model: &Bound<'_, PyAny>,
        window_bits: u32,
        token_bits: u32,
        policy: &str,
        ends: &str,
        adaptive: bool,
        special: u32,
        memory: Option<u64>,
    ) -> PyResult<Self> {
        let policy = named("policy", policy, [("reset", Policy::Reset), ("continue", Policy::Continue)])?;
        let ends = named("ends", ends, [("symbol", WindowEnds::Symbol), ("bit", WindowEnds::Bit)])?;
        let choices = Choices::new().window_bits(window_bits).token_bits(token_bits).special(special);
        let choices = choices.policy(policy).ends(ends).adaptive(adaptive);
        let model = Model::from_object(model)?;
        let new = py.detach(|| Tokenizer::with_hash(&model.models, &model.hash, choices));
        let new = new.map_err(|e| exception(&e))?;
        Ok(Self(match memory {
            Some(memory) => new.memory(memory),
            None => new,
        }))
    }

    /// The number of different tokens.
    #[getter]
    fn vocab_size(&self) -> u32 {
        self.0.vocab_size()
    }

    /// The token that ends documents.
    #[getter]
    fn end_token(&self) -> Option<u32> {
        self.0.end_token()
    }

    /// BLAKE3 of the model's weights, in hexadecimal digits.
    #[getter]
    fn model_hash(&self) -> String {
        crate::model::hex(self.0.model())
    }

    /// The tokens of each document.
    fn encode<'py>(
        &self,
        py: Python<'py>,
        documents: Vec<Bound<'py, PyAny>>,
    ) -> PyResult<Vec<Bound<'py, PyBytes>>> {
        let documents = buffers(&documents)?;
        let slices: Vec<&[u8]> = documents.iter().map(Bytes::get).collect();
        let tokens = py.detach(|| self.0.encode_batch(&slices)).map_err(|e| exception(&e))?;
        let bytes = |tokens: Vec<u32>| tokens.iter().flat_map(|t| t.to_le_bytes()).collect::<Vec<u8>>();
        Ok(tokens.into_iter().map(|t| PyBytes::new(py, &bytes(t))).collect())
    }

    /// The text of each document's tokens.
    fn decode<'py>(
        &self,
        py: Python<'py>,
        documents: Vec<Bound<'py, PyAny>>,
    ) -> PyResult<Vec<Bound<'py, PyBytes>>> {
        let documents = buffers(&documents)?;
        let number = |b: &[u8; 4]| u32::from_le_bytes(*b);
        let tokens = |b: &Bytes| b.get().as_chunks().0.iter().map(number).collect::<Vec<u32>>();
        let documents: Vec<Vec<u32>> = documents.iter().map(tokens).collect();
        let slices: Vec<&[u32]> = documents.iter().map(Vec::as_slice).collect();
        let raw = py.detach(|| self.0.decode_batch(&slices)).map_err(|e| exception(&e))?;
        Ok(raw.into_iter().map(|raw| PyBytes::new(py, &raw)).collect())
    }
}
