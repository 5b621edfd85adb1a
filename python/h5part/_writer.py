"""Committing rows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, NoReturn

import numpy as np

from . import _check, _h5part
from ._masked import split
from ._rows import resolve
from ._times import to_numbers
from .errors import BadRequest, Error

if TYPE_CHECKING:
    from ._table import Table
    from .ledger import Claim

Durability = Literal["power", "process"]


class Writer:
    """Commits rows of one table: see :meth:`h5part.Table.writer`.

    **Concurrency.** Any number of writers, in any number of processes, may commit to the same table at the same time,
    beside any number of readers, and beside programs such as h5py that open the file to read. Writers of different rows
    do not wait for each other. Of two commits to the same row the later one stands. Threads may share a writer; their
    commits are made one after another.

    **Atomic**: each row, over all columns of its commit. A reader sees all of it or nothing.

    **Survives**: with ``durability="power"`` a commit that has returned survives a loss of power; with ``"process"`` it
    survives the death of any process.

    After a fork, the child opens a writer of its own when it commits. A writer cannot be pickled: pickle the table.

    Examples
    --------
    >>> import h5part
    >>> table = h5part.create("run.h5", "t", 10, {"E": "f8"})
    >>> with table.writer(durability="process") as writer:
    ...     writer.commit(3, E=-1.5)
    1
    """

    def __init__(
        self, table: Table, durability: Durability, accept_foreign: bool, fence: Claim | None, group: int
    ) -> None:
        if durability not in ("power", "process"):
            raise BadRequest(f"durability: expected 'power' or 'process', found {durability!r}", code=2)
        self._table = table
        self._durability: Durability = durability
        self._accept_foreign = accept_foreign
        self._fence = fence
        self._size = _check.whole("group", group)
        self._group = _h5part.Group()
        self._closed = False
        self._times: dict[str, str] | None = None
        # Whether a row of plain arrays can be committed without a look at them here.
        self._plain = False
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

    def _check_open(self) -> None:
        if self._closed:
            raise BadRequest("this writer is closed", code=2, path=self._table.store.path)

    def _ours(self) -> _h5part.Writer:
        self._check_open()
        if not self._raw.is_ours():
            if len(self._group):
                # They belong to the parent, which still commits them.
                self._group = _h5part.Group()
            self._raw = self._open()
        return self._raw

    def commit(self, rows: Any, /, **values: Any) -> int:
        """Commits values to rows.

        **Concurrency**, what is **atomic** and what it **survives**: see the class.

        Parameters
        ----------
        rows : int, slice, range, mask or sequence of int
            The rows, each at most once. Negative numbers count from the end. A slice must not go beyond the end.
        **values : array_like, shape (rows, *cell)
            Values by column; value ``i`` belongs to row ``i`` of the selection. For a single row the first axis may be
            left out. Rows that are masked in a masked array are not committed.

        Returns
        -------
        int
            Number of rows committed. In a group: 0 until the group is committed.

        Raises
        ------
        TypeMismatch, Mismatch
            The values have another type or shape. As with all of these but `DiskFull`, nothing was written.
        RowOutOfRange, NotFound
            The table has no such row or column.
        ForeignChange
            Another program has written to these rows.
        LockTimeout
            Another process held one of these rows for too long; the message names it.
        Fenced
            The task of ``fence`` has another owner now.
        BadRequest
            A row is named twice, or the writer is closed.
        DiskFull
            The disk is full. These rows may be missing now.
        """
        return self._commit(rows, values)

    def _commit(self, rows: Any, values: Mapping[str, Any]) -> int:
        if self._plain and rows.__class__ is int and rows >= 0:
            done = self._raw.commit_row(rows, values)
            if done is not None:
                return done
        return self._commit_any(rows, values)

    def _commit_any(self, rows: Any, values: Mapping[str, Any]) -> int:
        raw = self._ours()
        rows = resolve(rows, self._count)
        if self._times is None:
            self._times = self._table._times()
            self._plain = not self._times and not self._size
        if self._times:
            values = self._to_numbers(values, self._times)
        if any(isinstance(value, np.ma.MaskedArray) for value in values.values()):
            return sum(self._commit_any(part, chosen) for part, chosen in split(rows, values))
        if self._size:
            raw.add(self._group, rows, values)
            return sum(self.flush()) if len(self._group) >= self._size else 0
        return raw.commit(rows, values)[0]

    def _to_numbers(self, values: Mapping[str, Any], times: dict[str, str]) -> dict[str, Any]:
        return {n: to_numbers(n, value, times[n]) if n in times else value for n, value in values.items()}

    def commit_if(self, rows: Any, expected: Mapping[str, Any], /, **values: Any) -> int:
        """Commits values to rows if columns still hold what is expected.

        **Concurrency.** Of several processes that replace the same value at the same time, one succeeds. **Atomic** and
        **survives**: as :meth:`commit`.

        Parameters
        ----------
        rows
            As in :meth:`commit`.
        expected : mapping of str to array_like, shape (rows, *cell)
            What these columns must hold, byte for byte. They are compared while the rows are locked.
        **values
            As in :meth:`commit`.

        Returns
        -------
        int
            Number of rows committed.

        Raises
        ------
        NotAsExpected
            A column holds something else. Nothing was written.

        Examples
        --------
        >>> import h5part
        >>> table = h5part.create("run.h5", "t", 2, {"count": "i8"})
        >>> with table.writer() as writer:
        ...     writer.commit(0, count=1)
        ...     writer.commit_if(0, {"count": 1}, count=2)
        1
        1
        """
        rows = resolve(rows, self._count)
        times = self._table._times()
        found = self._to_numbers(expected, times)
        done: int = self._ours().commit(rows, self._to_numbers(values, times), found)[0]
        return done

    def reset(self, rows: Any) -> int:
        """Makes rows missing again, in all columns.

        **Concurrency**, what is **atomic** and what it **survives**: as :meth:`commit`.

        Parameters
        ----------
        rows
            As in :meth:`commit`.

        Returns
        -------
        int
            Number of rows.
        """
        done: int = self._ours().reset(resolve(rows, self._count))
        return done

    def flush(self) -> list[int]:
        """Makes the commits that the group has collected.

        **Concurrency**, what is **atomic** and what it **survives**: as :meth:`commit`.

        Returns
        -------
        list of int
            Number of rows of each commit.

        Raises
        ------
        ExceptionGroup
            Some of the commits failed. The others are made.
        """
        outcomes = self._ours().commit_group(self._group)
        failed = [outcome for outcome in outcomes if isinstance(outcome, Error)]
        if failed:
            raise ExceptionGroup(f"{len(failed)} of {len(outcomes)} commits failed", failed)
        return [outcome for outcome in outcomes if isinstance(outcome, int)]

    def recover(self) -> dict[str, int]:
        """Rolls back what dead writers left half-written in this table. A commit that meets such rows does so itself.

        **Concurrency.** May run beside writers and readers. **Survives** a kill at any instant: run it again.

        Returns
        -------
        dict
            What was found and done, as counts.
        """
        found: dict[str, int] = json.loads(self._ours().recover())
        return found

    def pause(self) -> None:
        """Lets other programs open the file now. Without it, they can about a millisecond after the last commit.

        **Concurrency.** May run beside writers and readers.
        """
        self._ours().pause()

    def close(self) -> None:
        """Makes the commits that the group has collected, and closes the file.

        **Concurrency**, what is **atomic** and what it **survives**: as :meth:`commit`.
        """
        if self._closed:
            return
        ours = self._raw.is_ours()
        try:
            if ours and len(self._group):
                self.flush()
        finally:
            self._closed, self._plain = True, False
            if ours:
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
