#!/bin/sh
# Builds the package for browsers and Node (tools/build-wasm.sh), and tests it in Node, against the golden files and the
# command, and in headless Chromium; compares the kernels with plain Rust. Says SKIPPED where something that this needs
# cannot be had: Rust and clang for wasm32, Node 20, Chromium, playwright-core from the package index, rustup's target
# wasm32-wasip1. As root on Debian, it installs what is missing, unless it is called with `--no-install`.
set -eu
cd "$(dirname "$0")/.."
wanted=yes
[ "${1-}" != --no-install ] || wanted=
skip() { echo "SKIPPED: $*"; exit 0; }
install() {
    [ -n "$wanted" ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || return 0
    apt-get update -qq && apt-get install -y -qq --no-install-recommends "$@" >/dev/null 2>&1 || return 0
}
command -v node >/dev/null || skip "tests of the WebAssembly module (no Node)"
command -v clang-22 >/dev/null || install rustc-web rust-web-src lld-22 clang-22 llvm-22
status=0
tools/build-wasm.sh || status=$?
[ $status != 3 ] || skip "tests of the WebAssembly module (no compiler for wasm32)"
[ $status = 0 ] || exit $status
export NZIP_JS="$PWD/target/nzip-js"
cargo build --quiet --release -p nzip-c -p nzip-cli --no-default-features
export NZIP_COMMAND="${CARGO_TARGET_DIR:-$PWD/target}/release/nzip"
node -e '
    const zlib = require("zlib"), bytes = require("fs").readFileSync(process.env.NZIP_JS + "/nzip.wasm");
    const size = zlib.brotliCompressSync(bytes).length;
    console.log("the module has", bytes.length, "bytes,", size, "as sent by a server (brotli)");
    if (size > 1.5e6) throw Error("more than 1.5 MB");
'
node --test bindings/wasm/tests/node.test.mjs

# The kernels against their counterparts in plain Rust: the library's unit tests, in a build for WASI that Node runs. No
# package of Debian has that target; rustup does.
if [ -n "$wanted" ] && command -v rustup >/dev/null; then rustup target add wasm32-wasip1 >/dev/null 2>&1 || true; fi
if [ -d "$(rustc --print sysroot)/lib/rustlib/wasm32-wasip1" ]; then
    CC_wasm32_wasip1=$(command -v clang-22 || command -v clang) \
        AR_wasm32_wasip1=$(command -v llvm-ar-22 || command -v llvm-ar) \
        CFLAGS_wasm32_wasip1="-O2 -msimd128 -ffreestanding -nostdlibinc" \
        CARGO_TARGET_WASM32_WASIP1_RUSTFLAGS="-C target-feature=+simd128,+bulk-memory,+sign-ext,+nontrapping-fptoint" \
        CARGO_TARGET_WASM32_WASIP1_RUNNER="node --no-warnings $PWD/bindings/wasm/tests/wasi.mjs" \
        cargo test --quiet --target wasm32-wasip1 -p nzip --no-default-features --features starting-points --lib -- \
        kernel rans same_bits
else
    echo "SKIPPED: tests of the kernels in SIMD128 (no Rust for wasm32-wasip1)"
fi

command -v chromium >/dev/null || install chromium
command -v chromium >/dev/null || skip "tests in a browser (no Chromium)"
work=target/wasm-test
mkdir -p "$work"
if ! [ -d "$work/node_modules/playwright-core" ]; then
    npm install --silent --no-save --prefix "$work" playwright-core >/dev/null 2>&1 || skip "tests in a browser (no playwright-core)"
fi
head -c 20000 corpora/sample.txt >"$work/guided.txt"
"$NZIP_COMMAND" -q -f -7 --codec mix -o "$work/guided.txt.nz" "$work/guided.txt"
cd "$work"
NZIP_GUIDED=$PWD/guided.txt.nz NZIP_RAW=$PWD/guided.txt NZIP_CHROMIUM=$(command -v chromium) \
    node ../../bindings/wasm/tests/browser.mjs
