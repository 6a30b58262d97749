//! A codec as one object, and the types through which the rest of nzip deals with it.

use super::acceleration::Accelerator;
use super::encoding::{Content, Effort, EncodedBlock};
use super::window::WindowCoder;
use super::{Codec, newer};
use crate::error::{Error, ErrorKind, Result};
use crate::format::block::{BlockHeader, Units};
use crate::model::lm;
use crate::progress::Meter;
use crate::tensor::bases::Bases;
use std::any::Any;
use std::ops::Range;
use std::sync::Arc;

/// The kind of check units that the blocks of a codec have (`formats/nzip.md`, "Check units").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnitKind {
    /// Units of one size, decoded in order from the block's start.
    Fixed,
    /// Windows with payloads of their own.
    Windows,
    /// Tiles of one raw size with payloads of their own.
    Tiles,
}

impl UnitKind {
    fn of(units: &Units) -> Self {
        match units {
            Units::Fixed { .. } => Self::Fixed,
            Units::Windows { .. } => Self::Windows,
            Units::Tiles { .. } => Self::Tiles,
        }
    }
}

/// Whether the blocks of a codec name a model, and which codec's models those are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModelUse {
    /// They never do.
    None,
    /// They may name one.
    Optional(Codec),
    /// They always do.
    Required(Codec),
}

/// The memory that a model takes, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ModelMemory {
    /// While the model is kept.
    pub loaded: u64,
    /// The peak while the model is being loaded, its weights not counted.
    pub loading: u64,
}

/// A model that is ready to code blocks. Clones share it.
#[derive(Clone)]
pub struct LoadedModel {
    /// Codes windows with it.
    pub windows: Arc<dyn WindowCoder>,
    /// The network of a language model, which may guide `mix`; `None` for models of other codecs.
    pub network: Option<Arc<lm::Model>>,
}

/// The packing of other programs that has been undone in a block.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Undone {
    /// The number of deflate streams.
    pub streams: u64,
    /// The number of bytes inside these streams.
    pub inside: u64,
    /// The number of pictures.
    pub pictures: u64,
}

/// The parameters of a block, parsed into a value of its codec.
pub trait BlockParams: Any + Send + Sync {
    /// The number of the block, in the same stream, whose content this block repeats.
    fn copy_of(&self) -> Option<u64> {
        None
    }

    /// Whether later blocks may be copies of this one.
    fn has_copies(&self) -> bool {
        false
    }

    /// The memory in bytes (approximate) that the parameters take in addition to their stored bytes.
    fn memory(&self) -> u64 {
        0
    }

    /// Whether the block needs no other block and no base, nor is needed by other blocks.
    fn stands_alone(&self) -> bool {
        true
    }

    /// The levels of deflate streams inside deflate streams.
    fn depth(&self) -> u8 {
        0
    }

    /// The packing undone in the block; blocks inside it are not counted.
    fn undone(&self) -> Undone {
        Undone::default()
    }

    /// How the block is coded, in a few words; `None` where the codec's name says all there is to say.
    fn describe(&self) -> Option<String> {
        None
    }
}

/// One way to code the bytes of a block: everything that the rest of nzip knows about a codec.
pub trait BlockCodec: Sync {
    /// The id in block headers.
    fn id(&self) -> Codec;

    /// The name in reports and on the command line.
    fn name(&self) -> &'static str;

    /// The check units of its blocks.
    fn units(&self) -> UnitKind;

    /// Whether its blocks name a model.
    fn model_use(&self) -> ModelUse {
        ModelUse::None
    }

    /// The message for a caller who asks for the codec without giving the model that it needs.
    fn model_wanted(&self) -> String {
        format!("codec {}: a model is needed (--model)", self.name())
    }

    /// The largest raw length that `payload_len` bytes of payload may stand for. Only codecs whose check
    /// units do not already bound it need a limit of their own.
    fn max_raw(&self, _payload_len: u64) -> u64 {
        u64::MAX
    }

    /// Parses the parameters of a block; `None` where it has none.
    ///
    /// # Errors
    /// [`crate::ErrorKind::NewerVersion`] for kinds of parameters that this release does not know;
    /// [`crate::ErrorKind::Corrupt`] for wrong parameters, and for anything else in the header that the codec
    /// does not allow.
    fn params(&self, header: &BlockHeader) -> Result<Option<Arc<dyn BlockParams>>> {
        if header.params.is_some() || header.units.chained() { Err(self.unknown()) } else { Ok(None) }
    }

