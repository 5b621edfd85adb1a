"""Committing rows."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, NoReturn

import numpy as np

from . import _h5part
from ._masked import split
from ._rows import resolve
from .errors import Error

if TYPE_CHECKING:
    from ._table import Table
    from .ledger import Claim

Durability = Literal["power", "process"]


class Writer:
    """Commits rows of one table: see :meth:`h5part.Table.writer`.

    **Concurrency.** Any number of writers, in any number of processes, may commit to the same table at the same time,
    beside any number of readers, and of programs such as h5py that open the file to read. Writers of different rows do
    not wait for each other. Of two commits to the same row the later one stands. Threads may share a writer; they
    commit one after another.

    **Atomic** is each row over all columns of its commit: a reader sees all of it or nothing.

    **Survives**: with ``durability="power"`` a commit that has returned survives loss of power; with ``"process"`` it
    survives the death of any process.

    After a fork the child opens a writer of its own by itself. A writer cannot be pickled.
    """

    def __init__(
        self, table: Table, durability: Durability, accept_foreign: bool, fence: Claim | None, group: int
    ) -> None:
        self._table = table
        self._durability: Durability = durability
        self._accept_foreign = accept_foreign
        self._fence = fence
        self._size = group
        self._group = _h5part.Group()
        self._pid = os.getpid()
        self._closed = False
        self._raw = self._open()

    def _open(self) -> _h5part.Writer:
        raw = self._table.store._raw().writer(self._table.name)
        if self._durability != "power":
            raw.set_durability(self._durability)
        if self._accept_foreign:
            raw.set_accept_foreign(True)
        if self._fence is not None:
            raw.set_fence(self._fence._raw)
        return raw

    def _ours(self) -> _h5part.Writer:
        if self._pid != os.getpid():
            if len(self._group):
                # They belong to the parent, which still commits them.
                self._group = _h5part.Group()
            self._raw = self._open()
            self._pid = os.getpid()
        return self._raw

    def commit(self, rows: Any, /, **values: Any) -> int:
        """Commits values to rows.

        Parameters
        ----------
        rows : int, slice, range, sequence of int, or mask
            The rows, each at most once. A slice that goes beyond the end is an error here.
        **values : array_like, shape (rows, *cell)
            For each column its values, value ``i`` for row ``i`` of the selection. For a single row the first axis
            may be left out. Masked rows of a masked array are not committed.

        Returns
        -------
        int
            The rows committed. In a group: 0 until the group is committed.

        Raises
        ------
        TypeMismatch, Mismatch
            Values of another type or shape. Nothing was written, as with all of these.
        RowOutOfRange, NotFound
            No such row, no such column.
        ForeignChange
            Another program has written to these rows.
        LockTimeout
            Another writer holds one of these rows.
        Fenced
            The task of ``fence`` has another owner now.
        DiskFull
            These rows may be "not there" afterwards.
        """
        return self._commit(rows, values)

    def _commit(self, rows: Any, values: Mapping[str, Any]) -> int:
        raw = self._raw if self._pid == os.getpid() else self._ours()
        if not (rows.__class__ is int and rows >= 0):
            rows = resolve(rows, self._count)
        for value in values.values():
            if isinstance(value, np.ma.MaskedArray):
                return sum(self._commit(part, chosen) for part, chosen in split(rows, values))
        if self._size:
            raw.add(self._group, rows, values)
            return sum(self.flush()) if len(self._group) >= self._size else 0
        done: int = raw.commit(rows, values)[0]
        return done

    def commit_if(self, rows: Any, expected: Mapping[str, Any], /, **values: Any) -> int:
        """Commits only if columns still hold what was read from them.

        Parameters
        ----------
        rows
            As in :meth:`commit`.
        expected : mapping of column to array_like
            What these columns must hold, byte for byte. Compared while the rows are locked.
        **values
            As in :meth:`commit`.

        Raises
        ------
        NotAsExpected
            A column holds something else. Nothing was written.
        """
        rows = resolve(rows, self._count)
        done: int = self._ours().commit(rows, values, dict(expected))[0]
        return done

    def reset(self, rows: Any) -> int:
        """Makes rows "not there" again, in all columns. Atomic, and surviving, as a commit that replaces them.

        Returns
        -------
        int
            The rows that were reset.
        """
        done: int = self._ours().reset(resolve(rows, self._count))
        return done

    def flush(self) -> list[int]:
        """Commits what waits in the group.

        Returns
        -------
        list of int
            For each commit its rows.

        Raises
        ------
        ExceptionGroup
            Some of the commits failed; the others are made.
        """
        outcomes = self._ours().commit_group(self._group)
        failed = [outcome for outcome in outcomes if isinstance(outcome, Error)]
        if failed:
            raise ExceptionGroup(f"{len(failed)} of {len(outcomes)} commits failed", failed)
        return [outcome for outcome in outcomes if isinstance(outcome, int)]

    def recover(self) -> dict[str, int]:
        """Puts back what dead writers left half-done in this table. Commits do so by themselves where they meet it."""
        found: dict[str, int] = json.loads(self._ours().recover())
        return found

    def pause(self) -> None:
        """Lets other programs open the file now, instead of a millisecond after the last commit."""
        self._ours().pause()

    def close(self) -> None:
        """Commits what waits in the group, and lets go of the file."""
        if self._closed:
            return
        self._closed = True
        if self._pid != os.getpid():
            return
        try:
            if len(self._group):
                self.flush()
        finally:
            self._raw.close()

    def _count(self) -> int:
        return len(self._table)

    def __enter__(self) -> Writer:
        return self

    def __exit__(
        self, sort: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            # What was to be committed together is not, when the block fails.
            self._group.clear()
        self.close()

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Writer cannot be pickled: pickle the Table, and call writer() in the other process")

    def __repr__(self) -> str:
        return f"<h5part.Writer of {self._table.name!r} in {self._table.store.path!r}, durability {self._durability}>"
