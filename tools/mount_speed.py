#!/usr/bin/env python3
"""Measures reading through `nzip mount`: mount_speed.py NZIP FOLDER.

FOLDER gets a file of tensors (BF16, normal numbers) and a log, their .nz files, and a mount. Needs numpy.
"""

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

TENSORS = 64
ROWS, COLUMNS = 1024, 2048
LINES = 1_500_000


def tensors(path: Path) -> None:
    rng, size = np.random.default_rng(1), 2 * ROWS * COLUMNS
    places = {f"layer.{i}": [i * size, (i + 1) * size] for i in range(TENSORS)}
    entries = {n: {"dtype": "BF16", "shape": [ROWS, COLUMNS], "data_offsets": p} for n, p in places.items()}
    header = json.dumps(entries).encode()
    with path.open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        for _ in range(TENSORS):
            numbers = rng.standard_normal((ROWS, COLUMNS), dtype=np.float32) * np.float32(0.02)
            file.write((numbers.view(np.uint32) >> 16).astype(np.uint16).tobytes())


def log(path: Path) -> None:
    words = random.Random(1)
    names = [f"service-{words.randrange(10**6):06}" for _ in range(200)]
    with path.open("w") as file:
        for i in range(LINES):
            file.write(f"2026-01-02 {i // 60000 % 24:02}:{i // 1000 % 60:02}:{i % 60:02} {words.choice(names)} "
                       f"request {words.randrange(10**8)} took {words.randrange(1000)} ms\n")


def timed(work):
    start = time.perf_counter()
    size = work()
    return size, time.perf_counter() - start


def front_to_back(path: Path) -> int:
    size = 0
    with path.open("rb", buffering=0) as file:
        while piece := file.read(1 << 20):
            size += len(piece)
    return size


def pieces(path: Path, count: int, length: int) -> int:
    places = random.Random(2)
    size = path.stat().st_size
    with path.open("rb", buffering=0) as file:
        for _ in range(count):
            file.seek(places.randrange(size - length))
            assert len(file.read(length)) == length
    return count


def peak(process: subprocess.Popen) -> float:
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) / 1024


def mounted(nzip: str, source: Path, at: Path) -> subprocess.Popen:
    process = subprocess.Popen([nzip, "mount", source, at])
    while not any(at.iterdir()):
        if process.poll() is not None:
            sys.exit("nzip mount ended")
        time.sleep(0.01)
    return process


def report(label: str, size: int, seconds: float, memory: float) -> None:
    print(f"{label:40} {size / seconds / 1e6:8.1f} MB/s {seconds:8.2f} s {memory:8.0f} MB", flush=True)


def measure(nzip: str, folder: Path, name: str, options: list[str]) -> None:
    packed = folder / "in" / f"{name}.nz"
    packed.unlink(missing_ok=True)
    subprocess.run([nzip, "-qf", *options, folder / name, "-o", packed], check=True)
    label = f"{name} {' '.join(options)}"
    raw = (folder / name).stat().st_size
    print(f"{label}: {raw} to {packed.stat().st_size} bytes")
    _, seconds = timed(lambda: subprocess.run([nzip, "-dc", packed], stdout=subprocess.DEVNULL, check=True))
    print(f"{'nzip -dc':40} {raw / seconds / 1e6:8.1f} MB/s {seconds:8.2f} s", flush=True)
    at = folder / "m"
    for what in ["front to back", "1000 times 4 KiB", "one tensor"]:
        if what == "one tensor" and not name.endswith("safetensors"):
            continue
        process = mounted(nzip, packed, at)
        path = at / name
        try:
            if what == "front to back":
                size, seconds = timed(lambda: front_to_back(path))
                report(what, size, seconds, peak(process))
            elif what == "one tensor":
                size, seconds = timed(lambda: np.load(at / f"{name}.tensors" / "layer.40.npy").nbytes)
                report("a tensor of 4 MiB, numpy.load", size, seconds, peak(process))
            else:
                count, seconds = timed(lambda: pieces(path, 1000, 4096))
                print(f"{what:40} {seconds / count * 1e3:8.2f} ms each {peak(process):15.0f} MB", flush=True)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait()


def main() -> None:
    nzip, folder = str(Path(sys.argv[1]).resolve()), Path(sys.argv[2])
    (folder / "in").mkdir(parents=True, exist_ok=True)
    (folder / "m").mkdir(exist_ok=True)
    for name, make in [("w.safetensors", tensors), ("a.log", log)]:
        if not (folder / name).exists():
            make(folder / name)
    measure(nzip, folder, "w.safetensors", ["-2"])
    for options in [["-2"], ["-4"], ["-2", "--seekable"], ["-5", "--seekable"]]:
        measure(nzip, folder, "a.log", options)


main()
