"""What does not fit is an exception of the right class, and nothing is written."""

from __future__ import annotations

import pickle
from pathlib import Path

import h5py
import numpy as np
import pytest

import h5part
from h5part import _h5part, errors


@pytest.mark.parametrize(
    ("rows", "values", "sort", "says"),
    [
        (0, {"E": "text"}, h5part.TypeMismatch, "expected values of type float64"),
        (0, {"n": 1.5}, h5part.TypeMismatch, "not all of them can be kept"),
        (0, {"n": [float("nan")]}, h5part.TypeMismatch, "int32"),
        (0, {"n": 2**40}, h5part.TypeMismatch, "int32"),
        (0, {"n": np.array([1], "i8")}, h5part.TypeMismatch, "found int64"),
        (0, {"E": np.array([object()])}, h5part.TypeMismatch, "found object"),
        (0, {"F": np.zeros((3, 2))}, h5part.Mismatch, "expected values of shape 1x2x3"),
        (slice(0, 3), {"E": np.zeros(2)}, h5part.Mismatch, "shape 3, found 2"),
        (slice(0, 3), {"E": 1.0}, h5part.Mismatch, "found a single value"),
        (10, {"E": 1.0}, h5part.RowOutOfRange, "row 10 is out of range"),
        (-11, {"E": 1.0}, h5part.RowOutOfRange, "row -11"),
        ([1, 1], {"E": [1.0, 2.0]}, h5part.BadRequest, "twice"),
        (0, {"x": 1.0}, h5part.NotFound, "no such column"),
        ([0.5], {"E": [1.0]}, h5part.BadRequest, "rows are ints"),
        (np.ones(3, bool), {"E": [1.0]}, h5part.BadRequest, "mask of rows"),
        (0, {"F": np.ma.array(np.zeros((2, 3)), mask=[[1, 0, 0], [0, 0, 0]])}, h5part.Mismatch, "masked in part"),
    ],
)
def test_commits(
    frames: h5part.Table, path: str, rows: object, values: dict[str, object], sort: type[Exception], says: str
) -> None:
    before = Path(path).read_bytes()
    with pytest.raises(sort, match=says):
        frames.commit(rows, **values)
    assert Path(path).read_bytes() == before
    frames.commit(0, E=1.0)


def test_arrays_of_every_layout(frames: h5part.Table) -> None:
    wanted = np.arange(12.0).reshape(2, 2, 3)
    layouts = [
        np.asfortranarray(wanted),
        wanted.astype(">f8"),
        wanted[::1],
        np.repeat(wanted, 2, axis=2)[:, :, ::2],
        wanted.astype("f4"),
        wanted.tolist(),
    ]
    read_only = wanted.copy()
    read_only.flags.writeable = False
    for values in [*layouts, read_only]:
        frames.commit(slice(0, 2), F=np.zeros((2, 2, 3)))
        frames.commit(slice(0, 2), F=values)
        np.testing.assert_array_equal(frames["F"][0:2], wanted)
    frames.commit(0, E=np.array(2.5), n=np.int32(3), ok=np.bool_(True))
    assert (frames["E"][0], frames["n"][0], frames["ok"][0]) == (2.5, 3, True)


def test_masked_rows_are_not_committed(frames: h5part.Table) -> None:
    energies = np.ma.array([1.0, 2.0, 3.0], mask=[False, True, False])
    assert frames.commit(slice(0, 3), E=energies, n=[1, 2, 3]) == 3
    assert frames["E"].mask[0:3].tolist() == [True, False, True] and frames["n"].mask[0:3].all()
    assert frames.commit(5, E=np.ma.masked_array([1.0], [True])) == 0


