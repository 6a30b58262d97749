"""A loader for vLLM: ``vllm serve FOLDER --load-format nzip`` with ``*.safetensors.nz`` in the folder."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator
from typing import Any


def weights(folder: str) -> Iterator[tuple[str, Any]]:
    """The tensors of all ``*.safetensors.nz`` files of a folder, each decoded when its turn comes."""
    from .safetensors import safe_open

    files = sorted(glob.glob(os.path.join(glob.escape(folder), "*.safetensors.nz")))
    if not files:
        raise FileNotFoundError(f"no *.safetensors.nz in {folder}")
    for file in files:
        with safe_open(file, "pt") as opened:
            for name in opened.offset_keys():
                yield name, opened.get_tensor(name)


def register() -> None:
    """Registers the load format ``nzip``; vLLM calls this itself, as a plugin."""
    from vllm.model_executor.model_loader import register_model_loader
    from vllm.model_executor.model_loader.base_loader import BaseModelLoader

    class NzipModelLoader(BaseModelLoader):  # type: ignore[misc]
        """Loads weights from ``.nz`` files."""

        def download_model(self, model_config: Any) -> None:
            # Nothing is fetched.
            if not os.path.isdir(model_config.model):
                raise ValueError("the load format nzip takes a folder")

        def load_weights(self, model: Any, model_config: Any) -> None:
            model.load_weights(weights(model_config.model))

    register_model_loader("nzip")(NzipModelLoader)
