#!/usr/bin/env python3
"""Trains the tiny Llama-architecture model that tests import: `tests/data/tiny-llama`.

    tiny_llama.py TEXT FOLDER [STEPS]

TEXT is a UTF-8 file; FOLDER receives config.json, tokenizer.json and model.safetensors (16-bit floats).
Needs the packages jax, optax, safetensors and tokenizers.
"""

import json
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
from safetensors.numpy import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

WIDTH, LAYERS, HEADS, KV_HEADS, HIDDEN, VOCAB, CONTEXT = 64, 2, 4, 2, 128, 512, 128
HEAD = WIDTH // HEADS
EPSILON, ROPE_BASE = 1e-5, 10000.0
START = "<|endoftext|>"
BATCH = 48


def tokenizer(text):
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    t.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    t.train_from_iterator(
        [text], trainers.BpeTrainer(vocab_size=VOCAB, special_tokens=[START], initial_alphabet=alphabet)
    )
    return t


def weights(key):
    names = {"model.embed_tokens.weight": (VOCAB, WIDTH)}
    for i in range(LAYERS):
        layer = f"model.layers.{i}"
        names |= {
            f"{layer}.self_attn.q_proj.weight": (WIDTH, WIDTH),
            f"{layer}.self_attn.k_proj.weight": (KV_HEADS * HEAD, WIDTH),
            f"{layer}.self_attn.v_proj.weight": (KV_HEADS * HEAD, WIDTH),
            f"{layer}.self_attn.o_proj.weight": (WIDTH, WIDTH),
            f"{layer}.mlp.gate_proj.weight": (HIDDEN, WIDTH),
            f"{layer}.mlp.up_proj.weight": (HIDDEN, WIDTH),
            f"{layer}.mlp.down_proj.weight": (WIDTH, HIDDEN),
        }
    keys = jax.random.split(key, len(names))
    w = {n: jax.random.normal(k, s) * 0.05 for (n, s), k in zip(names.items(), keys)}
    for i in range(LAYERS):
        for norm in ("input_layernorm", "post_attention_layernorm"):
            w[f"model.layers.{i}.{norm}.weight"] = jnp.ones(WIDTH)
    w["model.norm.weight"] = jnp.ones(WIDTH)
    return w


def norm(x, gain):
    return x * jax.lax.rsqrt(jnp.mean(x * x, axis=-1, keepdims=True) + EPSILON) * gain


def rotate(x):
    """Positions as angles between the halves of a head: [batch, time, heads, HEAD]."""
    t = jnp.arange(x.shape[1])[:, None] / ROPE_BASE ** (jnp.arange(0, HEAD, 2) / HEAD)
    cos, sin = jnp.cos(t)[None, :, None], jnp.sin(t)[None, :, None]
    a, b = jnp.split(x, 2, axis=-1)
    return jnp.concatenate([a * cos - b * sin, b * cos + a * sin], axis=-1)


def logits(w, tokens):
    batch, time = tokens.shape
    x = w["model.embed_tokens.weight"][tokens]
    mask = jnp.tril(jnp.ones((time, time), bool))
    for i in range(LAYERS):
        p = lambda name: w[f"model.layers.{i}.{name}.weight"]
        n = norm(x, p("input_layernorm"))
        heads = lambda name, count: (n @ p(f"self_attn.{name}_proj").T).reshape(batch, time, count, HEAD)
        q, k, v = rotate(heads("q", HEADS)), rotate(heads("k", KV_HEADS)), heads("v", KV_HEADS)
        k, v = (jnp.repeat(part, HEADS // KV_HEADS, axis=2) for part in (k, v))
        scores = jnp.einsum("bqhd,bkhd->bhqk", q, k) / HEAD**0.5
        scores = jax.nn.softmax(jnp.where(mask, scores, -1e9), axis=-1)
        x = x + jnp.einsum("bhqk,bkhd->bqhd", scores, v).reshape(batch, time, WIDTH) @ p("self_attn.o_proj").T
        n = norm(x, p("post_attention_layernorm"))
        gated = jax.nn.silu(n @ p("mlp.gate_proj").T) * (n @ p("mlp.up_proj").T)
        x = x + gated @ p("mlp.down_proj").T
    return norm(x, w["model.norm.weight"]) @ w["model.embed_tokens.weight"].T


def loss(w, tokens):
    predicted = logits(w, tokens[:, :-1])
    return optax.softmax_cross_entropy_with_integer_labels(predicted, tokens[:, 1:]).mean()


def main():
    text = Path(sys.argv[1]).read_text()
    folder, steps = Path(sys.argv[2]), int((sys.argv[3:] or [3000])[0])
    t = tokenizer(text)
    ids = np.array(t.encode(text).ids, np.int32)
    held_out, ids = ids[: CONTEXT * 64].reshape(-1, CONTEXT), ids[CONTEXT * 64 :]
    w = weights(jax.random.key(1))
    rate = optax.warmup_cosine_decay_schedule(0.0, 3e-3, 100, steps, 1e-5)
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(rate, b2=0.99, weight_decay=0.01))
    state = optimizer.init(w)

    @jax.jit
    def step(w, state, tokens):
        value, gradient = jax.value_and_grad(loss)(w, tokens)
        updates, state = optimizer.update(gradient, state, w)
        return optax.apply_updates(w, updates), state, value

    rng = np.random.default_rng(1)
    start = t.token_to_id(START)
    for i in range(steps):
        at = rng.integers(0, len(ids) - CONTEXT, BATCH)
        tokens = np.stack([ids[a : a + CONTEXT] for a in at])
        # A window begins with the start token.
        tokens = np.concatenate([np.full((BATCH, 1), start, np.int32), tokens], axis=1)
        w, state, value = step(w, state, tokens)
        if i % 250 == 249:
            print(f"step {i + 1}: {value:.3f} nats a token, held out {loss(w, held_out):.3f}", flush=True)
    folder.mkdir(parents=True, exist_ok=True)
    t.save(str(folder / "tokenizer.json"), pretty=False)
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": WIDTH,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "num_key_value_heads": KV_HEADS,
        "intermediate_size": HIDDEN,
        "vocab_size": VOCAB,
        "max_position_embeddings": CONTEXT,
        "rms_norm_eps": EPSILON,
        "rope_theta": ROPE_BASE,
        "hidden_act": "silu",
        "tie_word_embeddings": True,
        "bos_token_id": start,
    }
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    save_file({n: np.asarray(v, np.float16) for n, v in w.items()}, folder / "model.safetensors")


if __name__ == "__main__":
    main()
