"""Contents that are spread over several files."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any, cast

from ._archive import Tensor
from ._content import Content
from ._errors import NzipError
from ._nzip import ManifestCore

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Buffer, Unpack

    from ._options import DecompressOptions, StrPath


class Manifest(Content[ManifestCore]):
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
        super().__init__(ManifestCore(data, opener, options))

    @property
    def shards(self) -> list[dict[str, Any]]:
        """The rows of the shards, with the keys of ``formats/manifest.md``."""
        return [json.loads(row) for row in self._core.rows()]

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

    def readinto(self, out: Buffer) -> int:
        room = memoryview(out).cast("B")[: max(self._size - self._position, 0)]
        if not room.nbytes:
            return 0
        self._core.read_range_into(self._position, room)
        self._position += room.nbytes
        return room.nbytes


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
