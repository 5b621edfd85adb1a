"""Pools within tasks, pickled pools, seeds."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pool_tasks as tasks
import pytest
from conftest import PATIENCE_S, is_alive, read_pid, until

import h5part.pool
from h5part import Pool
from h5part.pool import TaskSeed


def test_a_task_opens_a_pool() -> None:
    with Pool(2) as pool:
        assert list(pool.map(tasks.own_pool, [3, 4])) == [[0, 1, 4], [0, 1, 4, 9]]


@pytest.mark.parametrize("inner", [2, {"workers": 2}, {"workers": 2, "context": "fork"}, Pool(2)])
def test_inner(inner: object) -> None:
    with Pool(2, inner=inner) as pool:
        for worker, pids, size, is_same in pool.map(tasks.inner_pids, range(2)):
            assert pids and worker not in pids and size == 2 and is_same
        all_pids = [pid for _, pids, _, _ in pool.map(tasks.inner_pids, range(4)) for pid in pids]
    until(lambda: not any(is_alive(pid) for pid in all_pids), "inner workers end with the pool")


def test_without_inner_tasks_run_in_the_worker() -> None:
    assert h5part.pool.inner().size == 1
    with Pool(1) as pool:
        worker, pids, size, _ = pool.submit(tasks.inner_pids, 0).result(PATIENCE_S)
        assert pids == [worker] and size == 1


@pytest.mark.parametrize("context", ["spawn", "fork", "forkserver"])
def test_inner_workers_die_with_their_worker(tmp_path: Path, context: str) -> None:
    with Pool(1, inner={"workers": 1, "context": context}) as pool:
        future = pool.submit(tasks.hold_inner, str(tmp_path))
        until(lambda: list(tmp_path.glob("inner-*.pid")))
        pid = read_pid(next(tmp_path.glob("inner-*.pid")))
        assert is_alive(pid)
        assert future.cancel()
        until(lambda: not is_alive(pid), "the inner worker ends")


def test_a_pickled_pool_is_rebuilt_once_per_process() -> None:
    given = Pool(2)
    with Pool(1) as pool:
        first, squares = pool.submit(tasks.with_pool, given, 3).result(PATIENCE_S)
        second, _ = pool.submit(tasks.with_pool, given, 3).result(PATIENCE_S)
        assert squares == [0, 1, 4] and first == second
    assert given.pids() == [], "a pool that is only passed on starts no workers"
    given.shutdown()


def test_a_pool_after_a_fork() -> None:
    with Pool(1) as pool:
        assert pool.submit(tasks.square, 2).result(PATIENCE_S) == 4
        child = os.fork()
        if child == 0:
            code = 1
            try:
                pids = pool.pids()
                if not pids and pool.submit(tasks.square, 3).result(PATIENCE_S) == 9:
                    pool.terminate()
                    code = 0
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert pool.submit(tasks.square, 4).result(PATIENCE_S) == 16


# ---- seeds


def test_seeds_do_not_depend_on_workers_or_chunks() -> None:
    expected = [(x,) for x in range(10)]
    for workers, chunksize in ((0, 1), (1, 1), (2, 3), (2, 10)):
        with Pool(workers, seed=5) as pool:
            assert list(pool.map(tasks.seed_key, range(10), chunksize=chunksize)) == expected
            assert pool.submit(tasks.seed_key).result(PATIENCE_S) == (10,)


def test_a_task_without_a_seed() -> None:
    with Pool(1) as pool:
        assert pool.submit(tasks.seed_key).result(PATIENCE_S) is None
    assert h5part.pool.task_seed() is None


def test_draws_repeat() -> None:
    pytest.importorskip("numpy")
    draws = []
    for workers in (1, 2):
        with Pool(workers, seed=7) as pool:
            draws.append(list(pool.map(tasks.draw, range(5))))
    assert draws[0] == draws[1] and len(set(draws[0])) == 5


def test_a_retried_task_keeps_its_seed(tmp_path: Path) -> None:
    with Pool(1, seed=3, retries=1) as pool:
        plain = list(pool.map(tasks.seed_number, range(4)))
        assert len(set(plain)) == 4
    with Pool(1, seed=3, retries=1) as pool:
        list(pool.starmap(tasks.end_once, [(str(tmp_path), x, 2) for x in range(3)], chunksize=3))
        assert pool.submit(tasks.seed_number).result(PATIENCE_S) == plain[3]


def test_seeds_of_inner_tasks_follow_from_the_outer_task() -> None:
    with Pool(2, seed=1, inner=2) as pool:
        for _ in range(2):
            keys = list(pool.map(tasks.outer_seeds, range(2), chunksize=1))
            assert keys[0][0] is not None
            first = keys[0][0][0]
            assert keys == [[(first + x, y) for y in range(3)] for x in range(2)]


def test_seed_as_a_number_is_that_of_the_crate() -> None:
    """The reference outputs of SplitMix64 for the seed 1234567."""
    expected = [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]
    assert [int(TaskSeed(1234567, (x,))) for x in range(5)] == expected
    assert random.Random(int(TaskSeed(1, (2, 3)))).random() != random.Random(int(TaskSeed(1, (3, 2)))).random()
