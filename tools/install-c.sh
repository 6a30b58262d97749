#!/bin/sh
# Builds the C library and installs it under a folder: lib/libnzip.so, lib/libnzip.a, include/nzip.h,
# lib/pkgconfig/nzip.pc. Usage: tools/install-c.sh [--built] PREFIX (an absolute path; $DESTDIR comes before it)
# Needs Rust 1.95 or newer; with `--built`, the library has been built.
set -eu
built=
[ "${1-}" != --built ] || { built=1 && shift; }
prefix=${1:?usage: tools/install-c.sh [--built] PREFIX}
cd "$(dirname "$0")/.."
[ -n "$built" ] || cargo build --release -p nzip-c
built=${CARGO_TARGET_DIR:-target}/release
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -1)
to=${DESTDIR-}$prefix
mkdir -p "$to/lib/pkgconfig" "$to/include"
if [ -f "$built/libnzip.dylib" ]; then
    cp "$built/libnzip.dylib" "$to/lib/"
    private="-framework Security"
else
    # Programs name the major version.
    cp "$built/libnzip.so" "$to/lib/libnzip.so.$version"
    ln -sf "libnzip.so.$version" "$to/lib/libnzip.so.${version%%.*}"
    ln -sf "libnzip.so.$version" "$to/lib/libnzip.so"
    private="-lgcc_s -lutil -lrt -lpthread -lm -ldl"
fi
cp "$built/libnzip.a" "$to/lib/"
cp bindings/c/include/nzip.h "$to/include/"
sed -e "s|@PREFIX@|$prefix|" -e "s|@VERSION@|$version|" -e "s|@PRIVATE@|$private|" bindings/c/nzip.pc.in \
    >"$to/lib/pkgconfig/nzip.pc"
