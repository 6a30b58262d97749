"""Contents that are spread over several files."""

from __future__ import annotations

import io
import json
import os
from typing import TYPE_CHECKING, Any, cast

from . import _nzip
from ._archive import Tensor
from ._errors import NzipError

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Buffer, Unpack

    from ._options import DecompressOptions, StrPath


class Manifest(io.RawIOBase):
    """The content that a manifest describes: a raw file that seeks, with ranges and tensors besides.

    ``location`` is a path, or a URL that fsspec knows; shards lie beside it. With ``opener``, which is given the names of shards
    and gives paths, file objects or bytes, it may also be the bytes of a manifest. A shard is opened when something of it is
    read; errors name it, and the others remain readable.
    """

    def __init__(
        self,
        location: StrPath | Buffer,
        *,
        opener: Callable[[str], Any] | None = None,
        **options: Unpack[DecompressOptions],
    ) -> None:
        data: Buffer
        if isinstance(location, (str, os.PathLike)):
            data, beside = _read(os.fspath(location))
            opener = opener or beside
        else:
            data = location
        if opener is None:
            raise TypeError("a manifest in memory needs an opener")
        self._core = _nzip.ManifestCore(data, opener, options)
        self._position = 0
        self._size = self._core.size()

    @property
    def size(self) -> int:
        """Raw bytes of all shards."""
        return self._size

    def __len__(self) -> int:
        return self._size

    def __bool__(self) -> bool:
        return True

    @property
    def shards(self) -> list[dict[str, Any]]:
        """The rows of the shards, with the keys of ``formats/manifest.md``."""
        return [json.loads(row) for row in self._core.rows()]

    def read_range(self, start: int, stop: int | None = None) -> bytes:
        """The raw bytes from ``start`` to ``stop``, which is the end by default."""
        return self._core.read_range(start, self._size if stop is None else stop)

    def tensors(self) -> list[Tensor]:
        """The tensors of the content."""
        return [Tensor(n, d, tuple(s), start, size) for n, d, s, start, size in self._core.tensors()]

    def read_tensor(self, name: str, rows: tuple[int, int] | None = None) -> bytes:
        """The bytes of a tensor, or of the rows from the first number to the one before the second, wherever they lie."""
        return self._core.read_tensor(name, rows)

    def verify(self) -> list[tuple[str, NzipError | OSError]]:
        """Decodes everything. Gives the names of the shards that are damaged, with what is wrong; none if all is well."""
        bad: list[tuple[str, NzipError | OSError]] = []
        for number, shard in enumerate(self.shards):
            try:
                self._core.verify(number)
            except (NzipError, OSError) as e:
                bad.append((shard["shard"], e))
        return bad

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, out: Buffer) -> int:
        room = memoryview(out).cast("B")[: max(self._size - self._position, 0)]
        self._core.read_range_into(self._position, room)
        self._position += room.nbytes
        return room.nbytes

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        target = offset + (0, self._position, self._size)[whence]
        if target < 0:
            raise ValueError("a place before the first byte")
        self._position = target
        return target


def _read(location: str) -> tuple[bytes, Callable[[str], Any]]:
    """The bytes at a path or URL, and what opens files beside it."""
    if "://" not in location:
        folder = os.path.dirname(location)
        with open(location, "rb") as file:
            return file.read(), lambda name: os.path.join(folder, name)
    import fsspec

    fs, path = fsspec.core.url_to_fs(location)
    folder = path.rpartition("/")[0]
    return cast(bytes, fs.cat_file(path)), lambda name: fs.open(f"{folder}/{name}", "rb")
