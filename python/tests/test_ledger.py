"""Ledgers, and runs over the rows of a table."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest

import h5part


def test_named_tasks(tmp_path: Path) -> None:
    with h5part.Ledger.create(tmp_path / "tasks", ["a", "b", "c"]) as ledger:
        assert len(ledger) == 3
        (first,) = ledger.claim()
        with first:
            assert first.name in "abc" and first.rows is None and first.attempts == 0
        assert ledger.status().done == 1
        (second,) = ledger.claim()
        with pytest.raises(ZeroDivisionError), second:
            raise ZeroDivisionError
        assert ledger.status().waiting == 2 and ledger.status().retried == 1
        (third,) = ledger.claim()
        assert ledger.release(third) == "waiting"
        with pytest.raises(h5part.Fenced):
            ledger.done(third)
        names = [claim.name for claim in ledger.claims() if ledger.done(claim)]
        assert len(names) == 2 and ledger.status().has_ended
        assert {task["state"] for task in ledger.list()} == {"done"}
        assert pickle.loads(pickle.dumps(ledger)).status().done == 3


def test_a_task_is_done_when_its_rows_are_there(path: str, tmp_path: Path) -> None:
    table = h5part.create(path, "t", 10, {"x": "f8"})
    ledger = h5part.Ledger.create(tmp_path / "tasks", table=table, block=4)
    assert len(ledger) == 3
    (claim,) = ledger.claim()
    with pytest.raises(h5part.Error, match="not"):
        ledger.done(claim)
    rows = claim.rows
    assert rows is not None
    with table.writer(fence=claim) as writer:
        writer.commit(rows, x=np.zeros(rows.stop - rows.start))
    assert ledger.done(claim) == "done"
    with pytest.raises(h5part.Fenced), table.writer(fence=claim) as writer:
        writer.commit(rows, x=np.ones(rows.stop - rows.start))
    assert (table["x"][rows] == 0.0).all()
    assert ledger.cancel() == 2 and ledger.requeue() == 2
    ledger.close()


def test_tasks_of_the_dead_come_back(tmp_path: Path) -> None:
    ledger = h5part.Ledger.create(tmp_path / "tasks", ["a"])
    child = os.fork()
    if child == 0:
        os._exit(0 if len(ledger.claim()) == 1 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    (claim,) = ledger.claim()
    assert claim.name == "a" and claim.fence > 1
    ledger.done(claim)


def square(rows: np.ndarray) -> dict[str, np.ndarray]:
    return {"x": rows.astype(float) ** 2}


def often_dies(rows: np.ndarray) -> dict[str, np.ndarray]:
    note = Path(os.environ["H5PART_TEST_FOLDER"]) / f"died-{rows[0]}"
    if rows[0] % 7 == 0 and not note.exists():
        note.touch()
        os._exit(1)
    if rows[0] == 5:
        raise ValueError("row 5 cannot be computed")
    return square(rows)


def test_a_function_over_rows(path: str) -> None:
    table = h5part.create(path, "t", 20, {"x": "f8"})
    told: list[tuple[int, int]] = []
    summary = h5part.run(square, table, workers=2, block=3, progress=lambda done, total: told.append((done, total or 0)))
    assert summary.ok and summary.done == 20 and told[-1] == (20, 20)
    assert table["x"][:].tolist() == [float(row * row) for row in range(20)]
    assert h5part.run(square, table, workers=2).done == 0


def test_a_function_that_dies_and_fails(path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("H5PART_TEST_FOLDER", str(tmp_path))
    table = h5part.create(path, "t", 20, {"x": "f8"})
    summary = h5part.run(often_dies, table, workers=2, retries=2, progress=None)
    assert summary.done == 19 and len(summary.failed) == 1
    rows, why = summary.failed[0]
    assert rows.tolist() == [5] and "row 5 cannot be computed" in why
    assert table.todo().tolist() == [5]
