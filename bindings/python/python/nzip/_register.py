"""Registers nzip with other libraries."""

from __future__ import annotations

import shutil
import tarfile
from typing import Any

from . import _nzip
from ._file import NzipFile

#: The number of the codec in blosc2, which keeps 160 to 255 for its users.
BLOSC2_ID = 200


def _unpack_tar(name: Any, folder: Any) -> None:
    with NzipFile(name) as file, tarfile.open(fileobj=file, mode="r|") as archive:
        # The filter is the default from Python 3.14 on.
        archive.extractall(folder, filter="data")


def _shutil() -> None:
    if not any(entry[0] == "nztar" for entry in shutil.get_unpack_formats()):
        shutil.register_unpack_format("nztar", [".tar.nz", ".tnz"], _unpack_tar, [], "nzip'ed tar-file")


def _fsspec() -> None:
    from fsspec.compression import compr, register_compression

    if "nz" not in compr:
        register_compression("nz", lambda f, mode="rb", **k: NzipFile(f, mode, **k), "nz")


def _smart_open() -> None:
    from smart_open import register_compressor

    register_compressor(".nz", lambda f, mode: NzipFile(f, mode))


def _blosc2() -> None:
    import blosc2

    def encode(source: Any, out: Any, meta: int, schunk: Any) -> int:
        packed = _nzip.compress(source, schunk.cparams.clevel or None, {"threads": 1})
        if len(packed) > len(out):
            # Stored as it is.
            return 0
        out[: len(packed)] = memoryview(packed)
        return len(packed)

    def decode(source: Any, out: Any, meta: int, schunk: Any) -> int:
        raw = _nzip.decompress(memoryview(source), {"threads": 1})
        out[: len(raw)] = memoryview(raw)
        return len(raw)

    if BLOSC2_ID not in getattr(blosc2, "ucodecs_registry", {}):
        blosc2.register_codec("nzip", BLOSC2_ID, encode, decode)


def _datasets() -> None:
    from datasets.filesystems import COMPRESSION_FILESYSTEMS
    from datasets.utils import file_utils

    from .fsspec import NzFileSystem

    if NzFileSystem not in COMPRESSION_FILESYSTEMS:
        COMPRESSION_FILESYSTEMS.append(NzFileSystem)
    extensions = getattr(file_utils, "COMPRESSION_EXTENSION_TO_PROTOCOL", None)
    if extensions is not None:
        extensions["nz"] = "nz"
    magic = getattr(file_utils, "MAGIC_NUMBER_TO_COMPRESSION_PROTOCOL", None)
    if magic is not None:
        magic[MAGIC] = "nz"
        if hasattr(file_utils, "MAGIC_NUMBER_MAX_LENGTH"):
            file_utils.MAGIC_NUMBER_MAX_LENGTH = max(file_utils.MAGIC_NUMBER_MAX_LENGTH, len(MAGIC))


#: The first bytes of a stream.
MAGIC = _nzip.compress(b"", 1)[:7]

_ALL = {
    "shutil": _shutil,
    "fsspec": _fsspec,
    "smart_open": _smart_open,
    "blosc2": _blosc2,
    "datasets": _datasets,
}


def register(*libraries: str) -> list[str]:
    """Registers nzip with these libraries, or with all that are installed, and returns the names of those that know it now.

    ``shutil``: ``unpack_archive`` takes ``.tar.nz``. ``fsspec``: ``open(..., compression="infer")`` takes ``.nz``, as all
    do that open files by it. ``smart_open``: ``open("x.nz")``. ``blosc2``: the codec ``BLOSC2_ID``. ``datasets``: ``.nz`` files.
    Zarr, numcodecs and fsspec's ``nz://`` need no registration.
    """
    done = []
    for name in libraries or _ALL:
        if name not in _ALL:
            raise ValueError(f"{name!r} is none of {', '.join(_ALL)}")
        try:
            _ALL[name]()
        except ImportError:
            if libraries:
                raise
        else:
            done.append(name)
    return done
