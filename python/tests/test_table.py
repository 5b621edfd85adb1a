"""Tables: made, committed to, read, grown."""

from __future__ import annotations

import pickle
from pathlib import Path

import h5py
import numpy as np
import pytest

import h5part


def test_what_is_committed_is_read(frames: h5part.Table) -> None:
    forces = np.arange(6.0).reshape(2, 3)
    assert frames.commit(3, E=-1.5, F=forces, n=7, ok=True) == 1
    block = frames.read()
    assert block.mask.tolist() == [row == 3 for row in range(10)]
    assert block["E"][3] == -1.5 and np.isnan(block["E"][2]) and block["n"][3] == 7 and block["ok"][3]
    np.testing.assert_array_equal(block["F"][3], forces)
    assert block.masked("F").count() == 6


def test_many_rows_at_once(frames: h5part.Table) -> None:
    assert frames.commit(slice(0, 4), E=np.arange(4.0)) == 4
    assert frames.commit(np.array([9, 7]), E=np.array([9.0, 7.0])) == 2
    assert frames.commit([5], E=[5.0]) == 1
    mask = np.zeros(10, bool)
    mask[[4, 6]] = True
    assert frames.commit(mask, E=[4.0, 6.0]) == 2
    assert frames.commit(range(8, 9), E=[8.0]) == 1
    assert frames["E"][:].tolist() == [float(row) for row in range(10)]
    assert frames["E"][-1] == 9.0 and frames["E"][2:4].tolist() == [2.0, 3.0]
    assert frames["E"][[1, 1]].tolist() == [1.0, 1.0]


def test_h5py_reads_it(frames: h5part.Table, path: str) -> None:
    frames.commit(slice(0, 10), E=np.arange(10.0), ok=np.ones(10, bool))
    with h5py.File(path) as file:
        np.testing.assert_array_equal(file["frames/E"][:], np.arange(10.0))
        assert file["frames/ok"].dtype == np.dtype("?")


