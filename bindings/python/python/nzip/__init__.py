"""nzip: lossless compression with learned models.

``compress`` and ``decompress`` take and give bytes, ``open`` gives files, ``Compressor`` and ``Decompressor`` work piece by
piece, ``Archive`` reads any part of a compressed file without decoding the rest, ``encode_array`` and ``decode_array`` take
and give arrays, ``Tokenizer`` turns text into tokens, ``Manifest`` reads contents that are spread over several files. The
modules ``nzip.safetensors``, ``nzip.fsspec``, ``nzip.numcodecs`` and ``nzip.zarr`` are for the
libraries of these names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._errors import (
    BadArgumentError,
    CorruptError,
    DeviceError,
    LimitExceededError,
    MissingBaseError,
    MissingModelError,
    NewerVersionError,
    NotNzError,
    NzipError,
    TruncatedError,
)
from . import _nzip
from ._nzip import DEFAULT_LEVEL, Compressor, Decompressor, Model, __version__, codecs, instruction_sets
from ._archive import Archive, Tensor
from ._array import decode_array, encode_array
from ._file import NzipFile, open
from ._manifest import Manifest
from ._register import register
from ._tokens import Tokenizer

if TYPE_CHECKING:
    from typing_extensions import Buffer, Unpack

    from ._options import CompressOptions, DecompressOptions

__all__ = [
    "DEFAULT_LEVEL",
    "Archive",
    "BadArgumentError",
    "Compressor",
    "CorruptError",
    "Decompressor",
    "DeviceError",
    "LimitExceededError",
    "Manifest",
    "MissingBaseError",
    "MissingModelError",
    "Model",
    "NewerVersionError",
    "NotNzError",
    "NzipError",
    "NzipFile",
    "Tensor",
    "Tokenizer",
    "TruncatedError",
    "__version__",
    "codecs",
    "compress",
    "decode_array",
    "decompress",
    "encode_array",
    "instruction_sets",
    "models",
    "open",
    "register",
]


def compress(data: Buffer, level: int | None = None, **options: Unpack[CompressOptions]) -> bytes:
    """Compresses bytes to one stream, at a level of 1 (fast) to 9 (small); 6 by default."""
    return _nzip.compress(data, level, options)


def decompress(data: Buffer, **options: Unpack[DecompressOptions]) -> bytes:
    """Decompresses all streams in ``data``. The result counts against ``memory``; use ``open`` for what is larger."""
    return _nzip.decompress(data, options)


def models() -> list[Model]:
    """The models that are built in, and those in the user's folders."""
    return [Model(name or digits) for name, digits, stored, _ in _nzip.models() if stored is not None]
