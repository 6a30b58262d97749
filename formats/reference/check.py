"""Decodes all golden files of a folder and compares the results with its lists. Usage: check.py ../vectors"""

import concurrent.futures
import functools
import json
import pathlib
import sys

import manifest
import nzip
import tokens
from checksums import blake3


# The golden file whose tensors are the bases of other golden files.
BASE = "tensor-rows.nz"
# Golden files, and golden manifests of some of them.
LISTS = ("manifest.txt", "manifests.txt")


def tensors(raw):
    """The bytes of each tensor of a safetensors file."""
    start = 8 + int.from_bytes(raw[:8], "little")
    ranges = [t["data_offsets"] for t in json.loads(raw[8:start]).values()]
    return [raw[start + a:start + b] for a, b in ranges]


def load_models(folder):
    """All models that golden files name, and the tensors of their base."""
    patterns = ("*.nzlm", "*.nzllm", "*.nzpc")
    models = [path.read_bytes() for pattern in patterns for path in sorted(folder.rglob(pattern))]
    return models + tensors(nzip.decode((folder / BASE).read_bytes()))


def is_good(folder, models, line):
    """Whether the file of a line of a list decodes to the bytes of that line."""
    name, packed_hash, raw_length, raw_hash = line.split()
    packed = (folder / name).read_bytes()
    raw = manifest.decode(folder / name, models) if name.endswith(".nzm") else nzip.decode(packed, models)
    return blake3(packed).hex() == packed_hash and len(raw) == int(raw_length) and blake3(raw).hex() == raw_hash


def decodes_tokens(folder, line):
    """Whether the tokens of a case decode to its bytes."""
    return tokens.is_good(line, [folder / "lm" / "micro.nzlm", folder / "llm" / "micro.nzllm"])


def main(folder):
    lines = [line for list in LISTS for line in (folder / list).read_text().splitlines()]
    check = functools.partial(is_good, folder, load_models(folder))
    failed = 0
    with concurrent.futures.ProcessPoolExecutor() as processes:
        for line, good in zip(lines, processes.map(check, lines)):
            print(f"{'ok ' if good else 'BAD'} {line.split()[0]}", flush=True)
            failed += not good
        cases = (folder / "tokens" / "cases.txt").read_text().splitlines()
        for number, good in enumerate(processes.map(functools.partial(decodes_tokens, folder), cases)):
            print(f"{'ok ' if good else 'BAD'} tokens {number}: {' '.join(cases[number].split()[:6])}", flush=True)
            failed += not good
        lines += cases
    print(f"{len(lines) - failed} passed, {failed} failed")
    return failed > 0 or not lines


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1])))
