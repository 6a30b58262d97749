//! The priors that ship with nzip, and the phrases that prime text (`models/mix`). Those of unguided blocks belong to
//! the feature `starting-points`, those of guided text to `built-in-models`, as the models that guide do.

use super::context::{Kind, Machine};
use super::priors::{Priors, VALUES};
use crate::error::{Error, Result};
use crate::format::checksum::{from_hex, hex};
use crate::model::shipped;
use std::sync::{LazyLock, OnceLock};

/// Unpacks a file that ships in the binary; a test does so for all of them.
fn unpack(packed: &[u8], size: usize) -> Vec<u8> {
    zstd::bulk::decompress(packed, size).expect("shipped priors unpack")
}

/// Reads the priors of a kind.
fn learned(packed: &[u8]) -> Priors {
    Priors::parse(&unpack(packed, 2 * VALUES)).expect("shipped priors have their size")
}

/// The priors of text that one model guides.
struct Guided {
    /// The hash of the model that they were learned with.
    model: [u8; 32],
    /// BLAKE3 of the file as it ships.
    file: [u8; 32],
    /// The file; `None` in a build without the built-in models.
    packed: Option<&'static [u8]>,
    /// The priors, once they were needed or [`offer`]ed.
    priors: OnceLock<Priors>,
}

impl Guided {
    const fn new(model: &[u8; 64], file: &[u8; 64], packed: Option<&'static [u8]>) -> Self {
        Self { model: from_hex(model), file: from_hex(file), packed, priors: OnceLock::new() }
    }

    /// Unpacks a file that has the right hash: the hash of the model, then the priors.
    fn unpack(packed: &[u8]) -> Priors {
        let bytes = unpack(packed, 32 + 2 * VALUES);
        Priors::parse(&bytes[32..]).expect("shipped priors have their size")
    }
}

static GUIDED: [Guided; 2] = [
    Guided::new(
        b"10038fc4bfdc68c3a195f40470569f4692df515f0a0ab2470fd46ee5174df92d",
        b"8636fbe03975b102fd23ea11b1229f6c478adb96524d369182e7fb068cae4ffa",
        shipped!("built-in-models", "mix/guided-tiny.zst"),
    ),
    Guided::new(
        b"449ac016860c9948bc840ebb1fc6440f4b451db29089071001190fc588d4dd6a",
        b"3e48f843b7abd228918f7cd6993fcedd50399ff86caa9693e384ee87c275b168",
        shipped!("built-in-models", "mix/guided-base.zst"),
    ),
];

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

/// The size in bytes of all priors and phrases as they ship; 0 in a build without them.
pub const PACKED_LEN: u64 = {
    let files = [
        shipped!("starting-points", "mix/text.zst"),
        shipped!("starting-points", "mix/binary.zst"),
        shipped!("starting-points", "mix/code.zst"),
        shipped!("starting-points", "mix/records.zst"),
        shipped!("starting-points", "mix/phrases.zst"),
        shipped!("built-in-models", "mix/guided-tiny.zst"),
        shipped!("built-in-models", "mix/guided-base.zst"),
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
        Kind::Code(Machine::X86 | Machine::X64) => ("code", &CODE),
        Kind::Records { .. } | Kind::Code(Machine::Arm64) => ("records", &RECORDS),
        Kind::Bytes { .. } | Kind::Words { .. } | Kind::Audio { .. } => return Ok(None),
    };
    priors.as_ref().map(Some).ok_or_else(|| missing(name))
}

/// The learned priors of text that the model with this hash guides; `None` for a model that has none.
///
/// # Errors
/// `MissingModel`, with the hash of the file, where this build lacks them and nobody [`offer`]ed them.
pub fn for_guide(model: &[u8; 32]) -> Result<Option<&'static Priors>> {
    let Some(guided) = GUIDED.iter().find(|g| g.model == *model) else { return Ok(None) };
    if let Some(packed) = guided.packed {
        return Ok(Some(guided.priors.get_or_init(|| Guided::unpack(packed))));
    }
    let missing = || {
        let (file, model) = (hex(&guided.file), hex(model));
        Error::missing_model(format!(
            "the starting points {file} of text that model {model} guides are needed"
        ))
    };
    guided.priors.get().map(Some).ok_or_else(missing)
}

/// Keeps a file of priors for the rest of the process if a build without the built-in models needs it. All other
/// files are left alone: their hash tells.
pub fn offer(hash: &[u8; 32], file: &[u8]) {
    if let Some(guided) = GUIDED.iter().find(|g| g.file == *hash) {
        guided.priors.get_or_init(|| Guided::unpack(file));
    }
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
        for kind in [Kind::Text, Kind::Binary, Kind::Code(Machine::X86), Kind::Records { period: 2 }] {
            assert!(for_kind(kind).unwrap().is_some());
        }
        assert!(phrases(usize::MAX).len() > 1000);
    }

    #[test]
    #[cfg(feature = "built-in-models")]
    fn guided_priors_belong_to_their_models() {
        assert!(for_guide(&[0; 32]).unwrap().is_none());
        for guided in &GUIDED {
            let packed = guided.packed.unwrap();
            assert_eq!(hex(&guided.file), hex(blake3::hash(packed).as_bytes()));
            assert_eq!(unpack(packed, 32 + 2 * VALUES)[..32], guided.model);
            assert!(for_guide(&guided.model).unwrap().is_some());
        }
    }

    #[test]
    #[cfg(not(feature = "built-in-models"))]
    fn guided_priors_are_taken_when_they_are_offered() {
        let [first, second] = &GUIDED;
        let read =
            |name| std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/models/mix/").to_owned() + name);
        let file = read("guided-tiny.zst").unwrap();
        offer(blake3::hash(&file).as_bytes(), &file);
        assert!(for_guide(&first.model).unwrap().is_some());
        let e = for_guide(&second.model).err().unwrap();
        assert!(e.kind() == crate::ErrorKind::MissingModel && e.to_string().contains(&hex(&second.file)));
        offer(&[0; 32], &file);
        assert!(for_guide(&second.model).is_err());
    }

    #[test]
    #[cfg(not(feature = "starting-points"))]
    fn missing_priors_are_named() {
        let e = for_kind(Kind::Code(Machine::X86)).err().unwrap();
        assert_eq!(e.kind(), crate::ErrorKind::MissingModel);
        assert!(e.to_string().contains("models/mix/code.zst"));
        assert!(has(Kind::Words { stride: 4 }) && !has(Kind::Text));
    }
}
