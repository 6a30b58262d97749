//! Sizes of each way to store a table: `table_bench [-l level of mix] FILES`.

use nzip::internal::codec::table;

fn main() {
    let (mut level, mut args) = (2, std::env::args().skip(1));
    while let Some(arg) = args.next() {
        if arg == "-l" {
            level = args.next().and_then(|v| v.parse().ok()).expect("a number");
            continue;
        }
        let raw = std::fs::read(&arg).expect("a readable file");
        for payload in table::payloads(&raw, level).expect("encodes") {
            println!("{arg}: {} bytes, {:?}", payload.len(), table::inspect(&payload, raw.len(), 1 << 30));
        }
    }
}
