"""Compressing many files on many machines, with engines that exist: Dask, Ray, Spark.

``pack("s3://bucket/*.log", "s3://bucket/out", engine="dask")`` cuts the files into parts of at most ``shard_size`` bytes, has
the engine make a shard of each, and writes a manifest that lists them: ``nzip.Manifest`` reads it. A job that was
interrupted is run again in the same way, and does what is left. Files are reached through fsspec.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from .. import _nzip
from ._plan import Part, plan
from ._shard import Settings, is_there, make_shard, put, read_lines, shard_of

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from .._options import CompressOptions

__all__ = ["Part", "Settings", "finish", "make_shard", "pack", "plan", "read_lines", "shard_of"]

Engine = Callable[..., Sequence[str]]


def local(parts: Sequence[Part], out: str, settings: Settings) -> list[str]:
    """Makes the shards one after the other in this process."""
    return [make_shard(part, out, settings) for part in parts]


def finish(rows: Sequence[str], out: str, manifest: str = "manifest.nzm", append: bool = False) -> str:
    """Writes the manifest of shards that have these rows, behind those that it lists already. Gives its place."""
    target = f"{out.rstrip('/')}/{manifest}"
    before: Sequence[str] = ()
    if append and (found := is_there(target)) is not None:
        before = _nzip.manifest_rows(found)
    put(target, _nzip.make_manifest([*before, *rows]))
    return target


def pack(
    sources: str | Sequence[str],
    out: str,
    *,
    engine: str | Engine = "local",
    level: int | None = None,
    shard_size: int = 256 << 20,
    manifest: str = "manifest.nzm",
    append: bool = False,
    lines: bool | None = None,
    engine_options: dict[str, Any] | None = None,
    **options: Unpack[CompressOptions],
) -> str:
    """Compresses files to shards in the folder ``out``, and gives the place of the manifest.

    ``sources`` are paths, URLs or patterns. Files of safetensors are cut where tensors, or rows of large ones, end, text where
    lines end; ``lines`` says of all other files whether they are cut there (``None``: if no byte at their start is zero).
    ``engine`` is ``"local"``, ``"dask"``, ``"ray"`` or ``"spark"``, or a function like ``local``, and ``engine_options`` are its. Shards
    are named after their contents: several manifests in one folder share those that are equal.
    """
    settings = Settings.of(level, options)
    parts = plan(sources, shard_size, lines)
    if isinstance(engine, str):
        engine = local if engine == "local" else importlib.import_module(f".{engine}", __name__).run
    rows = engine(parts, out, settings, **(engine_options or {}))
    return finish(rows, out, manifest, append)
