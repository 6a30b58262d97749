#!/usr/bin/env python3
"""Writes a Llama-family GGUF file as the folder that `nzip quantize`, `nzip evaluate` and `nzip model import` take.

    gguf_to_safetensors.py MODEL.gguf FOLDER [f32|f16]

writes FOLDER/model.safetensors with tensors named as Hugging Face names them (by default F32, which holds all values of 4 to 8 bits
exactly), FOLDER/config.json and FOLDER/tokenizer.json. Types of tensors as in `kv_cache.py`; the vocabulary must be that of byte-level
BPE.
"""

import json
import sys
from pathlib import Path

import numpy as np
from kv_cache import Gguf
from rounded import save

NAMES = {
    "attn_norm": "input_layernorm", "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj", "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
}
OUTSIDE = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}


def tensors(g, dtype):
    """Name, and values as an array, of each tensor."""
    heads, kv = (g.meta[f"llama.attention.head_count{part}"] for part in ("", "_kv"))
    for name in g.tensors:
        parts, values = name.split("."), g.tensor(name)
        if parts[0] != "blk":
            yield f"{OUTSIDE[parts[0]]}.weight", values.astype(dtype)
            continue
        if parts[2] in ("attn_q", "attn_k"):
            # The pairs that are turned together lie half a head apart here, next to each other there.
            n = heads if parts[2] == "attn_q" else kv
            values = values.reshape(n, -1, 2, values.shape[1]).swapaxes(1, 2).reshape(values.shape)
        yield f"model.layers.{parts[1]}.{NAMES[parts[2]]}.weight", values.astype(dtype)


def config(meta):
    get = lambda key: meta["llama." + key]
    width, heads = get("embedding_length"), get("attention.head_count")
    return {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu", "hidden_size": width,
        "num_hidden_layers": get("block_count"), "num_attention_heads": heads,
        "num_key_value_heads": get("attention.head_count_kv"), "head_dim": meta.get("llama.rope.dimension_count", width // heads),
        "intermediate_size": get("feed_forward_length"), "vocab_size": len(meta["tokenizer.ggml.tokens"]),
        "max_position_embeddings": get("context_length"), "rms_norm_eps": get("attention.layer_norm_rms_epsilon"),
        "rope_theta": meta.get("llama.rope.freq_base", 10000.0), "bos_token_id": meta.get("tokenizer.ggml.bos_token_id"),
    }


def tokenizer(meta):
    if meta["tokenizer.ggml.model"] != "gpt2":
        raise SystemExit(f"a vocabulary of kind {meta['tokenizer.ggml.model']} is not written")
    names = meta["tokenizer.ggml.tokens"]
    kinds = meta.get("tokenizer.ggml.token_type", [1] * len(names))
    added = [{"id": i, "content": n, "special": True} for i, (n, kind) in enumerate(zip(names, kinds)) if kind != 1]
    digits = meta.get("tokenizer.ggml.pre") in ("smollm", "starcoder", "refact", "command-r", "codeshell", "exaone")
    cuts = [{"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}]
    if digits:
        cuts.insert(0, {"type": "Digits", "individual_digits": True})
    return {
        "version": "1.0", "added_tokens": added, "pre_tokenizer": {"type": "Sequence", "pretokenizers": cuts},
        "model": {"type": "BPE", "vocab": {n: i for i, n in enumerate(names)}, "merges": meta["tokenizer.ggml.merges"]},
    }


def main(path, folder, kind="f32"):
    g, folder = Gguf(path), Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    found = list(tensors(g, {"f32": np.float32, "f16": np.float16}[kind]))
    tied = not any(name == "lm_head.weight" for name, _ in found)
    save(folder / "model.safetensors", [(n, kind.upper(), v.shape, v.tobytes()) for n, v in found])
    (folder / "config.json").write_text(json.dumps(config(g.meta) | {"tie_word_embeddings": tied}, indent=1))
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer(g.meta), ensure_ascii=False))


if __name__ == "__main__":
    main(*sys.argv[1:])
