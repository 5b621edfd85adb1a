"""The pool: results, failures, deaths, cancellation."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import copy
import multiprocessing
import os
import pickle
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pool_tasks as tasks
import pytest
from conftest import PATIENCE_S, is_alive, read_pid, until

import h5part
from h5part import Pool, TaskError, WorkerDied
from h5part.pool import PoolFuture


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    with Pool(2) as pool:
        yield pool


def result(future: PoolFuture[Any]) -> Any:
    return future.result(PATIENCE_S)


# ---- results


def test_submit(pool: Pool) -> None:
    future = pool.submit(tasks.add, 1, 2, z=4)
    assert result(future) == 7
    assert future.done() and not future.running() and not future.cancel()
    assert isinstance(pool, concurrent.futures.Executor)


@pytest.mark.parametrize("chunksize", [None, 1, 3, 1000])
def test_map_is_in_order(pool: Pool, chunksize: int | None) -> None:
    assert list(pool.map(tasks.square, range(100), chunksize=chunksize)) == [x * x for x in range(100)]


def test_map_of_several_iterables_and_starmap(pool: Pool) -> None:
    assert list(pool.map(tasks.add, [1, 2, 3], [10, 20])) == [11, 22]
    assert list(pool.starmap(tasks.add, [(1, 10), [2, 20]])) == [11, 22]
    assert list(pool.map(tasks.square, [])) == []


def test_map_of_a_generator(pool: Pool) -> None:
    assert list(pool.map(tasks.square, (x for x in range(10)))) == [x * x for x in range(10)]


def test_a_generator_that_raises_submits_nothing(pool: Pool) -> None:
    def bad() -> Iterator[int]:
        yield 1
        raise KeyError("input")

    with pytest.raises(KeyError):
        pool.map(tasks.square, bad())
    assert pool.wait(PATIENCE_S)


def test_a_buffer_reads_ahead_no_more_than_it_holds(pool: Pool) -> None:
    taken = []

    def endless() -> Iterator[int]:
        for x in range(1_000_000):
            taken.append(x)
            yield x

    results = pool.map(tasks.square, endless(), buffersize=4)
    assert [next(results) for _ in range(10)] == [x * x for x in range(10)]
    assert len(taken) <= 10 + 4
    results.close()  # type: ignore[attr-defined]


def test_many_small_items(pool: Pool) -> None:
    assert sum(pool.map(tasks.square, range(10_000), chunksize=7)) == sum(x * x for x in range(10_000))
    futures = [pool.submit(tasks.square, x) for x in range(500)]
    assert sorted(f.result() for f in concurrent.futures.as_completed(futures, PATIENCE_S)) == [
        x * x for x in range(500)
    ]


def test_large_arguments_and_results(pool: Pool) -> None:
    size = 50 << 20
    assert len(result(pool.submit(tasks.large, size))) == size
    assert result(pool.submit(tasks.length, b"x" * size)) == size
    assert list(pool.map(tasks.length, [b"x" * size] * 3)) == [size] * 3


def test_callback_of_schwimmbad(pool: Pool) -> None:
    seen: list[int] = []
    results = pool.map(tasks.square, range(5), callback=seen.append)
    assert seen == [0, 1, 4, 9, 16] == list(results)


def test_a_mapped_function_is_sent_again_when_its_state_changes(pool: Pool) -> None:
    counter = tasks.Counter()
    with Pool(1) as one:
        assert list(one.map(counter, range(3))) == [1, 2, 3]
        counter.calls = 10
        assert list(one.map(counter, range(2))) == [11, 12]
        # submit takes a copy each time.
        assert [result(one.submit(counter, 0)) for _ in range(2)] == [11, 11]


def test_asyncio(pool: Pool) -> None:
    async def main() -> int:
        return await asyncio.get_running_loop().run_in_executor(pool, tasks.square, 9)

    assert asyncio.run(main()) == 81


def test_threads_share_a_pool(pool: Pool) -> None:
    sums: list[int] = []
    threads = [
        threading.Thread(target=lambda: sums.append(sum(pool.map(tasks.square, range(200), chunksize=1))))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert sums == [sum(x * x for x in range(200))] * 4


def test_initializer() -> None:
    with Pool(2, initializer=tasks.set_value, initargs=(42,)) as pool:
        assert set(pool.map(tasks.get_value, range(10))) == {42}
    with Pool(2, initializer=tasks.bad_start) as pool:
        with pytest.raises(RuntimeError, match="cannot start"):
            list(pool.map(tasks.square, range(10)))
        with pytest.raises(RuntimeError, match="cannot start"):
            result(pool.submit(tasks.square, 1))


@pytest.mark.parametrize("context", ["fork", "forkserver"])
def test_other_contexts(context: str) -> None:
    with Pool(2, context=context) as pool:
        assert list(pool.map(tasks.square, range(50))) == [x * x for x in range(50)]
        with pytest.raises(WorkerDied):
            result(pool.submit(tasks.end, "kill"))
        assert result(pool.submit(tasks.square, 3)) == 9
        pids = pool.pids()
    until(lambda: not any(is_alive(pid) for pid in pids))


def test_a_forked_worker_sees_what_was_defined_here() -> None:
    value = 3
    with Pool(1, context="fork", initializer=lambda: tasks.set_value(value)) as pool:
        assert result(pool.submit(tasks.get_value)) == 3


def test_zero_workers_run_here() -> None:
    with Pool(0, seed=1) as pool:
        assert result(pool.submit(tasks.pid)) == os.getpid()
        assert list(pool.map(tasks.square, range(3))) == [0, 1, 4]
        with pytest.raises(ValueError, match="a plain x"):
            result(pool.submit(tasks.raise_it, "x"))
        assert pool.pids() == []


# ---- failures


def test_exceptions_have_their_traceback(pool: Pool) -> None:
    with pytest.raises(ValueError, match="a plain value") as caught:
        result(pool.submit(tasks.raise_it, "value"))
    assert "in raise_it" in str(caught.value.__cause__)
    assert "_worker.py" not in str(caught.value.__cause__)


@pytest.mark.parametrize("kind", ["awkward", "local", "text"])
def test_exceptions_that_do_not_pickle(pool: Pool, kind: str) -> None:
    with pytest.raises(TaskError) as caught:
        result(pool.submit(tasks.raise_it, kind))
    assert caught.value.cause in ("Awkward", "Local", "BadText")
    assert "in raise_it" in caught.value.traceback
    assert isinstance(pickle.loads(pickle.dumps(caught.value)), TaskError)


def test_exit_and_memory_are_exceptions(pool: Pool) -> None:
    with pytest.raises(SystemExit):
        result(pool.submit(tasks.raise_it, "exit"))
    with pytest.raises(MemoryError):
        result(pool.submit(tasks.raise_it, "memory"))
    with pytest.raises(MemoryError):
        result(pool.submit(tasks.want_memory, 1 << 62))


def test_memory_limit() -> None:
    with Pool(1, memory_limit="2G") as pool:
        before = result(pool.submit(tasks.pid))
        with pytest.raises(MemoryError):
            result(pool.submit(tasks.want_memory, 3 << 30))
        assert result(pool.submit(tasks.want_memory, 1 << 20)) == 1 << 20
        assert result(pool.submit(tasks.pid)) == before, "the worker lives on"
    for bad in ("x", "-1", 0, "0", "4Q"):
        with pytest.raises(ValueError, match="memory_limit"):
            Pool(1, memory_limit=bad)


def test_results_that_do_not_pickle(pool: Pool) -> None:
    with pytest.raises(TaskError, match="cannot pickle the result of the task, a lock"):
        result(pool.submit(tasks.lock))
    with pytest.raises(TaskError, match="cannot unpickle the result"):
        result(pool.submit(tasks.unreadable))
    results = pool.starmap(tasks.lock_at, [(x, 2) for x in range(5)], chunksize=5)
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(TaskError, match="lock"):
        next(results)


def test_arguments_that_do_not_pickle(pool: Pool) -> None:
    with pytest.raises((TypeError, AttributeError, pickle.PicklingError)):
        result(pool.submit(lambda: 1))
    with pytest.raises(TypeError):
        result(pool.submit(tasks.square, threading.Lock()))  # type: ignore[arg-type]
    with pytest.raises((TypeError, AttributeError, pickle.PicklingError)):
        pool.map(lambda x: x, [1])
    assert result(pool.submit(tasks.square, 2)) == 4


def test_map_gives_what_came_before_the_failure(pool: Pool) -> None:
    results = pool.starmap(tasks.raise_at, [(x, 7) for x in range(20)], chunksize=5)
    got = []
    with pytest.raises(ValueError, match="item 7"):
        for value in results:
            got.append(value)
    assert got == list(range(7))
    assert pool.wait(PATIENCE_S)


def test_retry_on(tmp_path: Path) -> None:
    with Pool(2, retries=1, retry_on=(OSError,)) as pool:
        folder = str(tmp_path)
        assert result(pool.submit(tasks.fail_once, folder, 100)) == 100
        assert list(pool.starmap(tasks.fail_once, [(folder, x) for x in range(3)], chunksize=1)) == [0, 1, 2]
        with pytest.raises(ValueError, match="a plain x"):
            result(pool.submit(tasks.raise_it, "x"))
    with Pool(1) as pool, pytest.raises(OSError, match="try again"):
        result(pool.submit(tasks.fail_once, folder, 200))


# ---- deaths


@pytest.mark.parametrize(
    ("how", "exitcode", "name"),
    [("kill", None, "SIGKILL"), ("exit", 7, None), ("segfault", None, "SIGSEGV"), ("in a thread", 3, None)],
)
def test_a_worker_that_dies_fails_its_task_alone(how: str, exitcode: int | None, name: str | None) -> None:
    with Pool(2, retries=0) as pool:
        other = pool.submit(tasks.nap, 0.3)
        bad = pool.submit(tasks.end, how)
        with pytest.raises(WorkerDied) as caught:
            result(bad)
        error = caught.value
        assert (error.exitcode, error.signal, error.item, error.attempts) == (exitcode, name, (how,), 1)
        assert error.pid > 0 and str(error.pid) in str(error) and (name or str(exitcode)) in str(error)
        assert isinstance(error, h5part.Error)
        again = pickle.loads(pickle.dumps(error))
        assert (again.pid, again.signal, str(again)) == (error.pid, error.signal, str(error))
        assert result(other) == 0.3
        assert list(pool.map(tasks.square, range(5))) == [0, 1, 4, 9, 16]


def test_an_idle_worker_that_dies_is_replaced() -> None:
    with Pool(1, retries=0) as pool:
        pid = result(pool.submit(tasks.pid))
        os.kill(pid, signal.SIGKILL)
        until(lambda: pid not in pool.pids(), "the death is noticed")
        assert result(pool.submit(tasks.pid)) != pid


def test_retries_are_bounded(tmp_path: Path) -> None:
    with Pool(2, retries=2) as pool:
        assert list(pool.starmap(tasks.end_once, [(str(tmp_path), x, 3) for x in range(9)], chunksize=3)) == list(
            range(9)
        )
        with pytest.raises(WorkerDied) as caught:
            result(pool.submit(tasks.end, "exit"))
        assert caught.value.attempts == 3


def test_a_dead_item_of_a_chunk_is_found(tmp_path: Path) -> None:
    with Pool(2, retries=0) as pool:
        results = pool.starmap(tasks.end_at, [(x, 5) for x in range(12)], chunksize=12)
        with pytest.raises(WorkerDied) as caught:
            list(results)
        assert caught.value.item == (5, 5)
        assert result(pool.submit(tasks.square, 2)) == 4


def test_death_within_a_result(tmp_path: Path) -> None:
    with Pool(1, retries=1) as pool:
        assert len(result(pool.submit(tasks.half_a_result_then_die, str(tmp_path)))) in (10, 256 << 20)


def test_a_stopped_worker_holds_up_nobody(tmp_path: Path) -> None:
    with Pool(2) as pool:
        held = pool.submit(tasks.mark_and_wait, str(tmp_path), "held")
        pid = read_pid(tmp_path / "held.pid")
        os.kill(pid, signal.SIGSTOP)
        assert list(pool.map(tasks.square, range(50), chunksize=1)) == [x * x for x in range(50)]
        assert held.cancel()
        until(lambda: not is_alive(pid))


# ---- cancellation


# The third task was sent ahead to one of the two workers, in either case.
@pytest.mark.parametrize("names", [("one", "two"), ("two", "one")])
def test_cancel_ends_one_worker_and_touches_no_other(tmp_path: Path, names: tuple[str, str]) -> None:
    with Pool(2) as pool:
        futures = {name: pool.submit(tasks.mark_and_wait, str(tmp_path), name) for name in ("one", "two")}
        pids = {name: read_pid(tmp_path / f"{name}.pid") for name in futures}
        ended, other = (futures[name] for name in names)
        third = pool.submit(tasks.pid)
        assert ended.running() and other.running() and not third.running()
        waiter = threading.Thread(target=lambda: concurrent.futures.wait([ended], PATIENCE_S))
        waiter.start()
        assert ended.cancel() and ended.cancelled() and ended.cancel()
        with pytest.raises(concurrent.futures.CancelledError):
            ended.result(0)
        until(lambda: not is_alive(pids[names[0]]), "the worker ends")
        try:
            assert result(third) not in pids.values(), "a new worker took its place"
            assert is_alive(pids[names[1]]) and other.running()
        finally:
            (tmp_path / f"{names[1]}.go").touch()
        assert result(other) == names[1]
        waiter.join(PATIENCE_S)
        assert not waiter.is_alive()


def test_cancel_of_a_task_that_waits(tmp_path: Path) -> None:
    with Pool(1) as pool:
        held = pool.submit(tasks.mark_and_wait, str(tmp_path), "held")
        read_pid(tmp_path / "held.pid")
        waiting = [pool.submit(tasks.touch, str(tmp_path), f"never-{x}") for x in range(10)]
        assert all(future.cancel() for future in waiting)
        done, _ = concurrent.futures.wait(waiting, PATIENCE_S)
        assert len(done) == 10
        (tmp_path / "held.go").touch()
        assert result(held) == "held"
    assert not list(tmp_path.glob("never-*"))


def test_cancel_ends_programs_of_the_task(tmp_path: Path) -> None:
    with Pool(1) as pool:
        future = pool.submit(tasks.start_program, str(tmp_path))
        program = read_pid(tmp_path / "program.pid")
        assert future.cancel()
        until(lambda: not is_alive(program), "the program ends")


def test_timeout_of_a_map_stops_its_items() -> None:
    with Pool(1) as pool:
        with pytest.raises(TimeoutError):
            list(pool.map(tasks.nap, [600.0], timeout=0.3))
        assert result(pool.submit(tasks.square, 2)) == 4


def test_cancelling_at_random_loses_no_other_task(pool: Pool) -> None:
    for round_ in range(5):
        futures = [pool.submit(tasks.nap, 0.002) for _ in range(30)]
        victims = futures[round_::7]
        time.sleep(0.01)
        cancelled = {id(f) for f in victims if f.cancel()}
        done, left = concurrent.futures.wait(futures, PATIENCE_S)
        assert not left
        assert all(f.cancelled() == (id(f) in cancelled) for f in futures)
    assert pool.wait(PATIENCE_S)


# ---- the pool as a whole


def test_interface_of_emcee_and_schwimmbad() -> None:
    pool = Pool(3)
    assert pool.size == 3 == pool._max_workers and pool.is_master()
    assert pool.wait()
    with pytest.raises(ValueError, match="not closed"):
        pool.join()
    future = pool.submit(tasks.square, 4)
    pool.close()
    pool.join()
    assert result(future) == 16
    for use in (
        lambda: pool.submit(tasks.square, 1),
        lambda: pool.map(tasks.square, [1]),
        lambda: pool.starmap(tasks.add, [(1, 2)]),
    ):
        with pytest.raises(RuntimeError, match="the pool is closed"):
            use()


def test_use_after_shutdown_and_terminate() -> None:
    for end in (Pool.shutdown, Pool.terminate, Pool.close):
        pool = Pool(1)
        result(pool.submit(tasks.square, 1))
        end(pool)
        with pytest.raises(RuntimeError, match="closed"):
            pool.submit(tasks.square, 1)
        pool.terminate()
    Pool(1).shutdown()


def test_terminate_cancels_and_kills(tmp_path: Path, no_descriptors_left: None) -> None:
    pool = Pool(1)
    running = pool.submit(tasks.mark_and_wait, str(tmp_path), "running")
    pid = read_pid(tmp_path / "running.pid")
    waiting = pool.submit(tasks.square, 1)
    pool.terminate()
    assert running.cancelled() and waiting.cancelled() and not is_alive(pid)


def test_shutdown_cancels_what_waits_and_finishes_what_runs(tmp_path: Path) -> None:
    pool = Pool(1)
    running = pool.submit(tasks.mark_and_wait, str(tmp_path), "running")
    read_pid(tmp_path / "running.pid")
    waiting = pool.submit(tasks.square, 1)
    pool.shutdown(wait=False, cancel_futures=True)
    until(waiting.cancelled)
    (tmp_path / "running.go").touch()
    assert result(running) == "running"
    pool.shutdown()


def test_an_exception_in_the_block_cancels_what_waits(tmp_path: Path) -> None:
    with pytest.raises(KeyError), Pool(1) as pool:
        first = pool.submit(tasks.nap, 0.2)
        waiting = [pool.submit(tasks.nap, 60.0) for _ in range(3)]
        until(first.running)
        raise KeyError
    assert result(first) == 0.2 and all(f.cancelled() for f in waiting)


def test_a_pool_that_is_dropped_ends_its_workers() -> None:
    pool = Pool(1)
    pid = result(pool.submit(tasks.pid))
    del pool
    until(lambda: not is_alive(pid))


def test_no_descriptors_are_left(no_descriptors_left: None) -> None:
    for _ in range(3):
        with Pool(2, retries=0) as pool:
            assert sum(pool.map(tasks.square, range(10))) == 285
            with pytest.raises(WorkerDied):
                result(pool.submit(tasks.end, "kill"))
            assert pool.submit(tasks.nap, 600.0).cancel()


def test_bad_arguments() -> None:
    bad_calls: list[Callable[[], Pool]] = [lambda: Pool(-1), lambda: Pool(1, retries=-1)]
    for bad in bad_calls:
        with pytest.raises(ValueError, match=r"expected 0 or more, found -1"):
            bad()
    with pytest.raises(ValueError):
        Pool(1, context="threads")
    with pytest.raises(TypeError, match="unknown argument 'worker'"):
        Pool(1, inner={"worker": 1})
    with pytest.raises(TypeError, match="inner: expected"):
        Pool(1, inner="x")
    with Pool(1) as pool, pytest.raises(ValueError, match="chunksize"):
        pool.map(tasks.square, [1], chunksize=0)


def test_a_pickled_pool_here_is_itself(pool: Pool) -> None:
    assert pickle.loads(pickle.dumps(pool)) is pool
    assert copy.copy(pool) is pool


def test_without_pidfd(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on kernels before 5.3."""

    def missing(pid: int) -> int:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(os, "pidfd_open", missing)
    deaths: list[Callable[[], Any]] = []
    with Pool(2, retries=0) as pool:
        for how in ("kill", "exit", "segfault"):
            deaths.append(lambda how=how: result(pool.submit(tasks.end, how)))  # type: ignore[misc]
        for death in deaths:
            with pytest.raises(WorkerDied):
                death()
        assert list(pool.map(tasks.square, range(5))) == [0, 1, 4, 9, 16]


