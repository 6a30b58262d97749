#!/usr/bin/env python3
"""Quantises a Llama-family GGUF file in the manner of GPTQ and of AWQ, to compare `nzip quantize` with.

    packings.py MODEL.gguf OUT BITS gptq|awq TEXT...

writes OUT/packed.safetensors, the numbers, scales and zeros of all matrices as such checkpoints hold them (to be measured after nzip), and
OUT/model.safetensors (F16) with what they stand for, in the names of Hugging Face, beside config.json and tokenizer.json. Groups of 64
inputs share a scale. The table of tokens is rounded to nearest with the same bits. From each text come two runs of 1,024 tokens.

gptq: values are rounded column by column, and the columns after make up for the error, by the second moments of the inputs (Frantar et
al., 2022), layer after layer with what the quantised layers before give. awq: inputs are scaled by a power of their mean magnitude, the
one of eleven powers with the least squared error of the outputs (Lin et al., 2023).
"""

import json
import sys
from pathlib import Path

import numpy as np
from gguf_to_safetensors import NAMES, OUTSIDE, config, tokenizer
from kv_cache import Gguf, attend, norm, rotate, tokens
from rounded import pack, save

GROUP, TOKENS, RUNS, DAMP = 64, 1024, 2, 0.01


class Grid:
    """Scales and zeros of groups, and the codes of a matrix [out, in]."""

    def __init__(self, shape, bits):
        self.top = (1 << bits) - 1
        self.codes = np.zeros(shape, np.uint32)
        self.scales = np.zeros((shape[0], shape[1] // GROUP), np.float16)
        self.zeros = np.zeros_like(self.scales, np.uint32)

    def fit(self, group, w):
        low, high = np.minimum(w.min(1), 0), np.maximum(w.max(1), 0)
        scale = np.maximum((high - low) / self.top, 1e-8).astype(np.float16)
        self.scales[:, group] = scale
        self.zeros[:, group] = np.clip(np.round(-low / scale.astype(np.float32)), 0, self.top)

    def column(self, i, w):
        scale, zero = self.scales[:, i // GROUP].astype(np.float32), self.zeros[:, i // GROUP].astype(np.float32)
        code = np.clip(np.round(w / scale) + zero, 0, self.top)
        self.codes[:, i] = code
        return (code - zero) * scale


def nearest(w, bits):
    grid, out = Grid(w.shape, bits), np.empty_like(w)
    for g in range(w.shape[1] // GROUP):
        grid.fit(g, w[:, g * GROUP:(g + 1) * GROUP])
    for i in range(w.shape[1]):
        out[:, i] = grid.column(i, w[:, i])
    return grid, out


def gptq(ws, h, bits, _):
    n = len(h)
    h = h.copy()
    h[np.diag_indices(n)] += DAMP * np.diag(h).mean()
    upper = np.linalg.cholesky(np.linalg.inv(h)).T.astype(np.float32)
    done = []
    for w in ws:
        w, grid, out = w.copy(), Grid(w.shape, bits), np.empty_like(w)
        for start in range(0, n, GROUP):
            end = start + GROUP
            grid.fit(start // GROUP, w[:, start:end])
            errors = np.empty((len(w), GROUP), np.float32)
            for i in range(start, end):
                out[:, i] = grid.column(i, w[:, i])
                errors[:, i - start] = (w[:, i] - out[:, i]) / upper[i, i]
                w[:, i:end] -= np.outer(errors[:, i - start], upper[i, i:end])
            w[:, end:] -= errors @ upper[start:end, end:]
        done.append((grid, out))
    return done


def awq(ws, h, bits, magnitude):
    best = None
    for power in np.linspace(0, 1, 11):
        s = np.maximum(magnitude ** power, 1e-4)
        s = (s / np.sqrt(s.max() * s.min())).astype(np.float32)
        done = [nearest(w * s, bits) for w in ws]
        done = [(grid, out / s) for grid, out in done]
        error = sum(float(((w - out) @ h * (w - out)).sum()) for w, (_, out) in zip(ws, done))
        if best is None or error < best[0]:
            best = error, done
    return best[1]


def main(model, out, bits, method, *texts):
    g, out, bits, method = Gguf(model), Path(out), int(bits), {"gptq": gptq, "awq": awq}[method]
    get = lambda key: g.meta["llama." + key]
    heads, kv, base = get("attention.head_count"), get("attention.head_count_kv"), get("rope.freq_base")
    epsilon, width = get("attention.layer_norm_rms_epsilon"), get("embedding_length")
    size = width // heads
    ids = []
    for text in texts:
        found = tokens(g.meta, Path(text).read_text(errors="replace"))
        ids += [found[i * TOKENS:(i + 1) * TOKENS] for i in range(RUNS)]
    table = g.tensor("token_embd.weight")
    xs = [table[run] for run in ids]
    packed, plain = [], []

    def keep(name, values):
        plain.append((name, "F16", values.shape, values.astype(np.float16).tobytes()))

    def store(name, grid, values):
        stem = name.removesuffix(".weight")
        qweight = pack(grid.codes.T, bits, 0)
        zeros = grid.zeros.T
        zeros = np.ascontiguousarray(np.pad(zeros, ((0, 0), (0, -zeros.shape[1] % 32))))
        packed.extend([(f"{stem}.qweight", "I32", qweight.shape, qweight.tobytes()),
                       (f"{stem}.qzeros", "I32", (len(zeros), zeros.shape[1] * bits // 32), pack(zeros, bits, 1).tobytes()),
                       (f"{stem}.scales", "F16", grid.scales.T.shape, np.ascontiguousarray(grid.scales.T).tobytes())])
        keep(name, values)

    grid, values = nearest(table, bits)
    store(OUTSIDE["token_embd"] + ".weight", grid, values)
    xs = [values[run] for run in ids]
    if "output.weight" in g.tensors:
        grid, values = nearest(g.tensor("output.weight"), bits)
        store("lm_head.weight", grid, values)
    keep("model.norm.weight", g.tensor("output_norm.weight"))

    def mixed_by(y, weights):
        """What attention with these weights makes of a run."""
        split = lambda z, n: z.reshape(len(y), n, size).transpose(1, 0, 2)
        q, k = (rotate(split(y @ w.T, n), base) for w, n in zip(weights, (heads, kv)))
        return attend(q, k, split(y @ weights[2].T, kv))

    for layer in range(get("block_count")):
        w = lambda name: g.tensor(f"blk.{layer}.{name}.weight")

        def quantise(names, inputs):
            """Quantised matrices that have the same inputs."""
            h = sum(x.T @ x for x in inputs).astype(np.float64) / sum(map(len, inputs))
            magnitude = sum(np.abs(x).sum(0) for x in inputs) / sum(map(len, inputs))
            done = method([w(n) for n in names], h, bits, magnitude)
            for name, (grid, values) in zip(names, done):
                if name in ("attn_q", "attn_k"):
                    # The pairs that are turned together lie half a head apart in the other names.
                    order = np.arange(len(values)).reshape(-1, size // 2, 2).swapaxes(1, 2).ravel()
                    grid.codes, grid.scales, grid.zeros = grid.codes[order], grid.scales[order], grid.zeros[order]
                    store(f"model.layers.{layer}.{NAMES[name]}.weight", grid, values[order])
                else:
                    store(f"model.layers.{layer}.{NAMES[name]}.weight", grid, values)
            return [values for _, values in done]

        for name in ("attn_norm", "ffn_norm"):
            keep(f"model.layers.{layer}.{NAMES[name]}.weight", w(name))
        ys = [norm(x, w("attn_norm"), epsilon) for x in xs]
        weights = quantise(("attn_q", "attn_k", "attn_v"), ys)
        mixed = [mixed_by(y, weights) for y in ys]
        [wo] = quantise(("attn_output",), mixed)
        xs = [x + m @ wo.T for x, m in zip(xs, mixed)]
        ys = [norm(x, w("ffn_norm"), epsilon) for x in xs]
        gate, up = quantise(("ffn_gate", "ffn_up"), ys)
        inner = [(a := y @ gate.T) / (1 + np.exp(-a)) * (y @ up.T) for y in ys]
        [down] = quantise(("ffn_down",), inner)
        xs = [x + i @ down.T for x, i in zip(xs, inner)]
        print(f"layer {layer}", flush=True)
    out.mkdir(parents=True, exist_ok=True)
    norms = [t for t in plain if len(t[2]) == 1]
    save(out / "packed.safetensors", packed + norms)
    save(out / "model.safetensors", plain)
    tied = "output.weight" not in g.tensors
    (out / "config.json").write_text(json.dumps(config(g.meta) | {"tie_word_embeddings": tied}, indent=1))
    (out / "tokenizer.json").write_text(json.dumps(tokenizer(g.meta), ensure_ascii=False))


if __name__ == "__main__":
    main(*sys.argv[1:])
