#!/usr/bin/env python3
"""Makes siblings of a checkpoint, as tuning or more training would: real weights with small random updates.

    siblings.py MODEL.safetensors FOLDER

writes to FOLDER the model and siblings of it, in F32 (`f32/`) and rounded to BF16 (`bf16/`):

    base          the model
    tuned-1..3    each from the model: matrices get normally distributed updates, a hundredth of their own deviation;
                  embeddings and vectors stay
    step-1..9     a chain: each from the one before, all tensors, a thousandth

Only the updates are made here: they are smaller where an optimiser would make them smaller, but have no structure.
"""

import json
import struct
import sys
from pathlib import Path

import numpy as np


def load(path):
    """Names and arrays of the F32 tensors of a safetensors file."""
    data = Path(path).read_bytes()
    head = 8 + struct.unpack("<Q", data[:8])[0]
    tensors = {}
    for name, t in json.loads(data[8:head]).items():
        if name != "__metadata__" and t["dtype"] == "F32":
            start, end = t["data_offsets"]
            tensors[name] = np.frombuffer(data[head + start:head + end], np.float32).reshape(t["shape"])
    return tensors


def rounded(array):
    """The upper halves of F32 numbers, rounded to nearest, ties to even."""
    bits = array.view(np.uint32)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(np.uint16)


def save(path, tensors, wide):
    path.parent.mkdir(parents=True, exist_ok=True)
    header, parts, at = {}, [], 0
    for name, array in tensors.items():
        part = (array if wide else rounded(array)).tobytes()
        shape = list(array.shape)
        header[name] = {"dtype": "F32" if wide else "BF16", "shape": shape, "data_offsets": [at, at + len(part)]}
        parts.append(part)
        at += len(part)
    text = json.dumps(header, separators=(",", ":")).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(parts))


def updated(tensors, rng, share, takes):
    def update(name, array):
        if not takes(name, array):
            return array
        return array + (rng.standard_normal(array.shape, np.float32) * array.std() * np.float32(share))
    return {name: update(name, array) for name, array in tensors.items()}


def main(model, folder):
    base = load(model)
    siblings = {"base": base}
    for seed in (1, 2, 3):
        takes = lambda name, array: array.ndim == 2 and "embeddings" not in name
        siblings[f"tuned-{seed}"] = updated(base, np.random.default_rng(seed), 0.01, takes)
    last = base
    for step in range(1, 10):
        last = updated(last, np.random.default_rng(100 + step), 0.001, lambda name, array: True)
        siblings[f"step-{step}"] = last
    for name, tensors in siblings.items():
        save(Path(folder) / "f32" / f"{name}.safetensors", tensors, True)
        save(Path(folder) / "bf16" / f"{name}.safetensors", tensors, False)


if __name__ == "__main__":
    main(*sys.argv[1:])
