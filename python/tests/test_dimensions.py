"""Named dimensions: the live file opens in xarray and netCDF4, with units and coordinates."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import h5part
from h5part import ColumnSpec

ENGINES = ["netcdf4", "h5netcdf"]


def open_dataset(path: str, group: str, engine: str) -> Any:
    pytest.importorskip(
        {"netcdf4": "netCDF4"}.get(engine, engine), reason=f"{engine} CANNOT BE INSTALLED HERE, so it is not tested"
    )
    xarray = pytest.importorskip("xarray")
    with warnings.catch_warnings():
        # Of netCDF4, built for another numpy.
        warnings.filterwarnings("ignore", message="numpy.ndarray size changed")
        with xarray.open_dataset(path, group=group, engine=engine) as dataset:
            return dataset.load()


@pytest.fixture
def frames(path: str) -> h5part.Table:
    """As many frames as atoms and directions: lengths do not tell dimensions apart."""
    columns = {
        "time": ColumnSpec("f8", attrs={"units": "fs"}),
        "E": ColumnSpec("f8", attrs={"units": "eV"}),
        "F": ColumnSpec("f4", (3, 3), dims=("atom", "xyz"), attrs={"units": "eV/A"}),
        "v": ColumnSpec("i8", (3,), dims=("xyz",)),
        "label": ColumnSpec("U5"),
    }
    table = h5part.create(path, "run/frames", 3, columns, row_dim="time", coords={"xyz": ["x", "y", "z"]})
    table.commit(
        slice(0, 3), time=[0.0, 0.5, 1.0], E=[1.0, 2.0, 3.0], F=np.arange(27.0, dtype="f4").reshape(3, 3, 3),
        v=np.arange(9).reshape(3, 3), label=["a", "bc", "ä"],
    )  # fmt: skip
    return table


def check(dataset: Any, rows: int = 3) -> None:
    assert dict(dataset.sizes) == {"time": rows, "atom": 3, "xyz": 3}
    assert dataset["F"].dims == ("time", "atom", "xyz") and dataset["v"].dims == ("time", "xyz")
    assert dataset["E"].dims == ("time",) == dataset["label"].dims
    assert {"time", "xyz"} <= set(dataset.coords) and "atom" not in dataset.coords
    xyz = [text.decode() if isinstance(text, bytes) else text for text in dataset["xyz"].values.tolist()]
    assert xyz == ["x", "y", "z"]
    assert dataset["E"].attrs["units"] == "eV" and dataset["F"].attrs["units"] == "eV/A"
    np.testing.assert_array_equal(dataset["time"][:3], [0.0, 0.5, 1.0])
    np.testing.assert_array_equal(dataset["F"][:3], np.arange(27.0).reshape(3, 3, 3))


@pytest.mark.parametrize("engine", ENGINES)
def test_the_live_file_opens_in_xarray(frames: h5part.Table, path: str, engine: str) -> None:
    with frames.writer():
        check(open_dataset(path, "run/frames", engine))
    frames.extend(5)
    dataset = open_dataset(path, "run/frames", engine)
    check(dataset, 5)
    assert np.isnan(dataset["E"].values[3:]).all()
    assert frames.store.verify()


@pytest.mark.parametrize("engine", ENGINES)
def test_so_do_copies(frames: h5part.Table, tmp_path: Path, engine: str) -> None:
    published, merged = str(tmp_path / "published.h5"), str(tmp_path / "merged.h5")
    assert frames.store.publish(published)["left_out"] == []
    check(open_dataset(published, "run/frames", engine))
    assert h5part.merge(merged, frames.store.path, published)["complete"]
    check(open_dataset(merged, "run/frames", engine))
    assert h5part.open(merged).verify()


@pytest.mark.parametrize("engine", ENGINES)
def test_rows_without_coordinates(path: str, engine: str) -> None:
    table = h5part.create(path, "t", 4, {"x": "f8", "m": ColumnSpec("f8", (2,), dims=("k",))}, coords={"k": [0.5, 1.5]})
    table.extend(7)
    dataset = open_dataset(path, "t", engine)
    assert dict(dataset.sizes) == {"row": 7, "k": 2} and dataset["m"].dims == ("row", "k")
    assert dataset["k"].values.tolist() == [0.5, 1.5] and "row" not in dataset.coords
    assert table.columns == ("x", "m")
    table.add_columns({"n": ColumnSpec("i4", (2, 2), dims=("k", "side"), attrs={"units": "1"})}, coords={"side": [-1, 1]})
    dataset = open_dataset(path, "t", engine)
    assert dataset["n"].dims == ("row", "k", "side") and dataset["side"].values.tolist() == [-1, 1]
    assert dataset["n"].attrs["units"] == "1"


def test_netcdf4_has_them_as_dimensions(frames: h5part.Table, path: str) -> None:
    netcdf = pytest.importorskip("netCDF4", reason="netCDF4 CANNOT BE INSTALLED HERE, so it is not tested")
    with netcdf.Dataset(path) as file:
        group = file["run/frames"]
        assert {name: len(dimension) for name, dimension in group.dimensions.items()} == {"time": 3, "atom": 3, "xyz": 3}
        assert group.dimensions["time"].isunlimited() and not group.dimensions["atom"].isunlimited()
        assert group["F"].dimensions == ("time", "atom", "xyz")


def test_they_are_told(frames: h5part.Table) -> None:
    assert frames.columns == ("time", "E", "F", "v", "label")
    assert frames.dims == {
        "time": ("time",), "E": ("time",), "F": ("time", "atom", "xyz"), "v": ("time", "xyz"), "label": ("time",)
    }  # fmt: skip
    assert list(frames.coords) == ["xyz"] and frames.coords["xyz"].tolist() == ["x", "y", "z"]


def test_to_xarray_takes_them_from_the_file(frames: h5part.Table) -> None:
    xarray = pytest.importorskip("xarray")
    frames.extend(4)
    dataset = frames.to_xarray()
    assert isinstance(dataset, xarray.Dataset)
    check(dataset, 4)
    assert dataset["present"].values.tolist() == [True] * 3 + [False]
    other = frames.to_xarray({"F": ("a", "b")})
    assert other["F"].dims == ("time", "a", "b") and other["v"].dims == ("time", "xyz")


def test_other_programs_dimensions_are_taken(tmp_path: Path) -> None:
    xarray = pytest.importorskip("xarray")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["g/z"] = [10.0, 20.0]
        file["g/z"].make_scale("z")
        file["g/T"] = np.arange(6.0).reshape(3, 2)
        file["g/t"] = [1.0, 2.0, 3.0]
        file["g/t"].make_scale("t")
        for axis, name in enumerate("tz"):
            file["g/T"].dims[axis].attach_scale(file[f"g/{name}"])
    table = h5part.open(tmp_path / "a.h5")["g"]
    expected = xarray.Dataset({"T": (("t", "z"), np.arange(6.0).reshape(3, 2))}, {"t": [1.0, 2.0, 3.0], "z": [10.0, 20.0]})
    assert table.to_xarray().drop_vars("present").equals(expected)


def test_bad_dimensions(path: str) -> None:
    def refused(text: str, columns: dict[str, Any], **options: Any) -> None:
        with pytest.raises(h5part.BadRequest, match=text):
            h5part.create(path, "t", 3, columns, **options)
        assert not Path(path).exists()

    named = ColumnSpec("f8", (2, 3), dims=("a", "b"))
    refused("name all axes", {"x": named, "y": ("f8", (3,))})
    refused("the lengths 3 and 4", {"x": named, "y": ColumnSpec("f8", (4,), dims=("b",))})
    refused("has the length 2, and 3 coordinates", {"x": named}, coords={"a": [1, 2, 3]})
    refused("an array of one axis", {"x": named}, coords={"a": [[1, 2]]})
    refused("not a dimension of any column", {"x": named}, coords={"c": [1, 2]})
    refused("add one of the name 'row'", {"x": named}, coords={"row": [1, 2, 3]})
    refused("cannot be the name", {"x": ColumnSpec("f8", (2,), dims=("a/b",))})
    refused("object|variable length", {"x": named}, coords={"a": [None, {}]})


def test_required_dimensions(frames: h5part.Table) -> None:
    def require(shape: tuple[int, ...] = (3, 3), dims: tuple[str, ...] = (), **options: Any) -> h5part.Table:
        columns = {"E": ColumnSpec("f8"), "F": ColumnSpec("f4", shape, dims=dims)}
        again = h5part.create(frames.store.path, "run/frames", 3, columns, exist_ok=True, **options)
        assert again.dims == frames.store.require_table("run/frames", 3, columns, **options).dims
        return again

    axes, texts = ("atom", "xyz"), ["x", "y", "z"]
    # What is not given is not compared.
    for options in ({}, {"dims": axes}, {"row_dim": "time"}, {"coords": {"xyz": texts}}, {"coords": {}, "dims": ()}):
        assert require(**options)["F"].shape == (3, 3, 3)
    assert require(dims=axes, row_dim="time", coords={"xyz": np.array(texts, "S7")}).coords["xyz"].tolist() == texts
    for options, says in [
        ({"dims": ("xyz", "atom")}, "column 'F': expected the dimensions 'xyz', 'atom' within a row, found 'atom', 'xyz'"),
        ({"row_dim": "row"}, "column 'E': expected 'row' as the dimension of rows, found 'time'"),
        ({"coords": {"xyz": ["x", "y", "w"]}}, "dimension 'xyz': expected coordinate 2 to be 'w', found 'z'"),
        ({"coords": {"xyz": [1, 2, 3]}}, "dimension 'xyz': expected coordinate 0 to be 1, found 'x'"),
        ({"coords": {"xyz": ["x", "y"]}}, "dimension 'xyz': expected 2 coordinates, found 3"),
        ({"coords": {"atom": [1, 2, 3]}}, "dimension 'atom': expected 3 coordinates, found none"),
        ({"shape": (3, 2), "dims": ("xyz", "atom")}, "column 'F': expected values of type f32 3x2, found f32 3x3"),
    ]:
        with pytest.raises(h5part.Mismatch, match=f"cannot use .*: {says}") as caught:
            require(**options)
        assert (caught.value.code, caught.value.path, caught.value.operation) == (4, frames.store.path, "use")


def test_required_dimensions_of_a_table_without(path: str) -> None:
    store = h5part.create(path, "t", 3, {"x": ("f8", (2,))}).store
    with pytest.raises(h5part.Mismatch, match="'x': expected the dimensions 'k' within a row, found none"):
        store.require_table("t", 3, {"x": ColumnSpec("f8", (2,), dims=("k",))})
    with pytest.raises(h5part.Mismatch, match="'x': expected 't' as the dimension of rows, found none"):
        store.require_table("t", 3, {"x": ("f8", (2,))}, row_dim="t")
    named = {"x": ColumnSpec("f8", (2,), dims=("k",))}
    for _ in range(2):
        assert store.require_table("u", 3, named, coords={"k": [0.5, np.nan]}).dims == {"x": ("row", "k")}
    with pytest.raises(h5part.Mismatch, match="dimension 'k': expected coordinate 1 to be 1.5, found nan"):
        store.require_table("u", 3, named, coords={"k": [0.5, 1.5]})
