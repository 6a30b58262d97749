"""The one function of all engines: a part of a file becomes a shard and its row of the manifest."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import fsspec

from .. import _nzip
from .._errors import NzipError

if TYPE_CHECKING:
    from .._manifest import Manifest
    from .._options import CompressOptions
    from ._plan import Part

_AHEAD = 1 << 20


@dataclass(frozen=True)
class Settings:
    """How shards are compressed. It can be sent to other machines."""

    level: int | None
    options: tuple[tuple[str, Any], ...]

    @staticmethod
    def of(level: int | None, options: CompressOptions) -> Settings:
        """The settings of keywords of ``nzip.compress``. A task has one thread: the engine starts many tasks."""
        chosen = {"threads": 1, "content_hash": True, **options}
        return Settings(level, tuple(sorted(chosen.items())))

    def keywords(self, **more: Any) -> Any:
        return {**dict(self.options), **more}

    @property
    def tag(self) -> str:
        """Stands for everything, besides the content, on which the bytes of a shard depend."""
        said = {k: v for k, v in self.options if k not in ("threads", "progress")}
        return _nzip.content_hash(repr((_nzip.__version__, self.level, sorted(said.items()))).encode())[:8]


def put(target: str, data: bytes) -> None:
    """Writes a file that has its name only when it is whole: by renaming, or, in object stores, as one upload."""
    fs, path = fsspec.core.url_to_fs(target)
    if "file" not in fs.protocol:
        fs.pipe_file(path, data)
        return
    folder, _, name = path.rpartition("/")
    os.makedirs(folder, exist_ok=True)
    temporary = f"{folder}/.{name}.{uuid.uuid4().hex}.tmp"
    try:
        with open(temporary, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        if os.path.exists(temporary):
            os.unlink(temporary)
        raise


def is_there(target: str) -> bytes | None:
    """The bytes of a file, if there is one."""
    fs, path = fsspec.core.url_to_fs(target)
    try:
        return cast(bytes, fs.cat_file(path))
    except FileNotFoundError:
        return None


def shard_of(raw: bytes, streams: Iterable[tuple[int, int, tuple[str, tuple[int, ...]] | None]], out: str, settings: Settings) -> dict[str, Any]:
    """Writes the shard of a content unless it is there, and gives its row. ``streams`` are the ranges that get streams of
    their own, with the types and shapes of tensors."""
    ranges = list(streams)
    shapes = _nzip.content_hash(repr(ranges).encode())[:8] if any(t for *_, t in ranges) else ""
    name = f"shards/{_nzip.content_hash(raw)[:32]}-{settings.tag}{shapes}.nz"
    target = f"{out.rstrip('/')}/{name}"
    packed = is_there(target)
    if packed is not None:
        try:
            return cast("dict[str, Any]", json.loads(_nzip.describe_shard(name, packed, {"threads": 1})))
        except NzipError:
            # Somebody has damaged it.
            pass
    view, made = memoryview(raw), []
    for start, stop, tensor in ranges:
        keywords = settings.keywords(tensor=tensor) if tensor else settings.keywords()
        made.append(_nzip.compress(view[start:stop], settings.level, keywords))
    packed = b"".join(made)
    put(target, packed)
    return cast("dict[str, Any]", json.loads(_nzip.describe_shard(name, packed, {"threads": 1})))


def make_shard(part: Part, out: str, settings: Settings) -> str:
    """Makes the shard of a part and gives its row. What an earlier run has done is not done again."""
    key = _nzip.content_hash(repr((part, settings.tag)).encode())[:32]
    note = f"{out.rstrip('/')}/rows/{key}.json"
    if (row := _noted(note, out)) is not None:
        return row
    fs, path = fsspec.core.url_to_fs(part.source)

    def read(start: int, stop: int) -> bytes:
        return cast(bytes, fs.cat_file(path, start=start, end=stop)) if stop > start else b""

    pieces = part.cut(read)
    base, stop = pieces[0].start, pieces[-1].stop
    label = f"{part.source}#{base}-{stop}"
    raw = read(base, stop)
    if len(raw) != stop - base:
        raise OSError(f"{label}: {len(raw)} bytes found")
    filled = [p for p in pieces if p.stop > p.start] or list(pieces[:1])
    ranges = [(p.start - base, p.stop - base, (p.dtype, p.shape) if p.name is not None else None) for p in filled]
    described = shard_of(raw, ranges, out, settings)
    tensors = []
    for p in pieces:
        if p.name is not None:
            tensor = {"name": p.name, "dtype": p.dtype, "shape": list(p.shape), "start": p.start - base}
            tensors.append({**tensor, "first_row": p.first_row})
    described = {**described, "tensors": tensors, "source": label}
    row = json.dumps(described, ensure_ascii=False, separators=(",", ":"))
    put(note, row.encode())
    return row


def _noted(note: str, out: str) -> str | None:
    """The row that an earlier run has left, if its shard is there."""
    found = is_there(note)
    if found is None:
        return None
    try:
        row = json.loads(found)
        fs, path = fsspec.core.url_to_fs(f"{out.rstrip('/')}/{row['shard']}")
        return found.decode() if fs.info(path)["size"] == row["stored_bytes"] else None
    except (FileNotFoundError, ValueError, KeyError):
        return None


def read_lines(manifest: Manifest, number: int) -> Iterator[bytes]:
    """The lines, without their ends, that start in shard ``number``; the last one may end in a later shard."""
    shard = manifest.shards[number]
    start, stop = shard["start"], shard["start"] + shard["raw_bytes"]
    if start == stop:
        return
    raw = manifest.read_range(start, stop)
    if start > 0 and manifest.read_range(start - 1, start) != b"\n":
        # The line that was begun belongs to an earlier shard.
        _, end, raw = raw.partition(b"\n")
        if not end:
            return
    while raw and not raw.endswith(b"\n") and stop < manifest.size:
        more = manifest.read_range(stop, min(stop + _AHEAD, manifest.size))
        head, end, _ = more.partition(b"\n")
        raw, stop = raw + head + end, stop + len(more)
    yield from raw.removesuffix(b"\n").split(b"\n") if raw else ()
