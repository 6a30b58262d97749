//! Sizes and speeds of the `light` codec on files, in blocks of 4 MiB: `light_bench FILES`.

use nzip::internal::codec::light::{BlockDecoder, encode_block};

/// Seconds this thread has run, so that other load on the machine does not count.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    stat.split(' ').next().and_then(|ns| ns.parse::<f64>().ok()).unwrap_or(0.0) / 1e9
}

fn main() {
    let mut total = 0;
    for file in std::env::args().skip(1) {
        let raw = std::fs::read(&file).expect("a readable file");
        let (mut size, mut encoding, mut decoding, mut kind) = (0, 0.0, 0.0, 0);
        for block in raw.chunks(4 << 20) {
            let start = cpu_seconds();
            let payload = encode_block(block, None).expect("encodes");
            encoding += cpu_seconds() - start;
            let start = cpu_seconds();
            let mut decoder = BlockDecoder::new(&payload, block.len(), u64::MAX).expect("opens");
            let mut back = vec![0; block.len()];
            decoder.decode_into(&payload, &mut back).expect("decodes");
            decoding += cpu_seconds() - start;
            assert!(back == block, "{file} differs");
            (size, kind) = (size + payload.len(), payload[3]);
        }
        total += size;
        let megabytes = raw.len() as f64 / 1e6;
        let (enc, dec) = (megabytes / encoding, megabytes / decoding);
        println!("{file} k{kind}: {} -> {size} enc {enc:.2} dec {dec:.2} MB/s", raw.len());
    }
    println!("total {total}");
}
