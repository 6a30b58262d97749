#!/bin/sh
# Builds the package for browsers and Node under target/nzip-js: nzip.wasm, nzip.js, worker.js, index.html, models.
#
# It needs a Rust compiler with the sources of its standard library and a clang, both of which know wasm32. Debian 12
# has them (apt-get install rustc-web rust-web-src lld-22 clang-22 llvm-22); `NZIP_WASM_RUSTC`, `NZIP_WASM_CC` and
# `NZIP_WASM_AR` name others. A toolchain of rustup that has the target wasm32-unknown-unknown is used where there is one.
set -eu
cd "$(dirname "$0")/.."
target=wasm32-unknown-unknown
out=$PWD/target/nzip-js
std= panic=
if [ -z "${NZIP_WASM_RUSTC-}" ] && ! [ -d "$(rustc --print sysroot)/lib/rustlib/$target" ]; then
    NZIP_WASM_RUSTC=/usr/bin/rustc
fi
if [ -n "${NZIP_WASM_RUSTC-}" ]; then
    home=$("$NZIP_WASM_RUSTC" --print sysroot 2>/dev/null) || home=/none
    if ! [ -d "$home/lib/rustlib/src/rust/library" ]; then
        echo "needs a Rust compiler for wasm32: on Debian 12, rustc-web rust-web-src lld-22 clang-22 llvm-22" >&2
        exit 3
    fi
    # The standard library is built along: nothing else has it for this target.
    export RUSTC="$NZIP_WASM_RUSTC" RUSTC_BOOTSTRAP=1
    std="-Zbuild-std=std,panic_abort"
    # A panic stops the module; nobody would see what it has to say.
    panic="-Zunstable-options -Cpanic=immediate-abort"
fi
cc=${NZIP_WASM_CC:-$(command -v clang-22 || command -v clang || :)}
ar=${NZIP_WASM_AR:-$(command -v llvm-ar-22 || command -v llvm-ar || :)}
linker=$(command -v wasm-ld-22 || command -v rust-lld || command -v wasm-ld || :)
if [ -z "$cc" ] || [ -z "$ar" ] || [ -z "$linker" ]; then
    echo "needs clang, llvm-ar and lld: on Debian 12, clang-22 llvm-22 lld-22" >&2
    exit 3
fi
export CC_wasm32_unknown_unknown="$cc" AR_wasm32_unknown_unknown="$ar" CFLAGS_wasm32_unknown_unknown="-O2 -msimd128"
export CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER="$linker"
export CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS="-C target-feature=+simd128,+bulk-memory,+sign-ext,+nontrapping-fptoint $panic"
cargo build $std --target $target --profile wasm -p nzip-wasm
rm -rf "$out"
mkdir -p "$out/models"
cp "${CARGO_TARGET_DIR:-target}/$target/wasm/nzip_wasm.wasm" "$out/nzip.wasm"
cp bindings/wasm/js/* "$out/"
cp models/tiny.nz models/base.nz models/mix/guided-*.zst "$out/models/"
echo "target/nzip-js: nzip.wasm has $(wc -c <"$out/nzip.wasm") bytes, $(gzip -9c "$out/nzip.wasm" | wc -c) compressed"
