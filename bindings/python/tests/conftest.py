"""Fixtures of all tests: text, the golden files, hostile files, the command."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="session")
def text() -> bytes:
    """Some 200 KB that compress well."""
    lines = (f"{i} bottles of beer on the wall, {i * i % 97} left to count\n" for i in range(4000))
    return "".join(lines).encode()


@pytest.fixture(scope="session")
def vectors() -> Path:
    """The golden files."""
    return ROOT / "formats" / "vectors"


def fresh(code: str, *arguments: object) -> str:
    """Runs code in a process of its own and returns its output."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def command(*arguments: object, **options: object) -> subprocess.CompletedProcess[bytes]:
    """Runs the command: the program, where there is one, otherwise this package's."""
    program = shutil.which("nzip")
    start = [program] if program else [sys.executable, "-m", "nzip"]
    return subprocess.run([*start, *map(str, arguments)], capture_output=True, timeout=120, **options)  # type: ignore[call-overload,no-any-return]
