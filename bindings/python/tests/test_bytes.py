"""Bytes in, bytes out; pieces; small messages; threads and processes."""

from __future__ import annotations

import multiprocessing
import pickle
import threading
import time
from pathlib import Path

import nzip
import pytest
from conftest import command, fresh
from hypothesis import given, settings
from hypothesis import strategies as st


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=5000), st.integers(1, 9))
def test_round_trip(data: bytes, level: int) -> None:
    packed = nzip.compress(data, level, threads=1)
    assert nzip.decompress(packed, threads=1) == data
    assert nzip.Archive(packed).read() == data


def test_any_buffer() -> None:
    raw = bytes(range(256)) * 40
    packed = nzip.compress(raw, 1)
    assert nzip.compress(bytearray(raw), 1) == packed == nzip.compress(memoryview(raw), 1)
    assert nzip.decompress(bytearray(packed)) == raw == nzip.decompress(memoryview(packed))
    with pytest.raises(BufferError):
        nzip.compress(memoryview(raw)[::2])
    with pytest.raises(TypeError):
        nzip.compress("text")  # type: ignore[arg-type]


def test_options() -> None:
    raw = b"abcd" * 5000
    for level in (0, 10, -1, 300):
        with pytest.raises(nzip.BadArgumentError):
            nzip.compress(raw, level)
    with pytest.raises(TypeError, match="no_such"):
        nzip.compress(raw, no_such=1)  # type: ignore[call-arg]
    with pytest.raises(ValueError):
        nzip.compress(raw, codec="none")
    packed = nzip.compress(raw, codec="zstd", content_hash=True, block_size=4096, memory=None)
    info = nzip.Archive(packed).info()
    assert {b["codec"] for b in info["blocks"]} == {"zstd"} and len(info["blocks"]) == 5
    assert info["streams"][0]["hash"] and info["raw_bytes"] == len(raw)
    assert nzip.decompress(packed, verify_hash=True, threads=1) == raw
    with pytest.raises(nzip.LimitExceededError):
        nzip.decompress(nzip.compress(bytes(64 << 20), 1), memory=32 << 20)
    with pytest.raises(MemoryError):
        nzip.decompress(nzip.compress(bytes(64 << 20), 1), memory=32 << 20)


def test_pieces_stay_under_the_cap() -> None:
    packed = nzip.compress(bytes(64 << 20), 1)
    decompressor = nzip.Decompressor(memory=48 << 20)
    with pytest.raises(nzip.LimitExceededError):
        decompressor.decompress(packed)
    # Less is decoded where less is wanted.
    portions = nzip.Decompressor(memory=48 << 20)
    got = len(portions.decompress(packed + b"behind", 10))
    while not portions.eof:
        assert not portions.needs_input
        got += len(portions.decompress(b"", 1 << 20))
    assert got == 64 << 20 and portions.unused_data == b"behind"


def test_max_length_bounds_the_work() -> None:
    packed = nzip.compress(bytes(1 << 28), 1)
    code = f"""if True:
        import nzip, resource, sys
        packed = bytes.fromhex({packed.hex()!r})
        nzip.Decompressor().decompress(nzip.compress(b"started", 1))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        assert nzip.Decompressor(threads=2).decompress(packed, 10) == bytes(10)
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200)
    """
    assert fresh(code) == "True\n"


