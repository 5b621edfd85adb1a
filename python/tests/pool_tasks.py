"""Functions that the tests run in workers."""

from __future__ import annotations

import ctypes
import os
import random
import signal
import threading
import time
from pathlib import Path
from typing import Any

import h5part.pool
from h5part import Pool


def square(x: int) -> int:
    return x * x


def add(x: int, y: int = 0, *, z: int = 0) -> int:
    return x + y + z


def pid(_: object = None) -> int:
    return os.getpid()


def nap(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


def mark_and_wait(folder: str, name: str) -> str:
    """Says that it runs, then waits until it may end."""
    Path(folder, f"{name}.pid").write_text(str(os.getpid()))
    while not Path(folder, f"{name}.go").exists():
        time.sleep(0.01)
    return name


def touch(folder: str, name: str) -> str:
    """Counts its calls by a file each."""
    Path(folder, f"{name}.{os.getpid()}.{time.monotonic_ns()}").touch()
    return name


def counted(folder: str, x: int) -> int:
    touch(folder, f"call-{x}")
    return x * 10


def counted_seed(folder: str, x: int) -> int:
    touch(folder, f"call-{x}")
    return seed_number(x)


def end(how: str) -> None:
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif how == "exit":
        os._exit(7)
    elif how == "segfault":
        # pytest's faulthandler would write a report.
        ctypes.string_at(0)
    elif how == "in a thread":
        thread = threading.Thread(target=os._exit, args=(3,))
        thread.start()
        thread.join()
        time.sleep(60)


def end_at(x: int, at: int) -> int:
    if x == at:
        os.kill(os.getpid(), signal.SIGKILL)
    return x


def end_once(folder: str, x: int, at: int) -> int:
    flag = Path(folder, "died")
    if x == at and not flag.exists():
        flag.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return x


def fail_once(folder: str, x: int) -> int:
    flag = Path(folder, f"failed-{x}")
    if not flag.exists():
        flag.touch()
        raise OSError("try again")
    return x


def half_a_result_then_die(folder: str) -> bytes:
    """Dies while its result, too large for a socket's buffer, is under way."""

    def kill() -> None:
        time.sleep(0.2)
        os.kill(os.getpid(), signal.SIGKILL)

    flag = Path(folder, "half")
    if flag.exists():
        return b"x" * 10
    flag.touch()
    threading.Thread(target=kill).start()
    time.sleep(0.19)
    return b"x" * (256 << 20)


def large(size: int) -> bytes:
    return b"x" * size


def length(data: bytes) -> int:
    return len(data)


def want_memory(size: int) -> int:
    return len(bytearray(size))


class Awkward(Exception):
    """Pickles, but does not unpickle."""

    def __init__(self, one: int, two: int) -> None:
        super().__init__(f"{one} and {two}")


class Local(Exception):
    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.lock = threading.Lock()


class BadText(Exception):
    def __str__(self) -> str:
        raise ValueError("no text")

    def __reduce__(self) -> Any:
        raise TypeError("no pickle")


def raise_it(kind: str) -> None:
    if kind == "awkward":
        raise Awkward(1, 2)
    if kind == "local":
        raise Local("has a lock")
    if kind == "text":
        raise BadText
    if kind == "exit":
        raise SystemExit(3)
    if kind == "memory":
        raise MemoryError("all of it")
    raise ValueError(f"a plain {kind}")


def raise_at(x: int, at: int) -> int:
    if x == at:
        raise ValueError(f"item {x}")
    return x


def lock(_: object = None) -> Any:
    return threading.Lock()


def lock_at(x: int, at: int) -> Any:
    return threading.Lock() if x == at else x


class Unreadable:
    """Pickles in the worker; the pool's process cannot unpickle it."""

    def __reduce__(self) -> Any:
        return _only_in_workers, (os.getpid(),)


def _only_in_workers(pid: int) -> Unreadable:
    if os.getpid() != pid:
        raise ValueError("not in this process")
    return Unreadable()


def unreadable(_: object = None) -> Unreadable:
    return Unreadable()


class Counter:
    """A callable with a state."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, _: object) -> int:
        self.calls += 1
        return self.calls


def seed_key(_: object = None) -> tuple[int, ...] | None:
    seed = h5part.pool.task_seed()
    return None if seed is None else seed.spawn_key


def seed_number(_: object = None) -> int:
    seed = h5part.pool.task_seed()
    assert seed is not None
    return int(seed)


def draw(_: object = None) -> float:
    seed = h5part.pool.task_seed()
    assert seed is not None
    return float(seed.rng().random()) + random.Random(int(seed)).random()


def outer_seeds(_: object) -> list[tuple[int, ...] | None]:
    return list(h5part.pool.inner().map(seed_key, range(3)))


def own_pool(n: int) -> list[int]:
    with Pool(2) as pool:
        return list(pool.map(square, range(n)))


def inner_pids(_: object) -> tuple[int, list[int], int, bool]:
    pool = h5part.pool.inner()
    pids = set(pool.map(pid, range(20), chunksize=1))
    return os.getpid(), sorted(pids), pool.size, pool is h5part.pool.inner()


def with_pool(pool: Pool, n: int) -> tuple[int, list[int]]:
    assert isinstance(pool, Pool)
    return id(pool), list(pool.map(square, range(n)))


def hold_inner(folder: str) -> None:
    """Starts an inner worker that waits for ever, and waits for it."""
    h5part.pool.inner().submit(mark_and_wait, folder, f"inner-{os.getpid()}").result()


def start_program(folder: str) -> None:
    import subprocess

    program = subprocess.Popen(["sleep", "600"])
    Path(folder, "program.pid").write_text(str(program.pid))
    program.wait()


_value = 0


def set_value(value: int) -> None:
    global _value
    _value = value


def get_value(_: object = None) -> int:
    return _value


def bad_start() -> None:
    raise RuntimeError("cannot start")


# ---- of Starmap


def count(word: Any) -> Any:
    import collections

    return collections.Counter(word)


def pieces(word: str, size: int = 1) -> Any:
    for start in range(0, len(word), size):
        yield count(word[start : start + size])


def pieces_or_die(folder: str, name: str, last: int) -> Any:
    """Dies once, after some parts."""
    for part in range(last):
        if part == last // 2 and not Path(folder, f"{name}.died").exists():
            Path(folder, f"{name}.died").touch()
            # The parts before are on their way; the pool reads what was sent before a death.
            os.kill(os.getpid(), signal.SIGKILL)
        yield {(name, part): 1}


def with_monitor(block: Any, monitor: Any) -> Any:
    with monitor("inner work") as part:
        part.counts += len(block)
    return {"n": len(block)}


def spread(n: int) -> Any:
    """Yields a result, and further tasks."""
    yield {n: 1}
    if n:
        yield spread, n - 1


def endless(folder: str) -> Any:
    part = 0
    while True:
        Path(folder, "endless.pid").write_text(str(os.getpid()))
        yield part
        part += 1
        time.sleep(0.01)


class Summer:
    def __init__(self, base: int) -> None:
        self.base = base

    def __call__(self, x: int, monitor: Any) -> int:
        return self.base + x
