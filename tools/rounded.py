#!/usr/bin/env python3
"""Rounds the matrices of a safetensors file to 8-bit and 4-bit floats as quantised checkpoints hold them.

    rounded.py MODEL.safetensors FOLDER

writes a safetensors file for each type and kind of scale, and prints for each the order-0 entropy of its numbers in per cent of
their bytes. Only the rounding is made here (to nearest, ties to even): the weights are real.
"""

import json
import struct
import sys
from pathlib import Path

import numpy as np

PLAIN = {"F32": np.float32, "F16": np.float16, "I64": np.int64, "U8": np.uint8, "I8": np.int8, "BF16": np.uint16}


def load(path):
    """Names and arrays of a safetensors file; BF16 becomes F32."""
    data = Path(path).read_bytes()
    head = 8 + struct.unpack("<Q", data[:8])[0]
    tensors = {}
    for name, t in json.loads(data[8:head]).items():
        if name == "__metadata__" or t["dtype"] not in PLAIN:
            continue
        start, end = t["data_offsets"]
        array = np.frombuffer(data[head + start:head + end], PLAIN[t["dtype"]])
        if t["dtype"] == "BF16":
            array = (array.astype(np.uint32) << 16).view(np.float32)
        tensors[name] = array.reshape(t["shape"])
    return tensors


