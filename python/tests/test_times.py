"""Points in time: datetime64 in numpy, pandas and xarray, whole numbers with CF's units in the file."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import h5part

NOON = np.datetime64("2026-11-29T12:00:00.123456")
NAT = np.datetime64("NaT", "us")


@pytest.fixture
def table(path: str) -> h5part.Table:
    columns = {
        "t": "datetime64[us]",
        "day": h5part.ColumnSpec("M8[D]", (2,), attrs={"long_name": "first and last day"}),
        "n": "i8",
    }
    return h5part.create(path, "t", 4, columns)


@pytest.mark.parametrize("unit", ["D", "h", "m", "s", "ms", "us", "ns"])
def test_every_unit(path: str, unit: str) -> None:
    dtype = f"M8[{unit}]"
    table = h5part.create(path, "t", 3, {"t": dtype})
    values = np.array(["2026-11-29", "1969-12-31"], dtype)
    table.commit(slice(0, 2), t=values)
    assert table["t"].dtype == np.dtype(dtype) and table.dtype["t"] == np.dtype(dtype)
    np.testing.assert_array_equal(table["t"][:], [*values, NAT])
    with h5py.File(path) as file:
        assert file["t/t"].dtype == np.dtype("<i8") and file["t/t"][2] == np.iinfo("i8").min
        assert file["t/t"].attrs["units"].endswith("s since 1970-01-01")
    assert np.isnat(table["t"].fillvalue)
    again = h5part.open(path)["t"].read("t")
    assert again["t"].dtype == np.dtype(dtype) and again.mask.tolist() == [True, True, False]


def test_every_form_of_a_time(table: h5part.Table) -> None:
    moment = datetime.datetime(2026, 11, 29, 12, 0, 0, 123456)
    forms: list[Any] = [NOON, moment, np.array([NOON], ">M8[us]"), NOON.astype("M8[ns]"), [moment], int(NOON.astype("i8"))]
    for form in forms:
        table.commit(0, t=NAT)
        table.commit(0, t=form)
        assert table["t"][0] == NOON
    table["t"][1:3] = [moment, None]
    np.testing.assert_array_equal(table["t"][0:3], [NOON, NOON, NAT])
    table["t"][:] = datetime.date(2026, 11, 29)
    assert (table["t"][:] == np.datetime64("2026-11-29")).all()
    table.commit(3, day=np.array(["2026-11-28", "2026-11-29"], "M8[D]"))
    assert table["day"][3].tolist() == [datetime.date(2026, 11, 28), datetime.date(2026, 11, 29)]
    with table.writer(group=2) as writer:
        writer.commit(0, t=NOON)
        writer.commit(1, t=np.ma.MaskedArray([NOON], [True]), n=1)
    table.commit(slice(0, 2), t=np.ma.MaskedArray([5, 6], [True, False]))
    assert table["t"][0] == NOON and table["t"][1] == np.datetime64(6, "us")
    assert table["t"].mask[:].all() and table["t"][0] == NOON and table["n"][1] == 1
    with table.writer() as writer:
        assert writer.commit_if(0, {"t": NOON}, t=NAT) == 1
        with pytest.raises(h5part.NotAsExpected):
            writer.commit_if(0, {"t": NOON}, t=NOON)
    assert np.isnat(table["t"][0]) and table["t"].mask[0]
    table.append(t=NOON)
    assert table["t"][4] == NOON and table.store.verify()


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"t": "2026-11-29"}, "found <U10"),
        ({"t": 1.5}, "found float64"),
        ({"t": NOON.astype("M8[ns]") + np.timedelta64(1, "ns")}, "not all of them can be kept"),
        ({"day": np.array([NOON, NOON])}, "not all of them can be kept"),
        ({"t": datetime.datetime(2026, 11, 29, tzinfo=datetime.UTC)}, "time zone"),
        ({"t": [object()]}, "not a point in time"),
        ({"n": NOON}, "make the column a datetime64"),
        ({"t": np.datetime64("300000-01-01", "Y")}, "not all of them can be kept"),
    ],
)
def test_what_is_no_time_of_this_unit(table: h5part.Table, path: str, values: dict[str, Any], says: str) -> None:
    before = Path(path).read_bytes()
    with pytest.raises(h5part.TypeMismatch, match=says):
        table.commit(0, **values)
    assert Path(path).read_bytes() == before


def test_columns_that_cannot_be(tmp_path: Path) -> None:
    attrs = {"units": "s"}
    for dtype, says in [("M8", "must be one of"), ("M8[M]", "must be one of"), ("M8[25us]", "must be one of")]:
        with pytest.raises(h5part.BadRequest, match=says):
            h5part.create(tmp_path / "x.h5", "t", 1, {"t": dtype})
    with pytest.raises(h5part.BadRequest, match="attribute 'units' of a datetime64"):
        h5part.create(tmp_path / "x.h5", "t", 1, {"t": h5part.ColumnSpec("M8[s]", attrs=attrs)})
    for dtype in ("m8[s]", np.dtype([("t", "M8[s]")])):
        with pytest.raises(h5part.BadRequest, match="store int64"):
            h5part.create(tmp_path / "x.h5", "t", 1, {"t": dtype})
    assert not (tmp_path / "x.h5").exists()


def test_a_fill_of_ones_own_and_a_column_that_is_added(path: str) -> None:
    table = h5part.create(path, "t", 2, {"t": h5part.ColumnSpec("M8[s]", fill=np.datetime64("2000-01-01"))})
    assert table["t"][0] == np.datetime64("2000-01-01")
    table.add_columns({"u": "M8[ms]", "n": "i8"})
    assert table["u"].dtype == np.dtype("M8[ms]") and np.isnat(table["u"][0]) and table["n"].dtype == np.dtype("i8")
    table["n"].attrs["units"] = "seconds since 1970-01-01 00:00:00"
    assert table["n"][0] == np.datetime64(0, "s")
    table.commit(0, n=np.datetime64("2000-01-01"))
    table["n"].attrs["units"] = "eV"
    assert table["n"][0] == 946684800


def test_in_pandas_and_xarray(table: h5part.Table, path: str, tmp_path: Path) -> None:
    table.commit([0, 2], t=np.array([NOON, NAT]), day=np.array([["2026-01-01"] * 2] * 2, "M8[D]"), n=[1, 2])
    table["n"].attrs["units"] = "eV"
    pandas = pytest.importorskip("pandas", reason="NOT TESTED: pandas is not installed")
    frame = table.to_pandas()
    assert frame["t"].dtype.kind == "M" and frame["t"][0] == pandas.Timestamp(NOON) and pandas.isna(frame["t"][2])
    table.commit(1, t=frame["t"][0], n=0)
    table.commit(slice(0, 1), t=frame["t"][:1])
    assert table["t"][0] == table["t"][1] == NOON
    xarray = pytest.importorskip("xarray", reason="NOT TESTED: xarray is not installed")
    dataset = table.to_xarray()
    assert dataset["t"].dtype.kind == "M" and dataset["t"].values[0] == NOON and np.isnat(dataset["t"].values[3])
    assert dataset["t"].attrs == {} and dataset["n"].attrs == {"units": "eV"}
    assert dataset["day"].attrs == {"long_name": "first and last day"}
    # As xarray decodes what is in the file.
    with h5py.File(path) as file:
        raw = {name: (("row",), file[f"t/{name}"][:], dict(file[f"t/{name}"].attrs)) for name in ("t", "n")}
    decoded = xarray.decode_cf(xarray.Dataset(raw))
    np.testing.assert_array_equal(decoded["t"].values, [NOON, NOON, NAT, NAT])
    assert decoded["n"].dtype == np.int64
    table.store.publish(tmp_path / "out.h5")
    published = h5part.open(tmp_path / "out.h5")["t"]
    np.testing.assert_array_equal(published["t"][:], [NOON, NOON, NAT, NAT])
