"""fsspec's protocol ``nz``: the content of a ``.nz`` file, wherever that is, as a file that seeks.

``nz://t.csv::https://host/t.csv.nz`` reads only those parts of the remote file that the wanted bytes need.
"""

from __future__ import annotations

import io
from typing import Any

import fsspec
from fsspec.archive import AbstractArchiveFileSystem

from ._archive import Archive

_BUFFER = 256 << 10


class NzFileSystem(AbstractArchiveFileSystem):  # type: ignore[misc]
    """A file system of one file, the content of the ``.nz`` file ``fo``; any name opens it."""

    root_marker = ""
    protocol = "nz"
    cachable = False
    # For `datasets`.
    compression = "nz"
    extension = ".nz"
    extensions = [".nz"]

    def __init__(
        self,
        fo: Any = "",
        target_protocol: str | None = None,
        target_options: dict[str, Any] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.fo = fo
        self._target_protocol = target_protocol
        self._target_options = target_options or {}
        # The other arguments are options of nzip.
        known = ("threads", "memory", "models", "bases", "verify_hash", "progress")
        self._options = {k: v for k, v in options.items() if k in known}
        name = fo if isinstance(fo, str) else getattr(fo, "path", None) or getattr(fo, "name", "")
        name = str(name).split("::")[0].rstrip("/").rsplit("/", 1)[-1]
        self.uncompressed_name = name.removesuffix(".nz") or "content"
        self.dir_cache: dict[str, dict[str, Any]] | None = None

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        # Names have no leading slash here.
        return str(super()._strip_protocol(path)).lstrip("/")

    def _source(self) -> Any:
        if not isinstance(self.fo, str):
            return self.fo
        return fsspec.open(self.fo, mode="rb", protocol=self._target_protocol, **self._target_options).open()

    def _get_dirs(self) -> None:
        if self.dir_cache is None:
            source = self._source()
            with Archive(source, **self._options) as archive:
                size = archive.size
            if isinstance(self.fo, str):
                source.close()
            entry = {"name": self.uncompressed_name, "size": size, "type": "file"}
            self.dir_cache = {self.uncompressed_name: entry}

    def info(self, path: str, **options: Any) -> dict[str, Any]:
        self._get_dirs()
        path = self._strip_protocol(path)
        if not path:
            return {"name": "", "size": 0, "type": "directory"}
        assert self.dir_cache is not None
        return {**self.dir_cache[self.uncompressed_name], "name": path}

    def _open(self, path: str, mode: str = "rb", **options: Any) -> io.BufferedReader:
        if mode != "rb":
            raise ValueError("nz:// is for reading")
        return _Opened(self._source(), isinstance(self.fo, str), self._options)


class _Opened(io.BufferedReader):
    """The content. Closing it closes the underlying file, too."""

    def __init__(self, source: Any, close: bool, options: dict[str, Any]) -> None:
        archive = Archive(source, **options)
        self.size = archive.size
        self._source = source if close else None
        super().__init__(archive, _BUFFER)

    def close(self) -> None:
        super().close()
        source, self._source = self._source, None
        if source is not None:
            source.close()
