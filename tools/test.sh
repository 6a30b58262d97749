#!/bin/sh
# Runs all tests: the library's and the command's, then the reference decoder on the golden files.
# Needs Rust; sets up a Python environment for the reference decoder under target/.
set -eu
cd "$(dirname "$0")/.."
cargo test --quiet
. tools/setup.sh
"$python" formats/reference/check.py formats/vectors
