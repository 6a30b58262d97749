//! The stream as it is written: sections, and what the index will say about them.

use super::embedding::{Encode, Packed};
use super::words::Words;
use crate::codec::block::Block;
use crate::codec::encoding::EncodedBlock;
use crate::error::Result;
use crate::format::block::BlockHeader;
use crate::format::consts::FIRST_STREAM_MODEL;
use crate::format::header::Header;
use crate::format::index::{Entry, Record};
use crate::format::member::MemberSection;
use crate::format::search;
use crate::format::section::ModelSection;
use crate::format::varint;
use crate::models::registry::{Hash, built_in_id};
use crate::stream::inner::may_be_base;
use crate::stream::options::Options;
use std::collections::BTreeMap;
use std::io::Write;
use std::ops::Range;

/// The state of the stream that has been written so far.
pub struct Out {
    pub written: u64,
    pub entries: Vec<Entry>,
    pub models: Vec<Hash>,
    /// Makes one stream of weights that are to be embedded.
    pub one_stream: Encode,
    /// Models that have been packed in order to be embedded.
    pub packed: BTreeMap<Hash, Packed>,
    /// The number of raw bytes in the blocks, and the ranges of those that may not be bases of later streams.
    pub raw: u64,
    pub unfit: Vec<Range<u64>>,
    /// The section that comes first, if the stream is a file of a family.
    pub member: Option<MemberSection>,
}

impl Out {
    /// Writes bytes, and counts them.
    pub fn write(&mut self, bytes: &[u8], to: &mut dyn Write) -> Result<()> {
        to.write_all(bytes)?;
        self.written += bytes.len() as u64;
        Ok(())
    }

    /// Writes the header, unless it has been written.
    pub fn start(&mut self, to: &mut dyn Write) -> Result<()> {
        if self.written > 0 {
            return Ok(());
        }
        let mut bytes = Vec::new();
        Header::default().put(&mut bytes);
        self.write(&bytes, to)?;
        if let Some(member) = self.member.take() {
            let mut bytes = Vec::new();
            member.put(&mut bytes);
            self.write(&bytes, to)?;
            self.entries.push(Entry { stored_len: bytes.len() as u64, raw_len: 0 });
        }
        Ok(())
    }

    /// Writes the search section, unless it would take more than 1 % of the stream, or blocks have been written whose words
    /// nobody has gathered. Gives the record of the index that says where it is.
    pub fn search(&mut self, words: Words, blocks: usize, to: &mut dyn Write) -> Result<Option<Record>> {
        let filters = words.finish();
        let mut bytes = Vec::new();
        search::put(&mut bytes, &filters);
        let (offset, len) = (self.written, bytes.len() as u64);
        if filters.len() != blocks || len + search::AROUND > offset / 100 {
            return Ok(None);
        }
        self.write(&bytes, to)?;
        self.entries.push(Entry { stored_len: len, raw_len: 0 });
        let mut place = Vec::new();
        varint::put(&mut place, offset);
        varint::put(&mut place, len);
        Ok(Some(Record { tag: search::TAG, bytes: place }))
    }

    /// Writes blocks.
    pub fn blocks(&mut self, blocks: Vec<EncodedBlock>, options: &Options, to: &mut dyn Write) -> Result<()> {
        blocks.into_iter().try_for_each(|block| self.block(block, false, options, to))
    }

    /// Writes a block, after the model section that it may need; `flushed` marks the end of a flush.
    pub fn block(
        &mut self,
        block: EncodedBlock,
        flushed: bool,
        options: &Options,
        to: &mut dyn Write,
    ) -> Result<()> {
        let model = block.model.map(|hash| self.reference(hash, options, to)).transpose()?;
        let (header, payload) = block.into_parts(model);
        let header = BlockHeader { flushed, ..header };
        let mut bytes = Vec::new();
        header.put(&mut bytes);
        let stored_len = (bytes.len() + payload.len()) as u64;
        self.write(&bytes, to)?;
        self.write(&payload, to)?;
        let raw_len = u64::from(header.raw_len);
        self.entries.push(Entry { stored_len, raw_len });
        if options.member.is_some() && !may_be_base(&Block::check(header)?) {
            self.unfit.push(self.raw..self.raw + raw_len);
        }
        self.raw += raw_len;
        Ok(())
    }

    /// How blocks refer to a model. Writes a model section if the stream has none for it yet.
    fn reference(&mut self, hash: Hash, options: &Options, to: &mut dyn Write) -> Result<u64> {
        if let Some(id) = built_in_id(&hash).filter(|_| !options.embed_model) {
            return Ok(id.into());
        }
        if let Some(i) = self.models.iter().position(|m| *m == hash) {
            return Ok(FIRST_STREAM_MODEL + i as u64);
        }
        let mut embedded = None;
        if options.embed_model {
            let packed =
                self.packed.remove(&hash).map_or_else(|| Packed::new(&hash, options, self.one_stream), Ok)?;
            embedded = Some((packed.raw_len, packed.bytes));
        }
        let mut bytes = Vec::new();
        ModelSection { hash, embedded }.put(&mut bytes);
        self.write(&bytes, to)?;
        self.entries.push(Entry { stored_len: bytes.len() as u64, raw_len: 0 });
        self.models.push(hash);
        Ok(FIRST_STREAM_MODEL + self.models.len() as u64 - 1)
    }
}
