"""Jobs on Spark 4: shards are made by tasks; a content is read and written as the format ``nzip``.

``spark.dataSource.register(NzipDataSource)``, then ``spark.read.format("nzip").load(manifest)`` has a column ``line``, and
``frame.write.format("nzip").mode("append").save(folder)`` writes one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pyspark.sql import SparkSession
from pyspark.sql.datasource import DataSource, DataSourceReader, DataSourceWriter, InputPartition, WriterCommitMessage

from .._manifest import Manifest
from . import finish
from ._plan import Part
from ._shard import Settings, make_shard, read_lines, shard_of


def run(parts: Sequence[Part], out: str, settings: Settings, spark: Any = None) -> list[str]:
    """Makes the shards by tasks of a session: ``spark``, or the one that is active."""
    if not parts:
        return []
    context = (spark or SparkSession.builder.getOrCreate()).sparkContext
    made = context.parallelize(list(parts), len(parts)).map(lambda part: make_shard(part, out, settings))
    return list(made.collect())


class NzipDataSource(DataSource):  # type: ignore[misc]
    """The format ``nzip``. Options of writing: ``level``, ``manifest`` (its name)."""

    @classmethod
    def name(cls) -> str:
        return "nzip"

    def schema(self) -> str:
        return "line string"

    def reader(self, schema: Any) -> _Reader:
        return _Reader(self.options["path"])

    def writer(self, schema: Any, overwrite: bool) -> _Writer:
        return _Writer(self.options, schema.names[0])


class _Reader(DataSourceReader):  # type: ignore[misc]
    def __init__(self, manifest: str) -> None:
        self._manifest = manifest

    def partitions(self) -> list[InputPartition]:
        return [InputPartition(number) for number in range(len(Manifest(self._manifest).shards))]

    def read(self, partition: InputPartition) -> Iterator[tuple[str]]:
        for line in read_lines(Manifest(self._manifest, threads=1), partition.value):
            yield (line.decode(),)


@dataclass
class _Written(WriterCommitMessage):  # type: ignore[misc]
    partition: int
    row: str | None


class _Writer(DataSourceWriter):  # type: ignore[misc]
    def __init__(self, options: Any, column: str) -> None:
        level = options.get("level")
        self._out, self._column = options["path"], column
        self._manifest = options.get("manifest", "manifest.nzm")
        self._settings = Settings.of(None if level is None else int(level), {})

    def write(self, iterator: Iterator[Any]) -> _Written:
        from pyspark import TaskContext

        context = TaskContext.get()
        number = 0 if context is None else context.partitionId()
        raw = b"".join(f"{row[self._column]}\n".encode() for row in iterator)
        if not raw:
            return _Written(number, None)
        return _Written(number, json.dumps(shard_of(raw, [(0, len(raw), None)], self._out, self._settings)))

    def commit(self, messages: list[Any]) -> None:
        written = sorted((m for m in messages if m is not None and m.row is not None), key=lambda m: m.partition)
        finish([m.row for m in written], self._out, self._manifest)
