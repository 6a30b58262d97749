"""PyTorch's distributed checkpoints: an extension that compresses what is written to storage.

``FileSystemWriter(path, _extensions=[NzipExtension()])`` writes compressed; reading finds the extension in the checkpoint,
once this module has been imported and ``register()`` called.
"""

from __future__ import annotations

import io
import os
from typing import IO, Any, cast

from torch.distributed.checkpoint._extension import ExtensionRegistry, StreamTransformExtension

from ._file import NzipFile


class _Item(io.RawIOBase):
    """An item of a storage file. PyTorch's own view of it (up to 2.15 at least) seeks from the end in the wrong direction,
    and returns places in the whole file."""

    def __init__(self, view: IO[bytes]) -> None:
        self._view = view
        view.seek(0, os.SEEK_END)
        self._len = view.tell()
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._len}[whence]
        self._at = max(start + offset, 0)
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any) -> int:
        out = memoryview(buffer).cast("B")
        wanted = min(len(out), max(self._len - self._at, 0))
        if wanted == 0:
            return 0
        self._view.seek(self._at)
        data = self._view.read(wanted)
        out[: len(data)] = data
        self._at += len(data)
        return len(data)


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
        return cast("IO[bytes]", NzipFile(cast("IO[bytes]", _Item(input)), "rb"))


def register(registry: Any = None) -> Any:
    """A registry of extensions, by default a new one, that knows this one: for ``FileSystemReader(_extension_registry=…)``."""
    registry = ExtensionRegistry() if registry is None else registry
    registry.register(NzipExtension)
    return registry
