"""What was computed is not computed again."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import pool_tasks as tasks
import pytest
from conftest import PATIENCE_S

import h5part
from h5part import Pool, WorkerDied
from h5part.pool import DictMemo, StoreMemo, version
from h5part.pool._memo import function_key, item_key

np = pytest.importorskip("numpy")


class FakeTable:
    """A table in memory, with the interface that the memo uses. Handles of one table share its data."""

    def __init__(self, rows: int, columns: dict[str, Any]) -> None:
        self.columns = {}
        for name, spec in columns.items():
            dtype, shape = spec if isinstance(spec, tuple) else (spec, ())
            self.columns[name] = np.zeros((rows, *shape), dtype)
        self.mask = np.zeros(rows, bool)
        self.appends = 0


class FakeHandle:
    """Remembers where to append next, as the real one does."""

    def __init__(self, table: FakeTable) -> None:
        self.table = table
        self._next: int | None = None

    def __len__(self) -> int:
        return len(self.table.mask)

    def append(self, **values: Any) -> slice:
        table = self.table
        if self._next is None:
            there = np.flatnonzero(table.mask)
            self._next = int(there[-1]) + 1 if len(there) else 0
        start, count = self._next, len(values["part"])
        rows = slice(start, start + count)
        if rows.stop > len(table.mask):
            more = rows.stop - len(table.mask) + 10
            table.mask = np.concatenate([table.mask, np.zeros(more, bool)])
            for name, old in table.columns.items():
                table.columns[name] = np.concatenate([old, np.zeros((more, *old.shape[1:]), old.dtype)])
        assert not table.mask[rows].any(), "nothing is overwritten"
        for name, value in values.items():
            assert value.dtype == table.columns[name].dtype
            table.columns[name][rows] = value
        table.mask[rows] = True
        table.appends += 1
        self._next = rows.stop
        return rows

    def read(self, *names: str, rows: slice = slice(None)) -> Any:
        block = FakeBlock({name: self.table.columns[name][rows] for name in names})
        block.mask = self.table.mask[rows]
        return block


class FakeBlock(dict[str, Any]):
    mask: Any


class FakeStore(dict[str, FakeTable]):
    def __getitem__(self, name: str) -> Any:
        return FakeHandle(super().__getitem__(name))


@pytest.fixture
def stores(monkeypatch: pytest.MonkeyPatch) -> dict[str, FakeStore]:
    """Stores in memory in place of the engine's."""
    stores: dict[str, FakeStore] = {}

    def create(path: str, table: str, rows: int, columns: dict[str, Any], *, exist_ok: bool) -> Any:
        assert rows > 0 and exist_ok
        Path(path).touch()
        store = stores.setdefault(str(path), FakeStore())
        store.setdefault(table, FakeTable(rows, columns))
        return store[table]

    monkeypatch.setattr(h5part, "create", create, raising=False)
    monkeypatch.setattr(h5part, "open", lambda path: stores[str(path)], raising=False)
    return stores


def calls(folder: Path) -> int:
    return len(list(folder.glob("call-*")))


@pytest.mark.parametrize("workers", [0, 2])
def test_a_second_run_computes_nothing(tmp_path: Path, stores: Any, workers: int) -> None:
    function = functools.partial(tasks.counted, str(tmp_path))
    path = tmp_path / "memo.h5"
    for round_ in range(2):
        with Pool(workers, memo=path) as pool:
            assert list(pool.map(function, range(10), chunksize=3)) == [x * 10 for x in range(10)]
            assert calls(tmp_path) == 10, round_
            # An item that a map computed is known to submit, and half a chunk may be known.
            assert pool.submit(function, 4).result(PATIENCE_S) == 40
            assert list(pool.map(function, [3, 100 + round_, 5], chunksize=3)) == [30, 1000 + 10 * round_, 50]
            assert calls(tmp_path) == 11
        for extra in tmp_path.glob("call-1??.*"):
            extra.unlink()


def test_submit_with_keywords(tmp_path: Path) -> None:
    memo = DictMemo()
    with Pool(1, memo=memo) as pool:
        assert pool.submit(tasks.add, 1, z=2).result(PATIENCE_S) == 3
        assert pool.submit(tasks.add, 1, z=3).result(PATIENCE_S) == 4
        assert pool.submit(tasks.add, 1, z=2).result(PATIENCE_S) == 3
    assert len(memo.values) == 2


