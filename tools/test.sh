#!/bin/sh
# Runs the tests of the library and of the command, both without GPU, and the reference decoder on the golden files.
# `.ci/run` also runs those of GPUs, of training and of candle.
# Needs Rust; sets up a Python environment for the reference decoder under target/.
set -eu
cd "$(dirname "$0")/.."
# One choice of packages and features for all, so that nothing is compiled twice.
tests() { cargo test --quiet -p nzip -p nzip-cli -p nzip-quantize --no-default-features --features nzip/built-in-models "$@"; }
tests --no-run --lib --bins --tests
# Many tests keep one core busy only: the reference decoder runs beside them. Its output comes at the end.
. tools/setup.sh
log=$(mktemp)
"$python" formats/reference/check.py formats/vectors >"$log" 2>&1 &
reference=$!
# With its workers, which would outlive it.
stop() { kill $(cat "/proc/$reference/task/$reference/children" 2>/dev/null) "$reference" 2>/dev/null || true; }
trap 'stop; rm -f "$log"' EXIT
tests --lib --bins --tests
tests --doc
status=0
wait $reference || status=$?
trap 'rm -f "$log"' EXIT
cat "$log"
exit $status
