#!/bin/sh
# Builds the C library, installs it under target/c, and runs its tests in C and C++ there, the example, and the code of
# docs/c.md; the small ones under valgrind, too. The header is compared with the sources.
# Needs Rust, a C and a C++ compiler, pkg-config and valgrind; as root on Debian, it installs what is missing.
set -eu
cd "$(dirname "$0")/.."
missing=
for tool in cc c++ pkg-config valgrind; do
    command -v $tool >/dev/null || missing="$missing $tool"
done
if [ -n "$missing" ]; then
    [ "$(id -u)" = 0 ] || { echo "tools/test-c.sh: needs$missing" >&2; exit 1; }
    apt-get update -qq && apt-get install -y -qq gcc g++ pkg-config valgrind >/dev/null
fi
home=$PWD/target/c
rm -rf "$home"
mkdir -p "$home/work"
cargo test --quiet --release -p nzip-c -p nzip-c-header
# The command is built along: they share what they depend on.
cargo build --quiet --release -p nzip-c -p nzip-cli --no-default-features
tools/install-c.sh --built "$home"
nzip=${CARGO_TARGET_DIR:-target}/release/nzip

export PKG_CONFIG_PATH="$home/lib/pkgconfig" LD_LIBRARY_PATH="$home/lib"
warn="-O1 -g -Wall -Wextra -Wpedantic -Werror"
flags=$(pkg-config --cflags --libs nzip)
static="$(pkg-config --cflags nzip) $home/lib/libnzip.a $(pkg-config --libs --static nzip | sed 's/-lnzip//')"
c=bindings/c/tests/c
cc -std=c11 $warn $c/test.c $flags -o "$home/test"
cc -std=c11 $warn $c/test.c $static -o "$home/test-static"
c++ -std=c++17 $warn $c/test.cpp $flags -o "$home/test-cpp"
cc -std=c11 $warn bindings/c/examples/filter.c $flags -o "$home/filter"
sed -n '/^```c$/,/^```$/{/^```/d;p}' docs/c.md >"$home/docs.c"
cc -std=c11 $warn "$home/docs.c" $flags -o "$home/docs"
readelf -d "$home/test" 2>/dev/null | grep -q 'libnzip.so.0' || { echo "the test does not name libnzip.so.0" >&2; exit 1; }

say() { echo "ok  $*"; }
"$home/docs"
"$home/test" basics && "$home/test-static" basics && say "basics, shared and static"
"$home/test-cpp" && say "C++"
# Golden files that need no model but those that ship.
work=$home/work
for name in empty empty-hash store zstd zstd-hash zstd-units blocks skippable flushed mix-text mix-binary mix-records light-text \
    light-code sort-code table-crlf deflate-streams deflate-picture tensor-fast tensor-small tensor-gguf lm-embedded; do
    "$nzip" -dc "formats/vectors/$name.nz" >"$work/raw"
    "$home/test" same "formats/vectors/$name.nz" "$work/raw"
    "$home/filter" <"formats/vectors/$name.nz" | cmp - "$work/raw"
done
say "golden files"
# The command's bytes.
head -c 20000 corpora/sample.txt >"$work/text"
for level in 1 2 5 6 9; do
    "$nzip" -q -$level -c "$work/text" >"$work/text.nz"
    "$home/test" packs "$work/text" "$work/text.nz" $level
done
"$home/filter" -c <"$work/text" | "$home/filter" | cmp - "$work/text"
say "the bytes of the command"
if "$home/filter" <"$work/text" 2>/dev/null || head -c 1000 "$work/text.nz" | "$home/filter" >/dev/null 2>&1; then
    echo "the filter takes what is no stream" >&2
    exit 1
fi
# Under valgrind, which runs code some fifty times as long.
check() { valgrind -q --error-exitcode=9 --leak-check=full --show-leak-kinds=definite --errors-for-leak-kinds=definite "$@"; }
check "$home/test" basics
check "$home/test-cpp"
for name in empty store zstd-units light-text tensor-fast tensor-small; do
    "$nzip" -dc "formats/vectors/$name.nz" >"$work/raw"
    check "$home/test" same "formats/vectors/$name.nz" "$work/raw"
done
say "valgrind"
