"""PyTorch's distributed checkpoints: an extension that compresses what is written to storage.

``FileSystemWriter(path, _extensions=[NzipExtension()])`` writes compressed; reading finds the extension in the checkpoint,
once this module has been imported and ``register()`` called.
"""

from __future__ import annotations

from typing import IO, Any, cast

from torch.distributed.checkpoint._extension import ExtensionRegistry, StreamTransformExtension

from ._file import NzipFile


class NzipExtension(StreamTransformExtension):  # type: ignore[misc]
    """Compresses the stream of each item at a level of 1 to 9."""

    def __init__(self, level: int = 1) -> None:
        self.level = level

    @staticmethod
    def registry_name() -> str:
        return "stream.nzip"

    @staticmethod
    def from_descriptor(version: str) -> NzipExtension:
        if version.partition(".")[0] != "1":
            raise ValueError(f"version {version} is not known")
        return NzipExtension()

    def get_descriptor(self) -> str:
        return f"{self.registry_name()}/1"

    def transform_to(self, output: IO[bytes]) -> IO[bytes]:
        return cast("IO[bytes]", NzipFile(output, "wb", level=self.level))

    def transform_from(self, input: IO[bytes]) -> IO[bytes]:
        return cast("IO[bytes]", NzipFile(input, "rb"))


def register(registry: Any = None) -> Any:
    """A registry of extensions, by default a new one, that knows this one: for ``FileSystemReader(_extension_registry=…)``."""
    registry = ExtensionRegistry() if registry is None else registry
    registry.register(NzipExtension)
    return registry