def save(path, tensors):
    """Writes (name, type, shape, bytes) as a safetensors file."""
    head, at = {}, 0
    for name, dtype, shape, data in tensors:
        head[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [at, at + len(data)]}
        at += len(data)
    text = json.dumps(head, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    Path(path).write_bytes(struct.pack("<Q", len(text)) + text + b"".join(t[3] for t in tensors))


def pack(values, bits, axis):
    """Packs along an axis into words of 32 bits, from the lowest bit on, without gaps."""
    values = np.moveaxis(values, axis, -1)
    wide = (values[..., None] >> np.arange(bits, dtype=np.uint32) & 1).astype(np.uint8)
    flat = wide.reshape(*values.shape[:-1], -1)
    words = np.packbits(flat, axis=-1, bitorder="little").view("<u4")
    return np.ascontiguousarray(np.moveaxis(words, -1, axis)).view(np.int32)


def bf16(values):
    """The bits of BF16 numbers, rounded to nearest."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def grid(exponent, mantissa, bias, finite):
    """The values of a small float's codes without the sign, in rising order, as far as `finite` codes go."""
    code = np.arange(finite)
    e, m = code >> mantissa, code & (1 << mantissa) - 1
    return np.where(e == 0, m * 2.0 ** (1 - bias - mantissa), (1 + m / (1 << mantissa)) * 2.0 ** (e - bias))


KINDS = {"E4M3": (grid(4, 3, 7, 0x7F), 0x80), "E5M2": (grid(5, 2, 15, 0x7C), 0x80), "E2M1": (grid(2, 1, 1, 8), 8)}


def to_codes(values, kind):
    """The codes of the values nearest to these, signs in the highest bit."""
    levels, sign = KINDS[kind]
    size = np.abs(values)
    middle = (levels[1:] + levels[:-1]) / 2
    low, high = np.searchsorted(middle, size, "left"), np.searchsorted(middle, size, "right")
    code = np.where((low != high) & (low % 2 == 1), high, low)
    return (code + sign * np.signbit(values)).astype(np.uint8)


def nibbles(codes):
    return (codes[..., 0::2] | codes[..., 1::2] << 4).astype(np.uint8)


def floats8(matrices, kind, rows):
    """Weights with a scale for each tensor or row, that maps the largest weight to the largest number."""
    out, codes = [], []
    dtype = "F8_" + kind
    for name, w in matrices:
        scale = np.abs(w).max(1, keepdims=True) if rows else np.abs(w).max().reshape(1)
        scale = np.maximum(scale / KINDS[kind][0][-1], 1e-12).astype(np.float32)
        c = to_codes(w / scale, kind)
        codes.append(c)
        out.append((name, dtype, c.shape, c.tobytes()))
        out.append((name + "_scale", "F32", scale.shape, scale.tobytes()))
    return out, codes


def cast8(matrices, kind):
    """Weights without a scale."""
    codes = [to_codes(w, kind) for _, w in matrices]
    return [(name, "F8_" + kind, c.shape, c.tobytes()) for (name, _), c in zip(matrices, codes)], codes


def nvfp4(matrices):
    """compressed-tensors' nvfp4-pack-quantized: 16 numbers share an E4M3 scale, a tensor has one more."""
    out, codes = [], []
    for name, w in matrices:
        g = w.reshape(w.shape[0], -1, 16)
        most = np.abs(g).max(2)
        whole = np.float32(448 * 6 / np.abs(w).max())
        scale = to_codes(most / 6 * whole, "E4M3")
        value = np.maximum(KINDS["E4M3"][0][scale], 2.0**-9) / whole
        c = to_codes(g / value[..., None], "E2M1").reshape(w.shape)
        codes.append(c)
        out.append((name + "_packed", "U8", (w.shape[0], w.shape[1] // 2), nibbles(c).tobytes()))
        out.append((name + "_scale", "F8_E4M3", scale.shape, scale.tobytes()))
        out.append((name + "_global_scale", "F32", (1,), np.array([whole], np.float32).tobytes()))
    return out, codes


def mxfp4(matrices, as_f4=False):
    """32 numbers share an E8M0 scale. gpt-oss and ModelOpt hold them as U8; `as_f4` as elements of type F4."""
    out, codes = [], []
    for name, w in matrices:
        g = w.reshape(w.shape[0], -1, 32)
        most = np.maximum(np.abs(g).max(2), 2.0**-100)
        e = np.floor(np.log2(most)).astype(int) - 2
        c = to_codes(g / 2.0 ** e[..., None], "E2M1").reshape(w.shape)
        codes.append(c)
        scale = (e + 127).astype(np.uint8)
        packed = nibbles(c)
        if as_f4:
            out.append((name, "F4", w.shape, packed.tobytes()))
            out.append((name + "_scale", "F8_E8M0", scale.shape, scale.tobytes()))
        else:
            out.append((name + "_blocks", "U8", (w.shape[0], w.shape[1] // 32, 16), packed.tobytes()))
            out.append((name + "_scales", "U8", scale.shape, scale.tobytes()))
    return out, codes


def entropy(arrays):
    counts = sum(np.bincount(a.reshape(-1), minlength=256).astype(float) for a in arrays)
    p = counts[counts > 0] / counts.sum()
    return float(-(p * np.log2(p)).sum())


def main(path, folder):
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    tensors = load(path)
    mats = [(n, np.asarray(t, np.float32)) for n, t in sorted(tensors.items())
            if t.ndim == 2 and t.dtype.kind == "f" and t.shape[1] % 32 == 0 and t.size >= 1 << 14]
    made = {f"{kind.lower()}-{what}": floats8(mats, kind, what == "rows") for kind in ("E4M3", "E5M2") for what in ("tensor", "rows")}
    made |= {f"{kind.lower()}-cast": cast8(mats, kind) for kind in ("E4M3", "E5M2")}
    made |= {"nvfp4": nvfp4(mats), "mxfp4": mxfp4(mats), "mxfp4-f4": mxfp4(mats, True)}
    for name, (out, codes) in made.items():
        save(folder / f"{name}.safetensors", out)
        bits = 4 if "fp4" in name else 8
        whole = entropy(codes) / bits
        each = sum(entropy([c]) * c.size for c in codes) / sum(c.size for c in codes) / bits
        row = sum(entropy([r]) * r.size for c in codes[:4] for r in c[:256]) / sum(c[:256].size for c in codes[:4]) / bits
        print(f"{name:14} all {100 * whole:.2f} %, by tensor {100 * each:.2f} %, by row (without tables) {100 * row:.2f} %")
    kinds = {"bf16": ("BF16", bf16), "f16": ("F16", lambda t: t.astype(np.float16)), "f32": ("F32", lambda t: t)}
    for name, (dtype, make) in kinds.items():
        save(folder / f"{name}.safetensors", [(n, dtype, w.shape, make(w).tobytes()) for n, w in mats])


if __name__ == "__main__":
    main(*sys.argv[1:])
