//! Reads tokenizers from the metadata of a GGUF file or from `tokenizer.json`.

use super::super::cuts::Cut;
use super::super::tokens::{Merge, Tokenizer};
use super::newer;
use crate::error::{Error, Result};
use crate::tensor::gguf::{Gguf, Value};
use crate::tensor::json::Json;
use std::collections::HashMap;

/// A tokenizer, and the token with which windows start.
pub struct Vocabulary {
    pub tokenizer: Tokenizer,
    pub start: u32,
}

/// The kind of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A piece of text.
    Text,
    /// A single byte, whose name is `<0xXX>`.
    Byte,
    /// A mark that does not occur in text.
    Special,
}

/// The ids of tokens by their bytes.
type Ids = HashMap<Vec<u8>, u32>;

/// The tokens as the source writes them.
struct Raw {
    names: Vec<Vec<u8>>,
    kinds: Vec<Kind>,
    /// How the names of tokens are written.
    alphabet: Alphabet,
}

/// How the names of tokens stand for bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Alphabet {
    /// A character for each byte, as in GPT-2.
    Gpt2,
    /// Text, with U+2581 for a space.
    Text,
}

/// Reads the metadata of GGUF.
///
/// # Errors
/// `NewerVersion` for another kind of tokenizer, `Corrupt` for one that contradicts itself.
pub fn from_gguf(gguf: &Gguf<'_>) -> Result<Vocabulary> {
    let text = |key: &str| gguf.get(key).and_then(|v| v.as_str());
    let alphabet = match text("tokenizer.ggml.model") {
        Some("gpt2") => Alphabet::Gpt2,
        Some("llama") => Alphabet::Text,
        other => return Err(newer(format!("tokenizer {:?}", other.unwrap_or("none")))),
    };
    let names = strings(gguf, "tokenizer.ggml.tokens")?;
    let kinds = match gguf.get("tokenizer.ggml.token_type").and_then(|v| v.as_array()) {
        Some(kinds) => kinds.iter().map(|k| kind(k.as_u64())).collect(),
        None => vec![Kind::Text; names.len()],
    };
    let raw = Raw { names, kinds, alphabet };
    let (tokens, ids) = raw.bytes()?;
    let merges = match alphabet {
        Alphabet::Gpt2 => {
            let names = strings(gguf, "tokenizer.ggml.merges")?;
            let pairs = names.iter().map(|m| pair(m));
            merges(&raw, &tokens, &ids, pairs.collect::<Result<Vec<_>>>()?.into_iter())?
        }
        Alphabet::Text => {
            let scores = gguf.get("tokenizer.ggml.scores").and_then(|v| v.as_array());
            let scores: Vec<f64> =
                scores.map_or(Vec::new(), |s| s.iter().filter_map(|v| v.as_f64()).collect());
            merges_by_score(&tokens, &raw.kinds, &ids, &scores)?
        }
    };
    let cut = match (alphabet, text("tokenizer.ggml.pre")) {
        (Alphabet::Text, _) => Cut::Nowhere,
        (_, Some("smollm" | "starcoder" | "refact" | "command-r" | "codeshell" | "exaone")) => {
            Cut::Gpt2Digits
        }
        (_, Some("llama-bpe" | "llama3" | "llama-v3" | "smaug-bpe" | "dbrx")) => Cut::Llama3,
        (_, Some("qwen2" | "stablelm2")) => Cut::Llama3Digits,
        _ => Cut::Gpt2,
    };
    let tokenizer = finish(&raw, &tokens, cut, merges)?;
    let named = |key: &str| gguf.get(key).and_then(|v: Value<'_>| v.as_u64());
    let wanted = gguf.get("tokenizer.ggml.add_bos_token").and_then(|v| v.as_bool());
    let first = named("tokenizer.ggml.bos_token_id").and_then(|t| u32::try_from(t).ok());
    let start = start(&raw, first, wanted.unwrap_or(alphabet == Alphabet::Text))?;
    Ok(Vocabulary { tokenizer, start })
}

/// Reads a `tokenizer.json` of the kind "BPE" for a model of `vocab` tokens. `first` is the start token of
/// the model's configuration.
///
/// # Errors
/// See [`from_gguf`].
pub fn from_json(text: &[u8], vocab: usize, first: Option<u32>) -> Result<Vocabulary> {
    let mut file = File::default();
    let mut json = Json::new(text);
    json.object(|json, key| match key.as_str() {
        "model" => json.object(|json, key| file.model(json, &key)),
        "added_tokens" => json.array(|json| file.added(json)),
        _ => json.skip(),
    })?;
    json.end()?;
    if file.kind != "BPE" {
        return Err(newer(format!("tokenizer {:?}", file.kind)));
    }
    // Tokenizers that fall back to bytes write their names as text; the others use one character for each
    // byte.
    let alphabet = if file.fallback { Alphabet::Text } else { Alphabet::Gpt2 };
    let mut names = vec![Vec::new(); vocab];
    let mut kinds = vec![Kind::Special; vocab];
    for (name, id) in file.tokens {
        let slot = names.get_mut(id as usize).filter(|n| n.is_empty());
        let slot = slot
            .ok_or_else(|| Error::corrupt(format!("token {id} ({name:?}) is out of range or twice there")))?;
        let is_byte = file.fallback && byte_of(name.as_bytes()).is_some();
        kinds[id as usize] = if is_byte { Kind::Byte } else { Kind::Text };
        *slot = name.into_bytes();
    }
    for (name, id) in file.added {
        if let (Some(n), Some(k)) = (names.get_mut(id as usize), kinds.get_mut(id as usize)) {
            (*n, *k) = (name.into_bytes(), Kind::Special);
        }
    }
    let raw = Raw { names, kinds, alphabet };
    let (tokens, ids) = raw.bytes()?;
    let pairs = file.merges.iter().map(|(a, b)| (a.as_bytes(), b.as_bytes()));
    let merges = merges(&raw, &tokens, &ids, pairs)?;
    let text = std::str::from_utf8(text).unwrap_or_default();
    let compact: String = text.split_whitespace().collect();
    let cut = if alphabet == Alphabet::Text {
        Cut::Nowhere
    } else if compact.contains(r"\\p{N}{1,3}") {
        Cut::Llama3
    } else if compact.contains(r#""individual_digits":true"#) {
        Cut::Gpt2Digits
    } else if compact.contains(r"[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}|") {
        Cut::Llama3Digits
    } else {
        Cut::Gpt2
    };
    let tokenizer = finish(&raw, &tokens, cut, merges)?;
    let start = start(&raw, first, alphabet == Alphabet::Text)?;
    Ok(Vocabulary { tokenizer, start })
}

/// The members of `tokenizer.json` that are used.
#[derive(Default)]
struct File {
    kind: String,
    fallback: bool,
    tokens: Vec<(String, u64)>,
    merges: Vec<(String, String)>,
    added: Vec<(String, u64)>,
}

impl File {
    /// Reads a member of the object "model".
    fn model(&mut self, json: &mut Json<'_>, key: &str) -> Result<()> {
        match key {
            "type" => self.kind = json.string()?,
            "byte_fallback" => self.fallback = json.boolean()?,
            "vocab" => json.object(|json, name| {
                self.tokens.push((name, json.integer()?));
                Ok(())
            })?,
            "merges" => json.array(|json| {
                let mut parts = Vec::new();
                if json.next_is(b'[') {
                    json.array(|json| {
                        parts.push(json.string()?);
                        Ok(())
                    })?;
                } else {
                    parts.extend(json.string()?.splitn(2, ' ').map(String::from));
                }
                let [left, right] = <[String; 2]>::try_from(parts)
                    .map_err(|p| Error::corrupt(format!("a merge of {} tokens", p.len())))?;
                self.merges.push((left, right));
                Ok(())
            })?,
            _ => json.skip()?,
        }
        Ok(())
    }

    /// Reads an added token.
    fn added(&mut self, json: &mut Json<'_>) -> Result<()> {
        let (mut id, mut content) = (None, None);
        json.object(|json, key| {
            match key.as_str() {
                "id" => id = Some(json.integer()?),
                "content" => content = Some(json.string()?),
                _ => json.skip()?,
            }
            Ok(())
        })?;
        let both = content.zip(id).ok_or_else(|| Error::corrupt("an added token without id or content"));
        self.added.push(both?);
        Ok(())
    }
}

/// A list of strings of the metadata.
fn strings(gguf: &Gguf<'_>, key: &str) -> Result<Vec<Vec<u8>>> {
    let array = gguf.get(key).and_then(|v| v.as_array());
    let found = array.as_ref().and_then(|a| a.strings());
    let found = found.ok_or_else(|| Error::corrupt(format!("{key}: a list of strings expected")))?;
    Ok(found.map(<[u8]>::to_vec).collect())
}

/// The kind with this number in GGUF.
fn kind(id: Option<u64>) -> Kind {
    match id {
        Some(1) => Kind::Text,
        Some(6) => Kind::Byte,
        _ => Kind::Special,
    }
}

/// The two names in a line of a merge.
fn pair(merge: &[u8]) -> Result<(&[u8], &[u8])> {
    let mut parts = merge.splitn(2, |b| *b == b' ');
    let both = parts.next().zip(parts.next());
    both.ok_or_else(|| Error::corrupt("a merge without a space"))
}

/// The byte for which a name like `<0x0A>` stands.
fn byte_of(name: &[u8]) -> Option<u8> {
    let digits = name.strip_prefix(b"<0x")?.strip_suffix(b">")?;
    let digits = std::str::from_utf8(digits).ok().filter(|d| d.len() == 2)?;
    u8::from_str_radix(digits, 16).ok()
}

/// The byte for which a character stands in GPT-2: printable characters of Latin-1 stand for themselves,
/// those from U+0100 on for the other bytes in order.
fn gpt2_byte(c: char) -> Option<u8> {
    let printable = |b: &u8| matches!(b, 0x21..=0x7E | 0xA1..=0xAC | 0xAE..=0xFF);
    let code = u32::from(c);
    match u8::try_from(code) {
        Ok(b) => Some(b).filter(printable),
        Err(_) => (0..=255u8).filter(|b| !printable(b)).nth(code.checked_sub(256)? as usize),
    }
}

impl Raw {
    /// The bytes of a token.
    fn one(&self, name: &[u8], kind: Kind) -> Result<Vec<u8>> {
        let bad = || Error::corrupt(format!("token {:?} stands for no bytes", String::from_utf8_lossy(name)));
        match (kind, self.alphabet) {
            (Kind::Special, _) => Ok(Vec::new()),
            (Kind::Byte, _) => byte_of(name).map(|b| vec![b]).ok_or_else(bad),
            (Kind::Text, Alphabet::Text) => {
                let text = std::str::from_utf8(name).map_err(|_| bad())?;
                Ok(text.replace('\u{2581}', " ").into_bytes())
            }
            (Kind::Text, Alphabet::Gpt2) => {
                let text = std::str::from_utf8(name).map_err(|_| bad())?;
                text.chars().map(|c| gpt2_byte(c).ok_or_else(bad)).collect()
            }
        }
    }

    /// The bytes of all tokens, and the ids of those tokens that are text or single bytes.
    fn bytes(&self) -> Result<(Vec<Vec<u8>>, Ids)> {
        if self.kinds.len() != self.names.len() {
            let (kinds, names) = (self.kinds.len(), self.names.len());
            return Err(Error::corrupt(format!("{kinds} kinds of {names} tokens")));
        }
        let tokens = self.names.iter().zip(&self.kinds).map(|(n, k)| self.one(n, *k));
        let tokens = tokens.collect::<Result<Vec<_>>>()?;
        let mut ids = HashMap::new();
        for wanted in [Kind::Text, Kind::Byte] {
            for (id, bytes) in
                tokens.iter().enumerate().filter(|t| self.kinds[t.0] == wanted && !t.1.is_empty())
            {
                // A byte may be written in both ways; otherwise tokens must be unique.
                let earlier = ids.contains_key(bytes);
                if earlier && wanted == Kind::Text {
                    let name = String::from_utf8_lossy(&self.names[id]);
                    return Err(Error::corrupt(format!("two tokens are called {name:?}")));
                }
                if !earlier {
                    ids.insert(bytes.clone(), id as u32);
                }
            }
        }
        Ok((tokens, ids))
    }
}

/// The merges of a source that names the tokens which they join.
fn merges<'a>(
    raw: &Raw,
    tokens: &[Vec<u8>],
    ids: &Ids,
    pairs: impl Iterator<Item = (&'a [u8], &'a [u8])>,
) -> Result<Vec<Merge>> {
    let id = |name: &[u8]| -> Result<u32> {
        let kind =
            if raw.alphabet == Alphabet::Text && byte_of(name).is_some() { Kind::Byte } else { Kind::Text };
        let found = ids.get(&raw.one(name, kind)?).copied();
        found.ok_or_else(|| {
            Error::corrupt(format!("a merge of the unknown token {:?}", String::from_utf8_lossy(name)))
        })
    };
    let merge = |(left, right): (&[u8], &[u8])| {
        let (left, right) = (id(left)?, id(right)?);
        let joined = [&tokens[left as usize][..], &tokens[right as usize]].concat();
        let result = ids.get(&joined).copied();
        let result =
            result.ok_or_else(|| Error::corrupt(format!("tokens {left} and {right} merge to none")))?;
        Ok(Merge { left, right, result })
    };
    pairs.map(merge).collect()
}

