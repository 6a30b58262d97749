"""Files, archives, tar archives, the command."""

from __future__ import annotations

import io
import os
import random
import shutil
import subprocess
import sys
import tarfile
import threading
from pathlib import Path

import nzip
import pytest


def test_modes(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "t.nz"
    with nzip.open(path, "wb", level=2) as file:
        assert isinstance(file, nzip.NzipFile)
        assert file.writable() and not file.readable() and not file.seekable()
        assert file.write(text[:1000]) == 1000 and file.tell() == 1000
        file.flush()
        assert file.write(memoryview(text)[1000:2000]) == 1000
    assert file.closed
    with nzip.open(path, "ab", level=2) as file:
        file.write(text[2000:3000])  # type: ignore[call-overload]
    with nzip.open(path) as file:
        assert isinstance(file, nzip.NzipFile)
        assert file.name == str(path) and file.mode == "rb" and file.fileno() > 0
        assert file.peek(5)[:5] == text[:5]
        assert file.read(10) == text[:10] and file.tell() == 10
        assert file.readline() == text[10:].splitlines(True)[0]
        assert file.seek(2500) == 2500 and file.read(20) == text[2500:2520]
        assert file.seek(-5, os.SEEK_END) == 2995 and file.read() == text[2995:3000]
        assert file.seek(0) == 0
        assert b"".join(file) == text[:3000]
        buffer = bytearray(7)
        file.seek(3)
        assert file.readinto(buffer) == 7 and buffer == text[3:10]
        with pytest.raises(io.UnsupportedOperation):
            file.write(b"")
    with pytest.raises(FileExistsError):
        nzip.open(path, "xb")
    with pytest.raises(ValueError):
        nzip.open(path, "rw")
    with pytest.raises(ValueError):
        nzip.open(path, encoding="utf-8")
    with nzip.open(path, "wt", encoding="utf-8", newline="\n") as out:
        out.write("Grüße\n")  # type: ignore[arg-type]
    with nzip.open(path, "rt", encoding="utf-8") as lines:
        assert list(lines) == ["Grüße\n"]
    with pytest.raises(ValueError):
        file.read()


def test_an_empty_file(tmp_path: Path) -> None:
    path = tmp_path / "e.nz"
    nzip.open(path, "wb").close()
    assert nzip.open(path).read() == b"" and nzip.decompress(path.read_bytes()) == b""


def test_a_pipe(text: bytes) -> None:
    read, write = os.pipe()
    packed = nzip.compress(text, 1)

    def feed() -> None:
        with open(write, "wb") as out:
            out.write(packed)

    thread = threading.Thread(target=feed)
    thread.start()
    with open(read, "rb") as source, nzip.NzipFile(source) as file:
        assert not file.seekable()
        assert file.read() == text
        with pytest.raises(io.UnsupportedOperation):
            file.seek(0)
    thread.join()


def test_archives(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "a.nz"
    packed = nzip.compress(text, 3, block_size=16384)
    path.write_bytes(packed)
    with open(path, "rb") as below:
        for source in (path, str(path), packed, bytearray(packed), io.BytesIO(packed), below):
            with nzip.Archive(source) as archive:
                assert archive.size == len(archive) == len(text) and archive.stored_size == len(packed)
                assert archive.decoded_bytes == 0
                assert archive.read_range(100_000, 100_010) == text[100_000:100_010]
                assert 0 < archive.decoded_bytes <= 2 * 16384
                assert archive.read() == text and archive.read() == b""
                generator = random.Random(1)
                for _ in range(50):
                    start = generator.randrange(len(text) + 5)
                    n = generator.randrange(1, 40_000)
                    assert archive.seek(start) == start
                    buffered = io.BufferedReader(archive).read(n) if False else b""
                    while len(buffered) < n and (part := archive.read(n - len(buffered))):
                        buffered += part
                    assert buffered == text[start : start + n]
                out = bytearray(5)
                archive.read_range_into(7, out)
                assert out == text[7:12]
                with pytest.raises(nzip.BadArgumentError):
                    archive.read_range(0, len(text) + 1)
                with pytest.raises(ValueError):
                    archive.seek(-1)
            with pytest.raises(ValueError):
                archive.read(1)
        assert not below.closed


def test_threads_share_an_archive(text: bytes) -> None:
    archive = nzip.Archive(io.BytesIO(nzip.compress(text, 1, block_size=8192)))
    bad: list[int] = []

    def work(seed: int) -> None:
        generator = random.Random(seed)
        for _ in range(50):
            start = generator.randrange(len(text) - 100)
            if archive.read_range(start, start + 100) != text[start : start + 100]:
                bad.append(start)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not bad


def test_tar(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.txt").write_bytes(text)
    with nzip.open(tmp_path / "t.tar.nz", "wb", level=1) as file, tarfile.open(fileobj=file, mode="w") as tar:  # type: ignore[call-overload]
        tar.add(tmp_path / "in", "in")
    with nzip.open(tmp_path / "t.tar.nz") as file, tarfile.open(fileobj=file) as tar:  # type: ignore[call-overload]
        member = tar.extractfile("in/a.txt")
        assert member is not None and member.read() == text
    nzip.register("shutil")
    nzip.register("shutil")
    shutil.unpack_archive(tmp_path / "t.tar.nz", tmp_path / "out")
    assert (tmp_path / "out" / "in" / "a.txt").read_bytes() == text


def test_the_command(tmp_path: Path, text: bytes) -> None:
    def run(*arguments: object, input: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
        start = [sys.executable, "-m", "nzip", *map(str, arguments)]
        return subprocess.run(start, capture_output=True, input=input, timeout=120)

    path = tmp_path / "t"
    path.write_bytes(text)
    assert run("-3", path).returncode == 0
    packed = (tmp_path / "t.nz").read_bytes()
    assert packed == nzip.compress(text, 3)
    path.unlink()
    assert run("-d", tmp_path / "t.nz").returncode == 0
    assert path.read_bytes() == text
    assert run("-c", "-1", input=text).stdout == nzip.compress(text, 1)
    assert run("-dc", input=packed).stdout == text
    assert b"nzip" in run("--version").stdout and run("--help").returncode == 0
    bad = run("--no-such-option")
    assert bad.returncode == 2 and b"no-such-option" in bad.stderr
    (tmp_path / "bad.nz").write_bytes(packed[:-5])
    assert run("-t", tmp_path / "bad.nz").returncode == 1
