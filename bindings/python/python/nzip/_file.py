"""Files of compressed data, in the shape of ``compression.zstd``."""

from __future__ import annotations

import builtins
import io
import os
from typing import IO, TYPE_CHECKING, Any, cast

from ._archive import Archive
from ._nzip import Compressor, Reader

if TYPE_CHECKING:
    from typing_extensions import Buffer, Unpack

    from ._options import CompressOptions, StrPath

_BUFFER = 256 << 10
# Keywords for reading, where `model` becomes one of `models`.
_READING = ("threads", "memory", "bases", "progress", "models", "verify_hash")


class _Raw(io.RawIOBase):
    """Raw bytes of a file, front to back as long as nobody seeks, then at random."""

    def __init__(self, file: Any, options: dict[str, Any], can_seek: bool) -> None:
        self._file = file
        self._options = options
        self._can_seek = can_seek
        self._reader: Reader | None = Reader(file, cast(Any, options))
        self._archive: Archive | None = None
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return self._can_seek

    def readinto(self, out: Buffer) -> int:
        if self._archive is not None:
            n = self._archive.readinto(out)
        else:
            assert self._reader is not None
            n = self._reader.readinto(out)
        self._position += n
        return n

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if not self._can_seek:
            raise io.UnsupportedOperation("the file below does not seek")
        if self._archive is None:
            target = self._position + offset if whence == io.SEEK_CUR else offset
            if whence != io.SEEK_END and target == self._position:
                return self._position
            self._archive = Archive(self._file, **self._options)
            self._reader = None
            self._archive.seek(self._position)
        self._position = self._archive.seek(offset, whence)
        return self._position

    def tell(self) -> int:
        return self._position

    def close(self) -> None:
        self._reader = None
        if self._archive is not None:
            self._archive.close()
        super().close()


class NzipFile(io.BufferedIOBase):
    """A file of compressed data: ``rb`` reads raw bytes, ``wb``, ``xb`` and ``ab`` compress what is written.

    ``file`` is a path or a binary file object, which is left open. Reading seeks where the file below does, and then decodes
    what is read; ``Archive`` says what that costs.
    """

    def __init__(
        self,
        file: StrPath | IO[bytes],
        mode: str = "r",
        *,
        level: int | None = None,
        **options: Unpack[CompressOptions],
    ) -> None:
        self._fp: Any = None
        self._close_fp = False
        self._buffer: io.BufferedReader | None = None
        self._compressor: Compressor | None = None
        self._position = 0
        keywords = dict(options)
        if mode not in ("r", "rb", "w", "wb", "x", "xb", "a", "ab"):
            raise ValueError(f"mode {mode!r}: r, w, x or a is wanted, with or without b")
        reading = mode[0] == "r"
        if not reading:
            # Wrong options are an error before a file is made.
            keywords.pop("models", None)
            self._compressor = Compressor(level, **cast(Any, keywords))
        if isinstance(file, (str, bytes, os.PathLike)):
            self._fp = builtins.open(file, mode[0] + "b")
            self._close_fp = True
        elif hasattr(file, "read" if reading else "write"):
            self._fp = file
        else:
            raise TypeError("a path or a binary file object is wanted")
        self._mode = "rb" if reading else "wb"
        if reading:
            decoding = {k: v for k, v in keywords.items() if k in _READING}
            if keywords.get("model") is not None:
                decoding["models"] = keywords["model"]
            try:
                raw = _Raw(self._fp, decoding, self._from_start())
            except BaseException:
                self._let_go()
                raise
            self._buffer = io.BufferedReader(raw, _BUFFER)

    def _from_start(self) -> bool:
        """Whether the underlying file can seek and is read from its start."""
        try:
            return bool(self._fp.seekable()) and self._fp.tell() == 0
        except (AttributeError, OSError):
            return False

    def _let_go(self) -> None:
        fp, self._fp = self._fp, None
        if self._close_fp and fp is not None:
            fp.close()

    def close(self) -> None:
        if self._fp is None:
            return
        try:
            if self._buffer is not None:
                self._buffer.close()
            elif self._compressor is not None:
                self._fp.write(self._compressor.flush())
        finally:
            self._buffer = self._compressor = None
            self._let_go()

    @property
    def closed(self) -> bool:
        return self._fp is None

    @property
    def mode(self) -> str:
        """``rb`` or ``wb``."""
        return self._mode

    @property
    def name(self) -> Any:
        """The name of the file below."""
        self._check_open()
        return self._fp.name

    def fileno(self) -> int:
        self._check_open()
        return int(self._fp.fileno())

    def _check_open(self) -> None:
        if self._fp is None:
            raise ValueError("I/O operation on closed file")

    def _reading(self) -> io.BufferedReader:
        self._check_open()
        if self._buffer is None:
            raise io.UnsupportedOperation("the file is open for writing")
        return self._buffer

    def readable(self) -> bool:
        self._check_open()
        return self._buffer is not None

    def writable(self) -> bool:
        self._check_open()
        return self._compressor is not None

    def seekable(self) -> bool:
        self._check_open()
        return self._buffer is not None and self._buffer.seekable()

    def read(self, size: int | None = -1) -> bytes:
        return self._reading().read(-1 if size is None else size)

    def read1(self, size: int = -1) -> bytes:
        return self._reading().read1(_BUFFER if size < 0 else size)

    def readinto(self, buffer: Buffer) -> int:
        return self._reading().readinto(buffer)

    def readinto1(self, buffer: Buffer) -> int:
        return self._reading().readinto1(buffer)

    def readline(self, size: int | None = -1) -> bytes:
        return self._reading().readline(-1 if size is None else size)

    def peek(self, size: int = -1) -> bytes:
        """The next raw bytes, without moving the position."""
        return self._reading().peek(size)

    def __next__(self) -> bytes:
        line = self.readline()
        if not line:
            raise StopIteration
        return line

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._reading().seek(offset, whence)

    def tell(self) -> int:
        self._check_open()
        return self._position if self._buffer is None else self._buffer.tell()

    def write(self, data: Buffer) -> int:
        self._check_open()
        if self._compressor is None:
            raise io.UnsupportedOperation("the file is open for reading")
        n = memoryview(data).nbytes
        self._fp.write(self._compressor.compress(data))
        self._position += n
        return n

    def flush(self, mode: int = Compressor.FLUSH_BLOCK) -> None:
        """Ends a block, or with ``FLUSH_STREAM`` the stream, so that everything written so far can be read."""
        self._check_open()
        if self._compressor is not None:
            if self._position:
                self._fp.write(self._compressor.flush(mode))
            self._fp.flush()


def open(
    file: StrPath | IO[bytes],
    mode: str = "rb",
    *,
    level: int | None = None,
    encoding: str | None = None,
    errors: str | None = None,
    newline: str | None = None,
    **options: Unpack[CompressOptions],
) -> NzipFile | io.TextIOWrapper:
    """Opens a file of compressed data: modes ``rb``, ``wb``, ``xb`` and ``ab``, and ``rt`` and so on for text."""
    if "t" in mode:
        if "b" in mode:
            raise ValueError(f"mode {mode!r}: text or bytes, not both")
        binary = NzipFile(file, mode.replace("t", ""), level=level, **options)
        return io.TextIOWrapper(cast(Any, binary), io.text_encoding(encoding), errors, newline)
    if encoding is not None or errors is not None or newline is not None:
        raise ValueError("encoding, errors and newline are for text")
    return NzipFile(file, mode, level=level, **options)
