//! The parts that a chained block learns on top of the network: rows for the head ([`Online`]) and guesses ([`Chain`]).

use super::Coder;
use super::chain::Chain;
use super::model::Model;
use super::online::Online;
use super::step::{Session, powers};
use super::symbols::{Distribution, Symbol};
use crate::error::Result;

/// The state of a chained block, apart from that of the network.
#[derive(Debug)]
pub struct Learner {
    online: Online,
    chain: Chain,
    /// Scratch space for the sums of a distribution.
    blocks: Vec<u64>,
}

impl Learner {
    /// The state at the start of a block.
    ///
    /// # Errors
    /// `LimitExceeded` where memory is missing.
    pub fn new(model: &Model) -> Result<Self> {
        let (kernel, shape) = (model.kernel(), model.shape());
        let online = Online::new(kernel, shape.width, shape.vocab)?;
        Ok(Self { online, chain: Chain::new()?, blocks: Vec::new() })
    }

    /// The most bytes that a state takes, not counting the block's symbols.
    pub fn bytes(model: &Model) -> usize {
        Online::bytes(model.shape().width, model.shape().vocab) + Chain::BYTES
    }

    /// Turns the logits of a column of the last step into weights, corrected by what has been learned. Must
    /// be called once for each column.
    pub fn look(&mut self, session: &mut Session<'_>, column: usize) {
        let (hidden, shift) = session.hidden(column);
        self.online.look(hidden, shift);
        self.online.adjust(session.logits(column));
        powers(session, column);
    }

    /// Codes a symbol with the weights of a column, and learns it.
    ///
    /// # Errors
    /// Those of the coder.
    pub fn code(
        &mut self,
        session: &mut Session<'_>,
        column: usize,
        coder: &mut impl Coder,
    ) -> Result<Symbol> {
        let mut d = Distribution::new(session.logits(column), &mut self.blocks);
        let symbol = self.chain.code(&mut d, coder)?;
        if symbol < d.vocab() {
            self.online.learn(&d, symbol);
        }
        Ok(symbol)
    }

    /// The last `count` tokens of the block, which must have that many.
    pub fn last_tokens(&self, count: usize, model: &Model) -> Vec<Symbol> {
        let vocab = model.shape().vocab as Symbol;
        let mut tokens: Vec<Symbol> =
            self.chain.history().iter().rev().copied().filter(|&s| s < vocab).take(count).collect();
        tokens.reverse();
        tokens
    }
}
