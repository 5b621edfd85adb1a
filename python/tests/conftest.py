"""What several test files use."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import h5part

PATIENCE_S = 60.0

# A shell lets what it runs in the background ignore these, and children inherit it: they would not see Ctrl-C.
for number in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
    if signal.getsignal(number) == signal.SIG_IGN:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)


def until(condition: Callable[[], object], what: str = "the condition") -> None:
    """Waits for a condition; generous, since machines may be busy."""
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end, f"{what} did not come true"
        time.sleep(0.005)


def is_alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"


def read_pid(path: Path) -> int:
    until(lambda: path.exists() and path.read_text(), f"{path.name} exists")
    return int(path.read_text())


@pytest.fixture
def no_descriptors_left() -> Iterator[None]:
    """The test leaves no descriptor open."""

    def count() -> int:
        return len(os.listdir("/proc/self/fd"))

    before = count()
    yield
    until(lambda: count() <= before, "the descriptors are closed")


@pytest.fixture
def path(tmp_path: Path) -> str:
    """A file that does not exist yet."""
    return str(tmp_path / "run.h5")


@pytest.fixture
def frames(path: str) -> Iterator[h5part.Table]:
    """A table of 10 rows, none of which is there."""
    table = h5part.create(path, "frames", 10, {"E": "f8", "F": ("f8", (2, 3)), "n": "i4", "ok": "?"})
    yield table
    table.close()
