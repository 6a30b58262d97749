"""Arrays in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import _nzip
from ._archive import Archive
from ._dtypes import dtype_name, numpy_dtype
from ._errors import BadArgumentError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike
    from typing_extensions import Buffer, Unpack

    from ._options import CompressOptions, DecompressOptions


def raw_bytes(array: np.ndarray[Any, Any]) -> Any:
    """The bytes of a contiguous array, without a copy, as an array that has a buffer."""
    import numpy as np

    return array.reshape(-1).view(np.uint8)


def plain(array: ArrayLike) -> np.ndarray[Any, Any]:
    """The array in row order and little endian; the same one where it is so already."""
    import numpy as np

    array = np.asarray(array)
    shape = array.shape
    if array.dtype.byteorder == ">" or (array.dtype.byteorder == "=" and np.little_endian is False):
        array = array.astype(array.dtype.newbyteorder("<"))
    # Arrays without dimensions would get one.
    return np.ascontiguousarray(array).reshape(shape)


def encode_array(array: ArrayLike, level: int | None = None, **options: Unpack[CompressOptions]) -> bytes:
    """Compresses an array to a stream that knows its type and shape, with the codec for tensors or whichever is smaller."""
    array = plain(array)
    options = {**options, "tensor": (dtype_name(array.dtype), array.shape)}
    return _nzip.compress(raw_bytes(array), level, options)


def decode_array(
    data: Buffer, out: np.ndarray[Any, Any] | None = None, **options: Unpack[DecompressOptions]
) -> np.ndarray[Any, Any]:
    """The array that ``encode_array`` compressed, or the one tensor of any ``.nz`` content.

    With ``out``, a contiguous array of this type and shape, it is decoded there, and ``out`` is returned.
    """
    import numpy as np

    with Archive(data, **options) as archive:
        tensors = archive.tensors()
        if len(tensors) != 1:
            raise BadArgumentError(f"one tensor is wanted, {len(tensors)} are there")
        tensor = tensors[0]
        dtype = numpy_dtype(tensor.dtype)
        if out is None:
            out = np.empty(tensor.shape, dtype)
        elif out.dtype != dtype or out.shape != tensor.shape or not out.flags.c_contiguous:
            raise BadArgumentError(
                f"a contiguous array of {dtype} and shape {tensor.shape} is wanted, {out.dtype} {out.shape} given"
            )
        archive.read_tensor_into(0, raw_bytes(out))
        return out
