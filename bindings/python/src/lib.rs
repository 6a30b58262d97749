//! The compiled part of the Python package `nzip`: its objects and options over those of the library. What is easier said in
//! Python stands in `python/nzip`.
//!
//! The interpreter lock is released around all work of the library, and no lock of this crate is taken while it is held.

mod archive;
mod buffer;
mod error;
mod manifest;
mod model;
mod oneshot;
mod options;
mod reader;
mod source;
mod stream;
mod tokens;
mod work;

use pyo3::prelude::*;
use std::ffi::OsString;

/// The codecs that this build has, by name.
#[pyfunction]
fn codecs() -> Vec<&'static str> {
    nzip::Codec::AVAILABLE.iter().map(|c| c.name()).collect()
}

/// The instruction sets that this machine can run, the one in use last.
#[pyfunction]
fn instruction_sets() -> Vec<&'static str> {
    nzip::instruction_sets()
}

/// Runs the command `nzip` with these arguments, the first of which is its name, and gives its exit code.
#[pyfunction]
fn command(py: Python<'_>, arguments: Vec<OsString>) -> u8 {
    py.detach(|| nzip_cli::run(arguments))
}

#[pymodule]
fn _nzip(module: &Bound<'_, PyModule>) -> PyResult<()> {
    work::loaded();
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add("DEFAULT_LEVEL", nzip::Options::DEFAULT_LEVEL)?;
    module.add_class::<archive::ArchiveCore>()?;
    module.add_class::<manifest::ManifestCore>()?;
    module.add_class::<model::Model>()?;
    module.add_class::<reader::Reader>()?;
    module.add_class::<stream::Compressor>()?;
    module.add_class::<stream::Decompressor>()?;
    module.add_class::<tokens::TokenizerCore>()?;
    module.add_function(wrap_pyfunction!(command, module)?)?;
    module.add_function(wrap_pyfunction!(codecs, module)?)?;
    module.add_function(wrap_pyfunction!(instruction_sets, module)?)?;
    module.add_function(wrap_pyfunction!(manifest::content_hash, module)?)?;
    module.add_function(wrap_pyfunction!(manifest::describe_shard, module)?)?;
    module.add_function(wrap_pyfunction!(manifest::make_manifest, module)?)?;
    module.add_function(wrap_pyfunction!(manifest::manifest_rows, module)?)?;
    module.add_function(wrap_pyfunction!(model::models, module)?)?;
    module.add_function(wrap_pyfunction!(model::model_folders, module)?)?;
    module.add_function(wrap_pyfunction!(oneshot::compress, module)?)?;
    module.add_function(wrap_pyfunction!(oneshot::decompress, module)?)
}