@pytest.mark.parametrize("dtype", ["f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "?"])
def test_every_type(path: str, dtype: str) -> None:
    table = h5part.create(path, "t", 3, {"x": (dtype, (2,))})
    values = np.array([[0, 1], [1, 0]]).astype(dtype)
    table.commit(slice(0, 2), x=values)
    block = table.read("x")
    assert block["x"].dtype == np.dtype(dtype)
    np.testing.assert_array_equal(block["x"][:2], values)
    assert block.mask.tolist() == [True, True, False]


def test_names_of_types_are_those_of_numpy(path: str) -> None:
    columns = {"a": float, "b": "int32", "c": np.float32, "d": bool, "e": np.dtype("3f8"), "f": ("float64", 4)}
    table = h5part.create(path, "t", 1, columns)
    assert table.dtype == np.dtype(
        [("a", "f8"), ("b", "i4"), ("c", "f4"), ("d", "?"), ("e", "f8", (3,)), ("f", "f8", (4,))]
    )


def test_columns_are_like_arrays(frames: h5part.Table) -> None:
    column = frames["F"]
    assert (column.shape, column.dtype, column.ndim, len(column)) == ((10, 2, 3), np.dtype("f8"), 3, 10)
    column[2] = np.ones((2, 3))
    frames["E"][0:5] = 1.25
    np.testing.assert_array_equal(np.asarray(column)[2], np.ones((2, 3)))
    assert column[2, 1, 0] == 1.0 and column[2:3, 0].shape == (1, 3)
    assert column.mask[2] is True and column.mask[:].sum() == 1
    assert frames["E"].mask[:].tolist() == [row < 5 for row in range(10)]
    with pytest.raises(h5part.Unsupported, match="whole rows"):
        column[2, 0] = 1.0


def test_what_is_to_do(frames: h5part.Table) -> None:
    frames.commit(slice(0, 10), F=np.zeros((10, 2, 3)), n=np.zeros(10, "i4"), ok=np.ones(10, bool))
    frames.commit([1, 4], E=[0.0, 0.0])
    todo = [0, 2, 3, 5, 6, 7, 8, 9]
    assert frames.todo().tolist() == todo
    assert frames.todo(columns=["F"]).tolist() == []
    shards = [frames.todo(shard=(part, 3)) for part in range(3)]
    assert sorted(np.concatenate(shards).tolist()) == todo
    assert frames.todo(slice(0, 4)).tolist() == [0, 2, 3]
    status = frames.status(parts=2)
    assert [column.committed for column in status.columns] == [2, 10, 10, 10] and not status.is_complete
    frames.reset(4)
    assert 4 in frames.todo().tolist()


def test_shards_of_slurm(frames: h5part.Table, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"ID": "12", "MIN": "10", "MAX": "14", "STEP": "2", "COUNT": "3"}.items():
        monkeypatch.setenv(f"SLURM_ARRAY_TASK_{name}", value)
    assert frames.todo(shard="slurm").tolist() == [1, 4, 7]
    for name in ("ID", "MIN", "MAX", "STEP", "COUNT"):
        monkeypatch.delenv(f"SLURM_ARRAY_TASK_{name}")
    assert frames.todo(shard="slurm").tolist() == list(range(10))


def test_a_table_grows(frames: h5part.Table) -> None:
    assert frames.extend(20) == 10 and len(frames) == 20
    frames.add_columns({"stress": ("f8", (3, 3))})
    frames.commit(19, stress=np.eye(3))
    np.testing.assert_array_equal(frames["stress"][19], np.eye(3))


def test_rows_are_appended(path: str) -> None:
    table = h5part.create(path, "t", 0, {"x": "f8", "v": ("f8", (2,))})
    assert table.append(x=1.0, v=[1.0, 2.0]) == slice(0, 1)
    for row in range(1, 40):
        assert table.append(x=[float(row)], v=np.zeros((1, 2))) == slice(row, row + 1)
    assert table.append(x=np.zeros(3), v=np.zeros((3, 2))) == slice(40, 43)
    again = h5part.open(path)["t"]
    assert again.append(x=5.0, v=[0.0, 0.0]) == slice(43, 44)
    assert len(again) >= 44 and again.read("x", rows=slice(0, 44)).mask.all()


def test_commits_under_a_condition(frames: h5part.Table) -> None:
    frames.commit(2, n=1)
    with frames.writer() as writer:
        assert writer.commit_if(2, {"n": 1}, n=2) == 1
        with pytest.raises(h5part.NotAsExpected) as caught:
            writer.commit_if(2, {"n": 1}, n=3)
        assert caught.value.code == 9
    assert frames["n"][2] == 2


def test_groups_of_commits(frames: h5part.Table) -> None:
    with frames.writer(group=100) as writer:
        for row in range(10):
            assert writer.commit(row, E=float(row)) == 0
    assert frames["E"].mask[:].all()
    with pytest.raises(ZeroDivisionError), frames.writer(group=100) as writer:
        writer.commit(0, E=77.0)
        raise ZeroDivisionError
    assert frames["E"][0] == 0.0


def test_stores_are_mappings(frames: h5part.Table, path: str) -> None:
    store = h5part.open(path)
    other = store.require_table("scan/points", 5, {"x": "f8"})
    assert set(store) == {"frames", "scan/points"} and len(store) == 2 and "frames" in store and "x" not in store
    assert store.require_table("scan/points", 5, {"x": "f8"}).rows == 5 and other.columns == ("x",)
    with pytest.raises(h5part.TypeMismatch):
        store.require_table("scan/points", 5, {"x": "i8"})
    assert "frames" in store._repr_html_() and "<svg" in store["frames"]._repr_html_()


def test_attributes(frames: h5part.Table, path: str) -> None:
    frames.attrs["program"] = "h5part"
    frames.attrs["cutoff"] = 5.5
    frames.attrs["steps"] = np.int64(3)
    frames.attrs["axes"] = ["x", "y"]
    with h5py.File(path) as file:
        assert file["frames"].attrs["program"] == "h5part" and file["frames"].attrs["cutoff"] == 5.5
    assert {"axes", "cutoff", "program", "steps"} <= set(frames.attrs)
    assert frames.attrs["axes"] == ["x", "y"] and frames.attrs["steps"] == 3
    with pytest.raises(KeyError):
        frames.attrs["nothing"]


def test_tables_of_h5py_are_adopted(tmp_path: Path) -> None:
    path = tmp_path / "theirs.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("run/x", data=np.arange(5.0))
        file.create_dataset("run/y", (5,), "i8", fillvalue=-1)
    store = h5part.open(path)
    before = store.adopt("run", dry_run=True)
    assert before["dry_run"] and not store["run"].has_stamps
    assert store.adopt("run")["columns"] == ["x", "y"]
    store["run"].commit(0, y=3)
    assert store["run"].read("x").mask.all() and store["run"].read("y").mask.tolist() == [True] + [False] * 4
    assert store.verify()


def test_published_merged_verified(frames: h5part.Table, path: str, tmp_path: Path) -> None:
    frames.commit(slice(0, 5), E=np.arange(5.0))
    published = frames.store.publish(tmp_path / "out.h5", gzip=4)
    assert published["rows"] == 10
    other = h5part.create(tmp_path / "b.h5", "frames", 10, {"E": "f8", "F": ("f8", (2, 3)), "n": "i4", "ok": "?"})
    other.commit(slice(5, 10), E=np.arange(5.0, 10.0))
    merged = h5part.merge(tmp_path / "all.h5", path, tmp_path / "b.h5")
    assert merged["complete"]
    assert h5part.open(tmp_path / "all.h5")["frames"]["E"][:].tolist() == [float(row) for row in range(10)]
    report = frames.store.verify()
    assert report.sound and report and report.tables[0]["rows"] == 10
    assert frames.store.recover()["dead_writers"] == 0


def test_a_value_changed_by_another_program_is_found(frames: h5part.Table, path: str) -> None:
    frames.commit(1, E=2.0)
    frames.close()
    with frames.store.gate(), h5py.File(path, "r+") as file:
        file["frames/E"][1] = 3.0
    report = frames.store.verify()
    assert not report.sound and report.findings[0]["kind"] == "changed"
    assert frames.read("E").mask.sum() == 0
    with pytest.raises(h5part.ForeignChange):
        frames.commit(1, E=4.0)
    with frames.writer(accept_foreign=True) as writer:
        writer.commit(1, E=4.0)
    assert frames.store.verify().sound


def test_tables_and_stores_are_pickled(frames: h5part.Table) -> None:
    frames.commit(0, E=1.0)
    again = pickle.loads(pickle.dumps(frames))
    assert again["E"][0] == 1.0 and again.name == "frames"
    assert pickle.loads(pickle.dumps(frames.store)).path == frames.store.path
    with pytest.raises(TypeError, match="pickle the Table"):
        pickle.dumps(frames.writer())


def test_other_libraries(frames: h5part.Table) -> None:
    frames.commit([1, 2], E=[1.0, 2.0], F=np.ones((2, 2, 3)), n=[1, 2], ok=[True, False])
    pandas = pytest.importorskip("pandas")
    frame = frames.to_pandas()
    assert isinstance(frame, pandas.DataFrame) and frame.index.tolist() == [1, 2]
    assert frame["F[1,2]"].tolist() == [1.0, 1.0]
    pytest.importorskip("xarray")
    dataset = frames.to_xarray({"F": ("atom", "xyz")})
    assert dict(dataset.sizes) == {"row": 10, "atom": 2, "xyz": 3} and dataset.present.values.sum() == 2


def test_a_part_of_each_row(frames: h5part.Table) -> None:
    frames.commit(slice(0, 2), F=np.arange(12.0).reshape(2, 2, 3))
    assert frames.read("F", rows=slice(0, 2), inner="1, 0:2")["F"].tolist() == [[[3.0, 4.0]], [[9.0, 10.0]]]
