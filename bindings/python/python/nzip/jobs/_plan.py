"""Cutting files into parts, each of which becomes a shard."""

from __future__ import annotations

import functools
import itertools
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import fsspec

from .. import _nzip
from .._errors import CorruptError, NzipError

_LONGEST_HEADER = 100_000_000


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
class Part:
    """A range of a file that becomes one shard. It can be sent to other machines."""

    source: str
    """URL or path."""
    version: str
    """What tells the file from another one of its name: its size, and its tag or time."""
    pieces: tuple[Piece, ...]

    @property
    def start(self) -> int:
        return self.pieces[0].start

    @property
    def stop(self) -> int:
        return self.pieces[-1].stop

    @property
    def label(self) -> str:
        """What the row of the shard says of its source."""
        return f"{self.source}#{self.start}-{self.stop}"


def plan(sources: str | Sequence[str], shard_size: int = 256 << 20) -> list[Part]:
    """The parts of all files, in the order of their names (where one pattern stands for several), and of their bytes."""
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
            parts += [Part(source, f"{info['size']} {changed}", tuple(group)) for group in cut]
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
