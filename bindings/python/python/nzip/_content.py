"""What archives and manifests have in common as raw files."""

from __future__ import annotations

import io
from typing import Generic, TypeVar

from ._nzip import ArchiveCore, ManifestCore

Core = TypeVar("Core", bound="ArchiveCore | ManifestCore")


class Content(io.RawIOBase, Generic[Core]):
    """A raw file that seeks in the raw bytes of a core."""

    def __init__(self, core: Core) -> None:
        self._position = 0
        self._core: Core = core
        self._size = core.size()

    def _open(self) -> Core:
        """The core, for reading."""
        return self._core

    @property
    def size(self) -> int:
        """Raw bytes."""
        return self._size

    def __len__(self) -> int:
        return self._size

    def __bool__(self) -> bool:
        return True

    def read_range(self, start: int, stop: int | None = None) -> bytes:
        """The raw bytes from ``start`` to ``stop``, which is the end by default."""
        return self._open().read_range(start, self._size if stop is None else stop)

    def readable(self) -> bool:
        self._open()
        return True

    def seekable(self) -> bool:
        self._open()
        return True

    def tell(self) -> int:
        self._open()
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._open()
        if whence not in (io.SEEK_SET, io.SEEK_CUR, io.SEEK_END):
            raise ValueError(f"whence {whence}")
        target = offset + (0, self._position, self._size)[whence]
        if target < 0:
            raise ValueError("a place before the first byte")
        self._position = target
        return target
