//! The `llm` codec: an imported language model over tokens and a range coder (`formats/llm.md`).
//!
//! The windows of a block either stand alone (`windows`), so that each can be decoded by itself, or form a
//! chain (`chain`): there the network's context and what has been learned go on from window to window,
//! which gives smaller files that can only be decoded from a block's start.

mod chain;
mod lanes;
pub mod windows;

pub use chain::{ChainJob, decode_chains_with_lanes, encode_chains, kept_of};
pub use windows::{decode_windows, decode_with_lanes, encode_blocks};

use super::Codec;
use super::acceleration::{Accelerator, WindowModel};
use super::block::{BlockCodec, BlockJob, BlockParams, LoadedModel, ModelMemory, ModelUse, UnitKind};
use super::window::{Cutting, EncodedWindow, WindowCoder, WindowLimits, WindowedBlock, all_windows};
use super::windowed;
use crate::error::{Error, Result};
use crate::format::block::BlockHeader;
use crate::model::llm::{MAGIC, MAX_COLUMNS, MAX_TOKEN, Model, Weights};
use crate::progress::Meter;
use std::sync::Arc;

/// The least payload bytes that a window may be limited to.
pub const MIN_PAYLOAD: usize = 32;

/// Counts a coded symbol of `bytes` raw bytes.
fn coded(bytes: usize, is_token: bool, meter: Meter<'_>) {
    meter.advance(bytes);
    if is_token {
        meter.token();
    }
}

/// The codec `llm`.
pub struct Llm;

impl BlockCodec for Llm {
    fn id(&self) -> Codec {
        Codec::Llm
    }

    fn name(&self) -> &'static str {
        "llm"
    }

    fn units(&self) -> UnitKind {
        UnitKind::Windows
    }

    fn model_use(&self) -> ModelUse {
        ModelUse::Required(Codec::Llm)
    }

    fn params(&self, header: &BlockHeader) -> Result<Option<Arc<dyn BlockParams>>> {
        match (&header.params, header.units.chained()) {
            (None, false) => Ok(None),
            (Some(params), true) => Ok(Some(Arc::new(Kept(kept_of(params)?)))),
            _ => Err(self.unknown()),
        }
    }

    fn is_slow(&self) -> bool {
        true
    }

    fn recognises(&self, weights: &[u8]) -> bool {
        weights.starts_with(&MAGIC)
    }

    fn model_memory(&self, weights: &[u8]) -> ModelMemory {
        // Weights are parsed once and laid out row by row; the vocabulary takes a little more.
        let len = weights.len() as u64;
        ModelMemory { loaded: len + len / 4, loading: 2 * len + len / 4 }
    }

    fn load(&self, weights: &[u8], accelerator: Option<&dyn Accelerator>) -> Result<LoadedModel> {
        let model = WindowModel::Llm(Weights::from_bytes(weights)?);
        Ok(LoadedModel { windows: model.coder(accelerator)?, network: None })
    }

    fn decode(&self, jobs: &mut [&mut BlockJob<'_>]) {
        windowed::decode(jobs);
    }
}

/// The parameters of a chained block: how many tokens enter again where the network starts anew.
struct Kept(usize);

impl BlockParams for Kept {}

impl WindowCoder for Model {
    fn cutting(&self, _head: &[u8], chained: bool) -> Cutting {
        let params = chained.then(|| chain::params(chain::default_kept(self)));
        Cutting { params, chained, ..Cutting::BYTES }
    }

    fn encode(
        &self,
        blocks: &[&[u8]],
        cutting: &Cutting,
        limits: WindowLimits,
        meter: Meter<'_>,
    ) -> Result<Vec<Vec<EncodedWindow>>> {
        match &cutting.params {
            Some(params) => chain::encode_counted(self, blocks, limits, kept_of(params)?, meter),
            None => windows::encode_counted(self, blocks, limits, meter),
        }
    }

    fn decode(&self, blocks: Vec<WindowedBlock<'_>>, memory: u64, meter: Meter<'_>) -> Result<()> {
        let memory = usize::try_from(memory).unwrap_or(usize::MAX);
        let (chained, alone): (Vec<_>, Vec<_>) = blocks.into_iter().partition(|b| b.params.is_some());
        let mut chains = Vec::with_capacity(chained.len());
        for WindowedBlock { params, windows } in chained {
            let kept = params.and_then(|p| p.downcast_ref::<Kept>());
            chains.push(ChainJob { kept: kept.map_or(0, |k| k.0), windows });
        }
        if !chains.is_empty() {
            chain::decode_within(self, &mut chains, MAX_COLUMNS, memory, meter)?;
        }
        windows::decode_within(self, &mut all_windows(alone.into_iter()), MAX_COLUMNS, memory, meter)
    }
}

/// Writes the bytes of a decoded symbol to the start of `room`, counts them and returns their number.
///
/// # Errors
/// `Corrupt` where they do not fit, or where the symbol is a token without bytes.
fn put(model: &Model, symbol: u32, room: &mut [u8], meter: Meter<'_>) -> Result<usize> {
    let vocab = model.shape().vocab as u32;
    let byte = [symbol.wrapping_sub(vocab) as u8];
    let bytes = if symbol < vocab { model.tokenizer().bytes_of(symbol) } else { &byte };
    if bytes.is_empty() || bytes.len() > room.len() {
        let (found, most) = (bytes.len(), room.len());
        return Err(Error::corrupt(format!("llm: a token of {found} bytes where 1..={most} are left")));
    }
    room[..bytes.len()].copy_from_slice(bytes);
    coded(bytes.len(), symbol < vocab, meter);
    Ok(bytes.len())
}

/// Refuses windows that are too small for the longest symbol.
///
/// # Errors
/// `BadArgument`.
fn check_limits(limits: WindowLimits) -> Result<()> {
    if limits.payload < MIN_PAYLOAD || limits.raw < MAX_TOKEN {
        return Err(Error::bad_argument(format!(
            "llm: windows of {} payload bytes and {} raw bytes, expected at least {MIN_PAYLOAD} and {MAX_TOKEN}",
            limits.payload, limits.raw
        )));
    }
    Ok(())
}

/// The number of raw bytes of a symbol.
fn symbol_len(model: &Model, symbol: u32) -> usize {
    if (symbol as usize) < model.shape().vocab { model.tokenizer().bytes_of(symbol).len() } else { 1 }
}