def test_columns_that_cannot_be(tmp_path: Path) -> None:
    for dtype, says in [("O", "ragged"), ("f16", "no columns of type"), ("nonsense", "not a type"), ("m8[s]", "store int64")]:
        with pytest.raises(h5part.BadRequest, match=says):
            h5part.create(tmp_path / "x.h5", "t", 3, {"x": dtype})
    assert not (tmp_path / "x.h5").exists()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"rows": -1}, "rows: expected"),
        ({"rows": 2.5}, "rows: expected"),
        ({"columns": ["x"]}, "types by name"),
        ({"columns": {}}, "at least one column"),
        ({"columns": {"x/y": "f8"}}, "'x/y' cannot be the name"),
        ({"columns": {"x": ("f8", -1)}}, "shape of column 'x'"),
        ({"columns": {"x": ("f8", (2, 0))}}, "shape of column 'x'"),
        ({"columns": {"x": h5part.ColumnSpec("i4", fill=1.5)}}, "expected values of type int32"),
        ({"columns": {"x": h5part.ColumnSpec("i4", fill=2**40)}}, "expected values of type int32"),
        ({"columns": {"x": h5part.ColumnSpec("S2", fill="abc")}}, "does not fit"),
        ({"columns": {"x": h5part.ColumnSpec("f8", attrs={"u": object()})}}, "attribute 'u'"),
        ({"attrs": {"u": {}}}, "attribute 'u'"),
        ({"gzip": 99}, "gzip: expected a whole number from 0 to 9"),
        ({"chunk_rows": 0}, "chunk_rows: expected"),
        ({"timeout": -1.0}, "timeout: expected"),
        ({"timeout": float("nan")}, "timeout: expected"),
    ],
)
def test_tables_that_cannot_be(path: str, options: dict[str, object], says: str) -> None:
    with pytest.raises(h5part.Error, match=says) as caught:
        h5part.create(path, "t", **{"rows": 3, "columns": {"x": "f8"}, **options})  # type: ignore[arg-type]
    assert isinstance(caught.value, ValueError) and not Path(path).exists()


def test_arguments_out_of_range(frames: h5part.Table, tmp_path: Path) -> None:
    for use, says in [
        (lambda: frames.read(7), "rows are read"),
        (lambda: frames.read(["E", "F"]), "names of columns"),
        (lambda: frames.status(parts=0), "parts"),
        (lambda: frames.todo(shard=(2, 2)), "from 0 to 1"),
        (lambda: frames.todo(shard=3), "or 'slurm'"),
        (lambda: frames.todo(columns=[]), "at least one"),
        (lambda: frames.writer(durability="fast"), "'power' or 'process'"),
        (lambda: frames.writer(group=-1), "group"),
        (lambda: frames.store.publish(tmp_path / "out.h5", gzip=99), "gzip"),
        (lambda: frames.store.publish(tmp_path / "out.h5", zstd=0), "zstd"),
        (lambda: h5part.Ledger.create(tmp_path / "l", "abc"), "expected names"),
        (lambda: h5part.Ledger.create(tmp_path / "l", ["a"], max_attempts=0), "max_attempts"),
    ]:
        with pytest.raises(h5part.BadRequest, match=says):
            use()
    with pytest.raises(h5part.BadFile, match="a folder"):
        h5part.open(tmp_path)
    assert sorted(item.name for item in tmp_path.glob("[lo]*")) == []
    frames.commit(0, E=1.0)
    assert frames.todo(columns="E").tolist() == list(range(1, 10))


def test_attributes_of_numpy(path: str) -> None:
    attrs = {"a": np.float64(1.5), "b": np.int32(3), "c": ("x", "y"), "d": np.array(["p", "q"]), "e": np.bool_(True)}
    table = h5part.create(path, "/a//t/", 3, {"x": h5part.ColumnSpec("f8", attrs=attrs)}, attrs=attrs)
    assert dict(table.attrs) == dict(table["x"].attrs) == {"a": 1.5, "b": 3, "c": ["x", "y"], "d": ["p", "q"], "e": True}
    assert table.name == "a/t" and "a//t" in table.store


