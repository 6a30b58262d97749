"""Jobs on Dask: shards are made by a bag of parts, and a content is read as a bag of lines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import dask
import dask.bag

from .._manifest import Manifest
from ._plan import Part
from ._shard import Settings, make_shard, read_lines


def run(parts: Sequence[Part], out: str, settings: Settings, client: Any = None) -> list[str]:
    """Makes the shards on a cluster of ``dask.distributed``: that of ``client``, or the one that is active; in processes of
    this machine where there is none."""
    if not parts:
        return []
    bag = dask.bag.from_sequence(parts, npartitions=len(parts)).map(make_shard, out, settings)
    if client is not None:
        return list(client.gather(client.compute(bag)))
    return list(bag.compute())


def lines(manifest: str) -> Any:
    """A bag of the lines of the content that a manifest describes; each partition is what starts in one shard."""
    count = len(Manifest(manifest).shards)
    shards = dask.bag.from_sequence(range(count), npartitions=max(count, 1))
    return shards.map(_lines, manifest).flatten()


def _lines(number: int, manifest: str) -> list[bytes]:
    return list(read_lines(Manifest(manifest, threads=1), number))
