#!/usr/bin/env python3
"""Quantises the matrices of a safetensors file and packs them as people store them, to measure with and to test with.

    layouts.py MODEL.safetensors FOLDER [--small]

writes one safetensors file for each layout. --small takes one corner of one matrix, for test fixtures. Scales come from
rounding to nearest: what is real is the weights and the packing. GPTQ, AWQ, AQLM, SpQR and BitStack are packed here after their field
tables; the forms of compressed-tensors by that package, where it is installed (with torch and transformers).
"""

import sys
from pathlib import Path

import numpy as np
from rounded import pack
from safetensors.numpy import load_file, save_file

GROUP = 128


def matrices(path, small):
    """Names and float32 matrices [out, in]; and the largest table of embeddings."""
    tensors = load_file(path)
    embedding = max((t for t in tensors.values() if t.ndim == 2), key=lambda t: t.size).astype(np.float32)
    if small:
        name = next(n for n, t in sorted(tensors.items()) if t.ndim == 2 and t is not embedding and min(t.shape) >= 384 and "attention" in n)
        return {name: tensors[name][:96, :256].astype(np.float32)}, embedding[1000:1064, :256]
    found = {n: t.astype(np.float32) for n, t in tensors.items()
             if t.ndim == 2 and min(t.shape) >= 384 and t.shape != embedding.shape and t.shape[0] % 32 == 0 and t.shape[1] % GROUP == 0}
    return found, embedding


