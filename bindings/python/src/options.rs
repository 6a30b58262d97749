//! Keyword arguments as options of the library.

use crate::error::{Outcome, bad_argument, exception};
use crate::model::{self, Model};
use crate::work::{Watch, threads};
use nzip::tensor::Dtype;
use nzip::{Bases, Codec, CodecChoice, DecodeOptions, Models, Options, Progress, Resources};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};
use std::path::PathBuf;

/// How to compress, and who is told of progress.
pub struct Encoding {
    pub options: Options,
    pub watch: Option<Watch>,
    /// The number of threads that the caller has asked for, 0 for one per core.
    pub threads: usize,
}

/// How to decompress, and who is told of progress.
pub struct Decoding {
    pub options: DecodeOptions,
    pub watch: Option<Watch>,
    /// The number of threads that the caller has asked for, 0 for one per core.
    pub threads: usize,
}

/// The resources that keywords name.
#[derive(Default)]
struct Shared {
    threads: usize,
    memory: Option<u64>,
    models: Option<Models>,
    bases: Vec<PathBuf>,
    watch: Option<Watch>,
}

impl Shared {
    /// Takes a keyword that both directions have; false where it is none.
    fn take(&mut self, name: &str, value: &Bound<'_, PyAny>) -> PyResult<bool> {
        match name {
            "threads" => self.threads = value.extract()?,
            "memory" => self.memory = Some(value.extract()?),
            "bases" => self.bases = value.extract()?,
            "progress" => {
                let callback = value.clone().unbind();
                self.watch = Some(Watch { callback, progress: Progress::new() });
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn resources(&mut self, py: Python<'_>) -> PyResult<Resources> {
        let mut resources = Resources::new().threads(threads(self.threads));
        let models = match (self.models.take(), self.memory) {
            (Some(models), _) => models,
            // What other calls have loaded would count against the cap.
            (None, Some(_)) => Models::new(),
            (None, None) => model::shared(),
        };
        if let Some(memory) = self.memory {
            resources = resources.memory(memory).models(models.capped(memory));
        } else {
            resources = resources.models(models);
        }
        if !self.bases.is_empty() {
            let (paths, memory) = (std::mem::take(&mut self.bases), self.memory);
            let load = || -> Outcome<Bases> {
                let mut bases = memory.map_or_else(Bases::new, |m| Bases::new().capped(m));
                paths.iter().try_for_each(|p| bases.add_file(p).map_err(|e| e.within(p.display())))?;
                Ok(bases)
            };
            resources = resources.bases(py.detach(load).map_err(|e| exception(&e))?);
        }
        if let Some(watch) = &self.watch {
            resources = resources.progress(watch.progress.clone());
        }
        Ok(resources)
    }
}

fn unknown(name: &str) -> PyErr {
    PyTypeError::new_err(format!("unexpected keyword argument {name:?}"))
}

/// Options to compress with from keyword arguments; those that are `None` count as left out.
pub fn encoding(level: Option<i64>, keywords: Option<&Bound<'_, PyDict>>) -> PyResult<Encoding> {
    Python::attach(|py| {
        let (mut shared, mut options) = (Shared::default(), Options::new());
        if let Some(level) = level {
            // What is out of range stays so.
            options = options.level(u8::try_from(level).unwrap_or(u8::MAX));
        }
        for (key, value) in keywords.into_iter().flatten() {
            let key = key.cast::<PyString>()?.to_string();
            if value.is_none() || shared.take(&key, &value)? {
                continue;
            }
            options = match &*key {
                "codec" => options.codec(codec(&value.extract::<String>()?)?),
                "model" => {
                    let model = Model::from_object(&value)?;
                    shared.models = Some(model.models.clone());
                    options.model(model.hash)
                }
                "embed_model" => options.embed_model(value.extract()?),
                "decode_memory" => options.decode_memory(value.extract()?),
                "block_size" => options.block_size(value.extract()?),
                "seekable" if value.extract()? => options.seekable(),
                "seekable" => options,
                "searchable" if value.extract()? => options.searchable(),
                "searchable" => options,
                "window" => options.window(value.extract()?),
                "chained" => options.chained(value.extract()?),
                "content_hash" => options.content_hash(value.extract()?),
                "undo" => options.undo(value.extract()?),
                "tensor" => {
                    let (dtype, shape): (String, Vec<u64>) = value.extract()?;
                    options.tensor(named_dtype(&dtype).map_err(|e| exception(&e))?, &shape, 0)
                }
                _ => return Err(unknown(&key)),
            };
        }
        let options = options.resources(shared.resources(py)?);
        Ok(Encoding { options, watch: shared.watch, threads: shared.threads })
    })
}

/// Options to decompress with from keyword arguments; those that are `None` count as left out.
pub fn decoding(keywords: Option<&Bound<'_, PyDict>>) -> PyResult<Decoding> {
    Python::attach(|py| {
        let (mut shared, mut options) = (Shared::default(), DecodeOptions::new());
        for (key, value) in keywords.into_iter().flatten() {
            let key = key.cast::<PyString>()?.to_string();
            if value.is_none() || shared.take(&key, &value)? {
                continue;
            }
            match &*key {
                "verify_hash" => options = options.verify_hash(value.extract()?),
                "models" => shared.models = Some(model::all(&value)?),
                _ => return Err(unknown(&key)),
            }
        }
        let options = options.resources(shared.resources(py)?);
        Ok(Decoding { options, watch: shared.watch, threads: shared.threads })
    })
}

fn codec(name: &str) -> PyResult<CodecChoice> {
    if name == "auto" {
        return Ok(CodecChoice::Auto);
    }
    let codec = Codec::from_name(name).map(CodecChoice::Only);
    codec.ok_or_else(|| exception(&bad_argument(format!("no codec is called {name:?}"))))
}

fn named_dtype(name: &str) -> Outcome<Dtype> {
    Dtype::from_name(name).ok_or_else(|| bad_argument(format!("no type of elements is called {name:?}")))
}
