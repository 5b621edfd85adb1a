"""Starmap: the shape of OpenQuake's, and beside the real one."""

from __future__ import annotations

import collections
import importlib.util
import itertools
import json
import operator
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pool_tasks as tasks
import pytest
from conftest import PATIENCE_S, is_alive, read_pid, until

from h5part import Monitor, Pool, Starmap, WorkerDied
from h5part.starmap import AccumDict, Block, split


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    with Pool(2) as pool:
        yield pool


def test_letters(pool: Pool) -> None:
    words = [("hello",), ("world",)]
    expected = collections.Counter("helloworld")
    assert Starmap(tasks.count, words, pool=pool).reduce() == expected
    total = Starmap(tasks.count, words, pool=pool).reduce(acc=collections.Counter())
    assert total == expected and type(total) is collections.Counter
    assert Starmap.apply(tasks.count, ("helloworld",), pool=pool).reduce() == expected
    assert Starmap(tasks.count, pool=pool).reduce() == {}


def test_iterating_submitting_and_the_shared_pool() -> None:
    Starmap.init(workers=2)
    try:
        run = Starmap(tasks.count)
        for word in ("ab", "bc", "cd"):
            run.submit((word,))
        assert sum(run, collections.Counter()) == {"a": 1, "b": 2, "c": 2, "d": 1}
        results = Starmap(tasks.count, [("x",)]).submit_all()
        assert [dict(r) for r in results] == [{"x": 1}]
    finally:
        Starmap.shutdown()
        Starmap.shutdown()


def test_arguments_are_taken_as_they_are_needed(pool: Pool) -> None:
    taken = itertools.count()
    run = iter(Starmap(tasks.square, ((next(taken),) for _ in range(1_000_000)), pool=pool))
    assert next(run) >= 0
    assert next(taken) < 100
    run.close()  # type: ignore[attr-defined]


def test_generators_give_parts(pool: Pool) -> None:
    parts = list(Starmap(tasks.pieces, [("hello", 2), ("world", 3)], pool=pool))
    assert len(parts) == 5 and sum(parts, collections.Counter()) == collections.Counter("helloworld")


def test_parts_come_before_the_end(pool: Pool, tmp_path: Path) -> None:
    run = iter(Starmap(tasks.endless, [(str(tmp_path),)], pool=pool))
    assert [next(run) for _ in range(5)] == list(range(5))
    pid = read_pid(tmp_path / "endless.pid")
    run.close()  # type: ignore[attr-defined]
    until(lambda: not is_alive(pid), "a run that is left stops its tasks")


def test_tasks_submit_tasks(pool: Pool) -> None:
    assert Starmap(tasks.spread, [(3,), (1,)], pool=pool).reduce() == {3: 1, 2: 1, 1: 2, 0: 2}


def test_each_part_comes_once_though_workers_die(tmp_path: Path) -> None:
    with Pool(2, retries=1) as pool:
        args = [(str(tmp_path), name, 20) for name in "abc"]
        total = Starmap(tasks.pieces_or_die, args, pool=pool).reduce()
        assert total == {(name, part): 1 for name in "abc" for part in range(20)}
    with Pool(1, retries=0) as pool, pytest.raises(WorkerDied):
        Starmap(tasks.pieces_or_die, [(str(tmp_path), "d", 4)], pool=pool).reduce()


@pytest.mark.parametrize("workers", [0, 2])
def test_a_failure_ends_the_run(workers: int) -> None:
    with Pool(workers) as pool:
        with pytest.raises(ValueError, match="a plain x"):
            list(Starmap(tasks.raise_it, [("x",)] * 3, pool=pool))
        assert list(Starmap(tasks.square, [(3,)], pool=pool)) == [9]


