//! The member section of a stream: which file of a family the stream holds, and where in earlier streams of the
//! same file the bases of its blocks lie (`formats/family.md`).

use super::consts::KIND_MEMBER;
use super::cursor::{Cursor, Parse, Parsed};
use super::{section, varint};
use crate::error::{Error, Result};
use std::ops::Range;

/// The most streams that must be read, one for the other, in order to read a member, besides its own.
pub const MAX_DEPTH: u64 = 64;
/// The longest name of a member, in bytes.
pub const MAX_NAME: u64 = 4096;

/// A base that lies in an earlier stream of the same file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InnerBase {
    /// BLAKE3 of the base's bytes.
    pub hash: [u8; 32],
    /// The number of raw bytes between the base's first one and the first one of the stream.
    pub back: u64,
    /// The number of its bytes, 1..=`back`.
    pub len: u64,
}

/// The body of a member section.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MemberSection {
    /// The name of the file: a relative path, see [`check_name`].
    pub name: String,
    /// 0 without bases, otherwise more than the depth of each stream in which a base lies.
    pub depth: u64,
    /// The bases, by rising hashes.
    pub bases: Vec<InnerBase>,
}

/// Refuses names that could lead out of the folder in which a file is restored, on any system.
///
/// # Errors
///
/// `Corrupt` for such a name.
pub fn check_name(name: &str) -> Result<()> {
    let odd = |c: char| c.is_control() || matches!(c, '\\' | ':');
    let good = !name.contains(odd) && name.split('/').all(|part| !matches!(part, "" | "." | ".."));
    if good { Ok(()) } else { Err(Error::corrupt(format!("{name:?} is no name of a file below a folder"))) }
}

impl MemberSection {
    /// Appends the section.
    pub fn put(&self, out: &mut Vec<u8>) {
        let mut body = Vec::new();
        varint::put(&mut body, self.name.len() as u64);
        body.extend_from_slice(self.name.as_bytes());
        varint::put(&mut body, self.depth);
        varint::put(&mut body, self.bases.len() as u64);
        for base in &self.bases {
            body.extend_from_slice(&base.hash);
            varint::put(&mut body, base.back);
            varint::put(&mut body, base.len);
        }
        section::put(out, KIND_MEMBER, &body);
    }

    /// Reads the body of a member section.
    ///
    /// # Errors
    ///
    /// `Corrupt` where it breaks a rule.
    pub fn parse(body: &[u8]) -> Result<Self> {
        Self::fields(body).map_err(|e| match e {
            Parse::Bad(e) => e.within("member section"),
            Parse::Need(_) => Error::corrupt("member section: the body ends inside a field"),
        })
    }

    fn fields(body: &[u8]) -> Parsed<Self> {
        let mut c = Cursor::new(body);
        let len = c.varint_in("length of a name", 1..=MAX_NAME)?;
        let name = std::str::from_utf8(c.take(len as usize)?);
        let name = name.map_err(|_| Error::corrupt("a name that is no UTF-8"))?.to_string();
        check_name(&name)?;
        let depth = c.varint_in("depth", 0..=MAX_DEPTH)?;
        let count = c.varint("number of bases")?;
        if (depth == 0) != (count == 0) {
            return Err(Error::corrupt(format!("depth {depth} with {count} bases")).into());
        }
        let mut bases: Vec<InnerBase> = Vec::new();
        for _ in 0..count {
            let hash = c.hash()?;
            let back = c.varint("place of a base")?;
            let len = c.varint_in("length of a base", 1..=back.max(1))?;
            if back == 0 || bases.last().is_some_and(|b| b.hash >= hash) {
                return Err(Error::corrupt("bases that are not in order, or not before the stream").into());
            }
            bases.push(InnerBase { hash, back, len });
        }
        if !c.rest().is_empty() {
            return Err(Error::corrupt(format!("{} bytes follow the bases", c.rest().len())).into());
        }
        Ok(Self { name, depth, bases })
    }

    /// The memory that it takes, in bytes.
    pub fn memory(&self) -> usize {
        self.name.len() + self.bases.capacity() * size_of::<InnerBase>() + size_of::<Self>()
    }

    /// The raw range of the base with this hash in the whole file, of which the stream's first raw byte is at
    /// `start`. `None` where the stream has no such base, or it lies before the file's first byte.
    pub fn find(&self, hash: &[u8; 32], start: u64) -> Option<Range<u64>> {
        let base = self.bases[self.bases.binary_search_by_key(hash, |b| b.hash).ok()?];
        let from = start.checked_sub(base.back)?;
        Some(from..from + base.len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member() -> MemberSection {
        let base = |n: u8| InnerBase { hash: [n; 32], back: 1000 * u64::from(n), len: 77 };
        MemberSection { name: "a/b.safetensors".into(), depth: 2, bases: vec![base(1), base(3), base(9)] }
    }

    fn body(member: &MemberSection) -> Vec<u8> {
        let mut out = Vec::new();
        member.put(&mut out);
        section::body(&out).unwrap().to_vec()
    }

    #[test]
    fn members_round_trip() {
        for member in [member(), MemberSection { name: "x".into(), ..MemberSection::default() }] {
            assert_eq!(MemberSection::parse(&body(&member)).unwrap(), member);
        }
        assert_eq!(member().find(&[3; 32], 5000), Some(2000..2077));
        assert_eq!(member().find(&[9; 32], 5000), None);
        assert_eq!(member().find(&[2; 32], 5000), None);
    }

    #[test]
    fn broken_rules_are_errors() {
        let whole = body(&member());
        for len in 0..whole.len() {
            assert!(MemberSection::parse(&whole[..len]).is_err(), "{len}");
        }
        assert!(MemberSection::parse(&[&whole[..], &[0]].concat()).is_err());
        let bad = |change: fn(&mut MemberSection)| {
            let mut member = member();
            change(&mut member);
            assert!(MemberSection::parse(&body(&member)).is_err(), "{member:?}");
        };
        for name in ["", ".", "..", "/a", "a/", "a//b", "../a", "a/../b", "c:a", "a\\b", "a\nb"] {
            let member = MemberSection { name: name.into(), ..MemberSection::default() };
            assert!(MemberSection::parse(&body(&member)).is_err(), "{name:?}");
        }
        bad(|m| m.depth = 0);
        bad(|m| m.depth = 65);
        bad(|m| m.bases.clear());
        bad(|m| m.bases.swap(0, 1));
        bad(|m| m.bases[1] = m.bases[0]);
        bad(|m| m.bases[0].len = 1001);
        bad(|m| m.bases[0].len = 0);
        bad(|m| m.bases[0].back = 0);
    }
}