def test_failures_and_deaths_are_not_kept(tmp_path: Path) -> None:
    memo = DictMemo()
    with Pool(2, memo=memo, retries=0) as pool:
        with pytest.raises(ValueError, match="item 3"):
            list(pool.starmap(tasks.raise_at, [(x, 3) for x in range(6)], chunksize=6))
        assert len(memo.values) == 3, "what came before the failure is kept"
        with pytest.raises(ValueError, match="a plain x"):
            pool.submit(tasks.raise_it, "x").result(PATIENCE_S)
        with pytest.raises(WorkerDied):
            pool.submit(tasks.end, "kill").result(PATIENCE_S)
    assert len(memo.values) == 3


def test_a_dead_chunk_is_completed(tmp_path: Path) -> None:
    memo = DictMemo()
    items = [(str(tmp_path), x, 3) for x in range(6)]
    with Pool(2, memo=memo, retries=1) as pool:
        assert list(pool.starmap(tasks.end_once, items, chunksize=6)) == list(range(6))
        assert len(memo.values) == 6
        assert list(pool.starmap(tasks.end_once, items, chunksize=2)) == list(range(6))


def test_the_seed_belongs_to_the_key(tmp_path: Path) -> None:
    memo = DictMemo()
    function = functools.partial(tasks.counted_seed, str(tmp_path))
    runs = []
    for seed in (1, 1, 2):
        with Pool(2, memo=memo, seed=seed) as pool:
            runs.append(list(pool.map(function, range(5), chunksize=2)))
    assert runs[0] == runs[1] != runs[2]
    assert calls(tmp_path) == 10


def test_keys() -> None:
    def one(x: int) -> int:
        return x

    def other(x: int) -> int:
        return x + 1

    assert function_key(one, b"") != function_key(other, b"")
    keys = set()
    for tag in ("1", "2"):

        @version(tag)
        def tagged(x: int) -> int:
            return x

        keys.add(function_key(tagged, b""))
    assert len(keys) == 2
    same = {function_key(version("1")(one), b""), function_key(functools.partial(one), b"")}
    assert len(same) == 1
    assert function_key(one, b"a") != function_key(one, b"b")
    assert item_key(b"f", b"ab") != item_key(b"f", b"a") and len(item_key(b"f", b"")) == 32


def test_values_of_any_size_and_those_cut_by_a_kill(tmp_path: Path, stores: Any) -> None:
    path = tmp_path / "memo.h5"
    memo = StoreMemo(path)
    sizes = [0, 1, 255, 256, 257, 10_000]
    pairs = [(bytes([n]) * 32, bytes([n + 1]) * size) for n, size in enumerate(sizes)]
    memo.put_many(pairs)
    memo.put_many(pairs)
    table = stores[str(path)]["memo"].table
    assert table.appends == 1, "one commit, and nothing is stored twice"
    for again in (memo, StoreMemo(path)):
        assert [again.get(key) for key, _ in pairs] == [value for _, value in pairs]
        assert again.get(b"?" * 32) is None
    # Of the last value a row in the middle was not committed.
    table.mask[np.flatnonzero(table.mask)[-5]] = False
    cut = StoreMemo(path)
    assert cut.get(pairs[-1][0]) is None
    assert [cut.get(key) for key, _ in pairs[:-1]] == [value for _, value in pairs[:-1]]
    cut.put_many(pairs[-1:])
    assert StoreMemo(path).get(pairs[-1][0]) == pairs[-1][1]


@pytest.mark.filterwarnings("ignore:cannot store results")
def test_a_memo_that_fails_costs_no_result() -> None:
    class Full(DictMemo):
        def put_many(self, pairs: Any) -> None:
            raise OSError(28, "No space left on device")

    with Pool(1, memo=Full()) as pool:
        assert list(pool.map(tasks.square, range(4))) == [0, 1, 4, 9]


def test_memos_of_several_processes_do_not_overwrite_each_other(tmp_path: Path, stores: Any) -> None:
    one, other = StoreMemo(tmp_path / "memo.h5"), StoreMemo(tmp_path / "memo.h5")
    values = {bytes([n]) * 32: bytes([n]) * (100 * n) for n in range(40)}
    for n, (key, value) in enumerate(values.items()):
        (one, other)[n % 3 == 0].put_many([(key, value)])
    for memo in (one, other):
        memo.put_many([(b"last" * 8, b"x")])
    for memo in (one, other, StoreMemo(tmp_path / "memo.h5")):
        assert {key: memo.get(key) for key in values} == values


def test_many_values_make_a_table_grow(tmp_path: Path, stores: Any) -> None:
    memo = StoreMemo(tmp_path / "memo.h5")
    pairs = [(n.to_bytes(32, "big"), bytes([n % 256]) * (n % 700)) for n in range(3000)]
    for start in range(0, 3000, 500):
        memo.put_many(pairs[start : start + 500])
    again = StoreMemo(tmp_path / "memo.h5")
    assert all(memo.get(key) == value == again.get(key) for key, value in pairs)
