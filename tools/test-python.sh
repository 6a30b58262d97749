#!/bin/sh
# Builds the Python package, installs it in an empty environment, and runs its tests there; checks its types and the examples
# of docs/python.md and docs/tokens.md. What other libraries need comes from the package index; `--torch` adds PyTorch, JAX and transformers (several GB) and their tests.
# Needs Rust and Python 3.11 or newer; everything lies under target/python.
set -eu
cd "$(dirname "$0")/.."
root=$PWD
home=$root/target/python
mkdir -p "$home"
if ! python3 -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    [ "$(id -u)" = 0 ] && apt-get update -qq && apt-get install -y -qq python3-venv python3-dev >/dev/null
fi
tools=$home/tools
[ -x "$tools/bin/maturin" ] || { python3 -m venv --clear "$tools" && "$tools/bin/pip" install -q 'maturin>=1.9,<2'; }
rm -rf "$home/dist"
(cd bindings/python && "$tools/bin/maturin" build --profile wheel --quiet -i python3 --out "$home/dist")

test=$home/test
python3 -m venv --clear "$test"
"$test/bin/pip" install -q "$home"/dist/*.whl
# Without numpy the package still compresses and decompresses bytes.
(cd "$home" && "$test/bin/python" -c 'import nzip; assert nzip.decompress(nzip.compress(b"alone", 9)) == b"alone"')
"$test/bin/python" - <<'EOF'
import nzip._nzip, os
size = os.path.getsize(nzip._nzip.__file__)
print("the library has", size, "bytes")
assert size <= 12 << 20, "more than 12 MiB"
EOF
"$test/bin/pip" install -q -r bindings/python/tests/requirements.txt
if [ "${1-}" = --torch ]; then
    "$test/bin/pip" install -q torch jax transformers
else
    echo "SKIPPED: tests with PyTorch, JAX and transformers (tools/test-python.sh --torch)"
fi
cd bindings/python
"$test/bin/python" -m mypy
"$test/bin/python" -m mypy.stubtest nzip._nzip
"$test/bin/python" -m pytest -q -rs tests "$root/docs/python.md" "$root/docs/tokens.md" --doctest-glob='*.md'
