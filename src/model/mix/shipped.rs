//! The priors that ship with nzip, and the phrases that prime text (`models/mix`). They belong to the feature
//! `starting-points`, which is a part of `built-in-models`.

use super::context::Kind;
use super::priors::{Priors, VALUES};
use crate::error::{Error, Result};
use crate::model::shipped;
use std::sync::LazyLock;

/// Unpacks a file that ships in the binary; a test does so for all of them.
fn unpack(packed: &[u8], size: usize) -> Vec<u8> {
    zstd::bulk::decompress(packed, size).expect("shipped priors unpack")
}

/// Reads the priors of a kind.
fn learned(packed: &[u8]) -> Priors {
    Priors::parse(&unpack(packed, 2 * VALUES)).expect("shipped priors have their size")
}

/// Reads the priors of guided text and the hash of the model that they were learned with.
fn guided(packed: &[u8]) -> ([u8; 32], Priors) {
    let bytes = unpack(packed, 32 + 2 * VALUES);
    let parts = bytes.split_first_chunk::<32>();
    let parts = parts.and_then(|(hash, rest)| Some((*hash, Priors::parse(rest)?)));
    parts.expect("shipped priors have their size")
}

static TEXT: LazyLock<Option<Priors>> =
    LazyLock::new(|| shipped!("starting-points", "mix/text.zst").map(learned));
static BINARY: LazyLock<Option<Priors>> =
    LazyLock::new(|| shipped!("starting-points", "mix/binary.zst").map(learned));
static CODE: LazyLock<Option<Priors>> =
    LazyLock::new(|| shipped!("starting-points", "mix/code.zst").map(learned));
static RECORDS: LazyLock<Option<Priors>> =
    LazyLock::new(|| shipped!("starting-points", "mix/records.zst").map(learned));
static PHRASES: LazyLock<Vec<u8>> = LazyLock::new(|| {
    shipped!("starting-points", "mix/phrases.zst").map_or(Vec::new(), |packed| unpack(packed, 1 << 20))
});
static GUIDED: LazyLock<Vec<([u8; 32], Priors)>> = LazyLock::new(|| {
    let files = [
        shipped!("starting-points", "mix/guided-tiny.zst"),
        shipped!("starting-points", "mix/guided-base.zst"),
    ];
    files.into_iter().flatten().map(guided).collect()
});

/// The size in bytes of all priors and phrases as they ship; 0 in a build without them.
pub const PACKED_LEN: u64 = {
    let files = [
        shipped!("starting-points", "mix/text.zst"),
        shipped!("starting-points", "mix/binary.zst"),
        shipped!("starting-points", "mix/code.zst"),
        shipped!("starting-points", "mix/records.zst"),
        shipped!("starting-points", "mix/phrases.zst"),
        shipped!("starting-points", "mix/guided-tiny.zst"),
        shipped!("starting-points", "mix/guided-base.zst"),
    ];
    let (mut sum, mut i) = (0, 0);
    while i < files.len() {
        if let Some(file) = files[i] {
            sum += file.len() as u64;
        }
        i += 1;
    }
    sum
};

/// The error of a build without the built-in models where a file of `models/mix` is needed.
fn missing(name: &str) -> Error {
    Error::missing_model(format!(
        "mix needs the starting points models/mix/{name}.zst, but this nzip was built without its feature built-in-models"
    ))
}

/// Whether this build has the priors from which blocks of a kind start.
pub fn has(kind: Kind) -> bool {
    for_kind(kind).is_ok()
}

/// The learned priors of a kind; `None` for samples, which have none.
///
/// # Errors
/// `MissingModel` in a build without the built-in models.
pub fn for_kind(kind: Kind) -> Result<Option<&'static Priors>> {
    let (name, priors) = match kind {
        Kind::Text => ("text", &TEXT),
        Kind::Binary => ("binary", &BINARY),
        Kind::Code => ("code", &CODE),
        Kind::Records { .. } => ("records", &RECORDS),
        Kind::Bytes { .. } | Kind::Words { .. } => return Ok(None),
    };
    priors.as_ref().map(Some).ok_or_else(|| missing(name))
}

/// The learned priors of text that the model with this hash guides, if this build has any.
pub fn for_guide(hash: &[u8; 32]) -> Option<&'static Priors> {
    GUIDED.iter().find(|(known, _)| known == hash).map(|(_, priors)| priors)
}

/// The most common phrases for priming text, at most `limit` bytes of them, each terminated by a zero byte.
/// The most common ones come last.
pub fn phrases(limit: usize) -> &'static [u8] {
    let all = &PHRASES[..];
    let cut = all.len().saturating_sub(limit);
    match all[..cut].iter().rposition(|&b| b == 0) {
        Some(end) => &all[end + 1..],
        None => all,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(feature = "starting-points")]
    fn shipped_priors_unpack() {
        for kind in [Kind::Text, Kind::Binary, Kind::Code, Kind::Records { period: 2 }] {
            assert!(for_kind(kind).unwrap().is_some());
        }
        assert!(for_guide(&[0; 32]).is_none() && GUIDED[0].0 != GUIDED[1].0);
        assert!(phrases(usize::MAX).len() > 1000);
    }

    #[test]
    #[cfg(not(feature = "starting-points"))]
    fn missing_priors_are_named() {
        let e = for_kind(Kind::Code).err().unwrap();
        assert_eq!(e.kind(), crate::ErrorKind::MissingModel);
        assert!(e.to_string().contains("models/mix/code.zst"));
        assert!(has(Kind::Words { stride: 4 }) && !has(Kind::Text));
    }
}
