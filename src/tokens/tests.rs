//! Round trips with all choices, hostile tokens, and the overhead of windows.

use super::*;
use crate::ErrorKind;
use crate::random::SplitMix;

const MICRO: &[u8] = include_bytes!("../../formats/vectors/lm/micro.nzlm");
const MICRO_LLM: &[u8] = include_bytes!("../../formats/vectors/llm/micro.nzllm");
const POLICIES: [Policy; 2] = [Policy::Reset, Policy::Continue];
const ENDS: [WindowEnds; 2] = [WindowEnds::Symbol, WindowEnds::Bit];

fn tokenizer(weights: &[u8], choices: Choices) -> Tokenizer {
    let mut models = Models::new();
    let hash = models.add(weights.to_vec());
    Tokenizer::with_hash(&models, &hash, choices).unwrap()
}

/// Documents of words, repeats and arbitrary bytes; an empty one is among them.
fn documents(seed: u64, count: usize, most: usize) -> Vec<Vec<u8>> {
    let mut rng = SplitMix(seed);
    let words: [&[u8]; 6] = [b"window ", b"of ", b"bits, ", b"\n", b"the same the same ", b"\0\xFF"];
    let make = |i| {
        let len = if i == 1 { 0 } else { rng.below(most as u64) as usize + 1 };
        let mut document = Vec::new();
        while document.len() < len {
            match rng.below(9) {
                0 => document.push(rng.next_u64() as u8),
                1 if i % 3 == 0 => document.extend([b' '; 200]),
                n => document.extend_from_slice(words[n as usize % words.len()]),
            }
        }
        document.truncate(len);
        document
    };
    (0..count).map(make).collect()
}

/// All choices for a model, with different sizes.
fn all_choices(adaptive: bool) -> Vec<Choices> {
    let mut all = Vec::new();
    for (b, v) in [(16, 8), (24, 12), (32, 16), (64, 16), (200, 10), (256, 16)] {
        for policy in POLICIES {
            for ends in ENDS {
                let choices = Choices::new().window_bits(b).token_bits(v).policy(policy).ends(ends);
                all.push(choices);
                if adaptive && policy == Policy::Continue {
                    all.push(choices.adaptive(true));
                }
            }
        }
    }
    all
}

fn slices<T>(list: &[Vec<T>]) -> Vec<&[T]> {
    list.iter().map(Vec::as_slice).collect()
}

#[test]
fn documents_come_back() {
    for (weights, adaptive, most) in [(MICRO, true, 700), (MICRO_LLM, false, 150)] {
        for choices in all_choices(adaptive) {
            let tokenizer = tokenizer(weights, choices);
            let documents = documents(7, 5, most);
            let tokens = tokenizer.encode_batch(&slices(&documents)).unwrap();
            assert!(tokens.iter().flatten().all(|&t| t < 1 << choices.token_bits));
            assert!(tokens[1].is_empty());
            let back = tokenizer.decode_batch(&slices(&tokens)).unwrap();
            assert!(back == documents, "{choices:?}");
            // Alone, a document is coded in another way.
            assert_eq!(tokenizer.encode(&documents[0]).unwrap(), tokens[0], "{choices:?}");
            assert!(tokenizer.decode(&tokens[0]).unwrap() == documents[0], "{choices:?}");
        }
    }
}

#[test]
fn any_tokens_are_some_text() {
    let mut rng = SplitMix(11);
    for (weights, adaptive) in [(MICRO, true), (MICRO_LLM, false)] {
        for choices in all_choices(adaptive) {
            let tokenizer = tokenizer(weights, choices);
            for kind in 0..4 {
                let count = choices.tokens_per_window() * if weights == MICRO { 12 } else { 4 };
                let limit = 1u64 << choices.token_bits;
                let token = |_| match kind {
                    0 => 0,
                    1 => (limit - 1) as u32,
                    _ => rng.below(limit) as u32,
                };
                let tokens: Vec<u32> = (0..count).map(token).collect();
                let raw = tokenizer.decode(&tokens).unwrap();
                // What they stand for has tokens of its own.
                if kind == 2 && raw.len() < 2000 {
                    let again = tokenizer.encode(&raw).unwrap();
                    assert!(tokenizer.decode(&again).unwrap() == raw, "{choices:?}");
                }
            }
        }
    }
}

#[test]
fn windows_decode_alone_where_the_model_starts_anew() {
    let choices = Choices::new().window_bits(32).token_bits(16);
    let tokenizer = tokenizer(MICRO, choices);
    let document = documents(3, 1, 900).remove(0);
    let tokens = tokenizer.encode(&document).unwrap();
    let alone: Vec<Vec<u8>> = tokens.chunks(2).map(|window| tokenizer.decode(window).unwrap()).collect();
    assert!(alone.concat() == document);
    assert!(alone.iter().all(|text| !text.is_empty()));
}

