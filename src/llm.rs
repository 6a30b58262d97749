//! Language models of other programs as models of nzip: they are converted once to integer weights, and then
//! used by hash like any other model. See `formats/llm.md`.

use crate::error::Result;
use crate::model::llm::import;

/// Converts a GGUF file of the Llama architecture to a canonical weight file, which can be passed to
/// [`crate::Models::add`]. Windows have at most `context` tokens; the default is 2048, or the context for
/// which the model was made if that is less. The same source gives the same bytes on every machine.
///
/// # Errors
///
/// [`crate::ErrorKind::Corrupt`] for a file that contradicts itself, [`crate::ErrorKind::NewerVersion`] for
/// an architecture, tokenizer or quantisation that this release does not know.
pub fn import_gguf(file: &[u8], context: Option<usize>) -> Result<Vec<u8>> {
    Ok(import::from_gguf(file, context)?.to_bytes())
}

/// Converts a safetensors file with its `config.json` and `tokenizer.json`; see [`import_gguf`].
///
/// # Errors
///
/// See [`import_gguf`].
pub fn import_safetensors(
    file: &[u8],
    config: &[u8],
    tokenizer: &[u8],
    context: Option<usize>,
) -> Result<Vec<u8>> {
    Ok(import::from_safetensors(file, config, tokenizer, context)?.to_bytes())
}
