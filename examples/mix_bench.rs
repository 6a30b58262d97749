//! Sizes and speeds of the `mix` codec on files: `mix_bench [-k kind] [-m bits] [-p period] [-c cut] FILES`.


use nzip::codec::mix::{BlockDecoder, MixOptions, encode_block};

/// Seconds this thread has run, so that other load on the machine does not count.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    stat.split(' ').next().and_then(|ns| ns.parse::<f64>().ok()).unwrap_or(0.0) / 1e9
}

fn main() {
    let mut options = MixOptions { memory_bits: 25, kind: 255, period: 0 };
    let (mut cut, mut decode) = (usize::MAX, false);
    let mut args = std::env::args().skip(1);
    let mut total = 0;
    while let Some(arg) = args.next() {
        let mut number = || args.next().and_then(|v| v.parse::<usize>().ok()).expect("a number");
        match arg.as_str() {
            "-k" => options.kind = number() as u8,
            "-m" => options.memory_bits = number() as u32,
            "-p" => options.period = number(),
            "-c" => cut = number(),
            "-d" => decode = true,
            file => {
                let mut raw = std::fs::read(file).expect("a readable file");
                raw.truncate(cut);
                let mut o = options;
                if o.kind == 255 {
                    let text = raw.iter().filter(|&&b| b >= 32 || b == 10 || b == 13 || b == 9).count();
                    o.kind = u8::from(text * 100 < raw.len() * 95);
                }
                let start = cpu_seconds();
                let payload = encode_block(&raw, &o).expect("encodes");
                let enc = cpu_seconds() - start;
                let mut dec = 0.0;
                if decode {
                    let start = cpu_seconds();
                    let mut decoder = BlockDecoder::new(&payload, raw.len(), u64::MAX).expect("opens");
                    let mut back = vec![0; raw.len()];
                    decoder.decode_into(&mut back).expect("decodes");
                    dec = cpu_seconds() - start;
                    assert!(back == raw, "{file} differs");
                }
                total += payload.len();
                let speed = |t: f64| raw.len() as f64 / 1000.0 / t;
                println!("{file} k{} {} -> {} enc {:.0} dec {:.0} KB/s", o.kind, raw.len(), payload.len(), speed(enc), if decode { speed(dec) } else { 0.0 });
            }
        }
    }
    println!("total {total}");
}
