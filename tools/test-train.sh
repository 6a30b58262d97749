#!/bin/sh
# Trains a small model for a few steps with PyTorch (`tools/train_lm.py`), and compares its figures with those that the
# trainer in Rust is held to (`train/tests/lm.rs`): from random weights, from its own checkpoint, from its weight file.
# Installs PyTorch (several GB) into target/torch unless NZIP_TORCH_PYTHON names a Python that has it.
set -eu
cd "$(dirname "$0")/.."
python=${NZIP_TORCH_PYTHON:-target/torch/bin/python}
[ -x "$python" ] || { python3 -m venv target/torch && target/torch/bin/pip install -q torch numpy safetensors zstandard; }
work=target/train-test
rm -rf "$work"
mkdir -p "$work/text"
cp corpora/sample.txt corpora/sample.log corpora/sample.json "$work/text/"
run() { "$python" tools/train_lm.py "$work/text" --lanes 4 --length 32 --seed 7 --validate corpora/sample.json "$@"; }
# NAME EXPECTED FOUND TOLERANCE
near() {
    "$python" -c 'import sys; n, a, b, t = sys.argv[1:]; print(n, a, b); sys.exit(not abs(float(a) - float(b)) <= float(t))' "$@" ||
        { echo "tools/test-train.sh: $1: $2 expected, $3 found" >&2; exit 1; }
}
figure() { "$python" -c 'import json, sys; print(json.load(open(sys.argv[1]))[sys.argv[2]])' "$work/figures.json" "$1"; }
wanted() { sed -n "s/^const $1: f64 = \(.*\);/\1/p" train/tests/lm.rs; }
run --size micro --steps 30 --decay 10 --every 30 -o "$work/micro.nzlm" --figures "$work/figures.json"
near "learned" "$(wanted LEARNED)" "$(figure bits_per_byte)" 0.002
near "validated" "$(wanted VALIDATED)" "$(figure validation)" 0.004
validated=$(figure validation)
# A step so small that it changes nothing shows that what was written is what was there.
run --size micro --resume --steps 31 --rate 1e-9 --decay 1 --every 1 -o "$work/micro.nzlm" --figures "$work/figures.json"
near "from the checkpoint" "$validated" "$(figure validation)" 0.0005
run --from "$work/micro.nzlm" --steps 1 --rate 1e-9 --decay 1 --every 1 -o "$work/again.nzlm" --figures "$work/figures.json"
near "from the weight file" "$validated" "$(figure validation)" 0.0005
cmp "$work/micro.nzlm" "$work/again.nzlm"
echo ok
