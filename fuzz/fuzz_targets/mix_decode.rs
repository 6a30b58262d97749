//! `mix` payloads of any bytes, guided by the micro model of `formats/vectors` or not: the same in pieces as at
//! once, and every block that was coded here decodes to what it was. That goes for the filters too.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nzip::internal::codec::mix::{BlockDecoder, Guide, MixOptions, encode_block};
use nzip::internal::model::lm::{Model, weights::Weights};
use std::sync::{Arc, LazyLock};

static MODEL: LazyLock<Arc<Model>> = LazyLock::new(|| {
    let bytes = include_bytes!("../../formats/vectors/lm/micro.nzlm");
    let weights = Weights::from_bytes(bytes).expect("the micro model is well-formed");
    Arc::new(Model::new(weights).expect("the micro model fits the limits"))
});

const CAP: u64 = 128 << 20;

fn decode(payload: &[u8], len: usize, step: usize, guided: bool) -> nzip::Result<Vec<u8>> {
    let network = guided.then(|| MODEL.clone());
    let mut decoder = BlockDecoder::new(payload, len, CAP, network)?;
    let mut raw = vec![0xA5; len];
    for piece in raw.chunks_mut(step) {
        decoder.decode_into(payload, piece)?;
    }
    Ok(raw)
}

fuzz_target!(|input: (u8, u16, u8, u8, bool, &[u8])| {
    let (kind, parameter, step, len, guided, bytes) = input;
    let (step, len) = (usize::from(step) + 1, usize::from(len) + 1);
    // As a payload, whole and behind a header that is right but for the kind.
    let version = if guided { 1 } else { 1 + (step % 3) as u8 };
    let mut behind = vec![version, 16, 1 + (parameter % 3) as u8, 0, kind % 9];
    behind.extend(parameter.to_le_bytes());
    behind.push(u8::from(guided));
    // Without flags, version 3 has zeros in their place.
    let rule = if bytes.first().is_some_and(|b| b % 2 == 0) { [0, 0] } else { [step as u8, kind] };
    behind.extend(rule.into_iter().filter(|_| version > 1));
    behind.extend_from_slice(bytes);
    for payload in [bytes, &behind] {
        let (once, pieces) = (decode(payload, len, len, guided), decode(payload, len, step, guided));
        assert_eq!(once.is_ok(), pieces.is_ok());
        assert!(once.ok() == pieces.ok());
    }
    // As raw bytes.
    let forced = Some((kind % 9, parameter));
    let options = MixOptions { table_bits: 16, groups: 1 + usize::from(kind) % 3, primed: 0, flags: !guided, forced };
    let guide = if guided { Guide::All(&MODEL) } else { Guide::None };
    if bytes.is_empty() {
        return;
    }
    if let Ok((payload, model)) = encode_block(bytes, &options, guide) {
        assert!(decode(&payload, bytes.len(), step, model.is_some()).unwrap() == bytes);
    }
});