@pytest.mark.parametrize("workers", [0, 1])
def test_stream(workers: int) -> None:
    with Pool(workers) as pool:
        parts: list[Any] = []
        assert result(pool.stream(parts.append, tasks.pieces, "hello", 2)) is None
        assert [sum(part.values()) for part in parts] == [2, 2, 1]

        def bad(part: object) -> None:
            raise KeyError("in the callback")

        with pytest.raises(KeyError):
            result(pool.stream(bad, tasks.pieces, "hello", 2))
        with pytest.raises(TypeError):
            result(pool.stream(parts.append, tasks.square, 2))  # type: ignore[arg-type]
        assert result(pool.submit(tasks.square, 2)) == 4


def test_workers_that_never_start_break_the_pool() -> None:
    with Pool(1) as pool:
        future = pool.submit(tasks.square, 2)
        killed: set[int] = set()

        def kill_the_next() -> bool:
            for pid in pool.pids():
                if pid not in killed:
                    os.kill(pid, signal.SIGKILL)
                    killed.add(pid)
            return future.done()

        until(kill_the_next)
        with pytest.raises(WorkerDied, match="before it was ready, the last of 3 in succession"):
            result(future)


def test_workers_killed_at_random_lose_nothing() -> None:
    """Each item has its result once, whatever dies meanwhile."""
    kills = 0
    with Pool(3, retries=1000) as pool:
        assert result(pool.submit(tasks.square, 2)) == 4
        results = pool.map(tasks.nap, [0.001] * 1500, chunksize=5)
        others = [pool.submit(tasks.square, x) for x in range(300)]
        got = []
        for value in results:
            got.append(value)
            if len(got) % 100 == 0:
                # Workers make progress between the kills, however slow the machine is.
                with contextlib.suppress(ProcessLookupError, IndexError):
                    os.kill(pool.pids()[0], signal.SIGKILL)
                    kills += 1
        assert got == [0.001] * 1500
        assert [result(future) for future in others] == [x * x for x in range(300)]
    assert kills >= 10
    print(f"{kills} workers were killed")


