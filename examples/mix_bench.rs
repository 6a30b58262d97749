//! Sizes and speeds of the `mix` codec on files: `mix_bench [-l level] [-k kind] [-p period] [-m bits] [-c cut] [-d] FILES`.

use nzip::internal::codec::mix::{BlockDecoder, Guide, MixOptions, encode_block};

/// Seconds this thread has run, so that other load on the machine does not count.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    stat.split(' ').next().and_then(|ns| ns.parse::<f64>().ok()).unwrap_or(0.0) / 1e9
}

fn main() {
    let mut options = MixOptions::default();
    let mut forced = (255, 0);
    let (mut cut, mut decode) = (usize::MAX, false);
    let mut args = std::env::args().skip(1);
    let mut total = 0;
    while let Some(arg) = args.next() {
        let mut number = || args.next().and_then(|v| v.parse::<usize>().ok()).expect("a number");
        match arg.as_str() {
            "-k" => forced.0 = number() as u8,
            "-m" => options.table_bits = number() as u32,
            "-p" => forced.1 = number() as u16,
            "-c" => cut = number(),
            "-l" => options = MixOptions::level(number() as u32),
            "-d" => decode = true,
            file => {
                let mut raw = std::fs::read(file).expect("a readable file");
                raw.truncate(cut);
                let o = MixOptions { forced: (forced.0 != 255).then_some(forced), ..options };
                let start = cpu_seconds();
                let (payload, _) = encode_block(&raw, &o, Guide::None).expect("encodes");
                let enc = cpu_seconds() - start;
                let mut dec = 0.0;
                if decode {
                    let start = cpu_seconds();
                    let mut decoder = BlockDecoder::new(&payload, raw.len(), u64::MAX, None).expect("opens");
                    let mut back = vec![0; raw.len()];
                    decoder.decode_into(&payload, &mut back).expect("decodes");
                    dec = cpu_seconds() - start;
                    assert!(back == raw, "{file} differs");
                }
                total += payload.len();
                let speed = |t: f64| raw.len() as f64 / 1000.0 / t;
                println!(
                    "{file} k{}:{} {} -> {} enc {:.0} dec {:.0} KB/s",
                    payload[4],
                    u16::from_le_bytes([payload[5], payload[6]]),
                    raw.len(),
                    payload.len(),
                    speed(enc),
                    if decode { speed(dec) } else { 0.0 }
                );
            }
        }
    }
    println!("total {total}");
}