def test_the_bytes_of_the_command(text: bytes, tmp_path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "text"
    path.write_bytes(text)
    for level in (1, 5, 6):
        done = command(f"-{level}", "-kf", "-o", tmp_path / "text.nz", path)
        assert done.returncode == 0, done.stderr
        packed = (tmp_path / "text.nz").read_bytes()
        assert nzip.compress(text, level) == packed
        compressor = nzip.Compressor(level)
        pieces = [compressor.compress(text[i : i + 1000]) for i in range(0, len(text), 1000)]
        assert b"".join(pieces) + compressor.flush() == packed
        with nzip.open(tmp_path / "file.nz", "wb", level=level) as file:
            file.write(text)
        assert (tmp_path / "file.nz").read_bytes() == packed


@pytest.mark.parametrize("step", [1, 7, 1000, 1 << 20])
def test_pieces(step: int) -> None:
    raw = b"".join(f"line {i}\n".encode() for i in range(2000))
    compressor = nzip.Compressor(2)
    packed = b"".join(compressor.compress(raw[i : i + step]) for i in range(0, len(raw), step))
    packed += compressor.flush(nzip.Compressor.FLUSH_BLOCK)
    assert compressor.last_mode == nzip.Compressor.FLUSH_BLOCK
    packed += compressor.flush()
    decompressor = nzip.Decompressor()
    rest = packed + b"behind"
    got = b""
    for i in range(0, len(rest), step):
        assert not decompressor.eof
        got += decompressor.decompress(rest[i : i + step])
        if decompressor.eof:
            assert decompressor.unused_data == rest[len(packed) : i + step]
            break
    assert got == raw and decompressor.eof and not decompressor.needs_input
    with pytest.raises(EOFError):
        decompressor.decompress(b"more")


def test_a_block_can_be_read_before_the_stream_ends() -> None:
    compressor, decompressor = nzip.Compressor(1), nzip.Decompressor()
    for message in (b"first", b"second"):
        packed = compressor.compress(message, nzip.Compressor.FLUSH_BLOCK)
        assert decompressor.decompress(packed) == message
        assert decompressor.needs_input and not decompressor.eof


def test_max_length(text: bytes) -> None:
    decompressor = nzip.Decompressor()
    packed = nzip.compress(b"0123456789", 1)
    assert decompressor.decompress(packed, 4) == b"0123"
    assert not decompressor.needs_input and not decompressor.eof
    assert decompressor.decompress(b"", 4) == b"4567"
    assert decompressor.decompress(b"") == b"89"
    assert decompressor.eof
    # Sometimes bytes come while others wait.
    stream = nzip.compress(text, 2, block_size=1 << 14)
    packed = stream + b"behind"
    for step, most in ((1000, 700), (100_000, 8192), (len(packed), 50_000)):
        decompressor, got, at = nzip.Decompressor(), b"", 0
        while not decompressor.eof:
            more = packed[at : at + step] if decompressor.needs_input or len(got) % 3 == 0 else b""
            at += len(more)
            part = decompressor.decompress(more, most)
            assert len(part) <= most
            got += part
        assert got == text and decompressor.unused_data == packed[len(stream) : at]


def test_many_streams(text: bytes) -> None:
    packed = nzip.compress(text[:1000], 1) + nzip.compress(text[1000:3000], 2)
    assert nzip.decompress(packed) == text[:3000]
    assert nzip.open(__import__("io").BytesIO(packed)).read() == text[:3000]  # type: ignore[union-attr]


def test_shared() -> None:
    compressor, decompressor = nzip.Compressor(5, shared=True, threads=1), nzip.Decompressor(shared=True, threads=1)
    messages = [f'{{"id": {i}, "name": "user {i % 7}"}}'.encode() for i in range(300)]
    packed = [compressor.compress(m) for m in messages]
    assert packed[3] == nzip.compress(messages[3], 5)
    assert [decompressor.decompress(p) for p in packed] == messages
    assert compressor.flush() == b""
    results: dict[int, bytes] = {}

    def work(k: int) -> None:
        results[k] = b"".join(compressor.compress(m) for m in messages)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(results.values()) == {b"".join(packed)}


def test_models() -> None:
    names = [m.name for m in nzip.models()]
    assert "tiny" in names and "base" in names
    tiny = nzip.Model("tiny")
    assert tiny == nzip.Model(tiny.hash[:8]) == pickle.loads(pickle.dumps(tiny)) and tiny != nzip.Model("base")
    given = nzip.Model.from_bytes(tiny.weights())
    assert given == tiny and hash(given) == hash(tiny)
    raw = b"It was the best of times, it was the worst of times. " * 20
    compressor = nzip.Compressor(codec="lm", model=tiny, shared=True)
    packed = compressor.compress(raw)
    assert packed == nzip.compress(raw, codec="lm", model="tiny")
    assert nzip.decompress(packed) == raw
    embedded = nzip.compress(raw, codec="lm", model=tiny, embed_model=True)
    assert len(embedded) > len(packed) + 100_000 and nzip.decompress(embedded) == raw
    with pytest.raises(nzip.BadArgumentError, match="nothing"):
        nzip.Model("nothing")


def test_another_thread_runs_while_compressing() -> None:
    raw = b"".join(f"{i * i} apples and {i % 13} pears, {i}\n".encode() for i in range(60_000))
    done = threading.Event()

    def work() -> None:
        nzip.compress(raw, 6)
        done.set()

    thread = threading.Thread(target=work)
    thread.start()
    count = 0
    while not done.is_set():
        count += 1
        time.sleep(0.001)
    thread.join()
    assert count > 20


def test_progress() -> None:
    raw = b"".join(f"{i * i} apples, {i}\n".encode() for i in range(60_000))
    calls: list[tuple[int, int]] = []
    packed = nzip.compress(raw, 6, progress=lambda done, taken: calls.append((done, taken)))
    assert calls[-1] == (len(raw), len(raw)) and len(calls) > 1
    assert calls == sorted(calls)
    calls.clear()
    assert nzip.decompress(packed, progress=lambda done, taken: calls.append((done, taken))) == raw
    assert calls[-1] == (len(raw), len(raw))

    def fail(done: int, taken: int) -> None:
        raise KeyError("stop")

    with pytest.raises(KeyError, match="stop"):
        nzip.compress(raw, 6, progress=fail)


def test_ctrl_c() -> None:
    code = """if True:
        import nzip, os, signal, threading, time
        # Whoever runs the tests in the background may ignore it.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        raw = b"".join(f"{i * i} apples, {i}\\n".encode() for i in range(150_000))
        packed = nzip.compress(raw, 5, block_size=1 << 18)
        start = time.monotonic()
        nzip.decompress(packed, threads=1)
        full = time.monotonic() - start
        threading.Timer(full / 8, os.kill, (os.getpid(), signal.SIGINT)).start()
        try:
            nzip.decompress(packed, threads=1)
        except KeyboardInterrupt:
            print("interrupted")
    """
    assert fresh(code) == "interrupted\n"


def _threads() -> int:
    """The threads of this process, where the system tells them."""
    tasks = Path("/proc/self/task")
    return len(list(tasks.iterdir())) if tasks.exists() else 0


def _child(compressor_packed: bytes, queue: object) -> None:
    before = _threads()
    SHARED.compress(b"y" * 99)
    assert _threads() <= before + 1
    stream = PIECES.compress(b"in pieces") + PIECES.flush()
    assert nzip.Decompressor().decompress(stream) == b"in pieces" == WHOLE.decompress(stream)
    raw = nzip.decompress(compressor_packed)
    queue.put((len(raw), nzip.compress(raw, 6) == compressor_packed, ARCHIVE.read_range(5, 9), SHARED.compress(b"x" * 99)))  # type: ignore[attr-defined]


ARCHIVE = nzip.Archive(nzip.compress(b"once upon a time" * 20_000, 6))
SHARED = nzip.Compressor(6, shared=True, threads=1)
PIECES, WHOLE = nzip.Compressor(6), nzip.Decompressor()


def test_a_process_that_forks() -> None:
    raw = b"".join(f"{i * i} apples, {i}\n".encode() for i in range(20_000))
    packed = nzip.compress(raw, 6)
    once = SHARED.compress(b"x" * 99)
    assert ARCHIVE.read_range(5, 9) == b"upon"
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    process = context.Process(target=_child, args=(packed, queue))
    process.start()
    try:
        assert queue.get(timeout=60) == (len(raw), True, b"upon", once)
    finally:
        process.kill()
