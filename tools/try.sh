#!/bin/sh
# Builds nzip, compresses a sample, restores it and compares the two.
set -eu
cd "$(dirname "$0")/.."
command -v cargo >/dev/null || { echo "tools/try.sh: needs Rust (cargo) 1.95 or newer" >&2; exit 1; }
cargo build --release --quiet
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp corpora/sample.txt "$work/"
nzip=target/release/nzip
"$nzip" -v "$work/sample.txt"
"$nzip" -l "$work/sample.txt.nz"
"$nzip" -d -o "$work/restored.txt" "$work/sample.txt.nz"
cmp "$work/sample.txt" "$work/restored.txt"
echo "restored bit for bit"