def test_a_daemonic_process_is_told_so() -> None:
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as outer, pytest.raises(RuntimeError, match="in a daemonic process"):
        outer.apply(tasks.own_pool, (3,))


def test_no_task_waits_behind_another_while_a_worker_is_idle(tmp_path: Path) -> None:
    """Tasks are sent ahead; an idle worker takes them back from one that is busy."""
    with Pool(2) as pool:
        list(pool.map(tasks.square, range(4), chunksize=1))
        held = pool.submit(tasks.mark_and_wait, str(tmp_path), "held")
        other = pool.submit(tasks.mark_and_wait, str(tmp_path), "other")
        read_pid(tmp_path / "held.pid")
        read_pid(tmp_path / "other.pid")
        # Two of these are sent ahead, one behind each task that is held.
        after = [pool.submit(tasks.touch, str(tmp_path), f"after-{x}") for x in range(4)]
        assert not any(future.running() for future in after)
        (tmp_path / "other.go").touch()
        assert [result(future) for future in after] == [f"after-{x}" for x in range(4)]
        assert result(other) == "other" and held.running()
        (tmp_path / "held.go").touch()
        assert result(held) == "held"
    assert len(list(tmp_path.glob("after-*"))) == 4, "each ran once"


def test_a_task_sent_ahead_outlives_the_worker_it_was_sent_to(tmp_path: Path) -> None:
    with Pool(1, retries=0) as pool:
        for name in ("cancelled", "killed"):
            first = pool.submit(tasks.mark_and_wait, str(tmp_path), name)
            behind = [pool.submit(tasks.touch, str(tmp_path), f"{name}-{x}") for x in range(3)]
            pid = read_pid(tmp_path / f"{name}.pid")
            gone = behind.pop(0)
            assert gone.cancel() and is_alive(pid), "a task that waits is cancelled without a kill"
            if name == "cancelled":
                assert first.cancel()
            else:
                os.kill(pid, signal.SIGKILL)
                with pytest.raises(WorkerDied):
                    result(first)
            assert [result(future) for future in behind] == [f"{name}-1", f"{name}-2"]
    assert len(list(tmp_path.glob("*-[012].*"))) == 4, "each ran once, and the cancelled ones did not"
