#!/usr/bin/env python3
"""Writes the keys and values that a Llama-family language model computes from a text, as safetensors files to measure with.

    kv_cache.py MODEL.gguf TEXT OUT [TOKENS]

writes OUT.bf16.safetensors, OUT.f16.safetensors and OUT.e4m3.safetensors with the tensors `key` and `value` [layers, heads, tokens,
dimension]; 8-bit floats have a scale for each layer and head. Arithmetic is single precision with the weights of the file. For
types F32, F16, Q4_0, Q4_1, Q8_0 and Q6_K; the vocabulary must be that of byte-level BPE.
"""

import re
import struct
import sys
from pathlib import Path

import numpy as np
from rounded import KINDS, bf16, save, to_codes

SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}


class Gguf:
    def __init__(self, path):
        self.data, self.at = Path(path).read_bytes(), 4
        _, tensors, keys = self.scalar("I"), self.scalar("Q"), self.scalar("Q")
        self.meta = {}
        for _ in range(keys):
            name = self.text()
            self.meta[name] = self.value(self.scalar("I"))
        self.tensors = {}
        for _ in range(tensors):
            name, dims = self.text(), self.scalar("I")
            shape = [self.scalar("Q") for _ in range(dims)][::-1]
            self.tensors[name] = (shape, self.scalar("I"), self.scalar("Q"))
        align = self.meta.get("general.alignment", 32)
        self.start = -(-self.at // align) * align

    def scalar(self, kind):
        size = struct.calcsize("<" + kind)
        self.at += size
        return struct.unpack_from("<" + kind, self.data, self.at - size)[0]

    def text(self):
        size = self.scalar("Q")
        self.at += size
        return self.data[self.at - size:self.at].decode("utf-8", "surrogateescape")

    def value(self, kind):
        if kind == 8:
            return self.text()
        if kind == 9:
            inner, count = self.scalar("I"), self.scalar("Q")
            return [self.value(inner) for _ in range(count)]
        return self.scalar(SCALARS[kind])

    def tensor(self, name):
        shape, kind, offset = self.tensors[name]
        count = int(np.prod(shape))
        raw = lambda bytes: np.frombuffer(self.data, np.uint8, bytes, self.start + offset)
        if kind in (0, 1):
            dtype = (np.float32, np.float16)[kind]
            return raw(count * dtype().itemsize).view(dtype).astype(np.float32).reshape(shape)
        if kind in (2, 3):
            b = raw(count // 32 * (18, 20)[kind - 2]).reshape(-1, (18, 20)[kind - 2])
            scale = b[:, :-16].copy().view(np.float16).astype(np.float32)
            q = np.concatenate([b[:, -16:] & 15, b[:, -16:] >> 4], 1).astype(np.float32)
            values = scale[:, :1] * (q - 8) if kind == 2 else scale[:, :1] * q + scale[:, 1:]
        elif kind == 8:
            b = raw(count // 32 * 34).reshape(-1, 34)
            values = b[:, :2].copy().view(np.float16).astype(np.float32) * b[:, 2:].view(np.int8)
        elif kind == 14:
            b = raw(count // 256 * 210).reshape(-1, 210)
            low, high, scales = b[:, :128].reshape(-1, 2, 64), b[:, 128:192].reshape(-1, 2, 32), b[:, 192:208].view(np.int8)
            d = b[:, 208:].copy().view(np.float16).astype(np.float32)
            parts = [(low[..., :32] & 15) | (high & 3) << 4, (low[..., 32:] & 15) | (high >> 2 & 3) << 4,
                     (low[..., :32] >> 4) | (high >> 4 & 3) << 4, (low[..., 32:] >> 4) | (high >> 6) << 4]
            q = np.stack(parts, 2).reshape(-1, 16, 16).astype(np.float32) - 32
            values = (q * scales[..., None] * d[:, :, None]).reshape(len(b), -1)
        else:
            raise SystemExit(f"{name}: type {kind} is not read")
        return values.reshape(shape)


def tokens(meta, text):
    """The text's tokens by byte-level BPE, with the usual pieces of words, digits and signs."""
    names = meta["tokenizer.ggml.tokens"]
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters = {b: chr(b) for b in plain}
    letters |= {b: chr(256 + i) for i, b in enumerate(b for b in range(256) if b not in plain)}
    ids = {n: i for i, n in enumerate(names)}
    ranks = {tuple(m.split(" ")): i for i, m in enumerate(meta["tokenizer.ggml.merges"])}
    found, known = [], {}
    for piece in re.findall(r"'(?:[sdmt]|ll|ve|re)| ?[^\W\d_]+|\d| ?(?:[^\s\w]|_)+|\s+(?!\S)|\s+", text):
        if piece not in known:
            parts = [letters[b] for b in piece.encode()]
            while len(parts) > 1:
                rank, at = min((ranks.get((a, b), 1 << 30), i) for i, (a, b) in enumerate(zip(parts, parts[1:])))
                if rank == 1 << 30:
                    break
                parts[at:at + 2] = [parts[at] + parts[at + 1]]
            known[piece] = [ids[p] for p in parts if p in ids]
        found += known[piece]
    return found


def norm(x, gains, epsilon):
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + epsilon) * gains


def rotate(x, base):
    """Turns pairs of neighbouring entries; x is [heads, tokens, dimension]."""
    half = x.shape[-1] // 2
    angle = np.arange(x.shape[1])[:, None] * base ** (-np.arange(half) / half)
    c, s = np.cos(angle).astype(np.float32), np.sin(angle).astype(np.float32)
    a, b = x[..., 0::2], x[..., 1::2]
    return np.stack([a * c - b * s, a * s + b * c], -1).reshape(x.shape)


def attend(q, k, v):
    """Values mixed by attention to the tokens so far [tokens, heads * dimension]; several heads of q share those of k and v."""
    heads, count, size = q.shape
    mask, out = np.triu(np.full((count, count), -np.inf, np.float32), 1), np.empty_like(q)
    for h in range(heads):
        shared = h * len(k) // heads
        scores = q[h] @ k[shared].T / np.sqrt(np.float32(size)) + mask
        scores = np.exp(scores - scores.max(1, keepdims=True))
        out[h] = scores / scores.sum(1, keepdims=True) @ v[shared]
    return out.transpose(1, 0, 2).reshape(count, -1)


def cache(g, ids):
    """Keys and values [layers, heads, tokens, dimension]."""
    get = lambda key: g.meta["llama." + key]
    heads, kv, base = get("attention.head_count"), get("attention.head_count_kv"), get("rope.freq_base")
    epsilon = get("attention.layer_norm_rms_epsilon")
    x = g.tensor("token_embd.weight")[ids]
    size = x.shape[1] // heads
    split = lambda y, n: y.reshape(len(ids), n, size).transpose(1, 0, 2)
    keys, values = [], []
    for layer in range(get("block_count")):
        w = lambda name: g.tensor(f"blk.{layer}.{name}.weight")
        y = norm(x, w("attn_norm"), epsilon)
        q, k = (rotate(split(y @ w(n).T, h), base) for n, h in (("attn_q", heads), ("attn_k", kv)))
        v = split(y @ w("attn_v").T, kv)
        keys.append(k)
        values.append(v)
        x = x + attend(q, k, v) @ w("attn_output").T
        y = norm(x, w("ffn_norm"), epsilon)
        gate = y @ w("ffn_gate").T
        x = x + (gate / (1 + np.exp(-gate)) * (y @ w("ffn_up").T)) @ w("ffn_down").T
    return np.stack(keys), np.stack(values)


def main(model, text, out, count="1024"):
    g = Gguf(model)
    ids = tokens(g.meta, Path(text).read_text(errors="replace"))[:int(count)]
    k, v = cache(g, ids)
    both = [("key", k), ("value", v)]
    save(out + ".bf16.safetensors", [(n, "BF16", t.shape, bf16(t).tobytes()) for n, t in both])
    save(out + ".f16.safetensors", [(n, "F16", t.shape, t.astype(np.float16).tobytes()) for n, t in both])
    eight = []
    for n, t in both:
        scale = (np.abs(t).max((2, 3), keepdims=True) / KINDS["E4M3"][0][-1]).astype(np.float32)
        eight.append((n, "F8_E4M3", t.shape, to_codes(t / scale, "E4M3").tobytes()))
        eight.append((n + "_scale", "F32", scale.shape[:2], scale.tobytes()))
    save(out + ".e4m3.safetensors", eight)
    print(f"{out}: {len(ids)} tokens, {k.shape}")


if __name__ == "__main__":
    main(*sys.argv[1:])