    /// The error for a header that only a later release can have written.
    fn unknown(&self) -> Error {
        newer(&format!("another kind of {} block", self.name()))
    }

    /// Whether blocks inside other blocks may be coded with this codec.
    fn may_be_inside(&self) -> bool {
        false
    }

    /// Whether coding is so slow that the automatic choice gives this codec nothing but text.
    fn is_slow(&self) -> bool {
        false
    }

    /// Whether `_weights` are the canonical weights of a model for this codec, judged by their first bytes.
    fn recognises(&self, _weights: &[u8]) -> bool {
        false
    }

    /// Makes a model ready from its canonical weights. It runs on the accelerator where there is one.
    ///
    /// # Errors
    ///
    /// Those of parsing the weights; [`crate::ErrorKind::LimitExceeded`] where memory is missing.
    fn load(&self, _weights: &[u8], _accelerator: Option<&dyn Accelerator>) -> Result<LoadedModel> {
        Err(newer(&format!("a model for codec {}", self.name())))
    }

    /// The memory (approximate) that a model with these canonical weights takes once it is loaded, and at its
    /// peak while it is being loaded. The weights themselves are not counted.
    fn model_memory(&self, weights: &[u8]) -> ModelMemory {
        // Parsed matrices, and the same laid out for kernels with two bytes for each weight.
        let len = weights.len() as u64;
        ModelMemory { loaded: 3 * len, loading: 4 * len }
    }

    /// The memory in bytes (approximate) that decoding a block takes in addition to its payload, raw bytes
    /// and model. `_payload` need not be valid.
    fn working_memory(&self, _block: &Block, _payload: &[u8]) -> u64 {
        0
    }

    /// Whether the automatic choice tries this codec at a level of 1..=9. `zstd` and `store` are the floor at
    /// all levels and are not asked.
    fn is_tried(&self, _level: u8) -> bool {
        false
    }

    /// The largest block, in raw bytes, that the codec codes at a level in any case. It codes longer ones where a sample
    /// suggests that it leaves less than the codec of the level.
    fn longest_tried(&self, _level: u8) -> usize {
        usize::MAX
    }

    /// Whether the automatic choice may give this codec, where it is tried, numbers of known types, and not
    /// only bytes. Of several the first one in the table is taken.
    fn learns_numbers(&self) -> bool {
        false
    }

    /// Memory that coding `len` raw bytes takes in addition to these bytes and the result, in bytes (approximate); `None`
    /// where they are not coded, because decoding them would take more than `effort.limit`. `raw` holds the bytes where
    /// they are at hand.
    fn encoding_memory(&self, _len: usize, _raw: Option<&[u8]>, _effort: &Effort<'_>) -> Option<u64> {
        Some(0)
    }

    /// The raw bytes of a block if this codec does most of the work at a level of 1..=9; `None` for the default.
    fn preferred_chunk(&self, _level: u8) -> Option<usize> {
        None
    }

    /// The number of bytes that ship with nzip and that blocks of this codec may need in addition to any model.
    fn start_len(&self) -> u64 {
        0
    }

    /// Codes a block without a model of its own. `None` where the codec cannot make these bytes smaller or
    /// does not suit them.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::LimitExceeded`] where memory is missing; [`crate::ErrorKind::NewerVersion`] for
    /// codecs that need a model.
    fn encode(&self, _content: &Content<'_>, _effort: &Effort<'_>) -> Result<Option<EncodedBlock>> {
        Err(newer(&format!("codec {}", self.name())))
    }

