"""Types of elements: names of safetensors, and numpy's types."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

# Names of safetensors, and of numpy's types or those of ml_dtypes.
_NAMES = {
    "U8": "uint8",
    "I8": "int8",
    "U16": "uint16",
    "I16": "int16",
    "U32": "uint32",
    "I32": "int32",
    "U64": "uint64",
    "I64": "int64",
    "BOOL": "bool",
    "F16": "float16",
    "F32": "float32",
    "F64": "float64",
    "C64": "complex64",
    "C128": "complex128",
    "BF16": "bfloat16",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2",
    "F8_E8M0": "float8_e8m0fnu",
    "F8_E4M3FNUZ": "float8_e4m3fnuz",
    "F8_E5M2FNUZ": "float8_e5m2fnuz",
}
_BY_NAME = {name: ours for ours, name in _NAMES.items()}


def numpy_dtype(name: str) -> np.dtype[Any]:
    """numpy's type for a name of safetensors. Those that numpy lacks come from ml_dtypes."""
    import numpy as np

    found = _NAMES.get(name)
    if found is None:
        raise TypeError(f"numpy has no type for {name}")
    try:
        return np.dtype(found)
    except TypeError:
        pass
    try:
        import ml_dtypes
    except ImportError:
        raise TypeError(f"numpy needs the package ml_dtypes for {name}") from None
    dtype: np.dtype[Any] = np.dtype(getattr(ml_dtypes, found))
    return dtype


def dtype_name(dtype: np.dtype[Any]) -> str:
    """The name that safetensors have for a type of numpy."""
    found = _BY_NAME.get(dtype.name)
    if found is None:
        raise TypeError(f"{dtype} is no type of tensors")
    return found