def quantise(w, bits, symmetric=False):
    """Codes [out, in], scales and zeros [groups, out] of groups along the input."""
    out, wide = w.shape
    g = w.reshape(out, wide // GROUP, GROUP)
    top = (1 << bits) - 1
    if symmetric:
        scale = np.abs(g).max(2) / (top / 2)
        zero = np.full_like(scale, (top + 1) // 2)
    else:
        low, high = np.minimum(g.min(2), 0), np.maximum(g.max(2), 0)
        scale = (high - low) / top
        zero = np.round(-low / scale)
    codes = np.clip(np.round(g / scale[..., None]) + zero[..., None], 0, top).astype(np.uint32)
    return codes.reshape(out, wide), scale.T.astype(np.float16), zero.T.astype(np.uint32)


def gptq(mats, bits, symmetric=False, order=False):
    tensors = {}
    for name, w in mats.items():
        g_idx = np.arange(w.shape[1], dtype=np.int32) // GROUP
        if order:
            perm = np.argsort(-(w ** 2).sum(0), kind="stable")
            codes, scales, zeros = quantise(w[:, perm], bits, symmetric)
            back = np.argsort(perm, kind="stable")
            codes, g_idx = codes[:, back], g_idx[back]
        else:
            codes, scales, zeros = quantise(w, bits, symmetric)
        base = name.removesuffix(".weight")
        tensors |= {f"{base}.qweight": pack(codes.T, bits, 0), f"{base}.qzeros": pack(zeros - 1 & (1 << bits) - 1, bits, 1),
                    f"{base}.scales": scales, f"{base}.g_idx": np.ascontiguousarray(g_idx)}
    return tensors


def awq(mats):
    order = [0, 2, 4, 6, 1, 3, 5, 7]
    tensors = {}
    for name, w in mats.items():
        codes, scales, zeros = quantise(w, 4)
        mix = lambda m: pack(m.reshape(m.shape[0], -1, 8)[:, :, order].reshape(m.shape), 4, 1)
        base = name.removesuffix(".weight")
        tensors |= {f"{base}.qweight": mix(codes.T), f"{base}.qzeros": mix(zeros), f"{base}.scales": scales}
    return tensors


def kmeans(vectors, count, rng, rounds=8, sample=1 << 15):
    some = vectors[rng.permutation(len(vectors))[:sample]]
    centres = some[:count].copy()
    for _ in range(rounds):
        near = nearest(some, centres)
        for k in range(count):
            mine = some[near == k]
            if len(mine):
                centres[k] = mine.mean(0)
    return centres


def nearest(vectors, centres):
    norms = (centres ** 2).sum(1)
    parts = [(norms - 2 * v @ centres.T).argmin(1) for v in np.array_split(vectors, max(1, len(vectors) >> 15))]
    return np.concatenate(parts)


def aqlm(mats, rng, books=2):
    tensors = {}
    for name, w in mats.items():
        scales = np.sqrt((w ** 2).mean(1, keepdims=True))
        rest = (w / scales).reshape(-1, 8)
        codes, tables = [], []
        for _ in range(books):
            centres = kmeans(rest, min(256, len(rest) // 8), rng)
            near = nearest(rest, centres)
            rest = rest - centres[near]
            codes.append(near)
            tables.append(np.pad(centres, ((0, 256 - len(centres)), (0, 0))))
        base = name.removesuffix(".weight")
        codes = np.stack(codes, -1).reshape(w.shape[0], -1, books).astype(np.uint8).view(np.int8)
        tensors |= {f"{base}.codes": codes, f"{base}.codebooks": np.stack(tables)[:, :, None, :].astype(np.float16),
                    f"{base}.scales": scales[:, :, None, None].astype(np.float16)}
    return tensors


def spqr(mats):
    tensors = {}
    for name, w in mats.items():
        out, wide = w.shape
        g = w.reshape(out, wide // 16, 16)
        low, high = g.min(2), g.max(2)
        far = np.abs(w) > 3.2 * w.std()
        # Outliers do not count in the range of their group.
        kept = np.where(far.reshape(g.shape), np.median(g, 2, keepdims=True), g)
        low, high = kept.min(2), kept.max(2)
        scale, zero = np.maximum((high - low) / 7, 1e-8), -low / np.maximum((high - low) / 7, 1e-8)

        def second(x):
            """Three-bit codes of tiles of 16 rows, with a scale and a zero for each tile."""
            tiles = x.reshape(out // 16, 16, -1)
            a, b = tiles.min(1, keepdims=True), tiles.max(1, keepdims=True)
            step = np.maximum((b - a) / 7, 1e-8)
            codes = np.clip(np.round((tiles - a) / step), 0, 7)
            return codes.reshape(x.shape).astype(np.uint64), (codes * step + a).reshape(x.shape), step[:, 0], a[:, 0]

        sc, s, ss, sz = second(scale)
        zc, z, zs, zz = second(zero)
        codes = np.clip(np.round(g / s[..., None] + z[..., None]), 0, 7).astype(np.uint64)
        words = sc | zc << np.uint64(3)
        for i in range(16):
            words |= codes[:, :, i] << np.uint64(6 + 3 * i)
        halves = np.stack([ss, sz, zs, zz], -1).astype(np.float16).view(np.uint8)  # [tiles, groups, 8]
        c = np.zeros((out // 16, 16, wide // 16), np.uint64)
        c[:, :8] = np.moveaxis(halves, -1, 1)
        words |= c.reshape(out, -1) << np.uint64(54)
        rows, columns = np.nonzero(far)
        values = w[rows, columns].astype(np.float16).view(np.uint16).astype(np.uint32)
        base = name.removesuffix(".weight")
        tensors |= {f"{base}.dense_weights": words.view(np.int64).reshape(-1), f"{base}.col_vals": (values << 16 | columns.astype(np.uint32)).view(np.int32),
                    f"{base}.row_offsets": np.concatenate([[0], np.cumsum(far.sum(1))]).astype(np.int32)}
    return tensors


def bitstack(mats, levels=3, k=16):
    tensors = {}
    for name, w in mats.items():
        base, rest = name.removesuffix(".weight"), w
        for level in range(levels):
            u, s, v = np.linalg.svd(np.abs(rest), full_matrices=False)
            u, v = (u[:, :k] * np.sqrt(s[:k])).astype(np.float16), (np.sqrt(s[:k])[:, None] * v[:k]).astype(np.float16)
            sign = rest < 0
            tensors |= {f"{base}.{level}.sign": np.packbits(sign, axis=1), f"{base}.{level}.u": u, f"{base}.{level}.v": v}
            rest = rest - np.where(sign, -1, 1) * (u.astype(np.float32) @ v.astype(np.float32))
    return tensors


def rows8(table, signed):
    low, high = table.min(1, keepdims=True), table.max(1, keepdims=True)
    if signed:
        scale = np.abs(table).max(1, keepdims=True) / 127
        return {"embeddings.weight": np.round(table / scale).astype(np.int8), "embeddings.scale": scale.astype(np.float32)}
    scale = (high - low) / 255
    return {"embeddings.weight": np.round((table - low) / scale).astype(np.uint8), "embeddings.scale": scale.astype(np.float32),
            "embeddings.zero": low.astype(np.float32)}


def pq(table, rng, parts=24):
    parts = parts if table.shape[1] % parts == 0 else 16
    vectors = table.reshape(len(table), parts, -1)
    books = [kmeans(vectors[:, m], min(256, len(table) // 4), rng) for m in range(parts)]
    codes = np.stack([nearest(vectors[:, m], books[m]) for m in range(parts)], 1)
    return {"embeddings.codes": codes.astype(np.uint8), "embeddings.codebooks": np.stack(books).astype(np.float32)}


def compressed_tensors(mats, folder):
    import torch
    from compressed_tensors.compressors import BaseCompressor
    from compressed_tensors.config import CompressionFormat
    from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme
    from compressed_tensors.quantization.utils import calculate_qparams

    def arguments(bits, kind, size, **more):
        return QuantizationArgs(num_bits=bits, type=kind, strategy=more.pop("strategy", "group"), group_size=size, **more)

    made = {
        "ct-int4": (CompressionFormat.pack_quantized, arguments(4, "int", GROUP, symmetric=True)),
        "ct-int3": (CompressionFormat.pack_quantized, arguments(3, "int", GROUP, symmetric=False)),
        "ct-nvfp4": (CompressionFormat.nvfp4_pack_quantized, arguments(4, "float", 16, strategy="tensor_group", scale_dtype=torch.float8_e4m3fn, zp_dtype=torch.float8_e4m3fn)),
        "ct-mxfp4": (CompressionFormat.mxfp4_pack_quantized, arguments(4, "float", 32, scale_dtype=torch.uint8, zp_dtype=torch.uint8)),
    }
    for label, (kind, args) in made.items():
        tensors = {}
        scheme = QuantizationScheme(targets=["Linear"], weights=args)
        compressor = BaseCompressor.get_value_from_registry(kind.value)
        for name, w in mats.items():
            w = torch.from_numpy(w.copy())
            g = w.reshape(w.shape[0], -1, args.group_size)
            top = None
            if kind == CompressionFormat.nvfp4_pack_quantized:
                top = (torch.finfo(torch.float8_e4m3fn).max * 6.0 / w.abs().max()).reshape(1).float()
            scale, zero = calculate_qparams(g.amin(2), g.amax(2), args, global_scale=top)
            state = {"weight": w, "weight_scale": scale, "weight_zero_point": zero}
            if top is not None:
                state["weight_global_scale"] = top
            if args.symmetric:
                state.pop("weight_zero_point")
            packed = compressor.compress(state, scheme)
            base = name.removesuffix(".weight")
            tensors |= {f"{base}.{n}": t.contiguous() for n, t in packed.items()}
        from safetensors.torch import save_file as save
        save(tensors, folder / f"{label}.safetensors")
        print(label)


def bitmask(mats):
    """The largest two of each four stay, as compressed-tensors' `sparse-bitmask` stores them."""
    tensors = {}
    for name, w in mats.items():
        fours = np.abs(w).reshape(-1, 4)
        keep = np.zeros(fours.shape, bool)
        np.put_along_axis(keep, np.argsort(-fours, 1, kind="stable")[:, :2], True, 1)
        keep = keep.reshape(w.shape)
        tensors |= {f"{name}.compressed": w[keep].astype(np.float16), f"{name}.bitmask": np.packbits(keep, axis=1, bitorder="little"),
                    f"{name}.shape": np.array(w.shape, np.int64),
                    f"{name}.row_offsets": np.concatenate([[0], np.cumsum(keep.sum(1))[:-1]]).astype(np.int64)[:, None]}
    return tensors


def main():
    small = "--small" in sys.argv
    source, folder = (Path(a) for a in [a for a in sys.argv[1:] if not a.startswith("-")])
    folder.mkdir(parents=True, exist_ok=True)
    mats, table = matrices(source, small)
    rng = np.random.default_rng(1)
    save_file(gptq(mats, 4), folder / "gptq4.safetensors")
    save_file(gptq(mats, 4, symmetric=True, order=True), folder / "gptq4-order.safetensors")
    save_file(gptq(mats, 3), folder / "gptq3.safetensors")
    save_file(gptq(mats, 8), folder / "gptq8.safetensors")
    save_file(awq(mats), folder / "awq.safetensors")
    save_file(aqlm(mats, rng), folder / "aqlm.safetensors")
    save_file(spqr(mats), folder / "spqr.safetensors")
    save_file(bitstack(mats, 1 if small else 3), folder / "bitstack.safetensors")
    save_file(bitmask(mats), folder / "bitmask24.safetensors")
    save_file(rows8(table, False), folder / "rows-u8.safetensors")
    save_file(rows8(table, True), folder / "rows-i8.safetensors")
    save_file(pq(table, rng), folder / "pq.safetensors")
    print("own layouts")
    try:
        compressed_tensors(mats, folder)
    except ImportError as e:
        print("without compressed-tensors:", e)


main()