    /// Decodes blocks of this codec, in parallel. Each job keeps the bytes that were verified before its
    /// first error.
    fn decode(&self, jobs: &mut [&mut BlockJob<'_>]);

    /// Opens a block of [`UnitKind::Fixed`] for decoding in order; see [`super::ordered`].
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::LimitExceeded`] where decoding would exceed the memory cap, and the errors of the
    /// codec's own header.
    fn open(&self, _block: &OrderedBlock<'_>, _raw: &mut Vec<u8>) -> Result<Box<dyn super::reader::Reader>> {
        Err(self.unknown())
    }

    /// The number of payload bytes that hold a model of the block's own. `_read` returns the first bytes of
    /// the payload: as many as asked for, or as there are.
    fn own_model_len(&self, _read: &mut dyn FnMut(u64) -> Result<Vec<u8>>) -> Result<u64> {
        Ok(0)
    }
}

/// A block header that its codec has accepted.
#[derive(Clone)]
pub struct Block {
    pub header: BlockHeader,
    pub codec: &'static dyn BlockCodec,
    /// The parsed parameters; `None` where the block has none.
    pub params: Option<Arc<dyn BlockParams>>,
}

impl Block {
    /// Checks a header against the rules of its codec.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::NewerVersion`] for unknown codecs and kinds of blocks,
    /// [`crate::ErrorKind::Corrupt`] for lengths and parameters that the codec does not allow.
    pub fn check(header: BlockHeader) -> Result<Self> {
        let codec = Codec::from_id(header.codec)?.object();
        let name = codec.name();
        if u64::from(header.raw_len) > codec.max_raw(header.payload_len.into()) {
            let (raw, payload) = (header.raw_len, header.payload_len);
            return Err(Error::corrupt(format!("{payload} bytes of {name} cannot hold {raw} raw bytes")));
        }
        if let Units::Windows { windows, .. } = &header.units {
            super::window::check_lengths(windows)?;
        }
        if codec.model_use() == ModelUse::None && header.model.is_some() {
            return Err(Error::corrupt(format!("a {name} block with a model")));
        }
        if codec.units() != UnitKind::of(&header.units) {
            return Err(codec.unknown());
        }
        let params = codec.params(&header)?;
        Ok(Self { header, codec, params })
    }

    /// The number of the block that this one is a copy of.
    pub fn copy_of(&self) -> Option<u64> {
        self.params.as_ref()?.copy_of()
    }

    /// Whether later blocks may be copies of this one.
    pub fn has_copies(&self) -> bool {
        self.params.as_ref().is_some_and(|p| p.has_copies())
    }

    /// Whether the block needs no model, no other block and no base, nor is needed by other blocks.
    pub fn stands_alone(&self) -> bool {
        self.header.model.is_none() && self.params.as_ref().is_none_or(|p| p.stands_alone())
    }

    /// The levels of deflate streams inside deflate streams.
    pub fn depth(&self) -> u8 {
        self.params.as_ref().map_or(0, |p| p.depth())
    }

    /// How the block is coded, in a few words.
    pub fn describe(&self) -> String {
        if let Some(block) = self.copy_of() {
            return format!("copy of block {block}");
        }
        let described = self.params.as_ref().and_then(|p| p.describe());
        described.unwrap_or_else(|| self.codec.name().into())
    }

    /// The block under whose header this copy is decoded: `source`, after a check that this block can be a
    /// copy of it.
    /// # Errors
    ///
    /// [`crate::ErrorKind::Corrupt`] where `source` is another block.
    pub fn resolve(&self, source: &Block) -> Result<Block> {
        let (copy, original) = (&self.header, &source.header);
        // Everything in a table of tiles except the payload lengths.
        let table = |h: &BlockHeader| match &h.units {
            Units::Tiles { raw, tiles } => Some((*raw, tiles.iter().map(|t| t.check).collect::<Vec<_>>())),
            Units::Fixed { .. } | Units::Windows { .. } => None,
        };
        let same = source.has_copies()
            && original.codec == copy.codec
            && original.raw_len == copy.raw_len
            && copy.payload_len == 0
            && table(original) == table(copy);
        if !same {
            return Err(Error::corrupt("the header of a copied block differs from its source's"));
        }
        let header = BlockHeader { flushed: copy.flushed, ..original.clone() };
        Ok(Block { header, ..source.clone() })
    }

    /// The parsed parameters as the type that the codec gave them.
    pub fn params_as<T: BlockParams>(&self) -> Option<&T> {
        let params: &dyn Any = &**self.params.as_ref()?;
        params.downcast_ref()
    }

    /// The raw length and check value of a unit.
    pub fn unit(&self, i: usize) -> (usize, u32) {
        self.header.units.unit(i, self.header.raw_len)
    }

    /// The memory in bytes (approximate) that the header takes.
    pub fn memory(&self) -> u64 {
        let units = self.header.units.len() as u64 * 12;
        let params = self.header.params.as_ref().map_or(0, |p| 2 * p.len() as u64);
        256 + units + params + self.params.as_ref().map_or(0, |p| p.memory())
    }

    /// The numbers of all units.
    pub fn all_units(&self) -> Range<usize> {
        0..self.header.units.len()
    }
}

/// The resources of decoding other than the block and its model.
#[derive(Clone, Copy)]
pub struct Environment<'a> {
    /// Tensors that blocks may be coded against.
    pub bases: &'a Bases,
    /// The device that decodes tiles; `None` for the CPU.
    pub accelerator: Option<&'a dyn Accelerator>,
    /// The memory cap of decoding, in bytes (approximate).
    pub memory: u64,
    /// Counts what has been decoded.
    pub meter: Meter<'a>,
}

