#!/bin/sh
# Jobs on local clusters whose workers are killed midway. `tools/test-jobs.sh dask ray` runs those engines alone, without
# arguments Spark as well, and everything against a server that speaks the protocol of S3. Installs the engines (1 GB for all)
# into the environment of tools/test-python.sh, which it runs where there is none. Spark needs Java 17 or newer.
set -eu
cd "$(dirname "$0")/.."
root=$PWD
python=$root/target/python/test/bin/python
[ -x "$python" ] || tools/test-python.sh
if [ $# -gt 0 ]; then
    packages=$(printf '%s\n' "$@" | sed 's/^dask$/dask[distributed]/; s/^ray$/ray[data]/; s/^spark$/pyspark>=4,<5/')
    # shellcheck disable=SC2086
    "$python" -m pip install -q $packages psutil pyarrow
    cd bindings/python
    exec "$python" -m pytest -q -rs --durations=5 tests/test_jobs.py -k "$(echo "$*" | sed 's/ / or /g')"
fi
"$python" -m pip install -q 'dask[distributed]' 'ray[data]' 'pyspark>=4,<5' psutil 'moto[server]' s3fs pyarrow
command -v java >/dev/null || echo "SKIPPED: Spark (no Java)"
# The command, to read from the server; the package's own reads no URLs.
cargo build --quiet --profile test -p nzip-cli --no-default-features --features remote
export NZIP_PROGRAM="$root/target/debug/nzip"
cd bindings/python
"$python" -m pytest -q -rs --durations=5 tests/test_jobs.py tests/test_s3.py tests/test_manifest.py
