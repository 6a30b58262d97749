#!/bin/sh
# Runs the tests of the library and of the command, both without GPU, then the reference decoder on the golden files.
# `.ci/run` also runs those of GPUs, of training and of candle.
# Needs Rust; sets up a Python environment for the reference decoder under target/.
set -eu
cd "$(dirname "$0")/.."
# One choice of packages and features for all, so that nothing is compiled twice.
tests() { cargo test --quiet -p nzip -p nzip-cli -p nzip-quantize --no-default-features --features nzip/built-in-models "$@"; }
tests --lib --bins --tests
tests --doc
. tools/setup.sh
"$python" formats/reference/check.py formats/vectors
