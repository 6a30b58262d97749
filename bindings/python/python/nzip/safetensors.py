"""Files of safetensors, compressed or not: the functions and classes of the package ``safetensors``, for numpy, PyTorch and JAX.

One tensor, or some of its rows, is decoded without the rest, straight into the framework's memory.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from . import _nzip
from ._archive import Archive, Tensor
from ._array import plain, raw_bytes
from ._dtypes import dtype_name, numpy_dtype
from ._errors import BadArgumentError, CorruptError
from ._file import NzipFile

if TYPE_CHECKING:
    from typing_extensions import Buffer, Unpack

    from ._options import CompressOptions, DecompressOptions, StrPath

__all__ = ["load", "load_file", "safe_open", "save", "save_file", "state_dict"]

# Names of frameworks, as safetensors has them.
_FRAMEWORKS = {"np": "np", "numpy": "np", "pt": "pt", "torch": "pt", "pytorch": "pt", "jax": "jax", "flax": "jax"}
_TORCH = {
    "U8": "uint8", "I8": "int8", "U16": "uint16", "I16": "int16", "U32": "uint32", "I32": "int32", "U64": "uint64",
    "I64": "int64", "BOOL": "bool", "F16": "float16", "BF16": "bfloat16", "F32": "float32", "F64": "float64",
    "F8_E4M3": "float8_e4m3fn", "F8_E5M2": "float8_e5m2", "F8_E8M0": "float8_e8m0fnu", "F8_E4M3FNUZ": "float8_e4m3fnuz",
    "F8_E5M2FNUZ": "float8_e5m2fnuz", "C64": "complex64", "C128": "complex128",
}  # fmt: skip
# The longest header that safetensors allows, in bytes.
_MAX_HEADER = 100_000_000
_PIECE = 16 << 20


class safe_open:  # noqa: N801
    """A file of safetensors: the twin of ``safetensors.safe_open``, for ``.nz`` files of them.

    ``filename`` is a path, a binary file object or bytes; ``framework`` is ``np``, ``pt`` or ``jax``.
    """

    def __init__(
        self, filename: Any, framework: str = "np", device: Any = "cpu", **options: Unpack[DecompressOptions]
    ) -> None:
        if framework not in _FRAMEWORKS:
            raise BadArgumentError(f"framework {framework!r} is none of {', '.join(_FRAMEWORKS)}")
        self._framework = _FRAMEWORKS[framework]
        self._device = device
        # A file of weights may be larger than the default memory cap of a call.
        options.setdefault("memory", 16 << 30)
        self._archive = Archive(filename, **options)
        self._header: dict[str, Any] | None = None
        found = self._archive.tensors()
        self._numbers = {t.name: i for i, t in enumerate(found)}
        self._tensors = found

    def __enter__(self) -> safe_open:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the file."""
        self._archive.close()

    def keys(self) -> list[str]:
        """The names of the tensors, in order."""
        return sorted(self._numbers)

    def offset_keys(self) -> list[str]:
        """The names of the tensors, in the order in which they lie."""
        return [t.name for t in self._tensors]

    def metadata(self) -> dict[str, str] | None:
        """The metadata of the file, if it has any."""
        if self._header is None:
            self._header = _header(self._archive)
        return cast("dict[str, str] | None", self._header.get("__metadata__"))

    def _number(self, name: str) -> int:
        try:
            return self._numbers[name]
        except KeyError:
            raise BadArgumentError(f"no tensor is called {name!r}") from None

    def get_tensor(self, name: str) -> Any:
        """A whole tensor."""
        number = self._number(name)
        tensor = self._tensors[number]
        out, room = _empty(self._framework, tensor.dtype, tensor.shape)
        self._archive.read_tensor_into(number, room)
        return _finish(self._framework, out, self._device)

    def get_slice(self, name: str) -> _Slice:
        """A tensor for which ``[...]`` decodes only the rows that it asks for."""
        return _Slice(self, self._tensors[self._number(name)])


class _Slice:
    """A tensor that decodes the rows that are indexed."""

    def __init__(self, file: safe_open, tensor: Tensor) -> None:
        self._file, self._tensor = file, tensor

    def get_shape(self) -> list[int]:
        """The tensor's shape."""
        return list(self._tensor.shape)

    def get_dtype(self) -> str:
        """The type of its elements, as safetensors name it."""
        return self._tensor.dtype

    def __getitem__(self, index: Any) -> Any:
        shape = self._tensor.shape
        index = index if isinstance(index, tuple) else (index,)
        framework = self._file._framework
        first = index[0] if index else Ellipsis
        rows = range(shape[0]) if shape else range(1)
        rest: Any = first
        if shape and isinstance(first, slice):
            wanted = rows[first]
            if wanted.step > 0:
                rows = range(wanted.start, max(wanted.start, wanted[-1] + 1 if wanted else 0))
                rest = slice(None, None, wanted.step)
        elif shape and isinstance(first, (int, np.integer)):
            row = rows[first]
            rows, rest = range(row, row + 1), 0
        part = (len(rows), *shape[1:]) if shape else ()
        out, room = _empty(framework, self._tensor.dtype, part)
        row_bytes = self._tensor.nbytes // shape[0] if shape and shape[0] else 0
        self._file._archive.read_range_into(self._tensor.start + rows.start * row_bytes, room)
        index = (rest, *index[1:])
        return _finish(framework, out[index], self._file._device)


def _header(archive: Archive) -> dict[str, Any]:
    if archive.size < 8:
        raise CorruptError("no file of safetensors: too short")
    length = int.from_bytes(archive.read_range(0, 8), "little")
    if length > min(_MAX_HEADER, archive.size - 8):
        raise CorruptError(f"a header of {length} bytes in {archive.size}")
    header = json.loads(archive.read_range(8, 8 + length))
    if not isinstance(header, dict):
        raise CorruptError("a header that is no object")
    return header


