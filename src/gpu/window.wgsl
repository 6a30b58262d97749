// Windows in lanes, one for each of the first threads of a workgroup. The text after this one declares the
// buffers `jobs` and `raw`.

struct Job {
    // The start of the window's raw bytes, in bytes and a multiple of 4; and their number.
    raw_start: u32,
    raw_len: u32,
    // The payload, in words with the first byte in the highest bits.
    payload_start: u32,
    payload_words: u32,
}

// The window of this thread.
var<private> job: Job;

// Raw byte i of the window.
fn raw_byte(i: u32) -> u32 {
    let at = job.raw_start + i;
    return raw[at >> 2u] >> (8u * (at & 3u)) & 255u;
}

fn put_raw_byte(i: u32, byte: u32) {
    let at = job.raw_start + i;
    let shift = 8u * (at & 3u);
    raw[at >> 2u] = (raw[at >> 2u] & ~(255u << shift)) | byte << shift;
}
