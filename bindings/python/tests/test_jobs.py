"""Jobs on real local clusters: a worker is killed midway, the job is run again, and all bytes are as if nothing had happened.
What is not installed is skipped aloud; tools/test-jobs.sh installs it."""

from __future__ import annotations

import importlib.util
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nzip
import pytest
from nzip import jobs


def needs(*packages: str) -> pytest.MarkDecorator:
    missing = [p for p in packages if importlib.util.find_spec(p) is None]
    return pytest.mark.skipif(bool(missing), reason=f"SKIPPED: {', '.join(missing)} not installed")


COUNT = 8
ROWS = 2500


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files that take a worker some tenths of a second each."""
    folder = tmp_path_factory.mktemp("logs")
    for i in range(COUNT):
        generator = random.Random(i)
        rows = (f"{i} {n} {generator.random()} GET /{generator.randrange(999)}\n" for n in range(ROWS))
        (folder / f"{i:02}.log").write_text("".join(rows))
    return folder


@pytest.fixture(scope="module")
def undisturbed(logs: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    out = tmp_path_factory.mktemp("undisturbed")
    jobs.pack(f"{logs}/*.log", str(out), level=5)
    return files(out)


def files(folder: Path) -> dict[str, bytes]:
    """Manifest and shards; what a killed worker has left under a temporary name is none of them."""
    found = (p for p in folder.rglob("*") if p.suffix in (".nz", ".nzm"))
    return {str(p.relative_to(folder)): p.read_bytes() for p in found}


def raw(logs: Path) -> bytes:
    return b"".join(p.read_bytes() for p in sorted(logs.glob("*.log")))


def disturbed(logs: Path, out: Path, engine: str, kill: Callable[[], None], **options: Any) -> None:
    """Runs a job, kills workers when some shards are there, and runs it again."""

    def run() -> None:
        jobs.pack(f"{logs}/*.log", str(out), level=5, engine=engine, engine_options=options)

    def first() -> None:
        try:
            run()
        except Exception as e:  # noqa: BLE001
            print("the first run ended with", type(e).__name__, e)

    thread = threading.Thread(target=first)
    thread.start()
    end = time.monotonic() + 120
    while len(list(out.glob("shards/*.nz"))) < 2 and thread.is_alive() and time.monotonic() < end:
        time.sleep(0.01)
    done = len(list(out.glob("rows/*.json")))
    kill()
    assert done < COUNT, "the worker was killed too late to tell anything"
    thread.join(180)
    assert not thread.is_alive()
    run()


def same_ranges(logs: Path, out: Path) -> None:
    manifest, whole = nzip.Manifest(out / "manifest.nzm"), raw(logs)
    generator = random.Random(7)
    for _ in range(30):
        start = generator.randrange(len(whole))
        stop = min(start + generator.randrange(200_000), len(whole))
        assert manifest.read_range(start, stop) == whole[start:stop]


@needs("dask", "distributed")
def test_dask(logs: Path, undisturbed: dict[str, bytes], tmp_path: Path) -> None:
    from dask.distributed import Client, LocalCluster
    from nzip.jobs.dask import lines

    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster) as client:

        def kill() -> None:
            os.kill(next(iter(client.run(os.getpid).values())), signal.SIGKILL)

        disturbed(logs, tmp_path, "dask", kill, client=client)
        assert files(tmp_path) == undisturbed
        same_ranges(logs, tmp_path)
        found = lines(str(tmp_path / "manifest.nzm"))
        assert found.npartitions == COUNT and found.count().compute() == COUNT * ROWS


@pytest.fixture(scope="module")
def ray_cluster() -> Iterator[None]:
    import ray

    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


@needs("ray", "pyarrow")
def test_ray(logs: Path, undisturbed: dict[str, bytes], tmp_path: Path, ray_cluster: None) -> None:
    import ray
    from nzip.jobs.ray import NzipDatasink, NzipDatasource

    @ray.remote
    def pid() -> int:
        time.sleep(0.2)
        return os.getpid()

    pids = set(ray.get([pid.remote() for _ in range(4)]))

    def kill() -> None:
        for one in pids:
            os.kill(one, signal.SIGKILL)

    disturbed(logs, tmp_path, "ray", kill)
    assert files(tmp_path) == undisturbed
    same_ranges(logs, tmp_path)

    frame = ray.data.read_datasource(NzipDatasource(str(tmp_path / "manifest.nzm")))
    assert frame.count() == COUNT * ROWS
    frame.write_datasink(NzipDatasink(str(tmp_path / "again"), level=1))
    again = nzip.Manifest(tmp_path / "again" / "manifest.nzm")
    assert sorted(again.read_range(0).splitlines()) == sorted(raw(logs).splitlines())


@needs("pyspark", "psutil")
def test_spark(
    logs: Path, undisturbed: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Workers are started by this program, not by the first python3 of PATH, which may lack the package.
    monkeypatch.setenv("PYSPARK_PYTHON", sys.executable)
    import psutil
    from nzip.jobs.spark import NzipDataSource
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.master("local[2, 4]").config("spark.ui.enabled", "false")
    spark = builder.config("spark.driver.bindAddress", "127.0.0.1").getOrCreate()
    try:
        spark.sparkContext.setLogLevel("OFF")

        def kill() -> None:
            running = [p for p in psutil.Process().children(recursive=True) if p.status() != psutil.STATUS_ZOMBIE]
            # The first one is the daemon, which starts the workers.
            workers = [p for p in running if "pyspark.daemon" in " ".join(p.cmdline())][1:]
            assert workers, "no worker was found"
            workers[-1].send_signal(signal.SIGKILL)

        disturbed(logs, tmp_path, "spark", kill, spark=spark)
        assert files(tmp_path) == undisturbed
        same_ranges(logs, tmp_path)

        spark.dataSource.register(NzipDataSource)
        frame = spark.read.format("nzip").load(str(tmp_path / "manifest.nzm"))
        assert frame.count() == COUNT * ROWS
        frame.write.format("nzip").mode("append").option("level", 1).save(str(tmp_path / "again"))
        again = nzip.Manifest(tmp_path / "again" / "manifest.nzm")
        assert again.read_range(0) == raw(logs)
    finally:
        spark.stop()
