"""Key-value caches: a serializer in the shape that LMCache and SGLang use, for arrays of numpy and tensors of PyTorch."""

from __future__ import annotations

from typing import Any

from . import _nzip
from ._archive import Archive
from .safetensors import _bytes_of, _empty


class KVSerde:
    """Turns tensors into bytes and back; ``framework`` is that of what comes back, ``np`` or ``pt``."""

    def __init__(self, level: int = 1, framework: str = "pt", threads: int = 0) -> None:
        self.level, self.framework, self.threads = level, framework, threads

    def to_bytes(self, tensor: Any) -> bytes:
        """Compresses a tensor with its type and shape."""
        dtype, shape, data = _bytes_of(tensor)
        return _nzip.compress(data, self.level, {"tensor": (dtype, shape), "threads": self.threads})

    def from_bytes(self, data: Any) -> Any:
        """The tensor."""
        with Archive(data, threads=self.threads) as archive:
            (tensor,) = archive.tensors()
            out, room = _empty(self.framework, tensor.dtype, tensor.shape)
            archive.read_tensor_into(0, room)
            return out

    # The names of LMCache.
    serialize = to_bytes
    deserialize = from_bytes
