"""Arrays and files of safetensors."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import nzip
import pytest
from conftest import command

np = pytest.importorskip("numpy")
from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

import nzip.safetensors as ours  # noqa: E402
from nzip.kv import KVSerde  # noqa: E402

ml_dtypes = pytest.importorskip("ml_dtypes", reason="SKIPPED: ml_dtypes not installed")
TYPES = "u1 i1 u2 i2 u4 i4 u8 i8 f2 f4 f8 c8 c16 ?".split()
SMALL = ["bfloat16", "float8_e4m3fn", "float8_e5m2", "float8_e8m0fnu", "float8_e4m3fnuz", "float8_e5m2fnuz"]


def array_of(dtype: Any, shape: tuple[int, ...]) -> Any:
    generator = np.random.default_rng(7)
    count = int(np.prod(shape))
    if np.dtype(dtype) == np.bool_:
        return generator.integers(0, 2, count).astype(dtype).reshape(shape)
    return (generator.normal(size=count) * 10).astype("f4").astype(dtype).reshape(shape)


def same(a: Any, b: Any) -> bool:
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("dtype", [*TYPES, *(getattr(ml_dtypes, t) for t in SMALL)], ids=str)
@pytest.mark.parametrize("shape", [(), (0,), (0, 3), (5,), (40, 33), (3, 4, 5)], ids=str)
def test_arrays(dtype: Any, shape: tuple[int, ...]) -> None:
    array = array_of(dtype, shape)
    packed = nzip.encode_array(array, 1)
    assert same(nzip.decode_array(packed), array)
    out = np.empty(shape, dtype)
    assert nzip.decode_array(packed, out) is out and same(out, array)
    assert nzip.decompress(packed) == array.tobytes()
    assert same(KVSerde(framework="np").from_bytes(KVSerde().to_bytes(array)), array)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_slices(data: st.DataObject) -> None:
    shape = tuple(data.draw(st.lists(st.integers(1, 9), min_size=1, max_size=3)))
    array = np.arange(int(np.prod(shape)), dtype="i4").reshape(shape)
    with ours.safe_open(ours.save({"a": array}, level=1)) as file:
        part = file.get_slice("a")
        ends = st.one_of(st.none(), st.integers(-10, 10))
        steps = st.one_of(st.none(), st.integers(1, 3), st.integers(-3, -1))
        index = tuple(
            data.draw(st.one_of(st.integers(0, n - 1), st.builds(slice, ends, ends, steps))) for n in shape
        )
        assert same(np.asarray(part[index]), np.asarray(array[index]))
        assert same(part[index[0]], np.asarray(array[index[0]])) and same(part[...], array)
        assert part.get_shape() == list(shape) and part.get_dtype() == "I32"


def test_layouts_of_arrays() -> None:
    array = np.arange(60, dtype="f4").reshape(6, 10)
    for view in (array.T, array[::2, ::3], np.asfortranarray(array)):
        assert same(nzip.decode_array(nzip.encode_array(view)), np.ascontiguousarray(view))
    big = nzip.decode_array(nzip.encode_array(array.astype(">f4")))
    assert (big == array).all() and big.dtype == np.dtype("<f4")
    for out in (np.empty((6, 11), "f4"), np.empty((6, 10), "f8"), np.empty((10, 6), "f4").T):
        with pytest.raises(nzip.BadArgumentError):
            nzip.decode_array(nzip.encode_array(array), out)
    frozen = np.empty((6, 10), "f4")
    frozen.flags.writeable = False
    with pytest.raises(BufferError):
        nzip.decode_array(nzip.encode_array(array), frozen)
    with pytest.raises(TypeError):
        nzip.encode_array(np.array(["text"]))
    with pytest.raises(nzip.BadArgumentError):
        nzip.decode_array(nzip.compress(b"no tensor at all", 1))


@pytest.fixture(scope="module")
def tensors() -> dict[str, Any]:
    return {
        "wide": array_of("f4", (300, 200)),
        "half": array_of(ml_dtypes.bfloat16, (100, 64)),
        "eight": array_of(ml_dtypes.float8_e4m3fn, (64, 64)),
        "counts": np.arange(1000),
        "none": np.zeros((0, 3), "f2"),
        "one": np.array(3.5),
        "ä": np.ones(5, "f2"),
    }


def test_safetensors(tensors: dict[str, Any], tmp_path: Path) -> None:
    theirs = pytest.importorskip("safetensors.numpy", reason="SKIPPED: safetensors not installed")
    plain = theirs.save(tensors, {"format": "np"})
    path, source = tmp_path / "m.safetensors.nz", tmp_path / "m.safetensors"
    ours.save_file(tensors, path, {"format": "np"}, level=3)
    source.write_bytes(plain)
    assert nzip.open(path).read() == plain and list(tmp_path.glob("*.tmp")) == []
    # The same bytes as from the command.
    assert command("-3", "-o", tmp_path / "c.nz", source).returncode == 0
    assert (tmp_path / "c.nz").read_bytes() == path.read_bytes()
    with ours.safe_open(path) as file, theirs.safe_open(source, "np") as reference:
        assert sorted(file.keys()) == sorted(reference.keys())
        assert file.offset_keys() == reference.offset_keys() and file.metadata() == reference.metadata()
        for name, tensor in tensors.items():
            assert same(file.get_tensor(name), tensor), name
            assert file.get_slice(name).get_shape() == reference.get_slice(name).get_shape()
            assert file.get_slice(name).get_dtype() == reference.get_slice(name).get_dtype()
        with pytest.raises(nzip.BadArgumentError):
            file.get_tensor("nothing")
    loaded = ours.load_file(path)
    assert list(loaded) == file.offset_keys() and all(same(loaded[n], t) for n, t in tensors.items())
    lazy = ours.state_dict(path, framework="np")
    assert len(lazy) == len(tensors) and "wide" in lazy and "no" not in lazy and same(lazy["wide"], tensors["wide"])
    assert all(same(t, tensors[n]) for n, t in ours.load(ours.save(tensors)).items())


def test_rows_without_the_rest() -> None:
    table = array_of("f4", (20_000, 64))
    packed = ours.save({"table": table}, level=1)
    with ours.safe_open(io.BytesIO(packed)) as file:
        assert same(file.get_slice("table")[7000:7010], table[7000:7010])
        assert file._archive.decoded_bytes < table.nbytes / 10
        rows = [19_999, 3, 3, 12_345]
        assert file._archive.gather(0, rows) == table[rows].tobytes()


def test_a_failed_save_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        ours.save_file({"a": np.array(["text"])}, tmp_path / "a.nz")
    assert list(tmp_path.iterdir()) == []
