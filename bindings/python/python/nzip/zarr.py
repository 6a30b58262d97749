"""Codecs for Zarr's version 3.

``nzip`` compresses the bytes that another codec makes of chunks. ``nzip_tensor`` makes them of chunks itself, with the codec
for tensors, and decodes no more tiles of a chunk than the wanted rows need.
"""

from __future__ import annotations

import asyncio
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from zarr.abc.codec import ArrayBytesCodec, ArrayBytesCodecPartialDecodeMixin, BytesBytesCodec
from zarr.abc.store import RangeByteRequest
from zarr.core.buffer.cpu import as_numpy_array_wrapper
from zarr.core.common import parse_named_configuration

from . import _nzip
from ._archive import Archive
from ._array import decode_array, encode_array, raw_bytes
from ._errors import CorruptError

if TYPE_CHECKING:
    from typing import Self

    from zarr.core.array_spec import ArraySpec
    from zarr.core.buffer import Buffer, NDBuffer, BufferPrototype


@dataclass(frozen=True)
class _Levelled:
    """The base of codecs with a level of 1 to 9: their metadata, and work in threads."""

    is_fixed_size = False
    name: ClassVar[str]
    level: int = 6

    def __post_init__(self) -> None:
        if not isinstance(self.level, int) or not 1 <= self.level <= 9:
            raise ValueError(f"level {self.level!r}: 1 to 9 is wanted")

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        _, configuration = parse_named_configuration(data, cls.name, require_configuration=False)
        return cls(**(configuration or {}))  # type: ignore[arg-type,unused-ignore]

    def to_dict(self) -> dict[str, Any]:
        return {"name": self.name, "configuration": {"level": self.level}}

    async def _encode_single(self, chunk: Any, spec: ArraySpec) -> Any:
        return await asyncio.to_thread(self._encode_sync, chunk, spec)  # type: ignore[attr-defined]

    async def _decode_single(self, chunk: Any, spec: ArraySpec) -> Any:
        return await asyncio.to_thread(self._decode_sync, chunk, spec)  # type: ignore[attr-defined]

    def compute_encoded_size(self, _length: int, _spec: ArraySpec) -> int:
        raise NotImplementedError


@dataclass(frozen=True)
class NzipCodec(_Levelled, BytesBytesCodec):  # type: ignore[misc,unused-ignore]
    """Compresses the bytes of chunks at a level of 1 to 9."""

    name = "nzip"

    def _encode_sync(self, chunk: Buffer, spec: ArraySpec) -> Buffer:
        packed = lambda raw: _nzip.compress(raw_bytes(raw), self.level, {"threads": 1})  # noqa: E731
        return as_numpy_array_wrapper(packed, chunk, spec.prototype)

    def _decode_sync(self, chunk: Buffer, spec: ArraySpec) -> Buffer:
        raw = lambda packed: _nzip.decompress(raw_bytes(packed), {"threads": 1})  # noqa: E731
        return as_numpy_array_wrapper(raw, chunk, spec.prototype)


class _Stored(io.RawIOBase):
    """The bytes of a chunk in a store, fetched as they are read by a thread beside the store's loop."""

    def __init__(self, getter: Any, size: int, prototype: BufferPrototype, loop: asyncio.AbstractEventLoop):
        self._getter, self._size, self._prototype, self._loop = getter, size, prototype, loop
        self._position = 0

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._position = offset + (0, self._position, self._size)[whence]
        return self._position

    def read(self, size: int = -1) -> bytes:
        end = self._size if size < 0 else min(self._position + size, self._size)
        if end <= self._position:
            return b""
        request = RangeByteRequest(self._position, end)
        fetching = asyncio.run_coroutine_threadsafe(self._getter.get(self._prototype, request), self._loop)
        found = fetching.result()
        data = b"" if found is None else found.to_bytes()
        self._position += len(data)
        return bytes(data)


@dataclass(frozen=True)
class NzipTensorCodec(_Levelled, ArrayBytesCodec, ArrayBytesCodecPartialDecodeMixin):  # type: ignore[misc,unused-ignore]
    """Compresses chunks as tensors, at a level of 1 to 9."""

    name = "nzip_tensor"

    def _encode_sync(self, chunk: NDBuffer, spec: ArraySpec) -> Buffer:
        packed = encode_array(chunk.as_numpy_array(), self.level, threads=1)
        return spec.prototype.buffer.from_bytes(packed)

    def _decode_sync(self, chunk: Buffer, spec: ArraySpec) -> NDBuffer:
        array = decode_array(raw_bytes(chunk.as_numpy_array()), threads=1)
        return self._checked(array, spec.shape, spec)

    @staticmethod
    def _checked(array: Any, shape: tuple[int, ...], spec: ArraySpec) -> NDBuffer:
        wanted = spec.dtype.to_native_dtype()
        if array.shape != tuple(shape) or array.dtype != wanted.newbyteorder("<"):
            raise CorruptError(f"a chunk of {wanted} {shape} is wanted, {array.dtype} {array.shape} is there")
        return spec.prototype.nd_buffer.from_numpy_array(array.astype(wanted, copy=False))

    async def _decode_partial_single(self, getter: Any, selection: Any, spec: ArraySpec) -> NDBuffer | None:
        rows = _rows(selection, spec.shape)
        store, path = getattr(getter, "store", None), getattr(getter, "path", None)
        if rows is None or store is None or path is None:
            chunk = await getter.get(spec.prototype)
            return None if chunk is None else (await self._decode_single(chunk, spec))[selection]
        try:
            size = await store.getsize(path)
        except FileNotFoundError:
            return None
        file = _Stored(getter, size, spec.prototype, asyncio.get_running_loop())
        return await asyncio.to_thread(self._read_rows, file, rows, selection, spec)

    def _read_rows(self, file: _Stored, rows: range, selection: Any, spec: ArraySpec) -> NDBuffer:
        shape = (len(rows), *spec.shape[1:])
        dtype = spec.dtype.to_native_dtype().newbyteorder("<")
        array = np.empty(shape, dtype)
        with Archive(file, threads=1) as archive:
            row = array.nbytes // max(len(rows), 1)
            if archive.size != row * spec.shape[0] or len(archive.tensors()) != 1:
                raise CorruptError(f"a chunk of {dtype} {spec.shape} is wanted, {archive.tensors()} are there")
            archive.read_range_into(rows.start * row, raw_bytes(array))
        first = selection[0]
        first = 0 if isinstance(first, (int, np.integer)) else slice(None, None, first.step)
        found = np.asarray(array[(first, *selection[1:])])
        return self._checked(found, found.shape, spec)


def _rows(selection: Any, shape: tuple[int, ...]) -> range | None:
    """The rows of a chunk that a selection of numbers and slices touches."""
    if not isinstance(selection, tuple) or not selection or len(selection) != len(shape):
        return None
    if not all(isinstance(s, (int, np.integer, slice)) for s in selection):
        return None
    first = selection[0]
    if not isinstance(first, slice):
        return range(int(first), int(first) + 1)
    start, stop, step = first.indices(shape[0])
    return range(start, stop) if step > 0 and start < stop else None