/// A block to decode, or some of its units.
pub struct BlockJob<'a> {
    pub block: &'a Block,
    /// Its model, where it names one.
    pub model: Option<LoadedModel>,
    pub environment: Environment<'a>,
    /// The payload of the units to decode, or the whole payload for units of [`UnitKind::Fixed`].
    pub payload: &'a [u8],
    /// The units that the caller wants. Where units are not independent, those before them are decoded too.
    pub units: Range<usize>,
    /// Receives the raw bytes; its old content does not matter.
    pub raw: Vec<u8>,
    /// Raw bytes from the start of `raw` that have been verified.
    pub verified: usize,
    /// The first error after them, if decoding failed.
    pub error: Option<Error>,
}

impl<'a> BlockJob<'a> {
    /// A job that decodes all units of a block.
    pub fn new(
        block: &'a Block,
        model: Option<LoadedModel>,
        environment: Environment<'a>,
        payload: &'a [u8],
    ) -> Self {
        let units = block.all_units();
        Self { block, model, environment, payload, units, raw: Vec::new(), verified: 0, error: None }
    }

    /// The units whose bytes `raw` holds.
    pub fn decoded_units(&self) -> Range<usize> {
        if self.block.header.units.independent() { self.units.clone() } else { 0..self.units.end }
    }

    /// Makes `raw` as long as the units to decode.
    pub(super) fn allocate(&mut self) -> Result<()> {
        let len = self.decoded_units().map(|i| self.block.unit(i).0).sum();
        super::buffer::resize(&mut self.raw, len)
    }

    /// Keeps an error, unless an earlier one is already kept.
    pub(super) fn settle(&mut self, result: Result<()>) {
        if let Err(e) = result {
            self.error.get_or_insert(e);
        }
    }
}

/// A block whose units are decoded in order.
pub struct OrderedBlock<'a> {
    pub block: &'a Block,
    pub payload: &'a [u8],
    /// The model that it names.
    pub model: Option<&'a LoadedModel>,
    /// The memory cap of decoding, in bytes (approximate).
    pub memory: u64,
    /// Whether the block is short enough, for its payload and the memory cap, that the room for all of it may
    /// be allocated at once.
    pub modest: bool,
}

/// Codes a block with a codec that nobody asked for by name. Where this build lacks the model that the codec
/// needs, the result is `None`, so that the choice goes on with the codecs that need none.
///
/// # Errors
/// Those of [`BlockCodec::encode`] but `MissingModel`.
pub fn attempt(
    codec: &dyn BlockCodec,
    content: &Content<'_>,
    effort: &Effort<'_>,
) -> Result<Option<EncodedBlock>> {
    match codec.encode(content, effort) {
        Err(e) if e.kind() == ErrorKind::MissingModel => Ok(None),
        coded => coded,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::hints::{Guide, Hint};
    use crate::codec::tensor::keep;
    use crate::format::block::Tile;
    use crate::tensor::Dtype;

    fn header(block: EncodedBlock) -> BlockHeader {
        block.into_parts(None).0
    }

    #[test]
    fn a_copy_repeats_the_whole_table_of_tiles() {
        let raw: Vec<u8> = (0..3000u32).flat_map(|i| (i % 7).to_le_bytes()).collect();
        let content = Content {
            numbers: Some(Hint { dtype: Dtype::U32, row_bytes: 0, form: None, tile: 0 }),
            ..Content::bytes(&raw)
        };
        let effort =
            Effort { level: 1, guide: Guide::None, meter: Meter::NONE, limit: u64::MAX, only: false };
        let mut block = Codec::Tensor.object().encode(&content, &effort).unwrap().unwrap();
        assert!(keep(&mut block));
        let source = Block::check(header(block.clone())).unwrap();
        let copy = crate::codec::tensor::copy(&block, 0).unwrap();
        let of = |units: Units| Block::check(BlockHeader { units, ..header(copy.clone()) }).unwrap();
        assert!(of(copy.units.clone()).resolve(&source).is_ok());
        let Units::Tiles { raw, tiles } = copy.units.clone() else { panic!("tiles") };
        assert_eq!(tiles.len(), 1);
        // The single tile is as long either way, but the table says otherwise.
        assert!(of(Units::Tiles { raw: raw + 4, tiles: tiles.clone() }).resolve(&source).is_err());
        let other = vec![Tile { check: !tiles[0].check, ..tiles[0] }];
        assert!(of(Units::Tiles { raw, tiles: other }).resolve(&source).is_err());
    }
}
