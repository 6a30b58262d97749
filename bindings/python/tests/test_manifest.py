"""Contents that are spread over several files, and jobs that make them, in one process."""

from __future__ import annotations

import io
import json
import os
import random
from pathlib import Path
from typing import Any

import nzip
import pytest
from nzip import jobs


def lines(start: int, count: int) -> bytes:
    return "".join(f"2026-11-28 {i} GET /item/{i * i % 1009} 200\n" for i in range(start, start + count)).encode()


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    folder = tmp_path / "logs"
    folder.mkdir()
    for i in range(3):
        (folder / f"{i}.log").write_bytes(lines(i * 5000, 5000 + i))
    (folder / "3.log").write_bytes(b"")
    return folder


def content(folder: Path, pattern: str = "*.log") -> bytes:
    return b"".join(p.read_bytes() for p in sorted(folder.glob(pattern)))


def safetensors(path: Path, tensors: dict[str, tuple[list[int], bytes]], note: str = "") -> bytes:
    header: dict[str, object] = {"__metadata__": {"note": note}}
    at = 0
    for name, (shape, data) in tensors.items():
        header[name] = {"dtype": "F16", "shape": shape, "data_offsets": [at, at + len(data)]}
        at += len(data)
    text = json.dumps(header).encode()
    raw = len(text).to_bytes(8, "little") + text + b"".join(data for _, data in tensors.values())
    path.write_bytes(raw)
    return raw


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*.n*")) if p.is_file()}