#[test]
fn segments_give_the_same_windows() {
    for choices in all_choices(false).into_iter().filter(|c| c.policy == Policy::Reset) {
        let tokenizer = tokenizer(MICRO, choices);
        let Model::Lm(model) = &tokenizer.model else { panic!("a byte-level model") };
        let documents = documents(21, 3, 3000);
        let encode =
            |segment| anew::encode_segments(model, &choices, &slices(&documents), 8, segment).unwrap();
        let whole = encode(usize::MAX);
        for segment in [50, 777] {
            assert!(encode(segment) == whole, "{choices:?} {segment}");
        }
    }
}

#[test]
fn wrong_tokens_and_choices_are_refused() {
    let tokenizer = tokenizer(MICRO, Choices::new().window_bits(32).token_bits(8).special(3));
    assert_eq!((tokenizer.vocab_size(), tokenizer.end_token()), (259, Some(256)));
    for wrong in [&[1, 2, 3][..], &[1, 2, 3, 256], &[259, 0, 0, 0], &[u32::MAX, 0, 0, 0]] {
        assert_eq!(tokenizer.decode(wrong).unwrap_err().kind(), ErrorKind::Corrupt);
    }
    let parts = tokenizer.documents(&[1, 2, 256, 256, 3]);
    assert_eq!(parts, [&[1, 2][..], &[], &[3]]);
    let mut models = Models::new();
    let hashes = [models.add(MICRO.to_vec()), models.add(MICRO_LLM.to_vec())];
    let new = |hash: usize, c: Choices| {
        Tokenizer::with_hash(&models, &hashes[hash], c).map(|_| ()).map_err(|e| e.kind())
    };
    let c = Choices::new();
    for (hash, wrong) in [
        (0, c.window_bits(8).token_bits(8)),
        (0, c.window_bits(264).token_bits(8)),
        (0, c.window_bits(20)),
        (0, c.token_bits(7).window_bits(21)),
        (0, c.token_bits(0)),
        (0, c.window_bits(34).token_bits(17)),
        (0, c.special(65537)),
        (0, c.adaptive(true)),
        (1, c.policy(Policy::Continue).adaptive(true)),
    ] {
        assert_eq!(new(hash, wrong), Err(ErrorKind::BadArgument), "{wrong:?}");
    }
    let little = self::tokenizer(MICRO, c).memory(1000);
    assert_eq!(little.encode(b"text").unwrap_err().kind(), ErrorKind::LimitExceeded);
}

#[test]
fn decoded_text_counts_against_the_cap() {
    let choices = Choices::new().window_bits(256).policy(Policy::Continue).ends(WindowEnds::Bit);
    let tokenizer = tokenizer(MICRO, choices);
    let tokens = tokenizer.encode(&documents(5, 1, 4000)[0]).unwrap();
    let raw = tokenizer.decode(&tokens).unwrap().len() as u64;
    let Model::Lm(model) = &tokenizer.model else { panic!("a byte-level model") };
    let budget = Budget::new(raw - 1);
    let result = lm::decode(model, &choices, &[&tokens], 1, &budget);
    assert_eq!(result.unwrap_err().kind(), ErrorKind::LimitExceeded);
    assert!(lm::decode(model, &choices, &[&tokens], 1, &Budget::new(raw)).is_ok());
}

#[cfg(feature = "built-in-models")]
mod overhead {
    use super::*;
    use crate::model::fixed::probability_of_one;
    use crate::model::lm::Timeline;

    /// The information of a text by the network, in bits.
    fn information(model: &model::lm::Model, text: &[u8]) -> f64 {
        let mut timeline = Timeline::new(model, 64).unwrap();
        let mut bits = 0.0;
        for start in (0..text.len()).step_by(64) {
            let steps = (text.len() - start).min(64);
            timeline.run(text, start, steps);
            for step in 0..steps {
                let sums = timeline.weight_sums(step);
                let byte = usize::from(text[start + step]) | 256;
                for depth in 0..8 {
                    let node = byte >> (8 - depth);
                    let one = probability_of_one(sums.sum(2 * node), sums.sum(2 * node + 1));
                    let bit = byte >> (7 - depth) & 1;
                    let p = if bit == 1 { one } else { 65536 - one };
                    bits -= (f64::from(p) / 65536.0).log2();
                }
            }
        }
        bits
    }

    /// Windows that end anywhere cost little more than the information of what they hold.
    #[test]
    fn is_as_small_as_promised() {
        let text: &[u8] = include_bytes!("../../corpora/sample.txt");
        for (bits, most) in [(16, 1.06), (32, 1.03), (64, 1.015), (256, 1.005)] {
            let choices = Choices::new().window_bits(bits).policy(Policy::Continue).ends(WindowEnds::Bit);
            let tokenizer = Tokenizer::new(&mut Models::new(), "tiny", choices).unwrap();
            let tokens = tokenizer.encode(text).unwrap();
            let Model::Lm(model) = &tokenizer.model else { panic!("a byte-level model") };
            let (stored, information) = ((tokens.len() * 16) as f64, information(model, text));
            assert!(stored >= information);
            // The last window is not full.
            let over = (stored - f64::from(bits)) / information;
            assert!(over < most, "{bits} bits: {over}");
            assert!(tokenizer.decode(&tokens).unwrap() == text);
        }
    }
}
