"""Remote archives and jobs against a server that speaks the protocol of S3; skipped aloud where moto is not installed."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import nzip
import pytest
from conftest import fresh

MISSING = [p for p in ("moto", "flask", "s3fs") if importlib.util.find_spec(p) is None]
pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"SKIPPED: {', '.join(MISSING)} not installed")
# The package's own command reads no URLs.
PROGRAM = os.environ.get("NZIP_PROGRAM") or shutil.which("nzip")


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """An empty bucket, as the environment of this process and its children names it."""
    code = "import sys; from moto.server import main; main(['-H', '127.0.0.1', '-p', sys.argv[1]])"
    port = "5713"
    command = [sys.executable, "-c", code, port]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    names = {"AWS_ENDPOINT": url, "AWS_ENDPOINT_URL": url, "AWS_ALLOW_HTTP": "true", "AWS_REGION": "us-east-1"}
    names |= {"AWS_DEFAULT_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}
    before = dict(os.environ)
    os.environ.update(names)
    try:
        for _ in range(600):
            try:
                urllib.request.urlopen(url, timeout=5).close()
                break
            except OSError:
                assert process.poll() is None, "the server has ended"
                time.sleep(0.1)
        urllib.request.urlopen(urllib.request.Request(f"{url}/bucket", method="PUT"), timeout=30).close()
        yield url
    finally:
        process.kill()
        process.wait()
        os.environ.clear()
        os.environ.update(before)


def upload(server: str, name: str, data: bytes) -> None:
    kind = {"Content-Type": "application/octet-stream"}
    request = urllib.request.Request(f"{server}/bucket/{name}", data, kind, method="PUT")
    urllib.request.urlopen(request, timeout=30).close()


def command(*arguments: object, code: int = 0) -> bytes:
    assert PROGRAM is not None
    done = subprocess.run([PROGRAM, *map(str, arguments)], capture_output=True, timeout=120)
    assert done.returncode == code, done.stderr
    return done.stdout if code == 0 else done.stderr


@pytest.mark.skipif(PROGRAM is None, reason="SKIPPED: no program nzip (NZIP_PROGRAM names one)")
def test_the_command(server: str, text: bytes, tmp_path: Path) -> None:
    upload(server, "a%20folder/%C3%BC.nz", nzip.compress(text, 2, block_size=4096))
    url = "s3://bucket/a folder/ü.nz"
    assert str(len(text)).encode() in command("-l", url)
    command("-t", url)
    assert command("--range", "100000..100050", url) == text[100_000:100_050]
    assert command("-dc", url) == text
    assert b"no such file" in command("-t", "s3://bucket/none.nz", code=1)
    upload(server, "empty.nz", b"")
    assert b"0 left" in command("-t", "s3://bucket/empty.nz", code=1)
    assert b"no such file" in command("-t", "s3://nobucket/none.nz", code=1)


def test_jobs(server: str, text: bytes, tmp_path: Path) -> None:
    for i in range(3):
        upload(server, f"logs/{i}.log", text[i * 1000 :])
    upload(server, "logs/empty.log", b"")
    # What runs fsspec's own threads gets a process of its own.
    code = """if True:
        import nzip, nzip.jobs
        def run():
            return nzip.jobs.pack("s3://bucket/logs/*.log", "s3://bucket/out", level=2, shard_size=100_000)
        place = run()
        manifest = nzip.Manifest(place)
        first = manifest.shards
        assert run() == place and nzip.Manifest(place).shards == first
        print(place, manifest.size, len(first), manifest.verify(), manifest.read_range(99_990, 100_010) == TEXT)
    """
    found = fresh(code.replace("TEXT", repr(text[99_990:100_010])))
    size = sum(len(text) - i * 1000 for i in range(3))
    shards = 1 + sum(-(-(len(text) - i * 1000) // 100_000) for i in range(3))
    assert found.split(maxsplit=3) == ["s3://bucket/out/manifest.nzm", str(size), str(shards), "[] True\n"]
    if PROGRAM is not None:
        place = "s3://bucket/out/manifest.nzm"
        assert command("-dc", place) == b"".join(text[i * 1000 :] for i in range(3))
        command("-t", place)
