"""Ledgers: lists of tasks, each claimed by one worker at a time, whoever dies."""

from __future__ import annotations

import builtins
import json
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from . import _h5part
from ._store import StrPath
from ._table import Table

__all__ = ["Claim", "Ledger", "Tally"]


@dataclass(frozen=True)
class Tally:
    """Tasks by state."""

    total: int
    waiting: int
    running: int
    done: int
    #: Failed for good, or cancelled.
    failed: int
    #: Those of the failed that somebody cancelled.
    cancelled: int
    #: Those of the waiting that failed before.
    retried: int
    #: Tasks whose entry is damaged; they are in no other number.
    damaged: int

    @property
    def has_ended(self) -> bool:
        """Whether no task waits or runs."""
        return self.waiting == 0 and self.running == 0


class Claim:
    """A task that this process has claimed.

    Used in a ``with`` statement it is done when the block ends, and failed when the block raises an exception.
    """

    __slots__ = ("_ledger", "_raw")

    def __init__(self, ledger: Ledger, raw: _h5part.Claim) -> None:
        self._ledger = ledger
        self._raw = raw

    @property
    def name(self) -> str:
        """Name of the task."""
        return self._raw.name

    @property
    def index(self) -> int:
        """Its number in the list of tasks."""
        return self._raw.index

    @property
    def rows(self) -> slice | None:
        """Its rows in the table, if tasks have rows."""
        rows = self._raw.rows
        return None if rows is None else slice(*rows)

    @property
    def fence(self) -> int:
        """Number of the claim. A later claim of the task has a higher one."""
        return self._raw.fence

    @property
    def attempts(self) -> int:
        """How often the task failed before."""
        return self._raw.attempts

    def check(self) -> None:
        """Raises :class:`h5part.Fenced` if the task has another owner now."""
        self._raw.check()

    def __enter__(self) -> Claim:
        return self

    def __exit__(
        self, sort: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self._ledger.done(self)
        elif isinstance(error, Exception):
            self._ledger.fail(self)
        else:
            self._ledger.release(self)

    def __repr__(self) -> str:
        return f"<h5part.Claim of {self.name!r}, fence {self.fence}>"


class Ledger:
    """A file with a list of tasks, shared by any number of processes.

    **Concurrency.** Any number of processes and threads may use a ledger at the same time; every call is atomic. When a
    process dies, its tasks go back. **Survives**: a task that is done is not done again; after a loss of power tasks are
    in some state that they had since the last :meth:`sync`.

    Parameters
    ----------
    path
        The ledger.
    read_only
        Whether it is only looked at.
    stale_after
        Seconds without a heartbeat after which an owner on another host is dead.
    """

    def __init__(self, path: StrPath, *, read_only: bool = False, stale_after: float = 300.0) -> None:
        self.path = os.fspath(path)
        self._read_only = read_only
        self._stale_after = stale_after
        self._handle = _h5part.Ledger(self.path, read_only, stale_after)

    @classmethod
    def create(
        cls,
        path: StrPath,
        tasks: Sequence[str] | None = None,
        *,
        table: Table | None = None,
        block: int = 1,
        rows: int | None = None,
        columns: Sequence[str] = (),
        max_attempts: int = 3,
        exist_ok: bool = False,
    ) -> Ledger:
        """Makes a ledger of named tasks, or of blocks of rows.

        Parameters
        ----------
        path
            The ledger.
        tasks
            Names of the tasks. Default: blocks of rows, which are their names.
        table
            The table that the tasks fill. A task is then done only when its rows are there.
        block
            Rows of a task.
        rows
            How many rows the tasks share; default: those of the table.
        columns
            The columns that make a task done; default: all that anybody commits to.
        max_attempts
            A task that failed so often stays failed.
        exist_ok
            Whether the ledger may exist; then it is opened as it is.

        Raises
        ------
        AlreadyExists
            The ledger exists.
        """
        if exist_ok and os.path.exists(path):
            return cls(path)
        count = rows if rows is not None else 0 if table is None else len(table)
        store = None if table is None else (table.store.path, table.name)
        names = None if tasks is None else builtins.list(tasks)
        if names is not None and table is not None and block == 1:
            block = max(1, -(-count // max(1, len(names))))
        _h5part.create_ledger(os.fspath(path), names, count, block, max_attempts, store, builtins.list(columns))
        return cls(path)

    def _raw(self) -> _h5part.Ledger:
        if not self._handle.is_ours():
            self._handle = _h5part.Ledger(self.path, self._read_only, self._stale_after)
        return self._handle

    def __len__(self) -> int:
        """Number of tasks."""
        return len(self._raw())

    def claim(self, count: int = 1, *, retry_delay: float = 0.0) -> builtins.list[Claim]:
        """Claims up to ``count`` neighbouring tasks for this process.

        Parameters
        ----------
        count
            How many, at most.
        retry_delay
            Seconds that a task rests after it failed.

        Returns
        -------
        list of Claim
            Empty if nothing waits now.
        """
        claims, _, _ = self._raw().claim(count, retry_delay)
        return [Claim(self, raw) for raw in claims]

    def claims(self, count: int = 1, *, retry_delay: float = 0.0, wait: float = 0.2) -> Iterator[Claim]:
        """Claims tasks one after another, until none waits or runs anywhere.

        While others still run tasks, it stays, since these come back if their worker dies.
        """
        while True:
            claims, resting, running = self._raw().claim(count, retry_delay)
            if not claims:
                if resting + running == 0:
                    return
                time.sleep(wait)
            for raw in claims:
                yield Claim(self, raw)

    def done(self, claim: Claim) -> str:
        """Says that a task is done. If the ledger knows the table, its rows must be there.

        Raises
        ------
        Fenced
            The task has another owner now.
        """
        state: str = self._raw().done(claim._raw)
        return state

    def fail(self, claim: Claim, exit_code: int | None = None) -> str:
        """Says that a task failed. It waits again, unless it has failed too often."""
        state: str = self._raw().fail(claim._raw, exit_code)
        return state

    def release(self, claim: Claim) -> str:
        """Gives a task back. This does not count as a failure."""
        state: str = self._raw().release(claim._raw)
        return state

    def beat(self) -> None:
        """Shows workers on other hosts that this process lives. Call it more often than their ``stale_after``."""
        self._raw().beat()

    def status(self) -> Tally:
        """Counts tasks by state."""
        return Tally(**json.loads(self._raw().tally()))

    def list(self) -> builtins.list[dict[str, Any]]:
        """All tasks: name, index, state, rows, attempts, fence, reason, owner, since_s."""
        lines = self._raw().list()
        return [json.loads(line) for line in lines.splitlines()]

    def requeue(self, *tasks: str) -> int:
        """Makes tasks wait again: those named, or all that failed. Returns how many."""
        changed: int = self._raw().requeue(builtins.list(tasks) or None)
        return changed

    def cancel(self, *tasks: str) -> int:
        """Cancels tasks that wait or run: those named, or all. Returns how many."""
        changed: int = self._raw().cancel(builtins.list(tasks) or None)
        return changed

    def reap(self) -> builtins.list[str]:
        """Takes tasks from workers that have died; they wait again. Returns their names."""
        names: builtins.list[str] = self._raw().reap()
        return names

    def sync(self) -> None:
        """Makes what was done so far survive a loss of power."""
        self._raw().sync()

    def close(self) -> None:
        """Gives back what this process still holds."""
        if self._handle.is_ours():
            self._handle.close()

    def __enter__(self) -> Ledger:
        return self

    def __exit__(
        self, sort: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path, "read_only": self._read_only, "stale_after": self._stale_after}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["path"], read_only=state["read_only"], stale_after=state["stale_after"])  # type: ignore[misc]

    def __repr__(self) -> str:
        return f"<h5part.Ledger {self.path!r}>"
