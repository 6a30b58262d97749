#!/bin/sh
# Tests the kernels in NEON against plain Rust, and the golden files with them, in builds for AArch64: under qemu on
# other machines. Says SKIPPED where the compiler's target or a C compiler for it is missing. As root on Debian, and with
# rustup, it installs what is missing, unless it is called with `--no-install`.
set -eu
cd "$(dirname "$0")/.."
wanted=yes
[ "${1-}" != --no-install ] || wanted=
skip() { echo "SKIPPED: $*"; exit 0; }
target=aarch64-unknown-linux-gnu
if [ "$(uname -m)" != aarch64 ]; then
    if [ -n "$wanted" ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null &&
        ! { command -v aarch64-linux-gnu-gcc && command -v qemu-aarch64; } >/dev/null; then
        apt-get update -qq && apt-get install -y -qq --no-install-recommends qemu-user gcc-aarch64-linux-gnu \
            libc6-dev-arm64-cross >/dev/null 2>&1 || true
    fi
    command -v aarch64-linux-gnu-gcc >/dev/null || skip "tests of the kernels in NEON (no gcc-aarch64-linux-gnu)"
    command -v qemu-aarch64 >/dev/null || skip "tests of the kernels in NEON (no qemu-user)"
    export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
    export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER="qemu-aarch64 -L /usr/aarch64-linux-gnu"
fi
if ! [ -d "$(rustc --print sysroot)/lib/rustlib/$target" ]; then
    [ -z "$wanted" ] || ! command -v rustup >/dev/null || rustup target add $target >/dev/null 2>&1 || true
    [ -d "$(rustc --print sysroot)/lib/rustlib/$target" ] || skip "tests of the kernels in NEON (no Rust for $target)"
fi
# Names of tests: those of kernels, and those that code the same with several of them.
cargo test --quiet --target $target -p nzip --lib -- kernel vectors rans codec::tensor model::mix::jpeg::engine \
    --skip gpu
cargo test --quiet --target $target -p nzip --test golden
cargo test --quiet --target $target -p nzip --test codecs -- kernels_agree
