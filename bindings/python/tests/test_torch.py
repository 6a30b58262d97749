"""PyTorch: tensors, lazy state dicts, distributed checkpoints. Skipped aloud where it is not installed."""

from __future__ import annotations

import sys
import types
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="SKIPPED: torch not installed (tools/test-python.sh --torch)")

import nzip.safetensors as ours  # noqa: E402
from nzip.kv import KVSerde  # noqa: E402


@pytest.fixture
def tensors() -> dict[str, Any]:
    torch.manual_seed(1)
    wide = torch.randn(100, 64)
    kinds = (torch.float16, torch.bfloat16, torch.float64, torch.float8_e4m3fn, torch.float8_e5m2)
    found = {str(k).removeprefix("torch."): wide.to(k) for k in kinds}
    return {"wide": wide, "ids": torch.arange(50), "flag": torch.tensor([True, False]), "one": torch.tensor(2.5), **found}


def same(a: Any, b: Any) -> bool:
    raw = lambda t: t.contiguous().reshape(-1).view(torch.uint8)  # noqa: E731
    return a.dtype == b.dtype and a.shape == b.shape and bool(torch.equal(raw(a), raw(b)))


def test_safetensors(tensors: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors.nz"
    ours.save_file(tensors, path, level=1)
    with ours.safe_open(path, "pt") as file:
        assert all(same(file.get_tensor(n), t) for n, t in tensors.items())
        assert same(file.get_slice("bfloat16")[3:9], tensors["bfloat16"][3:9])
    lazy = ours.state_dict(path)
    model = torch.nn.Linear(64, 100, bias=False)
    model.load_state_dict({"weight": lazy["wide"]})
    assert same(model.weight.data, tensors["wide"])


def test_caches(tensors: dict[str, Any]) -> None:
    assert all(same(KVSerde().from_bytes(KVSerde().to_bytes(t)), t) for t in tensors.values())


def test_distributed_checkpoints(tensors: dict[str, Any], tmp_path: Path) -> None:
    import torch.distributed.checkpoint as dcp

    from nzip.checkpoint import NzipExtension, register

    writer = dcp.FileSystemWriter(tmp_path, _extensions=[NzipExtension()])
    dcp.save(tensors, storage_writer=writer, no_dist=True)
    into = {name: torch.zeros_like(t) for name, t in tensors.items()}
    reader = dcp.FileSystemReader(tmp_path, _extension_registry=register())
    dcp.load(into, storage_reader=reader, no_dist=True)
    assert all(same(into[n], t) for n, t in tensors.items())


def test_vllm(tensors: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The loader against vLLM's interface, of which a stand-in has what it uses."""
    loaders: dict[str, Any] = {}
    package = types.ModuleType("vllm.model_executor.model_loader")
    package.register_model_loader = lambda name: lambda cls: loaders.setdefault(name, cls)  # type: ignore[attr-defined]
    base = types.ModuleType("vllm.model_executor.model_loader.base_loader")
    base.BaseModelLoader = object  # type: ignore[attr-defined]
    for name in ("vllm", "vllm.model_executor"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    monkeypatch.setitem(sys.modules, package.__name__, package)
    monkeypatch.setitem(sys.modules, base.__name__, base)
    from nzip.vllm import register

    register()
    ours.save_file(tensors, tmp_path / "a.safetensors.nz", level=1)
    got: dict[str, Any] = {}
    model = types.SimpleNamespace(load_weights=lambda pairs: got.update(pairs))
    config = types.SimpleNamespace(model=str(tmp_path))
    loader = loaders["nzip"]()
    loader.download_model(config)
    loader.load_weights(model, config)
    assert set(got) == set(tensors) and all(same(got[n], t) for n, t in tensors.items())




def test_jax(tensors: dict[str, Any], tmp_path: Path) -> None:
    jax = pytest.importorskip("jax", reason="SKIPPED: jax not installed (tools/test-python.sh --torch)")
    path = tmp_path / "m.safetensors.nz"
    # JAX leaves 64 bits out unless it is told otherwise.
    wanted = {n: t for n, t in tensors.items() if t.dtype not in (torch.float64, torch.int64)}
    ours.save_file(wanted, path, level=1)
    with ours.safe_open(path, "jax") as file:
        for name, tensor in wanted.items():
            found = file.get_tensor(name)
            assert isinstance(found, jax.Array) and found.shape == tuple(tensor.shape)
            raw = tensor.contiguous().reshape(-1).view(torch.uint8)
            assert found.dtype.name == str(tensor.dtype).removeprefix("torch.")
            assert jax.device_get(found).tobytes() == raw.numpy().tobytes()
        rows = file.get_slice("bfloat16")[3:9]
        assert rows.shape == (6, 64)


def test_transformers(tmp_path: Path) -> None:
    """A model is loaded from a lazy state dict, without a monkey patch."""
    transformers = pytest.importorskip(
        "transformers", reason="SKIPPED: transformers not installed (tools/test-python.sh --torch)"
    )
    config = transformers.LlamaConfig(
        vocab_size=256, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4
    )
    torch.manual_seed(2)
    model = transformers.LlamaForCausalLM(config)
    path = tmp_path / "model.safetensors.nz"
    ours.save_file(dict(model.state_dict()), path, level=1)
    loaded = transformers.LlamaForCausalLM.from_pretrained(None, config=config, state_dict=ours.state_dict(path))
    ids = torch.arange(20)[None]
    with torch.no_grad():
        assert torch.equal(model(ids).logits, loaded(ids).logits)
    assert all(same(a, b) for a, b in zip(model.state_dict().values(), loaded.state_dict().values(), strict=True))
