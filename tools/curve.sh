#!/bin/sh
# Sizes of the first 1 KB, 4 KB, ... of a file under nzip and whatever peers are installed: tools/curve.sh NZIP FILE
# prints CSV. Sizes are those of files on disk; a decoder needs nothing else but nzip itself.
set -eu
nzip=$1 file=$2
work=$(mktemp -d)
trap 'rm -r "$work"' EXIT
size=$(wc -c < "$file")
for n in 1000 4000 16000 64000 256000 1000000 4000000 10000000; do
    [ "$n" -gt "$size" ] || head -c "$n" "$file" > "$work/$n"
done
"$nzip" bench --levels 6,7 --peers "zstd -19,xz -9e,brotli -11,bzip3,7z PPMd,zpaq -m5" --csv "$work/all.csv" \
    $(ls "$work" | sort -n | sed "s#^#$work/#") >&2
sed "s#$work/##" "$work/all.csv"
