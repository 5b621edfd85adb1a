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

from . import _check, _h5part
from ._check import StrPath
from ._closing import Closing
from ._table import Table
from .errors import BadRequest

__all__ = ["Claim", "Ledger", "Tally"]


@dataclass(frozen=True)
class Tally:
    """Counts tasks by state: see :meth:`Ledger.status`."""

    #: All tasks.
    total: int
    #: Tasks that nobody holds.
    waiting: int
    #: Tasks that a worker holds.
    running: int
    #: Tasks that are done.
    done: int
    #: Tasks that failed too often, or were cancelled.
    failed: int
    #: Tasks that were cancelled; they count as failed, too.
    cancelled: int
    #: Tasks that wait after a failure; they count as waiting, too.
    retried: int
    #: Tasks whose entry is damaged; they are in no other count.
    damaged: int

    @property
    def has_ended(self) -> bool:
        """Whether no task is waiting or running."""
        return self.waiting == 0 and self.running == 0


class Claim:
    """A task that this process holds: see :meth:`Ledger.claim`.

    In a ``with`` statement, the task is done when the block ends, failed when the block raises an exception, and released
    on Ctrl-C.

    **Concurrency.** One worker at a time holds a task. A later claim fences earlier ones: what they do then raises
    `Fenced`.
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
        """Number of attempts at the task that failed before."""
        return self._raw.attempts

    def check(self) -> None:
        """Checks that the claim still holds its task.

        Raises
        ------
        Fenced
            The task has another owner now.
        """
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


class Ledger(Closing):
    """A file with a list of tasks, shared by any number of processes.

    **Concurrency.** Any number of processes and threads may use a ledger at the same time. Every call is **atomic**. When
    a process dies, its tasks wait again. **Survives** the death of any process. After a loss of power each task is in
    some state that it had since the last :meth:`sync`.

    Parameters
    ----------
    path
        The file of the ledger.
    read_only
        Only look at it.
    stale_after
        Treat an owner on another host as dead after this many seconds without a heartbeat.

    Raises
    ------
    FileMissing
        The ledger does not exist.
    BadFile
        It is not a ledger, or it is damaged.

    Examples
    --------
    >>> import h5part
    >>> ledger = h5part.Ledger.create("tasks.ledger", ["a", "b", "c"])
    >>> for claim in ledger.claims():
    ...     with claim:
    ...         print("compute", claim.name)
    compute a
    compute b
    compute c
    >>> ledger.status().done
    3
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
        """Creates a ledger of named tasks, or of blocks of rows.

        **Concurrency.** Of several processes that create the same ledger, one succeeds. **Survives** a kill at any
        instant: the ledger exists as a whole, or not at all.

        Parameters
        ----------
        path
            The file of the ledger.
        tasks
            Names of the tasks. Default: blocks of rows, which give the tasks their names.
        table
            The table that the tasks fill. A task is then done only when its rows are committed.
        block
            Rows per task.
        rows
            Number of rows that the tasks share. Default: the rows of the table.
        columns
            The columns that must be committed for a task to be done. Default: all columns that somebody commits to.
        max_attempts
            Give up on a task after this many failed attempts.
        exist_ok
            Open a ledger that exists, as it is.

        Returns
        -------
        Ledger

        Raises
        ------
        AlreadyExists
            The ledger exists, and ``exist_ok`` is False.
        BadRequest
            There are no tasks, or two have the same name.
        """
        if isinstance(tasks, str):
            raise BadRequest(f"tasks: expected names, found the text {tasks!r}", code=2)
        block, max_attempts = _check.whole("block", block, 1), _check.whole("max_attempts", max_attempts, 1)
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
        """Claims neighbouring tasks for this process.

        **Concurrency.** Any number of processes may claim at the same time; no task has two owners.

        Parameters
        ----------
        count
            Number of tasks, at most.
        retry_delay
            Wait this many seconds before retrying a failed task.

        Returns
        -------
        list of Claim
            Empty if no task is waiting now.
        """
        claims, _, _ = self._raw().claim(count, retry_delay)
        return [Claim(self, raw) for raw in claims]

    def claims(self, count: int = 1, *, retry_delay: float = 0.0, wait: float = 0.2) -> Iterator[Claim]:
        """Claims tasks one after another, until none is waiting or running anywhere.

        It waits while others run tasks, since those tasks come back if their worker dies.

        **Concurrency.** As :meth:`claim`.

        Parameters
        ----------
        count
            Tasks per claim.
        retry_delay
            As in :meth:`claim`.
        wait
            Seconds between two attempts to claim, while no task is waiting.
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
        """Marks a task as done. If the ledger has a table, the rows of the task must be committed.

        **Concurrency.** As the class.

        Parameters
        ----------
        claim
            The task.

        Returns
        -------
        str
            The new state of the task.

        Raises
        ------
        IOFailed
            Rows of the task are not committed; the message names them.
        Fenced
            The task has another owner now.
        """
        state: str = self._raw().done(claim._raw)
        return state

    def fail(self, claim: Claim, exit_code: int | None = None) -> str:
        """Marks a task as failed. It is retried, unless it has failed too often.

        **Concurrency.** As the class.

        Parameters
        ----------
        claim
            The task.
        exit_code
            Exit code of the program that failed, for the list of tasks.

        Returns
        -------
        str
            The new state of the task.

        Raises
        ------
        Fenced
            The task has another owner now.
        """
        state: str = self._raw().fail(claim._raw, exit_code)
        return state

    def release(self, claim: Claim) -> str:
        """Releases a task, so that it waits again. This does not count as a failure.

        **Concurrency.** As the class.

        Parameters
        ----------
        claim
            The task.

        Returns
        -------
        str
            The new state of the task.

        Raises
        ------
        Fenced
            The task has another owner now.
        """
        state: str = self._raw().release(claim._raw)
        return state

    def beat(self) -> None:
        """Shows workers on other hosts that this process is alive.

        **Concurrency.** As the class. Call it more often than every ``stale_after`` seconds.
        """
        self._raw().beat()

    def status(self) -> Tally:
        """Counts tasks by state."""
        return Tally(**json.loads(self._raw().tally()))

    def list(self) -> builtins.list[dict[str, Any]]:
        """Lists all tasks, each as a dict: name, index, state, rows, attempts, fence, reason, owner, since_s (seconds)."""
        lines = self._raw().list()
        return [json.loads(line) for line in lines.splitlines()]

    def requeue(self, *tasks: str) -> int:
        """Requeues tasks: those named, or all that failed.

        **Concurrency.** As the class.

        Parameters
        ----------
        *tasks : str
            Names of tasks.

        Returns
        -------
        int
            Number of tasks that were requeued.

        Raises
        ------
        NotFound
            There is no such task.
        """
        changed: int = self._raw().requeue(builtins.list(tasks) or None)
        return changed

    def cancel(self, *tasks: str) -> int:
        """Cancels tasks that are waiting or running: those named, or all.

        **Concurrency.** As the class.

        Parameters
        ----------
        *tasks : str
            Names of tasks.

        Returns
        -------
        int
            Number of tasks that were cancelled.

        Raises
        ------
        NotFound
            There is no such task.
        """
        changed: int = self._raw().cancel(builtins.list(tasks) or None)
        return changed

    def reap(self) -> builtins.list[str]:
        """Requeues the tasks of workers that have died.

        **Concurrency.** As the class.

        Returns
        -------
        list of str
            Names of the tasks.
        """
        names: builtins.list[str] = self._raw().reap()
        return names

    def sync(self) -> None:
        """Makes all changes so far survive a loss of power.

        **Concurrency.** As the class.
        """
        self._raw().sync()

    def close(self) -> None:
        """Releases the tasks that this process still holds.

        **Concurrency.** As the class.
        """
        if self._handle.is_ours():
            self._handle.close()

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path, "read_only": self._read_only, "stale_after": self._stale_after}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["path"], read_only=state["read_only"], stale_after=state["stale_after"])  # type: ignore[misc]

    def __repr__(self) -> str:
        return f"<h5part.Ledger {self.path!r}>"
