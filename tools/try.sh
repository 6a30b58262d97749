#!/bin/sh
# Builds nzip, compresses a sample, restores it and compares the two.
set -eu
cd "$(dirname "$0")/.."
command -v cargo >/dev/null || { echo "tools/try.sh: needs Rust (cargo) 1.95 or newer" >&2; exit 1; }
say() { printf '\n== %s\n' "$*"; }
say "build the command without GPUs (some minutes the first time; target/release/nzip)"
cargo build --release -p nzip-cli --no-default-features
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp corpora/sample.txt "$work/"
nzip=target/release/nzip
say "compress corpora/sample.txt"
"$nzip" -v "$work/sample.txt"
say "list the result"
"$nzip" -l "$work/sample.txt.nz"
say "restore it and compare"
"$nzip" -d -o "$work/restored.txt" "$work/sample.txt.nz"
cmp "$work/sample.txt" "$work/restored.txt"
echo "restored bit for bit"
