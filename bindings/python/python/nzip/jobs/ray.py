"""Jobs on Ray: shards are made by tasks; a content is read and written by ``ray.data``."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import pyarrow
import ray
from ray.data import Datasink, Datasource, ReadTask
from ray.data.block import BlockMetadata

from .._manifest import Manifest
from . import finish
from ._plan import Part
from ._shard import Settings, make_shard, read_lines, shard_of


def run(parts: Sequence[Part], out: str, settings: Settings, **task: Any) -> list[str]:
    """Makes the shards by tasks of one core each; ``task`` are options of ``ray.remote``."""
    remote = ray.remote(**{"num_cpus": 1, "max_retries": 3, **task})(make_shard)
    return list(ray.get([remote.remote(part, out, settings) for part in parts]))


class NzipDatasource(Datasource):  # type: ignore[misc]
    """The lines of the content that a manifest describes, as column ``line``: ``ray.data.read_datasource``."""

    def __init__(self, manifest: str) -> None:
        super().__init__()
        self._manifest = manifest
        self._shards = Manifest(manifest).shards

    def estimate_inmemory_data_size(self) -> int:
        return sum(shard["raw_bytes"] for shard in self._shards)

    def get_read_tasks(self, parallelism: int, *_: Any, **__: Any) -> list[ReadTask]:
        def task(number: int, size: int) -> ReadTask:
            about = BlockMetadata(num_rows=None, size_bytes=size, input_files=None, exec_stats=None)
            return ReadTask(functools.partial(_table, self._manifest, number), about)

        return [task(number, shard["raw_bytes"]) for number, shard in enumerate(self._shards)]


def _table(manifest: str, number: int) -> Iterator[pyarrow.Table]:
    found = list(read_lines(Manifest(manifest, threads=1), number))
    yield pyarrow.table({"line": pyarrow.array(found, pyarrow.binary())})


class NzipDatasink(Datasink):  # type: ignore[misc]
    """Writes a column of lines as shards, one for each task, and their manifest: ``Dataset.write_datasink``."""

    def __init__(self, out: str, column: str = "line", level: int | None = None, manifest: str = "manifest.nzm") -> None:
        self._out, self._column, self._manifest = out, column, manifest
        self._settings = Settings.of(level, {})

    def write(self, blocks: Iterable[pyarrow.Table], ctx: Any) -> tuple[int, str]:
        lines = [line for block in blocks for line in block[self._column].to_pylist()]
        raw = b"".join((line.encode() if isinstance(line, str) else line) + b"\n" for line in lines)
        return ctx.task_idx, json.dumps(shard_of(raw, [(0, len(raw), None)], self._out, self._settings))

    def on_write_complete(self, write_result: Any) -> None:
        rows = sorted(write_result.write_returns)
        finish([row for _, row in rows], self._out, self._manifest)
