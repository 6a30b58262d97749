//! Arbitrary tokens, decoded by the micro models of `formats/vectors` with all choices: some text or a typed error, the same
//! alone as beside others; and that text comes back from its own tokens.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nzip::tokens::{Choices, Policy, Tokenizer, WindowEnds};
use nzip::{ErrorKind, Models};
use std::sync::LazyLock;

/// Texts above this length are not encoded again.
const MOST: usize = 3000;

static MODELS: LazyLock<(Models, [[u8; 32]; 2])> = LazyLock::new(|| {
    let mut models = Models::new();
    let lm = models.add(include_bytes!("../../formats/vectors/lm/micro.nzlm").to_vec());
    let llm = models.add(include_bytes!("../../formats/vectors/llm/micro.nzllm").to_vec());
    (models, [lm, llm])
});

fuzz_target!(|input: (u8, u8, u8, Vec<u16>, Vec<u8>)| {
    let (bits, digits, flags, tokens, text) = input;
    let token_bits = 8 + u32::from(digits) % 9;
    let per_window = (u32::from(bits) % 32 + 1).min(256 / token_bits).max(16u32.div_ceil(token_bits));
    let (models, hashes) = &*MODELS;
    let hash = &hashes[usize::from(flags & 1)];
    let choices = Choices::new().window_bits(per_window * token_bits).token_bits(token_bits);
    let choices = choices.policy(if flags & 2 > 0 { Policy::Reset } else { Policy::Continue });
    let choices = choices.ends(if flags & 4 > 0 { WindowEnds::Symbol } else { WindowEnds::Bit });
    let adaptive = flags & 8 > 0 && flags & 3 == 0;
    let tokenizer = Tokenizer::with_hash(models, hash, choices.adaptive(adaptive)).expect("choices within the limits");
    let tokens: Vec<u32> = tokens.into_iter().take(400).map(|t| u32::from(t) & ((1 << token_bits) - 1)).collect();
    let whole = tokens.len() / per_window as usize * per_window as usize;
    let raw = tokenizer.decode(&tokens[..whole]).expect("whole windows are some text");
    if whole < tokens.len() {
        assert_eq!(tokenizer.decode(&tokens).unwrap_err().kind(), ErrorKind::Corrupt);
    }
    let text = &text[..text.len().min(MOST)];
    let raw = &raw[..raw.len().min(MOST)];
    let coded = tokenizer.encode_batch(&[raw, text, &[]]).expect("any text has tokens");
    let parts: Vec<&[u32]> = coded.iter().map(Vec::as_slice).collect();
    assert_eq!(tokenizer.decode_batch(&parts).expect("encoded"), [raw, text, &[]]);
    assert!(tokenizer.decode(&coded[0]).expect("encoded") == raw);
});
