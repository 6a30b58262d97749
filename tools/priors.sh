#!/bin/sh
# Remakes the starting points of `mix` that depend on training text and on the shipped models:
#   tools/priors.sh FOLDER        the guided ones, one per shipped model; run it after a model has changed
#   tools/priors.sh FOLDER all    also text, and code and binary data from this system's own files; golden files
#                                 coded with the old ones are invalid then
# FOLDER holds the training text as .zst files. A few minutes of processor time.
set -eu
cd "$(dirname "$0")/.."
folder=$1
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
pack() { zstd -q -19 --no-check --single-thread -f "$out/$1" -o "models/mix/$1.zst"; }
elves() {
    find /usr/bin /usr/lib -type f -size +300k -size -4000k 2>/dev/null | sort | while read -r f; do
        case $(head -c 4 "$f" | od -An -tx1) in " 7f 45 4c 46") echo "$f" ;; esac
    done
}
run() { cargo run --release --quiet --example mix_priors -- "$@"; }
if [ "${2:-}" = all ]; then
    run weights 3=0 100000 "$out/code" $(elves | awk 'NR % 7 == 1 { print $0 "=65536" }' | head -28)
    run weights 1=0 80000 "$out/binary" $(find /usr/lib /usr/share -type f -size +40k -size -2000k \
        \( -name '*.pyc' -o -name '*.mo' -o -name '*.gmo' -o -name '*.cache' -o -name '*.ttf' -o -name '*.db' -o -name '*.tdb' \
        -o -name '*.bin' -o -name 'LC_*' -o -name '*.uim' -o -name '*.o' -o -name '*.rlib' -o -name '*.rmeta' \) 2>/dev/null |
        sort | awk '{ n[substr($0, match($0, /\.[^.\/]*$/))]++; if (n[substr($0, match($0, /\.[^.\/]*$/))] % 9 == 1) print }' | head -30)
    for f in $(elves | awk 'NR % 5 == 2' | head -40); do
        for section in .dynsym .rela.dyn .eh_frame_hdr; do
            objcopy -O binary -j "$section" "$f" "$out/$(basename "$f")$section.rec" 2>/dev/null || :
        done
    done
    find "$out" -name '*.rec' -size -20k -exec rm {} +
    run weights 2=1 60000 "$out/records" $(ls "$out"/*.rec) $(find /usr/lib /usr/share -type f -size +40k -size -4000k \
        \( -name 'LC_*' -o -name '*.ttf' -o -name '*.cache' -o -name '*.tdb' \) 2>/dev/null | sort | head -20)
    run text 60000 "$out/text" "$folder" models/weights.txt
    pack code && pack binary && pack records && pack text
fi
for model in tiny base; do
    run text 60000 "$out/guided-$model" "$folder" models/weights.txt "models/$model.nz"
    pack "guided-$model"
done
ls -l models/mix
