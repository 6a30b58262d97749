"""Text as tokens of equal information."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import nzip
import pytest
from conftest import command

TEXT = "It was the best of times, it was the worst of times, it was the age of wisdom. Ünïcode, too. " * 3
CHOICES: list[dict[str, Any]] = [
    {},
    {"window_bits": 32, "token_bits": 8, "policy": "continue", "ends": "bit"},
    {"window_bits": 64, "policy": "continue", "adaptive": True, "special": 0},
]


@pytest.mark.parametrize("choices", CHOICES)
def test_round_trip(choices: dict[str, Any]) -> None:
    tokenizer = nzip.Tokenizer(**choices)
    texts = [TEXT, "", "x", TEXT[:50], bytes(range(256))]
    batch = tokenizer.encode_batch(texts)
    assert [b.dtype for b in batch] == [tokenizer.dtype] * 5
    raw = [t.encode() if isinstance(t, str) else t for t in texts]
    assert tokenizer.decode_batch(batch) == raw
    assert all(int(b.max(initial=0)) < 1 << tokenizer.token_bits for b in batch)
    assert np.array_equal(tokenizer.encode(TEXT), batch[0])
    assert len(batch[0]) * tokenizer.token_bits / 8 < len(TEXT.encode()) / 2
    again = pickle.loads(pickle.dumps(tokenizer))
    assert np.array_equal(again.encode(TEXT), batch[0])
    assert again.choices() == tokenizer.choices()
    json.dumps(tokenizer.choices())


def test_documents_end() -> None:
    tokenizer = nzip.Tokenizer(window_bits=16, token_bits=8)
    assert (tokenizer.vocab_size, tokenizer.end_token) == (257, 256)
    one, two = tokenizer.encode_batch([b"one", b"two"])
    assert tokenizer.decode(np.concatenate([one, [256], two, [256]])) == b"onetwo"
    assert tokenizer.decode([]) == b""


def test_any_tokens() -> None:
    tokenizer = nzip.Tokenizer(window_bits=32, policy="continue", ends="bit", special=0)
    made = np.random.default_rng(1).integers(0, tokenizer.vocab_size, 200)
    assert len(tokenizer.decode(made)) > 0
    for wrong in ([1, 2, 3], [1 << 16, 0], [-1, 0], [1 << 40, 0], [0.5, 0.5], [[1, 2]]):
        with pytest.raises(nzip.CorruptError):
            tokenizer.decode(wrong)
    for choices in ({"window_bits": 8}, {"token_bits": 17}, {"policy": "none"}, {"ends": "byte"}, {"adaptive": True}):
        with pytest.raises(nzip.BadArgumentError):
            nzip.Tokenizer(**choices)  # type: ignore[arg-type]


def test_files_of_the_command(tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text(TEXT)
    out = tmp_path / "tokens.npy"
    assert command("tokens", "encode", text, "-o", out, "-b", "32", "--special", "0").returncode == 0
    side = json.loads((tmp_path / "tokens.npy.json").read_text())
    names = ("window_bits", "token_bits", "policy", "ends", "adaptive", "special")
    tokenizer = nzip.Tokenizer(side["model"], **{name: side[name] for name in names})
    assert tokenizer.model_hash == side["model_hash"]
    assert tokenizer.decode(np.load(out)) == TEXT.encode()