def test_columns_of_variable_length(tmp_path: Path) -> None:
    """They are carried along; whoever reads or writes them learns what to use instead."""
    with h5py.File(tmp_path / "theirs.h5", "w") as file:
        file.create_dataset("t/s", (3,), h5py.string_dtype())
        file["t/x"] = np.zeros(3)
    store = h5part.open(tmp_path / "theirs.h5")
    store.adopt("t")
    table = store["t"]
    with table.writer() as writer, table.writer(group=2) as group:
        for use in (
            lambda: table.read("s"),
            lambda: table["s"][0],
            lambda: table["s"].dtype,
            lambda: table.commit(0, s="text"),
            lambda: table.commit(0, x=1.0, s="text"),
            lambda: writer.commit_if(0, {"x": 0.0}, s="text"),
            lambda: writer.commit_if(0, {"s": "text"}, x=1.0),
            lambda: group.commit(0, s="text"),
        ):
            with pytest.raises(h5part.Unsupported, match="'s' has .*h5py.*'U20'.*h5part.ragged"):
                use()
    assert table.read().keys() == {"x"} and store.verify()


def test_files(tmp_path: Path, path: str, frames: h5part.Table) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        h5part.open(tmp_path / "none.h5")
    assert isinstance(caught.value, h5part.Error) and caught.value.code == 3 and caught.value.errno == 2
    with pytest.raises(h5part.AlreadyExists) as exists:
        h5part.create(path, "frames", 3, {"x": "f8"})
    assert isinstance(exists.value, FileExistsError) and exists.value.hint is not None
    (tmp_path / "text.h5").write_text("text, not HDF5" * 100)
    with pytest.raises(h5part.BadFile):
        h5part.open(tmp_path / "text.h5")["t"]
    with pytest.raises(KeyError):
        h5part.open(path)["nothing"]


def test_after_close(frames: h5part.Table) -> None:
    writer = frames.writer()
    writer.close()
    writer.close()
    for use in (lambda: writer.commit(0, E=1.0), lambda: writer.reset(0), lambda: writer.commit_if(0, {}, E=1.0), writer.flush):
        with pytest.raises(h5part.BadRequest, match="closed"):
            use()
    frames.close()
    frames.commit(0, E=1.0)
    assert frames["E"][0] == 1.0


def test_a_store_that_is_deleted(frames: h5part.Table, path: str) -> None:
    frames.commit(0, E=1.0)
    Path(path).unlink()
    with pytest.raises(h5part.Error):
        frames.read("E")
    with pytest.raises(h5part.Error):
        frames.commit(1, E=1.0)


def test_exceptions_are_pickled(path: str, frames: h5part.Table) -> None:
    with pytest.raises(h5part.RowOutOfRange) as caught:
        frames.commit(99, E=1.0)
    again = pickle.loads(pickle.dumps(caught.value))
    assert type(again) is h5part.RowOutOfRange and again.kind == "RowOutOfRange" and again.code == 3
    assert str(again) == str(caught.value) and again.path == path


def test_every_exit_code_has_a_class() -> None:
    codes = {code for name, code in _h5part.exit_codes() if name not in {"Success"}}
    assert codes == set(errors._BY_CODE)
    for code, sort in errors._BY_CODE.items():
        assert code in sort.codes
    classes = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, errors.Error)]
    assert {sort.__name__ for sort in classes} == set(errors.__all__)


def test_sharing_where_no_nfs_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = str(tmp_path / "a.h5")
    with pytest.raises(h5part.Unsupported, match="not an NFS mount"):
        h5part.create(path, "t", 3, {"E": "f8"}, shared="nfs")
    with pytest.raises(ValueError, match="shared must be 'nfs'"):
        h5part.create(path, "t", 3, {"E": "f8"}, shared="smb")  # type: ignore[arg-type]
    assert not Path(path).exists()
    h5part.create(path, "t", 3, {"E": "f8"})
    monkeypatch.setenv("H5PART_SHARED", "nfs")
    with pytest.raises(h5part.Unsupported, match="not an NFS mount"):
        h5part.open(path)["t"].commit(0, E=1.0)
    monkeypatch.delenv("H5PART_SHARED")
    h5part.open(path)["t"].commit(0, E=1.0)
