"""Other libraries read `.nz` files, each in a process of its own; what is not installed is skipped aloud."""

from __future__ import annotations

import functools
import http.server
import importlib.util
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import nzip
import pytest
from conftest import fresh


def needs(*packages: str) -> pytest.MarkDecorator:
    missing = [p for p in packages if importlib.util.find_spec(p) is None]
    return pytest.mark.skipif(bool(missing), reason=f"SKIPPED: {', '.join(missing)} not installed")


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table with 5000 rows whose column `n` counts from 0."""
    folder = tmp_path_factory.mktemp("table")
    rows = "".join(f"{i},{i * i % 101},name {i % 7}\n" for i in range(5000))
    path = folder / "t.csv.nz"
    path.write_bytes(nzip.compress(f"n,square,name\n{rows}".encode(), 3, block_size=16384))
    return path


SUM = str(sum(range(5000)))


@pytest.fixture(scope="module")
def server(table: Path) -> Iterator[str]:
    """The folder of the table over HTTP, with ranges."""

    class Ranges(http.server.SimpleHTTPRequestHandler):
        served = 0

        def do_GET(self) -> None:
            data = (table.parent / self.path.lstrip("/")).read_bytes()
            start, end, code = 0, len(data), 200
            if wanted := self.headers.get("Range"):
                first, last = wanted.removeprefix("bytes=").split("-")
                start = int(first) if first else len(data) - int(last)
                end = min(int(last) + 1, len(data)) if first and last else len(data)
                code = 206
            self.send_response(code)
            self.send_header("Accept-Ranges", "bytes")
            self.send_header("Content-Length", str(end - start))
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{len(data)}")
            self.end_headers()
            self.wfile.write(data[start:end])

        def do_HEAD(self) -> None:
            self.send_response(200)
            self.send_header("Accept-Ranges", "bytes")
            self.send_header("Content-Length", str((table.parent / self.path.lstrip("/")).stat().st_size))
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Ranges)) as served:
        threading.Thread(target=served.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{served.server_port}"
        served.shutdown()


@needs("pandas")
def test_pandas(table: Path) -> None:
    code = "import pandas, nzip, sys; print(pandas.read_csv(nzip.open(sys.argv[1])).n.sum())"
    assert fresh(code, table).strip() == SUM


@needs("pandas", "fsspec")
def test_pandas_by_url(table: Path) -> None:
    code = "import pandas, sys; print(pandas.read_csv(f'nz://t.csv::file://{sys.argv[1]}').n.sum())"
    assert fresh(code, table).strip() == SUM


@needs("pandas", "fsspec", "aiohttp")
def test_pandas_over_http(server: str) -> None:
    code = "import pandas, sys; print(pandas.read_csv(f'nz://t.csv::{sys.argv[1]}/t.csv.nz').n.sum())"
    assert fresh(code, server).strip() == SUM


@needs("polars")
def test_polars(table: Path) -> None:
    code = "import polars, nzip, sys; print(polars.read_csv(nzip.open(sys.argv[1])).get_column('n').sum())"
    assert fresh(code, table).strip() == SUM


@needs("pyarrow")
def test_pyarrow(table: Path) -> None:
    code = """if True:
        import pyarrow.csv, pyarrow.compute, nzip, sys
        print(pyarrow.compute.sum(pyarrow.csv.read_csv(nzip.open(sys.argv[1]))["n"]))
    """
    assert fresh(code, table).strip() == SUM


@needs("pyarrow")
def test_parquet_reads_parts(tmp_path: Path) -> None:
    code = """if True:
        import pyarrow as pa, pyarrow.parquet as pq, nzip, sys
        table = pa.table({"n": list(range(5000)), "m": [i * i for i in range(5000)]})
        with nzip.open(sys.argv[1], "wb", level=1) as out:
            pq.write_table(table, out, compression="none", use_dictionary=False)
        # `read_table` of any Python file ends now and then by SIGABRT when Python exits (apache/arrow#34314, #50482).
        print(sum(pq.ParquetFile(nzip.Archive(sys.argv[1])).read(columns=["n"])["n"].to_pylist()))
    """
    assert fresh(code, tmp_path / "p.parquet.nz").strip() == SUM


@needs("duckdb", "fsspec")
def test_duckdb(table: Path) -> None:
    code = """if True:
        import duckdb, fsspec, sys
        duckdb.register_filesystem(fsspec.filesystem("nz", fo=sys.argv[1]))
        print(duckdb.sql("select sum(n)::bigint from read_csv('nz://t.csv')").fetchall()[0][0])
    """
    assert fresh(code, table).strip() == SUM


@needs("dask", "fsspec", "pandas", "pyarrow")
def test_dask(table: Path) -> None:
    code = """if True:
        import dask.dataframe as dd, sys
        table = dd.read_csv(f"nz://t.csv::file://{sys.argv[1]}", blocksize=20_000)
        assert table.npartitions > 1
        print(table.n.sum().compute(scheduler="threads"))
    """
    assert fresh(code, table).strip() == SUM


@needs("fsspec")
def test_fsspec(table: Path) -> None:
    code = """if True:
        import fsspec, nzip, sys
        with fsspec.open(f"nz://t.csv::file://{sys.argv[1]}") as file:
            file.seek(-20, 2)
            assert file.read().endswith(b"name 1\\n")
        names = fsspec.filesystem("nz", fo=sys.argv[1]).ls("", detail=False)
        assert names == ["t.csv"], names
        nzip.register("fsspec")
        with fsspec.open(sys.argv[1], compression="infer") as file:
            print(file.readline().decode().strip())
        with fsspec.open("memory://x.nz", "wb", compression="nz") as file:
            file.write(b"through")
        with fsspec.open("memory://x.nz", compression="infer") as file:
            assert file.read() == b"through"
    """
    assert fresh(code, table).strip() == "n,square,name"


@needs("smart_open")
def test_smart_open(table: Path) -> None:
    code = """if True:
        import nzip, smart_open, sys
        nzip.register("smart_open")
        with smart_open.open(sys.argv[1], "rb") as file:
            print(file.readline().decode().strip())
        with smart_open.open(sys.argv[1] + ".2.nz", "wb") as file:
            file.write(b"written")
        assert nzip.open(sys.argv[1] + ".2.nz").read() == b"written"
    """
    assert fresh(code, table).strip() == "n,square,name"


@needs("datasets")
def test_datasets(server: str, tmp_path: Path) -> None:
    code = """if True:
        import nzip, sys
        nzip.register("datasets")
        import datasets
        url = f"nz://t.csv::{sys.argv[1]}/t.csv.nz"
        rows = datasets.load_dataset("csv", data_files=url, cache_dir=sys.argv[2], streaming=True, split="train")
        print(sum(row["n"] for row in rows))
    """
    assert fresh(code, server, tmp_path).strip() == SUM


@needs("blosc2")
def test_blosc2() -> None:
    code = """if True:
        import blosc2, nzip, numpy as np
        nzip.register("blosc2")
        array = np.arange(100_000, dtype="i4") // 7
        parameters = {"codec": nzip._register.BLOSC2_ID, "nthreads": 1, "filters": [blosc2.Filter.NOFILTER], "clevel": 3}
        chunks = blosc2.SChunk(chunksize=100_000, data=array.tobytes(), cparams=parameters, dparams={"nthreads": 1})
        assert chunks[:] == array.tobytes() and chunks.cratio > 4, chunks.cratio
        print("same")
    """
    assert fresh(code).strip() == "same"


def test_tarfile(tmp_path: Path) -> None:
    path = tmp_path / "t.tar.nz"
    (tmp_path / "a").write_bytes(b"in a tar")
    with nzip.open(path, "wb") as out, tarfile.open(fileobj=out, mode="w") as tar:  # type: ignore[call-overload]
        tar.add(tmp_path / "a", "a")
    code = "import nzip, sys, tarfile; print(tarfile.open(fileobj=nzip.open(sys.argv[1])).extractfile('a').read().decode())"
    assert fresh(code, path).strip() == "in a tar"


@needs("numcodecs")
def test_numcodecs() -> None:
    code = """if True:
        import numcodecs, numpy as np
        codec = numcodecs.get_codec({"id": "nzip", "level": 2})
        array = np.arange(1000, dtype="f8")
        packed = codec.encode(array)
        assert np.frombuffer(codec.decode(packed)).tolist() == array.tolist()
        out = np.empty_like(array)
        codec.decode(packed, out)
        assert (out == array).all() and numcodecs.get_codec(codec.get_config()) == codec
        print(codec.get_config())
    """
    assert fresh(code).strip() == "{'id': 'nzip', 'level': 2}"


ARRAY = "np.cumsum(np.random.default_rng(1).integers(0, 9, (200, 300)), axis=0).astype('{}')"


@needs("zarr")
@pytest.mark.parametrize("codec", ["nzip", "nzip_tensor"])
@pytest.mark.parametrize("dtype", ["f4", "i8", ">i2"])
def test_zarr(tmp_path: Path, codec: str, dtype: str) -> None:
    make = f"""if True:
        import numpy as np, sys, zarr, nzip.zarr
        array = {ARRAY.format(dtype)}
        ours = {{"nzip": {{"compressors": [nzip.zarr.NzipCodec(level=3)]}},
                "nzip_tensor": {{"serializer": nzip.zarr.NzipTensorCodec(level=3), "compressors": None}}}}
        z = zarr.create_array(sys.argv[1], shape=array.shape, dtype=array.dtype, chunks=(80, 300), **ours["{codec}"])
        z[:] = array
    """
    fresh(make, tmp_path / "z.zarr")
    read = f"""if True:
        import numpy as np, sys, zarr
        array = {ARRAY.format(dtype)}
        z = zarr.open_array(sys.argv[1], mode="r")
        assert "{codec}" in str(z.metadata.to_dict())
        assert (z[:] == array).all()
        for index in np.s_[3:5], np.s_[100], np.s_[:, 7], np.s_[10:190:7, 5:9], np.s_[-1, -1]:
            assert (z[index] == array[index]).all(), index
        assert (z.oindex[[1, 150], :] == array[[1, 150]]).all()
        assert (z.vindex[[1, 150], [2, 3]] == array[[1, 150], [2, 3]]).all()
        print("same")
    """
    assert fresh(read, tmp_path / "z.zarr").strip() == "same"


@needs("zarr")
def test_zarr_reads_only_the_tiles_that_it_needs(tmp_path: Path) -> None:
    code = """if True:
        import numpy as np, sys, zarr, nzip.zarr
        from zarr.storage import LocalStore
        array = np.random.default_rng(1).normal(size=(4000, 500)).astype("f4")
        z = zarr.create_array(sys.argv[1], shape=array.shape, dtype="f4", chunks=array.shape,
            serializer=nzip.zarr.NzipTensorCodec(level=1), compressors=None)
        z[:] = array
        read = []
        get = LocalStore.get
        async def counting(self, key, *arguments, **options):
            found = await get(self, key, *arguments, **options)
            if found is not None and "c/" in key:
                read.append(len(found))
            return found
        LocalStore.get = counting
        z = zarr.open_array(sys.argv[1], mode="r")
        assert (z[17:19] == array[17:19]).all()
        assert 0 < sum(read) < array.nbytes / 8, read
        print("few")
    """
    assert fresh(code, tmp_path / "z.zarr").strip() == "few"


@needs("zarr", "xarray")
def test_xarray(tmp_path: Path) -> None:
    make = """if True:
        import numpy as np, sys, xarray, nzip.zarr
        data = xarray.Dataset({"t": (("y", "x"), np.arange(600.0).reshape(20, 30))})
        data.to_zarr(sys.argv[1], zarr_format=3, consolidated=False,
            encoding={"t": {"serializer": nzip.zarr.NzipTensorCodec(), "compressors": ()}})
    """
    fresh(make, tmp_path / "x.zarr")
    code = "import sys, xarray; print(float(xarray.open_zarr(sys.argv[1], consolidated=False).t[3:5].sum()))"
    assert float(fresh(code, tmp_path / "x.zarr")) == sum(range(90, 150))
