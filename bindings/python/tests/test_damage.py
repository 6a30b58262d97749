"""Golden files decode; damaged, truncated and hostile files raise exceptions."""

from __future__ import annotations

import io
import os
from pathlib import Path

import nzip
import pytest


def _models(vectors: Path) -> list[Path]:
    """The frozen models that golden files name."""
    return sorted(p for p in vectors.rglob("*") if p.suffix in (".nzlm", ".nzpc", ".nzllm"))


def _golden(vectors: Path) -> list[tuple[str, Path]]:
    return [(p.name, p) for p in sorted(vectors.glob("*.nz"))]


def test_golden_files(vectors: Path) -> None:
    lines = [line.split() for line in (vectors / "manifest.txt").read_text().splitlines()]
    known = {name: (int(length), digest) for name, _, length, digest in lines}
    models = _models(vectors)
    files = _golden(vectors)
    assert len(files) > 40
    read = 0
    for name, path in files:
        options = {"models": models} if models else {}
        try:
            raw = nzip.decompress(path.read_bytes(), **options)  # type: ignore[arg-type]
        except nzip.MissingBaseError:
            continue
        read += 1
        with nzip.open(path, **options) as file:  # type: ignore[arg-type]
            assert file.read() == raw, name
        with nzip.Archive(path, **options) as archive:  # type: ignore[arg-type]
            assert archive.size == len(raw) and archive.verify() == len(raw), name
            assert archive.read_range(len(raw) // 3, len(raw) // 2) == raw[len(raw) // 3 : len(raw) // 2], name
        length, digest = known[name]
        assert len(raw) == length
        stream = nzip.compress(raw, 1, content_hash=True)
        assert nzip.Archive(stream).info()["streams"][0]["hash"] == digest, name
    assert read > 40


def test_cut_short_and_changed() -> None:
    raw = b"".join(f"{i} of many\n".encode() for i in range(3000))
    packed = nzip.compress(raw, 3, content_hash=True)
    for cut in range(0, len(packed), 3):
        part = packed[:cut]
        if cut:
            with pytest.raises(EOFError):
                nzip.decompress(part)
        with pytest.raises(nzip.NzipError):
            nzip.Archive(part)
    found, changes = 0, range(0, len(packed), 5)
    for at in changes:
        damaged = bytearray(packed)
        damaged[at] ^= 0x55
        # A zstd frame has bits that mean nothing: no change gives other bytes.
        try:
            assert nzip.decompress(damaged, verify_hash=True) == raw
        except nzip.NzipError:
            found += 1
    assert found > 0.95 * len(changes)


def test_kinds() -> None:
    with pytest.raises(nzip.NotNzError):
        nzip.decompress(b"plain text, not a stream of nzip")
    with pytest.raises(ValueError):
        nzip.open(io.BytesIO(b"plain text, not a stream of nzip")).read()
    with pytest.raises(FileNotFoundError):
        nzip.Archive("/no/such/file.nz")
    with pytest.raises(FileNotFoundError):
        nzip.open("/no/such/file.nz")
    with pytest.raises(TypeError):
        nzip.Archive(17)
    for error in ("NewerVersion", "Corrupt", "Truncated", "MissingModel", "MissingBase", "LimitExceeded", "Device"):
        assert issubclass(getattr(nzip, error + "Error"), nzip.NzipError)


def test_errors_of_file_objects_come_back() -> None:
    class Broken(io.RawIOBase):
        def readable(self) -> bool:
            return True

        def read(self, size: int = -1) -> bytes:
            raise ZeroDivisionError("broken")

    with pytest.raises(ZeroDivisionError, match="broken"):
        nzip.NzipFile(Broken()).read()  # type: ignore[arg-type]

    class Greedy(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            return bytes(1 << 20)

    with pytest.raises(ValueError):
        nzip.NzipFile(Greedy()).read()

    class Text(io.StringIO):
        pass

    with pytest.raises(TypeError):
        nzip.NzipFile(Text("text")).read()  # type: ignore[arg-type]


HOSTILE = Path(os.environ.get("NZIP_CASES", Path(__file__).resolve().parents[3] / "shared" / "cases"))
REGRESSIONS = Path(__file__).resolve().parents[3] / "tests" / "regressions"


@pytest.mark.parametrize("path", sorted([*HOSTILE.glob("*.nz"), *REGRESSIONS.rglob("*.nz")]), ids=lambda p: p.name)
def test_hostile_files(path: Path) -> None:
    """Each way to read a hostile file gives bytes or an error of nzip, and nothing else."""
    data = path.read_bytes()

    def archive() -> None:
        with nzip.Archive(data, memory=256 << 20) as archive:
            archive.tensors(), archive.info(), archive.read_range(0, min(archive.size, 1 << 20))

    def stream() -> None:
        file = nzip.NzipFile(io.BytesIO(data), memory=256 << 20)
        for _ in range(64):
            if not file.read(1 << 20):
                break

    failed = 0
    for way in (archive, stream, lambda: nzip.decompress(data, memory=256 << 20)):
        try:
            way()
        except nzip.NzipError:
            failed += 1
    # Some of them only harm readers that list names.
    assert failed or path.name in ("terminal-escape.nz", "names-bomb.nz", "duplicate-names.nz") or path.parent != HOSTILE