/// The merges of a source that gives scores of tokens instead: every token can be merged from any two tokens
/// that make it up, and tokens with high scores come first.
fn merges_by_score(tokens: &[Vec<u8>], kinds: &[Kind], ids: &Ids, scores: &[f64]) -> Result<Vec<Merge>> {
    if scores.len() != tokens.len() || scores.iter().any(|s| s.is_nan()) {
        return Err(Error::corrupt(format!("{} scores of {} tokens", scores.len(), tokens.len())));
    }
    let mut order: Vec<usize> = (0..tokens.len()).filter(|&t| kinds[t] == Kind::Text).collect();
    order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]).then(a.cmp(&b)));
    let mut merges = Vec::new();
    for t in order {
        let bytes = &tokens[t];
        for at in 1..bytes.len() {
            if let (Some(&left), Some(&right)) = (ids.get(&bytes[..at]), ids.get(&bytes[at..])) {
                merges.push(Merge { left, right, result: t as u32 });
            }
        }
    }
    Ok(merges)
}

/// Makes the tokenizer.
fn finish(raw: &Raw, tokens: &[Vec<u8>], cut: Cut, merges: Vec<Merge>) -> Result<Tokenizer> {
    let mut singles = vec![None; 256];
    for wanted in [Kind::Byte, Kind::Text] {
        for (id, bytes) in tokens.iter().enumerate() {
            if let ([b], true) = (&bytes[..], raw.kinds[id] == wanted) {
                singles[usize::from(*b)] = Some(id as u32);
            }
        }
    }
    Tokenizer::new(cut, tokens, &singles, merges)
}

