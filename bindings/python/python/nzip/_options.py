"""Keyword arguments that all functions share."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, TypedDict, Union

if TYPE_CHECKING:
    from ._nzip import Model

StrPath = Union[str, "os.PathLike[str]"]
Progress = Callable[[int, int], object]


class Resources(TypedDict, total=False):
    """Keyword arguments of both directions. ``None`` is the same as leaving a keyword out."""

    threads: int | None
    """Threads; 0, the default, is one per core. The result does not depend on it."""
    memory: int | None
    """Most memory to use, in bytes (approximate); 1 GiB by default. A result that a call returns counts, too."""
    bases: Sequence[StrPath] | None
    """Files of tensors against which tensors of the same names are, or were, coded."""
    progress: Progress | None
    """Called regularly with the raw bytes done and the raw bytes taken in. An exception that it raises ends the work."""


class CompressOptions(Resources, total=False):
    """Keyword arguments of everything that compresses."""

    codec: str | None
    """The only codec to use (``nzip.codecs()``); by default each block gets the one that makes it smallest."""
    model: Model | StrPath | None
    """The model, or its name, path or hash."""
    embed_model: bool | None
    """Puts the model into the stream, so that it decodes anywhere."""
    seekable: bool | None
    """Blocks of 1 MiB: ranges are cheap to read, and files a little larger."""
    searchable: bool | None
    """Stores which words blocks of 1 MiB may hold, in at most 1 % of the file: ``nzip grep -w`` skips the others."""
    block_size: int | None
    """Raw bytes of a block, 4 KiB to 1 GiB."""
    window: int | None
    """Payload bytes of a window, for codecs that have windows."""
    chained: bool | None
    """Whether windows of imported language models follow one another; true by default."""
    content_hash: bool | None
    """Whether a stream of one block has the BLAKE3 of its content, too; longer ones always have."""
    undo: bool | None
    """Whether JPEG pictures and streams of deflate (gzip, PNG, ZIP) are undone, from level 5 on; true by default."""
    decode_memory: int | None
    """Most memory that decoding may take, in bytes."""
    tensor: tuple[str, Sequence[int]] | None
    """The content is one tensor of this type (as safetensors name it) and shape."""


class DecompressOptions(Resources, total=False):
    """Keyword arguments of everything that decompresses."""

    models: Model | StrPath | Iterable[Model | StrPath] | None
    """Models that streams may name, besides those that ship and those in the user's folders."""
    verify_hash: bool | None
    """Verifies the BLAKE3 of each stream besides all check values."""
