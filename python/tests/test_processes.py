"""Processes: forks, kills, signals, threads."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import h5part


def commit_rows(path: str, first: int, step: int) -> None:
    table = h5part.open(path)["t"]
    for row in range(first, len(table), step):
        table.commit(row, x=float(row), v=np.full(3, float(row)))


def check(table: h5part.Table) -> None:
    block = table.read()
    rows = np.flatnonzero(block.mask)
    np.testing.assert_array_equal(block["x"][rows], rows)
    np.testing.assert_array_equal(block["v"][rows], np.repeat(rows[:, None], 3, axis=1))


@pytest.mark.parametrize("method", ["spawn", "fork", "forkserver"])
def test_several_processes(path: str, method: str) -> None:
    table = h5part.create(path, "t", 200, {"x": "f8", "v": ("f8", (3,))})
    table.commit(0, x=0.0, v=np.zeros(3))
    context = multiprocessing.get_context(method)
    workers = [context.Process(target=commit_rows, args=(path, k, 4)) for k in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    check(table)
    assert table.todo().size == 0 and table.store.verify().sound


def test_killed_writers_lose_nothing(path: str) -> None:
    table = h5part.create(path, "t", 4000, {"x": "f8", "v": ("f8", (3,))})
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=commit_rows, args=(path, k, 3)) for k in range(3)]
    for worker in workers:
        worker.start()
    while table.status().committed < 50:
        time.sleep(0.01)
    for worker in workers:
        worker.kill()
        worker.join()
    there = int(table.read().mask.sum())
    assert there >= 50
    check(table)
    commit_rows(path, 0, 1)
    check(table)
    assert table.read().mask.all() and table.store.verify().sound


def test_many_forks_beside_a_thread_that_reads(path: str) -> None:
    table = h5part.create(path, "t", 1501, {"x": "f8", "v": ("f8", (3,))})
    table.commit(0, x=0.0, v=np.zeros(3))
    stop = threading.Event()
    failures: list[BaseException] = []

    def read() -> None:
        other = h5part.open(path)["t"]
        while not stop.is_set():
            try:
                other.read(rows=slice(0, 100))
                other.status()
            except BaseException as error:  # told below
                failures.append(error)
                return

    thread = threading.Thread(target=read)
    thread.start()
    try:
        for row in range(1, 1001):
            child = os.fork()
            if child == 0:
                try:
                    table.commit(row, x=float(row), v=np.full(3, float(row)))
                    os._exit(0 if table["x"][row] == row else 3)
                except BaseException:
                    os._exit(2)
            _, status = os.waitpid(child, 0)
            assert os.waitstatus_to_exitcode(status) == 0
            if row % 50 == 0:
                table.commit(row + 500, x=float(row + 500), v=np.full(3, float(row + 500)))
    finally:
        stop.set()
        thread.join()
    assert not failures
    check(table)
    assert table.store.verify().sound


def test_a_child_holds_none_of_its_parents_locks(path: str) -> None:
    """The parent dies in the middle of its work; its child lives on, and nobody waits for it."""
    code = textwrap.dedent(
        """
        import os, sys, time
        import h5part
        table = h5part.create(sys.argv[1], "t", 10, {"x": "f8"})
        writer = table.writer()
        writer.commit(0, x=1.0)
        if os.fork() == 0:
            print(os.getpid(), flush=True)
            time.sleep(600)
            os._exit(0)
        time.sleep(0.2)
        os.kill(os.getpid(), 9)
        """
    )
    parent = subprocess.Popen([sys.executable, "-c", code, path], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    parent.stdout.close()
    try:
        assert parent.wait() == -9
        store = h5part.open(path, timeout=5.0)
        assert store.recover()["dead_writers"] == 1
        store["t"].extend(20)
        store["t"].commit(0, x=2.0)
        assert store["t"]["x"][0] == 2.0
    finally:
        os.kill(child, signal.SIGKILL)


def test_ctrl_c_ends_a_wait_and_a_commit_works_afterwards(tmp_path: Path) -> None:
    path = tmp_path / "run.h5"
    h5part.create(path, "t", 10, {"x": "f8"})
    code = textwrap.dedent(
        """
        import signal, sys
        import h5part
        # It is ignored in jobs that a shell runs in the background.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        table = h5part.open(sys.argv[1])["t"]
        print("ready", flush=True)
        sys.stdin.readline()
        try:
            table.commit(0, x=1.0)
        except KeyboardInterrupt:
            print("interrupted", flush=True)
            sys.stdin.readline()
            table.commit(0, x=2.0)
            print("committed", flush=True)
        """
    )
    store = h5part.open(path)
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", code, str(path)], text=True, **pipes) as worker:  # type: ignore[call-overload]
        assert worker.stdout.readline() == "ready\n"
        with store.gate():
            worker.stdin.write("\n")
            worker.stdin.flush()
            # It says whom it waits for after a second.
            assert "waiting for" in worker.stderr.readline()
            worker.send_signal(signal.SIGINT)
            assert worker.stdout.readline() == "interrupted\n"
        worker.stdin.write("\n")
        worker.stdin.flush()
        assert worker.stdout.readline() == "committed\n"
        assert worker.wait() == 0
    assert store["t"]["x"][0] == 2.0


def test_ctrl_c_that_falls_into_a_callback_is_not_lost(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    table = h5part.create(path, "t", 10, {"x": "f8"})
    table.commit(1, x=1.0)

    def interrupts(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.01)

    monkeypatch.setattr(logging.getLogger("h5part"), "warning", interrupts)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with h5part.open(path).gate(), pytest.raises(KeyboardInterrupt):
            table.commit(0, x=1.0)
    finally:
        signal.signal(signal.SIGINT, before)
    table.commit(0, x=2.0)
    assert table["x"][0] == 2.0


def test_threads_share_a_table(path: str) -> None:
    table = h5part.create(path, "t", 200, {"x": "f8", "v": ("f8", (3,))})

    def work(first: int) -> None:
        for row in range(first, 200, 4):
            table.commit(row, x=float(row), v=np.full(3, float(row)))

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    check(table)
    assert table.todo().size == 0


def test_a_lock_that_is_held_is_told_with_its_holder(path: str) -> None:
    h5part.create(path, "t", 10, {"x": "f8"})
    with h5part.open(path).gate():
        with pytest.raises(h5part.LockTimeout) as caught:
            h5part.open(path, timeout=0.2)["t"].commit(0, x=1.0)
    assert isinstance(caught.value, TimeoutError) and "held after 0.2 s by this process itself" in str(caught.value)


def test_the_program_is_there() -> None:
    done = subprocess.run([h5part.program(), "--version"], capture_output=True, text=True, check=True)
    assert h5part.__version__ in done.stdout


def test_import_is_quick_beside_numpy() -> None:
    """No figure here, since tests do not time: nothing heavy is imported."""
    code = "import sys, numpy; before = set(sys.modules); import h5part; print(*(set(sys.modules) - before))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    for heavy in ("pandas", "xarray", "h5py", "tqdm", "asyncio", "emcee"):
        assert heavy not in loaded
