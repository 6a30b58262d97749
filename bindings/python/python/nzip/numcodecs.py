"""The codec ``nzip`` for numcodecs, and so for Zarr's version 2 and Kerchunk."""

from __future__ import annotations

from typing import Any

from numcodecs.abc import Codec
from numcodecs.compat import ensure_contiguous_ndarray, ndarray_copy

from . import _nzip


class Nzip(Codec):  # type: ignore[misc]
    """Bytes compressed at a level of 1 to 9."""

    codec_id = "nzip"

    def __init__(self, level: int = 6, threads: int = 1) -> None:
        self.level = level
        self.threads = threads

    def get_config(self) -> dict[str, Any]:
        # The result does not depend on threads.
        return {"id": self.codec_id, "level": self.level}

    def encode(self, buf: Any) -> bytes:
        buf = ensure_contiguous_ndarray(buf).reshape(-1).view("u1")
        return _nzip.compress(buf, self.level, {"threads": self.threads})

    def decode(self, buf: Any, out: Any = None) -> Any:
        raw = _nzip.decompress(ensure_contiguous_ndarray(buf).view("u1"), {"threads": self.threads})
        return raw if out is None else ndarray_copy(raw, out)
