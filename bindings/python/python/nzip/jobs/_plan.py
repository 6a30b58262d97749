"""Cutting files into parts, each of which becomes a shard."""

from __future__ import annotations

import functools
import itertools
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import fsspec

from .. import _nzip
from .._errors import CorruptError, NzipError

_LONGEST_HEADER = 100_000_000
_FAR = 1 << 20
"""How far behind the end of a part the end of a line is looked for, in bytes."""
_STEP = 1 << 14
_LOOK = 1 << 12

Read = Callable[[int, int], bytes]
"""The bytes of a file between two offsets."""


@dataclass(frozen=True)
class Piece:
    """A range of a file, and the tensor, or the rows of one, that fill it."""

    start: int
    stop: int
    name: str | None = None
    dtype: str = ""
    shape: tuple[int, ...] = ()
    first_row: int = 0


@dataclass(frozen=True)
class Lines:
    """Moves both ends of a part to the next starts of lines: where one is depends on the file and on the place alone, so parts
    that lie side by side agree."""

    size: int
    """The size of the file."""
    within: int
    """How far they are moved at most; a longer line is cut."""
    always: bool
    """Or only if no byte at the file's start is zero, as in text."""

    def move(self, at: int, read: Read) -> int:
        """The first start of a line at or behind an offset."""
        if at in (0, self.size):
            return at
        place, end = at - 1, min(at + self.within, self.size)
        while place < end and (found := read(place, min(place + _STEP, end))):
            if (line := found.find(b"\n")) >= 0:
                return place + line + 1
            place += len(found)
        return at

    def apply(self, piece: Piece, read: Read) -> Piece:
        """The piece with its ends moved."""
        if not self.always and b"\0" in read(0, min(_LOOK, self.size)):
            return piece
        return Piece(self.move(piece.start, read), self.move(piece.stop, read))


@dataclass(frozen=True)
class Part:
    """A range of a file that becomes one shard. It can be sent to other machines."""

    source: str
    """URL or path."""
    version: str
    """What tells the file from another one of its name: its size, and its tag or time."""
    pieces: tuple[Piece, ...]
    lines: Lines | None = None
    """Where set, the one piece is cut anew when the part is read."""

    def cut(self, read: Read) -> tuple[Piece, ...]:
        """The pieces, cut at the starts of lines where that is wanted."""
        return tuple(self.lines.apply(p, read) for p in self.pieces) if self.lines else self.pieces


def plan(sources: str | Sequence[str], shard_size: int = 256 << 20, lines: bool | None = None) -> list[Part]:
    """The parts of all files, in the order of their names (where one pattern stands for several), and of their bytes.

    With ``lines``, parts of files that are not of safetensors end where lines end; ``None``: if the file looks like text."""
    if shard_size < 1:
        raise ValueError("shard_size: at least 1 byte")
    parts: list[Part] = []
    for pattern in [sources] if isinstance(sources, str) else sources:
        fs, path = fsspec.core.url_to_fs(str(pattern))
        found = sorted(fs.glob(path)) if any(c in path for c in "*?[") else [path]
        if not found:
            raise FileNotFoundError(f"no file matches {pattern}")
        for name in found:
            info = fs.info(name)
            if info["type"] != "file":
                continue
            changed = next((info[key] for key in ("ETag", "etag", "mtime", "LastModified") if key in info), "")
            source = fs.unstrip_protocol(name) if "://" in str(pattern) else name
            pieces = _tensors(fs, name, info["size"], shard_size) if name.endswith(".safetensors") else None
            cut = _by_size(info["size"], shard_size) if pieces is None else _grouped(pieces, shard_size)
            several = pieces is None and info["size"] > shard_size and lines is not False
            ends = Lines(info["size"], min(_FAR, shard_size), lines is True) if several else None
            parts += [Part(source, f"{info['size']} {changed}", tuple(group), ends) for group in cut]
    return parts


def _by_size(size: int, shard_size: int) -> Iterator[list[Piece]]:
    for start in range(0, max(size, 1), shard_size):
        yield [Piece(start, min(start + shard_size, size))]


def _grouped(pieces: list[Piece], shard_size: int) -> Iterator[list[Piece]]:
    """The header alone, since it often differs where tensors are equal; then as many pieces as fit a shard."""
    yield pieces[:1]
    group: list[Piece] = []
    for piece in pieces[1:]:
        if group and piece.stop - group[0].start > shard_size:
            yield group
            group = []
        group.append(piece)
    if group:
        yield group


def _tensors(fs: Any, path: str, size: int, shard_size: int) -> list[Piece] | None:
    """The header and the tensors of a file of safetensors; ``None`` if it is none."""
    if size < 8:
        return None
    length = int.from_bytes(fs.cat_file(path, start=0, end=8), "little")
    if not 2 <= length <= min(_LONGEST_HEADER, size - 8):
        return None
    data = 8 + length
    try:
        header = json.loads(fs.cat_file(path, start=8, end=data))
        header.pop("__metadata__", None)
        found = sorted((data + t["data_offsets"][0], data + t["data_offsets"][1], n, t) for n, t in header.items())
    except (ValueError, KeyError, TypeError, AttributeError, IndexError):
        return None
    pieces, at = [Piece(0, data)], data
    for start, stop, name, tensor in found:
        if start != at or stop < start:
            raise CorruptError(f"{path}: tensor {name!r} starts at {start}, {at} expected")
        pieces += _rows(start, stop, name, tensor, shard_size)
        at = stop
    if at != size:
        raise CorruptError(f"{path}: the tensors end at {at}, the file at {size}")
    return pieces


def _rows(start: int, stop: int, name: str, tensor: dict[str, Any], shard_size: int) -> Iterator[Piece]:
    """A tensor, cut between rows where it is larger than a shard."""
    dtype, shape = tensor["dtype"], tuple(tensor["shape"])
    if not _known(dtype):
        yield from (Piece(a, min(a + shard_size, stop)) for a in range(start, stop, shard_size))
        return
    rows = shape[0] if len(shape) > 1 else 1
    row = (stop - start) // max(rows, 1)
    step = max(shard_size // max(row, 1), 1)
    if rows <= step:
        yield Piece(start, stop, name, dtype, shape)
        return
    for first in itertools.islice(itertools.count(0, step), -(-rows // step)):
        end = min(first + step, rows)
        yield Piece(start + first * row, start + end * row, name, dtype, (end - first, *shape[1:]), first)


@functools.cache
def _known(dtype: str) -> bool:
    """Whether the library knows this type of elements."""
    try:
        _nzip.compress(b"", 1, {"tensor": (dtype, (0,))})
    except NzipError:
        return False
    return True
