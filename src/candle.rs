//! Loads tensors of `.nz` files into candle, one at a time, and only those that a model asks for.
//!
//! ```no_run
//! use candle_core::{DType, Device};
//! let weights = nzip::candle::var_builder("model.safetensors.nz", DType::F32, &Device::Cpu)?;
//! let table = weights.pp("embeddings.word_embeddings").get((30522, 384), "weight")?;
//! # Ok::<(), candle_core::Error>(())
//! ```

use crate::stream::Archive;
use crate::tensor::{Dtype, TensorInfo};
use candle_core::{DType, Device, Error, Result, Shape, Tensor};
use candle_nn::var_builder::{SimpleBackend, VarBuilder};
use std::io::{Read, Seek};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The tensors of an archive as a backend for [`VarBuilder`]. A tensor is decoded, and its check values are
/// verified, when it is asked for; nothing is kept.
pub struct Weights<S> {
    archive: Mutex<Archive<S>>,
    infos: Vec<TensorInfo>,
}

/// The weights in a file as a [`VarBuilder`], which converts them to `dtype` on `device`.
///
/// # Errors
///
/// Those of [`Archive::open`] and [`Archive::tensors`], wrapped.
pub fn var_builder(path: impl AsRef<Path>, dtype: DType, device: &Device) -> Result<VarBuilder<'static>> {
    let weights = Weights::new(Archive::open(path).map_err(Error::wrap)?)?;
    Ok(VarBuilder::from_backend(Box::new(weights), dtype, device.clone()))
}

impl<S: Read + Seek> Weights<S> {
    /// The tensors of an archive.
    ///
    /// # Errors
    ///
    /// Those of [`Archive::read_range`], wrapped, where the file is one block without names, which is decoded
    /// and searched for tensors.
    pub fn new(mut archive: Archive<S>) -> Result<Self> {
        archive.look().map_err(Error::wrap)?;
        let infos = archive.tensor_infos().to_vec();
        Ok(Self { archive: Mutex::new(archive), infos })
    }

    /// The name, type, shape and place of each tensor.
    pub fn infos(&self) -> &[TensorInfo] {
        &self.infos
    }

    /// A tensor in the type in which it is stored.
    ///
    /// # Errors
    ///
    /// [`Error::CannotFindTensor`]; [`Error::Msg`] for types that candle does not have; those of decoding,
    /// wrapped.
    pub fn load(&self, name: &str, device: &Device) -> Result<Tensor> {
        let info = self.infos.iter().find(|t| t.name == name);
        let info = info.ok_or_else(|| Error::CannotFindTensor { path: name.to_string() }.bt())?;
        let Some(dtype) = dtype(info.dtype) else {
            return Err(Error::msg(format!("tensor {name:?}: candle has no type for {}", info.dtype)));
        };
        let shape =
            info.shape.iter().map(|d| usize::try_from(*d)).collect::<std::result::Result<Vec<_>, _>>();
        let shape = shape.map_err(Error::wrap)?;
        let raw = self.archive().tensor(name).and_then(|mut t| t.read()).map_err(Error::wrap)?;
        Tensor::from_raw_buffer(&raw, dtype, &shape, device)
    }

    fn archive(&self) -> MutexGuard<'_, Archive<S>> {
        // An archive that was in use during a panic has no half-changed state that a later read would use.
        self.archive.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: Read + Seek + Send> SimpleBackend for Weights<S> {
    fn get(
        &self,
        shape: Shape,
        name: &str,
        _: candle_nn::Init,
        dtype: DType,
        device: &Device,
    ) -> Result<Tensor> {
        let tensor = self.get_unchecked(name, dtype, device)?;
        if tensor.shape() != &shape {
            let (msg, got) = (format!("shape mismatch for {name}"), tensor.shape().clone());
            return Err(Error::UnexpectedShape { msg, expected: shape, got }.bt());
        }
        Ok(tensor)
    }

    fn get_unchecked(&self, name: &str, dtype: DType, device: &Device) -> Result<Tensor> {
        self.load(name, device)?.to_dtype(dtype)
    }

    fn contains_tensor(&self, name: &str) -> bool {
        self.infos.iter().any(|t| t.name == name)
    }
}

/// The candle type for an nzip type.
fn dtype(ours: Dtype) -> Option<DType> {
    Some(match ours {
        Dtype::U8 | Dtype::Bool => DType::U8,
        Dtype::U32 => DType::U32,
        Dtype::I16 => DType::I16,
        Dtype::I32 => DType::I32,
        Dtype::I64 => DType::I64,
        Dtype::Bf16 => DType::BF16,
        Dtype::F16 => DType::F16,
        Dtype::F32 => DType::F32,
        Dtype::F64 => DType::F64,
        Dtype::F8E4m3 => DType::F8E4M3,
        _ => return None,
    })
}
