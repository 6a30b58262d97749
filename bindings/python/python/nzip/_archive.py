"""Random access."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from ._content import Content
from ._nzip import ArchiveCore

if TYPE_CHECKING:
    from typing_extensions import Buffer, Unpack

    from ._options import DecompressOptions


class Tensor(NamedTuple):
    """A tensor of an archive."""

    name: str
    dtype: str
    """The type of its elements, as safetensors name it (``F32``, ``BF16``, …), or a block type of GGUF (``Q4_0``)."""
    shape: tuple[int, ...]
    start: int
    """Offset of its first raw byte."""
    nbytes: int
    """Its raw bytes."""


class Archive(Content[ArchiveCore]):
    """A compressed file of which any part can be read: a raw file that seeks, with ranges and tensors besides.

    ``file`` is a path, a binary file object that seeks (from its start on; it is left open), or bytes. Where units do not decode
    alone, a range is decoded from its block's start: blocks hold up to 16 MiB, 1 MiB in files made with ``seekable=True``.
    Threads may share an archive: its ``read_range`` and tensors have no position.
    """

    def __init__(self, file: Any, **options: Unpack[DecompressOptions]) -> None:
        super().__init__(ArchiveCore(file, options))
        self._tensors: list[Tensor] | None = None

    def _open(self) -> ArchiveCore:
        if self.closed:
            raise ValueError("I/O operation on closed file")
        return self._core

    @property
    def stored_size(self) -> int:
        """Bytes of the compressed file."""
        return self._open().stored_size()

    @property
    def decoded_bytes(self) -> int:
        """Raw bytes that have been decoded so far: what ranges have cost."""
        return self._open().decoded_bytes()

    def read_range_into(self, start: int, out: Buffer) -> None:
        """Fills ``out`` with the raw bytes from ``start`` on."""
        self._open().read_range_into(start, out)

    def verify(self) -> int:
        """Decodes everything, and verifies all check values and hashes. Gives the raw bytes."""
        return self._open().verify()

    def info(self) -> dict[str, Any]:
        """Sizes, streams and blocks, with the keys of ``nzip inspect --json``."""
        core = self._open()
        return {"stored_bytes": core.stored_size(), "raw_bytes": self._size, **core.info()}

    def tensors(self) -> list[Tensor]:
        """The tensors of the content, in the order in which they lie."""
        core = self._open()
        if self._tensors is None:
            found = core.tensors()
            self._tensors = [Tensor(n, d, tuple(s), start, size) for n, d, s, start, size in found]
        return self._tensors

    def read_tensor_into(self, number: int, out: Buffer) -> None:
        """Decodes the tensor with this number in ``tensors()`` into a buffer of its length."""
        self._open().read_tensor_into(number, out)

    def gather(self, number: int, rows: list[int]) -> bytes:
        """The bytes of rows, in any order, of the tensor with this number."""
        return self._open().gather(number, rows)

    def readinto(self, out: Buffer) -> int:
        n = self._open().read_some(self._position, out)
        self._position += n
        return n

    def readall(self) -> bytes:
        start = min(self._position, self._size)
        data = self.read_range(start)
        self._position = max(self._position, self._size)
        return data

    def close(self) -> None:
        core = getattr(self, "_core", None)
        if core is not None:
            core.close()
        super().close()
