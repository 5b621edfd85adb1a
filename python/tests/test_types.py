"""Text, complex numbers, half precision, enums and compounds, in both directions with h5py."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

import h5part
import h5part.ragged


def test_numbers_that_are_new(path: str) -> None:
    table = h5part.create(path, "t", 3, {"z": "c16", "w": ("complex64", (2,)), "h": "float16"})
    table.commit(0, z=1 + 2j, w=np.array([1j, 2], "c8"), h=1.5)
    block = table.read()
    assert block["z"][0] == 1 + 2j and np.isnan(block["z"][1]) and block["w"][0].tolist() == [1j, 2]
    assert block["h"].dtype == np.float16 and block["h"][0] == 1.5
    with h5py.File(path) as file:
        assert file["t/z"].dtype == np.complex128 and file["t/z"][0] == 1 + 2j
        assert file["t/w"].dtype == np.complex64 and file["t/h"].dtype == np.float16
    table.commit(1, z=3.0, h=np.float16(0.1))
    assert table["z"][1] == 3 + 0j
    with pytest.raises(h5part.TypeMismatch):
        table.commit(1, h=np.array([0.1]))
    assert table.store.verify()


def test_text_of_a_fixed_length(path: str) -> None:
    table = h5part.create(path, "t", 4, {"b": "S5", "u": "<U4", "v": h5py.string_dtype("utf-8", 6)})
    table.commit(0, b=b"abc", u="Aé≤∑", v="é≤")
    table.commit(slice(1, 3), b=["x", "hello"], u=["", "long"], v=np.array(["a", "bcdefg"]))
    block = table.read()
    assert block["b"].tolist() == [b"abc", b"x", b"hello", b""]
    assert block["u"].tolist() == ["Aé≤∑", "", "long", ""] and block["v"].tolist() == ["é≤", "a", "bcdefg", ""]
    assert table["u"][0] == "Aé≤∑"
    with h5py.File(path) as file:
        assert h5py.check_string_dtype(file["t/u"].dtype) == ("utf-8", 16)
        assert h5py.check_string_dtype(file["t/b"].dtype) == ("ascii", 5)
        assert file["t/u"].asstr()[0] == "Aé≤∑"
    for values in ({"b": "toolong"}, {"v": "é≤∑"}, {"u": "12345678901234567"}):
        with pytest.raises(h5part.Mismatch, match="does not fit"):
            table.commit(3, **values)
    with pytest.raises(h5part.TypeMismatch, match="ASCII"):
        table.commit(3, b="é")
    with pytest.raises(h5part.TypeMismatch):
        table.commit(3, b=1.0)
    assert table.store.verify()


def test_enums_and_compounds_that_h5py_made(tmp_path: Path) -> None:
    path = tmp_path / "theirs.h5"
    state = h5py.enum_dtype({"idle": 0, "busy": 1, "done": 2}, basetype="u1")
    point = np.dtype([("x", "f8"), ("n", "i4"), ("v", "f4", (3,))])
    with h5py.File(path, "w") as file:
        file.create_dataset("t/state", (5,), state, fillvalue=0)
        file.create_dataset("t/point", (5,), point)
    store = h5part.open(path)
    store.adopt("t", committed="nonfill")
    table = store["t"]
    assert table["state"].members == {"idle": 0, "busy": 1, "done": 2}
    value = np.array([(1.5, 3, [1, 2, 3])], point)
    table.commit(0, state=np.uint8(2), point=value)
    table.commit(1, state=[1], point=[(2.5, 4, [4, 5, 6])])
    block = table.read()
    assert block["state"][:2].tolist() == [2, 1] and block["point"]["x"][:2].tolist() == [1.5, 2.5]
    assert block["point"]["v"][1].tolist() == [4, 5, 6]
    with h5py.File(path) as file:
        assert file["t/state"][0] == 2 and file["t/point"][1]["n"] == 4
        assert h5py.check_enum_dtype(file["t/state"].dtype) == {"idle": 0, "busy": 1, "done": 2}
    store.publish(tmp_path / "out.h5")
    with h5py.File(tmp_path / "out.h5") as file:
        assert file["t/point"][1]["x"] == 2.5 and file["t/state"][1] == 1
    assert store.verify()


def test_enums_and_compounds_that_we_make(path: str) -> None:
    state = h5py.enum_dtype({"off": 0, "on": 1}, basetype="i2")
    point = np.dtype([("x", "f8"), ("label", "S4")])
    table = h5part.create(path, "t", 2, {"state": state, "point": (point, (2,))})
    table.commit(0, state=np.int16(1), point=np.array([(1.0, b"a"), (2.0, b"bcd")], point))
    with h5py.File(path) as file:
        assert h5py.check_enum_dtype(file["t/state"].dtype) == {"off": 0, "on": 1}
        assert file["t/point"].dtype == point and file["t/point"][0, 1]["label"] == b"bcd"
    assert table["point"][0]["x"].tolist() == [1.0, 2.0]


def test_units_of_columns(path: str) -> None:
    columns = {"E": h5part.ColumnSpec("f8", fill=-1.0, attrs={"units": "eV"}), "F": "f8"}
    table = h5part.create(path, "t", 2, columns)
    assert table["E"].attrs["units"] == "eV" and table["E"].fillvalue == -1.0 and table["E"][0] == -1.0
    table["F"].attrs["units"] = "eV/Å"
    with h5py.File(path) as file:
        assert file["t/E"].attrs["units"] == "eV" and file["t/F"].attrs["units"] == "eV/Å"
    table.commit(0, E=1.0)
    assert table.store.verify() and table["F"].attrs["units"] == "eV/Å"


def test_rows_of_different_lengths(path: str) -> None:
    store = h5part.create(path, "t", 1, {"x": "f8"}).store
    ragged = h5part.ragged.create(store, "paths", 4, ("f4", (2,)))
    ragged.commit(2, [[1, 2], [3, 4]])
    ragged.commit(0, np.zeros((0, 2)))
    ragged.commit(3, [[5, 6]])
    again = h5part.ragged.open(h5part.open(path), "paths")
    assert again.mask.tolist() == [True, False, True, True] and again.todo().tolist() == [1]
    assert again[2].tolist() == [[1, 2], [3, 4]] and again[3].tolist() == [[5, 6]]
    assert again[0].shape == again[1].shape == (0, 2)
    assert store.verify()