def test_a_content_of_many_files(logs: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    place = jobs.pack(f"{logs}/*.log", str(out), level=2, shard_size=100_000)
    raw = content(logs)
    manifest = nzip.Manifest(place)
    assert manifest.size == len(manifest) == len(raw) and len(manifest.shards) > 5
    generator = random.Random(1)
    for _ in range(50):
        start = generator.randrange(len(raw))
        stop = min(start + generator.randrange(150_000), len(raw))
        assert manifest.read_range(start, stop) == raw[start:stop]
    assert io.BufferedReader(manifest).read() == raw
    assert b"".join(line + b"\n" for i in range(len(manifest.shards)) for line in jobs.read_lines(manifest, i)) == raw
    assert manifest.verify() == []
    with pytest.raises(nzip.BadArgumentError):
        manifest.read_range(0, len(raw) + 1)
    # Done again, nothing changes and nothing is written.
    before = {p: p.stat().st_mtime_ns for p in (out / "shards").iterdir()}
    made = files(out)
    assert jobs.pack(f"{logs}/*.log", str(out), level=2, shard_size=100_000) == place
    assert files(out) == made and {p: p.stat().st_mtime_ns for p in (out / "shards").iterdir()} == before


def shards_of(place: str) -> list[bytes]:
    manifest = nzip.Manifest(place)
    return [manifest.read_range(s["start"], s["start"] + s["raw_bytes"]) for s in manifest.shards]


def test_text_is_cut_where_lines_end(tmp_path: Path) -> None:
    def parts(raw: bytes, **options: Any) -> list[bytes]:
        (tmp_path / "x").write_bytes(raw)
        found = shards_of(jobs.pack(str(tmp_path / "x"), str(tmp_path / "out"), level=1, shard_size=1000, **options))
        assert b"".join(found) == raw
        return found

    text = lines(0, 200)
    found = parts(text)
    assert len(found) == -(-len(text) // 1000)
    assert all(part.endswith(b"\n") and abs(len(part) - 1000) < 50 for part in found[:-1])
    assert [len(part) for part in parts(text, lines=False)[:-1]] == [1000] * (len(found) - 1)
    # Lines that end just before a part does, or fill parts; a line longer than a part is cut.
    exact = b"".join(b"%99d\n" % i for i in range(30))
    assert [len(part) for part in parts(exact)] == [1000] * 3
    long = b"a" * 1500 + b"\n" + b"b" * 3000 + b"\n" + b"c" * 10
    assert [len(part) for part in parts(long)] == [1501, 499, 1000, 1502, 10]
    # A zero byte says that it is no text.
    binary = b"\0" + text
    assert len(parts(binary)[0]) == 1000 and parts(binary, lines=True)[0].endswith(b"\n")
    # Each shard has whole lines: nothing else is read to find them.
    manifest = nzip.Manifest(jobs.pack(str(tmp_path / "x"), str(tmp_path / "out"), level=1, shard_size=1000, lines=True))
    each = [list(jobs.read_lines(manifest, i)) for i in range(len(manifest.shards))]
    assert each == [part.removesuffix(b"\n").split(b"\n") for part in parts(binary, lines=True)]


def test_behind_the_end(logs: Path, tmp_path: Path) -> None:
    manifest = nzip.Manifest(jobs.pack(f"{logs}/*.log", str(tmp_path / "out"), level=1, shard_size=100_000))
    raw = content(logs)
    for place in (manifest.size, manifest.size + 1, 2**62):
        assert manifest.seek(place) == place
        assert manifest.read() == manifest.read(10) == b"" and manifest.readinto(bytearray(5)) == 0
    manifest.seek(-3, io.SEEK_END)
    assert manifest.read(100) == raw[-3:] and manifest.read(1) == b""
    for start, stop in ((len(raw), len(raw) + 1), (len(raw) + 1, len(raw) + 1), (5, 4)):
        with pytest.raises(nzip.BadArgumentError):
            manifest.read_range(start, stop)
    assert manifest.read_range(len(raw)) == manifest.read_range(len(raw), len(raw)) == b""
    empty = nzip.Manifest(jobs.pack(str(logs / "3.log"), str(tmp_path / "none")))
    assert empty.size == 0 and empty.read() == b"" and empty.seek(5) == 5 and empty.read(1) == b""


def test_a_damaged_shard_is_named(logs: Path, tmp_path: Path) -> None:
    place = jobs.pack(f"{logs}/*.log", str(tmp_path / "out"), level=2, shard_size=100_000)
    shard = nzip.Manifest(place).shards[2]
    path = tmp_path / "out" / shard["shard"]
    packed = path.read_bytes()
    path.write_bytes(packed[:60] + bytes([packed[60] ^ 1]) + packed[61:])
    manifest, raw = nzip.Manifest(place), content(logs)
    with pytest.raises(nzip.NzipError, match=shard["shard"]):
        manifest.read_range(0)
    rest = shard["start"] + shard["raw_bytes"]
    assert manifest.read_range(rest) == raw[rest:]
    [(name, _)] = manifest.verify()
    assert name == shard["shard"]
    path.unlink()
    with pytest.raises(FileNotFoundError):
        nzip.Manifest(place).read_range(shard["start"], rest)
    # A job makes it anew where it is missing, or has lost its end.
    for left in (None, packed[:100]):
        if left is not None:
            path.write_bytes(left)
        jobs.pack(f"{logs}/*.log", str(tmp_path / "out"), level=2, shard_size=100_000)
        assert path.read_bytes() == packed and nzip.Manifest(place).verify() == []


def test_appending(logs: Path, tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    place = jobs.pack([str(logs / "0.log"), str(logs / "1.log")], out, level=1)
    first = Path(place).read_bytes().splitlines()
    jobs.pack(str(logs / "2.log"), out, level=1, append=True)
    assert Path(place).read_bytes().splitlines()[:3] == first[:3]
    assert nzip.Manifest(place).read_range(0) == content(logs)


def test_checkpoints_share_shards(tmp_path: Path) -> None:
    def values(seed: int, count: int) -> bytes:
        generator = random.Random(seed)
        return b"".join(generator.randrange(0x3000, 0x3C00).to_bytes(2, "little") for _ in range(count))

    big, small = ([300, 100], values(1, 30_000)), ([10], values(2, 10))
    steps = {1: {"big": big, "frozen": ([40, 100], values(3, 4000)), "small": small, "none": ([0, 4], b"")}}
    steps[2] = {**steps[1], "frozen": steps[1]["frozen"], "small": ([10], values(9, 10))}
    out = tmp_path / "out"
    raw = {}
    for step, tensors in steps.items():
        raw[step] = safetensors(tmp_path / f"{step}.safetensors", tensors, note=str(step))
        jobs.pack(str(tmp_path / f"{step}.safetensors"), str(out), level=1, shard_size=16_000, manifest=f"{step}.nzm")
    read = {step: nzip.Manifest(out / f"{step}.nzm") for step in steps}
    for step, manifest in read.items():
        assert manifest.read_range(0) == raw[step] and manifest.verify() == []
        found = {t.name: t for t in manifest.tensors()}
        assert {n: list(t.shape) for n, t in found.items()} == {n: shape for n, (shape, _) in steps[step].items()}
        for name, (_, data) in steps[step].items():
            assert manifest.read_tensor(name) == data
        # Its rows lie in several shards.
        assert sum(any(t["name"] == "big" for t in s.get("tensors", [])) for s in manifest.shards) == 4
        assert manifest.read_tensor("big", rows=(70, 170)) == big[1][70 * 200 : 170 * 200]
    names = {step: [s["shard"] for s in manifest.shards] for step, manifest in read.items()}
    assert len(set(names[1]) - set(names[2])) == 2, "the header and the last shard"
    with pytest.raises(nzip.BadArgumentError):
        read[1].read_tensor("other")


def test_what_is_no_manifest(tmp_path: Path) -> None:
    with pytest.raises(nzip.NotNzError):
        nzip.Manifest(b"something", opener=str)
    with pytest.raises(TypeError):
        nzip.Manifest(b"something")
    with pytest.raises(FileNotFoundError):
        nzip.Manifest(tmp_path / "none.nzm")
    with pytest.raises(FileNotFoundError):
        jobs.pack(f"{tmp_path}/*.none", str(tmp_path))
    whole = Path(jobs.pack(__file__, str(tmp_path / "out"))).read_bytes()
    for end in range(0, len(whole), 7):
        with pytest.raises(nzip.TruncatedError):
            nzip.Manifest(whole[:end], opener=str)
    os.remove(tmp_path / "out" / "manifest.nzm")
    assert nzip.Manifest(whole, opener=lambda name: (tmp_path / "out" / name).read_bytes()).read_range(0, 3) == b'"""'
