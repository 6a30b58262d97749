#!/usr/bin/env python3
"""Trains a small network on MNIST with Adam and writes checkpoints to measure with.

    optimizer.py MNIST_FOLDER FOLDER [EPOCHS]

After each epoch: FOLDER/N.weights.safetensors (F32), FOLDER/N.bf16.safetensors (the same, rounded), FOLDER/N.held.safetensors (the
rounded ones as F32) and FOLDER/N.moments.safetensors (both moments of Adam).
"""

import gzip
import sys
from pathlib import Path

import numpy as np
from rounded import bf16, save


def idx(path, skip):
    return np.frombuffer(gzip.decompress(path.read_bytes()), np.uint8, offset=skip)


def main(data, folder, epochs="4"):
    data, folder = Path(data), Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    x = idx(next(data.glob("train-images*")), 16).reshape(-1, 784).astype(np.float32) / 255
    y = idx(next(data.glob("train-labels*")), 8)
    rng = np.random.default_rng(1)
    sizes = [784, 512, 512, 10]
    p = {f"{n}.{i}": t.astype(np.float32) for i, (a, b) in enumerate(zip(sizes, sizes[1:]))
         for n, t in (("weight", rng.normal(0, (2 / a) ** 0.5, (b, a))), ("bias", np.zeros(b)))}
    m, v = ({k: np.zeros_like(t) for k, t in p.items()} for _ in range(2))
    step = 0
    for epoch in range(int(epochs)):
        order = rng.permutation(len(x))
        for at in range(0, len(x), 128):
            some = order[at:at + 128]
            acts = [x[some]]
            for i in range(3):
                z = acts[-1] @ p[f"weight.{i}"].T + p[f"bias.{i}"]
                acts.append(np.maximum(z, 0) if i < 2 else z)
            g = np.exp(acts[3] - acts[3].max(1, keepdims=True))
            g /= g.sum(1, keepdims=True)
            g[np.arange(len(some)), y[some]] -= 1
            g /= len(some)
            step += 1
            for i in (2, 1, 0):
                grads = {f"weight.{i}": g.T @ acts[i], f"bias.{i}": g.sum(0)}
                g = (g @ p[f"weight.{i}"]) * (acts[i] > 0)
                for k, d in grads.items():
                    m[k] = (0.9 * m[k] + 0.1 * d).astype(np.float32)
                    v[k] = (0.999 * v[k] + 0.001 * d * d).astype(np.float32)
                    rate = np.float32(1e-3 * (1 - 0.999**step) ** 0.5 / (1 - 0.9**step))
                    p[k] = p[k] - rate * m[k] / (np.sqrt(v[k]) + np.float32(1e-8))
        f32 = lambda tensors, name="": [(name + k, "F32", t.shape, t.astype("<f4").tobytes()) for k, t in sorted(tensors.items())]
        rounded = {k: bf16(t) for k, t in p.items()}
        save(folder / f"{epoch}.weights.safetensors", f32(p))
        save(folder / f"{epoch}.bf16.safetensors", [(k, "BF16", t.shape, t.tobytes()) for k, t in sorted(rounded.items())])
        held = {k: (t.astype(np.uint32) << 16).view(np.float32) for k, t in rounded.items()}
        save(folder / f"{epoch}.held.safetensors", f32(held))
        save(folder / f"{epoch}.moments.safetensors", f32(m, "first.") + f32(v, "second."))
        print(epoch, "loss", float(-np.log(np.maximum(1e-9, 1 - np.abs(g).mean()))))


if __name__ == "__main__":
    main(*sys.argv[1:])