def _empty(framework: str, dtype: str, shape: tuple[int, ...]) -> tuple[Any, Any]:
    """An uninitialised tensor, and a view of its bytes."""
    if framework == "pt":
        import torch

        if dtype not in _TORCH or not hasattr(torch, _TORCH[dtype]):
            raise TypeError(f"PyTorch has no type for {dtype}")
        tensor = torch.empty(shape, dtype=getattr(torch, _TORCH[dtype]))
        return tensor, tensor.reshape(-1).view(torch.uint8).numpy()
    array = np.empty(shape, numpy_dtype(dtype))
    return array, raw_bytes(array)


def _finish(framework: str, tensor: Any, device: Any) -> Any:
    if framework == "pt":
        return tensor if str(device) == "cpu" else tensor.to(device)
    if framework == "jax":
        import jax.numpy as jnp

        return jnp.asarray(tensor)
    return tensor


def load_file(
    filename: Any, framework: str = "np", device: Any = "cpu", **options: Unpack[DecompressOptions]
) -> dict[str, Any]:
    """All tensors of a file."""
    with safe_open(filename, framework, device, **options) as file:
        return {name: file.get_tensor(name) for name in file.offset_keys()}


def load(data: Buffer, framework: str = "np", **options: Unpack[DecompressOptions]) -> dict[str, Any]:
    """All tensors of a compressed file in memory."""
    return load_file(data, framework, **options)


class state_dict(Mapping[str, Any]):  # noqa: N801
    """The tensors of one or several files, each decoded when it is looked up, and not kept.

    ``model.from_pretrained(None, config=config, state_dict=state_dict(path))`` of transformers loads weights by it.
    """

    def __init__(
        self, *files: Any, framework: str = "pt", device: Any = "cpu", **options: Unpack[DecompressOptions]
    ) -> None:
        self._files = [safe_open(file, framework, device, **options) for file in files]
        self._where = {name: file for file in self._files for name in file.offset_keys()}

    def __getitem__(self, name: str) -> Any:
        return self._where[name].get_tensor(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._where)

    def __len__(self) -> int:
        return len(self._where)

    def __contains__(self, name: object) -> bool:
        return name in self._where


def _bytes_of(tensor: Any) -> tuple[str, tuple[int, ...], Any]:
    """Type, shape and bytes of a tensor of any framework."""
    if type(tensor).__module__.partition(".")[0] == "torch":
        import torch

        tensor = tensor.detach().cpu().contiguous()
        name = str(tensor.dtype).removeprefix("torch.")
        dtype = next((ours for ours, theirs in _TORCH.items() if theirs == name), None)
        if dtype is None:
            raise TypeError(f"{tensor.dtype} is no type of safetensors")
        return dtype, tuple(tensor.shape), tensor.reshape(-1).view(torch.uint8).numpy()
    array = plain(tensor)
    return dtype_name(array.dtype), array.shape, raw_bytes(array)


def _pieces(tensors: Mapping[str, Any], metadata: Mapping[str, str] | None) -> Iterator[Any]:
    """The bytes of the file of safetensors, header first. The order is that of the package ``safetensors``."""
    found = [(name, *_bytes_of(tensor)) for name, tensor in tensors.items()]
    found.sort(key=lambda t: (-_RANK[t[1]], t[0]))
    header: dict[str, Any] = {}
    if metadata:
        header["__metadata__"] = dict(metadata)
    at = 0
    for name, dtype, shape, data in found:
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [at, at + data.nbytes]}
        at += data.nbytes
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    yield len(text).to_bytes(8, "little") + text
    for *_, data in found:
        for start in range(0, data.nbytes, _PIECE):
            yield data[start : start + _PIECE]


# The types of safetensors in its order: tensors of the last ones come first.
_RANK = {
    name: rank
    for rank, name in enumerate(
        "BOOL F4 F6_E2M3 F6_E3M2 U8 I8 F8_E5M2 F8_E4M3 F8_E8M0 F8_E4M3FNUZ F8_E5M2FNUZ I16 U16 F16 BF16 I32 U32 F32 C64 F64 "
        "I64 U64 C128".split()
    )
}


def save(
    tensors: Mapping[str, Any],
    metadata: Mapping[str, str] | None = None,
    level: int | None = None,
    **options: Unpack[CompressOptions],
) -> bytes:
    """Compresses tensors of numpy, PyTorch or JAX as a file of safetensors in memory."""
    return _nzip.compress(b"".join(_pieces(tensors, metadata)), level, options)


def save_file(
    tensors: Mapping[str, Any],
    filename: StrPath,
    metadata: Mapping[str, str] | None = None,
    level: int | None = None,
    **options: Unpack[CompressOptions],
) -> None:
    """Compresses tensors of numpy, PyTorch or JAX as a file of safetensors: what the command makes of that file.

    The file has its name only when it is whole. Files that are to be held as a whole count against ``memory``: half of it.
    """
    size = sum(getattr(t, "nbytes", 0) for t in tensors.values())
    options.setdefault("memory", max(1 << 30, 4 * size))
    filename = os.fspath(filename)
    temporary = f"{filename}.{os.getpid()}.tmp"
    try:
        with NzipFile(temporary, "xb", level=level, **options) as file:
            for piece in _pieces(tensors, metadata):
                file.write(piece)
        os.replace(temporary, filename)
    except BaseException:
        if os.path.exists(temporary):
            os.unlink(temporary)
        raise
