//! Models: built in, in files, in the user's folders, imported.

use crate::error::{bad_argument, exception};
use nzip::{ModelInfo, Models, llm};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};
use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

/// A model, which is loaded once for all that is given it.
#[pyclass(module = "nzip", frozen)]
pub struct Model {
    pub models: Models,
    pub hash: [u8; 32],
}

/// The models that all calls share which name none.
pub fn shared() -> Models {
    static SHARED: LazyLock<Models> = LazyLock::new(Models::new);
    SHARED.clone()
}

/// The lower-case hexadecimal digits of a hash.
pub fn hex(hash: &[u8; 32]) -> String {
    hash.iter().map(|b| format!("{b:02x}")).collect()
}

/// The models among which a stream's are looked for: one, or several, besides those that every stream may use.
pub fn all(object: &Bound<'_, PyAny>) -> PyResult<Models> {
    if object.cast::<Model>().is_ok() || object.cast::<PyString>().is_ok() || object.hasattr("__fspath__")? {
        return Ok(Model::from_object(object)?.models);
    }
    let mut models: Option<Models> = None;
    for item in object.try_iter()? {
        let model = Model::from_object(&item?)?;
        match &mut models {
            None => models = Some(model.models),
            Some(models) => {
                let weights = model.models.find(&model.hash).map_err(|e| exception(&e))?;
                models.add(weights);
            }
        }
    }
    Ok(models.unwrap_or_else(shared))
}

impl Model {
    /// A [`Model`], or one from its name or path.
    pub fn from_object(object: &Bound<'_, PyAny>) -> PyResult<Self> {
        if let Ok(model) = object.cast::<Model>() {
            let model = model.get();
            return Ok(Self { models: model.models.clone(), hash: model.hash });
        }
        Self::new(object.py(), object)
    }

    fn added(py: Python<'_>, weights: impl FnOnce() -> nzip::Result<Vec<u8>> + Send) -> PyResult<Self> {
        let add = || {
            let mut models = Models::new();
            let hash = models.add(weights()?);
            Ok(Self { models, hash })
        };
        py.detach(add).map_err(|e: nzip::Error| exception(&e))
    }

    fn info(&self) -> Option<ModelInfo> {
        self.models.list().into_iter().find(|m| m.hash == self.hash)
    }
}

fn read(path: &PathBuf) -> nzip::Result<Vec<u8>> {
    fs::read(path).map_err(|e| nzip::Error::from(e).within(path.display()))
}

#[pymethods]
impl Model {
    /// The model of this name, path, or hash (eight hexadecimal digits or more).
    #[new]
    fn new(py: Python<'_>, model: &Bound<'_, PyAny>) -> PyResult<Self> {
        let Ok(text) = model.extract::<String>() else {
            let path: PathBuf = model.extract()?;
            return Self::file(py, path);
        };
        let models = shared();
        let list = models.list();
        if let Some(m) = list.iter().find(|m| m.name == Some(&text)) {
            return Ok(Self { hash: m.hash, models });
        }
        if PathBuf::from(&text).is_file() {
            return Self::file(py, text.into());
        }
        if let Some(hash) = models.named(&text) {
            return Ok(Self { models, hash });
        }
        let digits = text.to_ascii_lowercase();
        let mut fits: Vec<_> = list.iter().map(|m| m.hash).filter(|h| hex(h).starts_with(&digits)).collect();
        fits.dedup();
        match fits[..] {
            [hash] if digits.len() >= 8 => Ok(Self { models, hash }),
            _ => {
                let message = format!("model {text:?}: neither a file nor known by name or hash");
                Err(exception(&bad_argument(message)))
            }
        }
    }

    /// A weight file, packed as `.nz` or plain.
    #[staticmethod]
    fn file(py: Python<'_>, path: PathBuf) -> PyResult<Self> {
        let load = || {
            let mut models = Models::new();
            let hash = models.add_file(&path)?;
            Ok(Self { models, hash })
        };
        py.detach(load).map_err(|e: nzip::Error| exception(&e))
    }

    /// Canonical weights.
    #[staticmethod]
    fn from_bytes(py: Python<'_>, weights: Vec<u8>) -> PyResult<Self> {
        Self::added(py, || Ok(weights))
    }

    /// A language model in a GGUF file, converted to integers.
    #[staticmethod]
    #[pyo3(signature = (path, context=None))]
    fn import_gguf(py: Python<'_>, path: PathBuf, context: Option<usize>) -> PyResult<Self> {
        Self::added(py, || llm::import_gguf(&read(&path)?, context))
    }

    /// A language model in a folder with `model.safetensors`, `config.json` and `tokenizer.json`, converted to integers.
    #[staticmethod]
    #[pyo3(signature = (folder, context=None))]
    fn import_safetensors(py: Python<'_>, folder: PathBuf, context: Option<usize>) -> PyResult<Self> {
        let file = |name: &str| read(&folder.join(name));
        Self::added(py, || {
            let (weights, config) = (file("model.safetensors")?, file("config.json")?);
            llm::import_safetensors(&weights, &config, &file("tokenizer.json")?, context)
        })
    }

    /// BLAKE3 of the weights, in hexadecimal digits.
    #[getter]
    fn hash(&self) -> String {
        hex(&self.hash)
    }

    /// The name of a built-in model.
    #[getter]
    fn name(&self) -> Option<&'static str> {
        self.info().and_then(|m| m.name)
    }

    /// The canonical weights.
    fn weights<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let weights = py.detach(|| self.models.find(&self.hash)).map_err(|e| exception(&e))?;
        Ok(PyBytes::new(py, &weights))
    }

    fn __repr__(&self) -> String {
        let name = self.name().map_or_else(String::new, |name| format!("{name} "));
        format!("<nzip.Model {name}{}>", &hex(&self.hash)[..12])
    }

    fn __eq__(&self, other: &Bound<'_, PyAny>) -> bool {
        other.cast::<Model>().is_ok_and(|other| other.get().hash == self.hash)
    }

    fn __hash__(&self) -> u64 {
        u64::from_le_bytes(std::array::from_fn(|i| self.hash[i]))
    }

    /// Pickled as its weights.
    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<(Bound<'py, PyAny>, (Bound<'py, PyAny>,))> {
        let (py, model) = (slf.py(), slf.get());
        let class = py.get_type::<Model>();
        if let Some(name) = model.name() {
            return Ok((class.into_any(), (PyString::new(py, name).into_any(),)));
        }
        Ok((class.getattr("from_bytes")?, (model.weights(py)?.into_any(),)))
    }
}

/// The built-in models, and those in the user's folders: name, hash, stored bytes, path.
#[pyfunction]
#[allow(clippy::type_complexity)]
pub fn models() -> Vec<(Option<&'static str>, String, Option<u64>, Option<PathBuf>)> {
    let list = shared().list().into_iter();
    list.map(|m| (m.name, hex(&m.hash), m.stored_len, m.path)).collect()
}

/// The user's folders of models, the first one first.
#[pyfunction]
pub fn model_folders() -> Vec<PathBuf> {
    Models::folders()
}
