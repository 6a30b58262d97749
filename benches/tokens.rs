//! Speed and size of tokens against the codec `lm`, with lanes filled, on one thread: `cargo bench --bench tokens -- FILE
//! [MODEL]`. The file is cut into documents of 4 KiB, and for `lm` into blocks of the same size.

use nzip::Models;
use nzip::internal::codec::lm::{decode_windows, encode_blocks};
use nzip::internal::codec::window::{WindowJob, WindowLimits};
use nzip::internal::model::lm::{Model, weights::Weights};
use nzip::tokens::{Choices, Policy, Tokenizer, WindowEnds};
use std::time::Instant;

const DOCUMENT: usize = 4096;

/// Processor time of all threads so far, in seconds, where the system tells it.
fn process_seconds() -> Option<f64> {
    let tasks = std::fs::read_dir("/proc/self/task").ok()?;
    let times = tasks.flatten().filter_map(|task| {
        let text = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<f64>().ok()
    });
    Some(times.sum::<f64>() * 1e-9)
}

/// The least seconds of three runs, and the result.
fn least<T>(mut run: impl FnMut() -> T) -> (f64, T) {
    let mut once = || {
        let (start, before) = (Instant::now(), process_seconds());
        let result = run();
        let spent = process_seconds().zip(before).map(|(end, start)| end - start);
        (spent.unwrap_or(start.elapsed().as_secs_f64()), result)
    };
    let (a, b, (c, result)) = (once().0, once().0, once());
    (a.min(b).min(c), result)
}

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|a| a != "--bench");
    let Some(file) = arguments.next() else {
        println!("FILE [MODEL] are wanted");
        return;
    };
    let name = arguments.next().unwrap_or("tiny".into());
    rayon::ThreadPoolBuilder::new().num_threads(1).build_global().expect("the first pool");
    let raw = std::fs::read(file).expect("a file");
    let documents: Vec<&[u8]> = raw.chunks(DOCUMENT).collect();
    let mut models = Models::new();
    let hash = models.resolve(&name).expect("a model");
    let weights = Weights::from_bytes(&models.find(&hash).expect("a model")).expect("a byte-level model");
    let model = Model::new(weights).expect("memory");
    let report = |what: &str, bits: usize, encode: f64, decode: f64| {
        let rate = |seconds: f64| raw.len() as f64 / seconds * 1e-3;
        let bits = bits as f64 / raw.len() as f64;
        println!(
            "{what:34} {bits:.4} bits a byte, {:7.1} KB/s, back {:7.1} KB/s",
            rate(encode),
            rate(decode)
        );
    };
    let limits = WindowLimits { payload: DOCUMENT, raw: DOCUMENT };
    let (encode, windows) = least(|| encode_blocks(&model, &documents, limits).expect("any bytes"));
    let windows: Vec<_> = windows.into_iter().flatten().collect();
    let mut out = vec![vec![0; DOCUMENT]; windows.len()];
    let (decode, ()) = least(|| {
        let jobs = windows.iter().zip(&mut out);
        let mut jobs: Vec<_> =
            jobs.map(|(w, raw)| WindowJob { payload: &w.payload, raw: &mut raw[..w.raw_len] }).collect();
        decode_windows(&model, &mut jobs).expect("encoded");
    });
    report("lm", windows.iter().map(|w| 8 * w.payload.len()).sum(), encode, decode);
    for (policy, ends, adaptive) in [
        (Policy::Reset, WindowEnds::Symbol, false),
        (Policy::Reset, WindowEnds::Bit, false),
        (Policy::Continue, WindowEnds::Symbol, false),
        (Policy::Continue, WindowEnds::Bit, false),
        (Policy::Continue, WindowEnds::Bit, true),
    ] {
        for bits in [16, 32, 64, 256] {
            let choices = Choices::new().window_bits(bits).policy(policy).ends(ends).adaptive(adaptive);
            let tokenizer = Tokenizer::with_hash(&models, &hash, choices).expect("a model");
            let (encode, tokens) = least(|| tokenizer.encode_batch(&documents).expect("any bytes"));
            let parts: Vec<&[u32]> = tokens.iter().map(Vec::as_slice).collect();
            let (decode, back) = least(|| tokenizer.decode_batch(&parts).expect("encoded"));
            assert!(back.concat() == raw);
            let what = format!("{policy:?} {ends:?} {bits}{}", if adaptive { " adaptive" } else { "" });
            report(&what, tokens.iter().map(|t| 16 * t.len()).sum(), encode, decode);
        }
    }
}
