//! The tensors of earlier members, from which the bases of later ones are chosen.

use super::distance::{distance, is_near};
use crate::error::Result;
use crate::format::member::InnerBase;
use crate::tensor::bases::BaseTensor;
use rayon::prelude::*;
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::Arc;

/// The least bytes of a tensor that is coded against another one.
pub(super) const LEAST: u64 = 1 << 10;
/// The most tensors of the same name that are compared with one.
const MOST: usize = 64;

/// A tensor of an earlier member.
struct Known {
    tensor: Arc<BaseTensor>,
    member: usize,
    /// The offset of its first byte in the content of the archive.
    raw_start: u64,
}

/// A base that was chosen for a tensor.
pub(super) struct Chosen {
    /// The base, with the name of the tensor.
    pub tensor: BaseTensor,
    pub member: usize,
    pub inner: InnerBase,
    /// The mean difference in 1/256 bits; 0 for an equal tensor.
    pub distance: u64,
    pub equal: bool,
}

/// A member that has been written.
pub(super) struct Place {
    /// How many other members are read for it at most.
    pub depth: u64,
    /// The first member of its chain.
    pub root: usize,
}

/// The rules for members that may be coded against others.
pub(super) struct Rules<'a> {
    pub members: &'a [Place],
    /// How many members may be read for one at most, its own included.
    pub anchor: u64,
    /// Whether a tensor is only coded against the last one of its name.
    pub chained: bool,
}

impl Rules<'_> {
    /// Whether a new member may be coded against this one.
    fn may(&self, member: usize) -> bool {
        self.members[member].depth + 1 < self.anchor
    }
}

/// The tensors of earlier members.
#[derive(Default)]
pub(super) struct KnownTensors {
    all: Vec<Known>,
    /// Their numbers by hash, the first one of each, and by name.
    by_hash: HashMap<[u8; 32], Vec<usize>>,
    by_name: HashMap<String, Vec<usize>>,
    memory: u64,
}

impl KnownTensors {
    /// The memory that the list takes, in bytes (approximate).
    pub fn memory(&self) -> u64 {
        self.memory
    }

    /// Adds the tensors of a member whose content starts at raw offset `start`, without those that touch a range in
    /// which none may be a base.
    pub fn add(&mut self, tensors: Vec<BaseTensor>, member: usize, start: u64, unfit: &[Range<u64>]) {
        for tensor in tensors {
            let Range { start: from, end } = tensor.range.clone();
            let touches = unfit.partition_point(|r| r.end <= from);
            if tensor.len() < LEAST || unfit.get(touches).is_some_and(|r| r.start < end) {
                continue;
            }
            let number = self.all.len();
            self.by_hash.entry(tensor.hash).or_default().push(number);
            self.by_name.entry(tensor.name.clone()).or_default().push(number);
            self.memory += (512 + 3 * tensor.name.len() + 16 * tensor.shape.len()) as u64;
            self.all.push(Known { tensor: Arc::new(tensor), member, raw_start: start + from });
        }
    }

    /// Chooses a base for each tensor of a new member, whose content will start at raw offset `start`: one with the same
    /// bytes, whatever its name, or else the nearest one of its name and shape, apart from the first dimension.
    ///
    /// # Errors
    ///
    /// Those of reading.
    pub fn choose(&self, tensors: &[BaseTensor], start: u64, rules: &Rules<'_>) -> Result<Vec<Chosen>> {
        let chosen = tensors.par_iter().filter(|t| t.len() >= LEAST).map(|t| {
            let found = match self.equal(t, rules) {
                Some(known) => Some((known, 0, true)),
                None => self.nearest(t, rules)?.map(|(known, distance)| (known, distance, false)),
            };
            Ok(found.map(|(known, distance, equal)| Chosen {
                tensor: BaseTensor { name: t.name.clone(), ..(*known.tensor).clone() },
                member: known.member,
                inner: InnerBase {
                    hash: known.tensor.hash,
                    back: start - known.raw_start,
                    len: known.tensor.len(),
                },
                distance,
                equal,
            }))
        });
        Ok(chosen.collect::<Result<Vec<_>>>()?.into_iter().flatten().collect())
    }

    /// The tensors of this name, the last one first.
    fn named(&self, name: &str) -> impl Iterator<Item = &Known> {
        self.by_name.get(name).into_iter().flatten().rev().map(|i| &self.all[*i])
    }

    /// The first tensor with the same bytes and shape.
    fn equal(&self, t: &BaseTensor, rules: &Rules<'_>) -> Option<&Known> {
        let first = match rules.chained {
            true => rules.members[self.named(&t.name).next().filter(|k| rules.may(k.member))?.member].root,
            false => 0,
        };
        let mut same = self.by_hash.get(&t.hash)?.iter().map(|i| &self.all[*i]);
        let fits = |k: &&Known| k.tensor.dtype == t.dtype && k.tensor.shape == t.shape;
        same.find(|k| k.member >= first && rules.may(k.member) && fits(k))
    }

    /// The nearest tensor of the same name; of equally near ones, the first.
    fn nearest(&self, t: &BaseTensor, rules: &Rules<'_>) -> Result<Option<(&Known, u64)>> {
        let most = if rules.chained { 1 } else { MOST };
        let mut best: Option<(&Known, u64)> = None;
        for known in self.named(&t.name).take(most).filter(|k| rules.may(k.member)) {
            let Some(distance) = distance(t, &known.tensor)? else { continue };
            if is_near(distance, t.dtype.group().1) && best.is_none_or(|b| distance <= b.1) {
                best = Some((known, distance));
            }
        }
        Ok(best)
    }
}

/// The section's list of bases: each once, by rising hashes.
pub(super) fn inner_bases(chosen: &[Chosen]) -> Vec<InnerBase> {
    // Of two places with the same bytes, the first one that was chosen.
    let mut bases = BTreeMap::new();
    chosen.iter().for_each(|c| _ = bases.entry(c.inner.hash).or_insert(c.inner));
    bases.into_values().collect()
}
