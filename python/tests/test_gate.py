"""The gate: h5py changes the file beside running writers."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

import h5part


def commit_until(path: str, stop: str, first: int) -> None:
    table = h5part.open(path)["t"]
    with table.writer(durability="process") as writer:
        while not os.path.exists(stop):
            for row in range(first, len(table), 3):
                writer.commit(row, x=float(row))


def test_h5py_writes_beside_writers(path: str, tmp_path: Path) -> None:
    table = h5part.create(path, "t", 300, {"x": "f8"})
    stop = tmp_path / "stop"
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=commit_until, args=(path, str(stop), k)) for k in range(3)]
    for worker in workers:
        worker.start()
    try:
        for turn in range(10):
            with table.store.gate(), h5py.File(path, "r+") as file:
                file.attrs[f"turn {turn}"] = turn
                file[f"other {turn}"] = np.arange(turn)
    finally:
        stop.touch()
        for worker in workers:
            worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    with h5py.File(path) as file:
        assert [file.attrs[f"turn {turn}"] for turn in range(10)] == list(range(10))
    table.commit(slice(0, 300), x=np.arange(300.0))
    assert table.store.verify()


HOLDER = """
import sys, h5part
with h5part.open(sys.argv[1]).gate():
    print("has it", flush=True)
    sys.stdin.readline()
"""


def test_a_killed_holder_keeps_nobody_waiting(path: str) -> None:
    table = h5part.create(path, "t", 3, {"x": "f8"})
    impatient = h5part.open(path, timeout=0.1)
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == "has it\n"
        with pytest.raises(h5part.LockTimeout, match=f"pid {holder.pid}"):
            impatient["t"].commit(0, x=1.0)
        with pytest.raises(h5part.LockTimeout, match=f"pid {holder.pid}"), impatient.gate():
            pass
        with pytest.raises(h5part.LockTimeout, match=f"pid {holder.pid}"), table.store.gate(timeout=0.05):
            pass
        holder.kill()
    table.commit(0, x=1.0)
    with table.store.gate():
        pass


def test_a_fork_does_not_hold_it(path: str) -> None:
    table = h5part.create(path, "t", 3, {"x": "f8"})
    read, write = os.pipe()
    with table.store.gate():
        child = os.fork()
        if child == 0:
            os.close(write)
            os.read(read, 1)
            os._exit(0)
    table.commit(0, x=1.0)
    os.close(write)
    assert os.waitpid(child, 0)[1] == 0
    os.close(read)


def test_readers_go_on_and_an_error_releases_it(path: str) -> None:
    table = h5part.create(path, "t", 3, {"x": "f8"})
    table.commit(1, x=2.0)
    assert table["x"][1] == 2.0
    with pytest.raises(ZeroDivisionError), table.store.gate():
        assert table["x"][1] == 2.0
        raise ZeroDivisionError
    table.commit(1, x=3.0)
    with pytest.raises(ValueError), table.store.gate(timeout=-1):
        pass


def test_readers_go_on_when_a_file_is_first_adopted(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["t/x"] = np.arange(3.0)
    other, store = h5part.open(tmp_path / "a.h5"), h5part.open(tmp_path / "a.h5")
    assert other["t"]["x"][:].tolist() == store["t"]["x"][:].tolist() == [0.0, 1.0, 2.0]
    store.adopt("t")
    store["t"].commit(1, x=5.0)
    assert other["t"]["x"][:].tolist() == store["t"]["x"][:].tolist() == [0.0, 5.0, 2.0]