def test_a_task_that_asks_for_a_monitor_gets_one(pool: Pool, tmp_path: Path) -> None:
    result = Starmap.apply(
        tasks.with_monitor, (range(10),), concurrent_tasks=3, h5=tmp_path / "x.h5", pool=pool
    ).reduce()
    assert result == {"n": 10}
    assert sorted(Starmap(tasks.Summer(10), [(1,), (2,)], pool=pool)) == [11, 12]
    assert list(Starmap(tasks.with_monitor, [("ab", Monitor("mine"))], pool=pool)) == [{"n": 2}]
    lines = [
        json.loads(line)
        for path in (tmp_path / "x.h5.part/monitor").iterdir()
        for line in path.read_text().splitlines()[1:]
    ]
    whole = [line for line in lines if line.get("whole")]
    inner = [line for line in lines if line["operation"] == "inner work"]
    assert sorted(line["task"] for line in whole) == sorted(line["task"] for line in inner) == [0, 1, 2, 3]
    assert sum(line["counts"] for line in inner) == sum(line["weight"] for line in whole) == 10
    assert all(line["sent"]["block"] > 0 and line["received"] > 0 for line in whole)
    if h5part := os.environ.get("H5PART") or shutil.which("h5part"):
        (tmp_path / "x.h5").touch()
        done = subprocess.run([h5part, "monitor", tmp_path / "x.h5", "--json"], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert {o["operation"] for o in json.loads(done.stdout)["operations"]} == {"with_monitor", "inner work"}


def test_progress(pool: Pool) -> None:
    said: list[str] = []
    list(Starmap(tasks.square, [(x,) for x in range(40)], progress=said.append, pool=pool))
    assert said[-1] == "square: 40 of 40 tasks (100 %)" and 5 <= len(said) <= 11


def test_distribute(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OQ_DISTRIBUTE", "no")
    assert list(Starmap(tasks.pid, [()])) == [os.getpid()]
    with pytest.raises(ValueError, match="distribute: expected 'no' or 'processpool', found 'zmq'"):
        list(Starmap(tasks.pid, [()], distribute="zmq"))
    with pytest.raises(TypeError, match="h5: expected"):
        Starmap(tasks.pid, h5=3)


# ---- blocks


def test_blocks() -> None:
    assert split("ABCDE", 5) == [["A"], ["B"], ["C"], ["D"], ["E"]]
    assert split("ABCDE", 1) == [list("ABCDE")]
    assert split([], 3) == []
    blocks = split("ABCDE", 2, maxweight=3)
    assert [(list(b), b.weight) for b in blocks] == [(["A", "B", "C"], 3), (["D", "E"], 2)]
    keyed = split(["A1", "C2", "D1", "E2"], 1, key=operator.itemgetter(1))
    assert keyed == [["A1", "D1"], ["C2", "E2"]]


def test_blocks_hold_each_item_once_and_are_balanced() -> None:
    weights = [(7 * x) % 13 for x in range(200)]
    for hint in (1, 2, 7, 50, 500):
        blocks = split(range(200), hint, weight=weights.__getitem__)
        assert [x for block in blocks for x in block] == [x for x in range(200) if weights[x]]
        most = sum(weights) / hint
        assert all(b.weight <= most * 1.000001 or len(b) == 1 for b in blocks)
        assert all(isinstance(b, Block) and b.weight == sum(weights[x] for x in b) for b in blocks)
    for bad in (-1, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="weight: expected"):
            split([1], 1, weight=lambda x, bad=bad: bad)  # type: ignore[misc]
    with pytest.raises(ValueError, match="concurrent_tasks"):
        split([1], 0)


def test_accumulator() -> None:
    a = AccumDict({"x": 1})
    b = a + {"x": 2, "y": 3}
    assert (a, b) == ({"x": 1}, {"x": 3, "y": 3}) and isinstance(b, AccumDict)
    a += {"x": 1}
    assert a == {"x": 2}


# ---- beside the real one

SCRIPT = """
import collections, json, sys
import pool_tasks as tasks
if sys.argv[1] == "openquake":
    from openquake.baselib.parallel import Starmap
else:
    from h5part import Starmap

if __name__ == "__main__":
    words = "to be or not to be that is the question".split()
    runs = {
        "reduce": Starmap(tasks.count, [(w,) for w in words]).reduce(acc=collections.Counter()),
        "default": Starmap(tasks.count, [(w,) for w in words]).reduce(),
        "apply": Starmap.apply(tasks.count, ("".join(words),), concurrent_tasks=4).reduce(),
        "weight": Starmap.apply(tasks.count, (words,), weight=len, key=len).reduce(),
        "parts": Starmap(tasks.pieces, [(w,) for w in words]).reduce(),
        "monitor": Starmap.apply(tasks.with_monitor, (words,), concurrent_tasks=3).reduce(),
    }
    Starmap.shutdown()
    print("RESULT", json.dumps(runs, sort_keys=True))
"""


def run_script(tmp_path: Path, which: str) -> dict[str, Any]:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    env = {**os.environ, "OQ_DISTRIBUTE": "processpool", "OQ_DATA": str(tmp_path)}
    env["PYTHONPATH"] = os.pathsep.join([os.path.dirname(__file__), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, script, which], env=env, capture_output=True, text=True, timeout=2 * PATIENCE_S
    )
    assert done.returncode == 0, done.stderr
    line = next(line for line in done.stdout.splitlines() if line.startswith("RESULT"))
    runs: dict[str, Any] = json.loads(line.removeprefix("RESULT"))
    return runs


def test_the_same_as_openquake(tmp_path: Path) -> None:
    """The same script, with one import changed, counts the same characters."""
    ours = run_script(tmp_path, "h5part")
    assert ours["reduce"] == collections.Counter("tobeornottobethatisthequestion")
    if importlib.util.find_spec("openquake") is None or importlib.util.find_spec("numba") is None:
        message = "NOT COMPARED WITH OPENQUAKE: the package openquake.engine is not installed"
        pytest.skip(message)
    assert run_script(tmp_path, "openquake") == ours
