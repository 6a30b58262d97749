//! Stands in for the GPU in builds without the feature `gpu`, where none can be opened.

use super::device::{GpuCounters, GpuInfo, TensorBuffer, Wanted};
use crate::codec::acceleration::{Accelerator, WindowModel};
use crate::codec::tensor::TileDecoder;
use crate::codec::tensor::stored::{Planes, ZeroBits};
use crate::codec::window::WindowCoder;
use crate::coder::rans;
use crate::error::{Error, ErrorKind, Result};
use crate::format::block::BlockHeader;
use crate::model::fixed::LOG2;
use std::any::Any;
use std::ops::Range;
use std::sync::Arc;

/// A buffer of a GPU. This type has no values.
#[derive(Debug)]
pub enum Buffer {}

/// An opened GPU. This type has no values.
#[derive(Clone)]
pub enum GpuAccelerator {}

// Only kernels read these parts of tables and decoders. Naming one here keeps them compiled, and checked, in
// builds without kernels.
const _: fn(&TileDecoder) -> &Planes = TileDecoder::params;
const _: fn(&TileDecoder, usize) -> (&rans::Decoder, Option<&rans::Decoder>) = TileDecoder::tables;
const _: fn(&rans::Decoder) -> &[u32] = rans::Decoder::slots;
const _: fn(&ZeroBits) -> Option<u32> = ZeroBits::same_zeros;
const _: &[u8; 256] = LOG2;

/// All GPUs: there are none.
pub fn list() -> Vec<GpuInfo> {
    Vec::new()
}

impl GpuAccelerator {
    pub fn open(wanted: Wanted<'_>) -> Result<Self> {
        let name = if let Wanted::Named(name) = wanted { name } else { "" };
        Err(Error::new(ErrorKind::Device, format!("no GPU {name}: this nzip was built without gpu")))
    }

    pub fn without_fallback(self) -> Self {
        self
    }

    pub fn info(&self) -> &GpuInfo {
        match *self {}
    }

    pub fn counters(&self) -> GpuCounters {
        match *self {}
    }

    pub fn warning(&self) -> Option<String> {
        match *self {}
    }

    pub fn takes(&self, _: &TileDecoder) -> bool {
        match *self {}
    }

    pub fn tiles_to_buffer(
        &self,
        _: &TileDecoder,
        _: &BlockHeader,
        _: &[u8],
        _: Range<usize>,
    ) -> Result<Option<TensorBuffer>> {
        match *self {}
    }

    pub fn upload(&self, _: &[u8]) -> Result<TensorBuffer> {
        match *self {}
    }
}

impl Accelerator for GpuAccelerator {
    fn lanes(&self) -> usize {
        match *self {}
    }

    fn windows(&self, _: WindowModel) -> Result<Arc<dyn WindowCoder>> {
        match *self {}
    }

    fn tiles(
        &self,
        _: &dyn Any,
        _: &BlockHeader,
        _: &[u8],
        _: Range<usize>,
        _: &mut [u8],
    ) -> Option<(usize, Result<()>)> {
        match *self {}
    }
}