/// The token with which windows start: the model's own start token if it is `wanted`, otherwise the one that
/// stood between the model's training texts, if there is one.
fn start(raw: &Raw, first: Option<u32>, wanted: bool) -> Result<u32> {
    let between = raw.names.iter().position(|n| n == b"<|endoftext|>").map(|t| t as u32);
    let start = if wanted { first.or(between) } else { between.or(first) }.unwrap_or(0);
    if (start as usize) < raw.names.len() {
        return Ok(start);
    }
    Err(Error::corrupt(format!("start token {start} of {} tokens", raw.names.len())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_stand_for_bytes_as_in_gpt2() {
        let text: Vec<u8> = "ĠĊaé".chars().map(|c| gpt2_byte(c).unwrap()).collect();
        assert_eq!(text, [b' ', b'\n', b'a', 0xE9]);
        let known = (0..0x200).filter_map(char::from_u32).filter_map(gpt2_byte);
        let mut known: Vec<u8> = known.collect();
        known.sort_unstable();
        assert!(known.into_iter().eq(0..=255));
        assert_eq!(byte_of(b"<0x0A>"), Some(10));
        assert_eq!(byte_of(b"<0x0>"), None);
    }

    #[test]
    fn tokens_must_be_unique_and_known() {
        let raw = |names: &[&str]| Raw {
            names: names.iter().map(|n| n.as_bytes().to_vec()).collect(),
            kinds: vec![Kind::Text; names.len()],
            alphabet: Alphabet::Gpt2,
        };
        assert!(raw(&["a", "b"]).bytes().is_ok());
        assert!(raw(&["a", "a"]).bytes().is_err());
        assert!(raw(&["a b"]).bytes().is_err());
        let known = raw(&["a", "b", "ab"]);
        let (tokens, ids) = known.bytes().unwrap();
        let join = |a: &'static str, b: &'static str| {
            merges(&known, &tokens, &ids, [(a.as_bytes(), b.as_bytes())].into_iter())
        };
        assert!(join("a", "b").is_ok());
        assert!(join("b", "a").is_err());
        assert!(join("a", "c").is_err());
    }
}
