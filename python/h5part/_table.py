"""A table: rows, and columns that share them."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from . import _check, _h5part
from ._block import Block
from ._attributes import Attributes
from ._column import Column
from ._column_spec import ColumnLike, described, has_dimensions, new_columns, other_dimensions
from ._dtypes import Kind, kind
from ._rows import resolve
from ._times import attributes as attributes_of_times
from ._times import unit_in
from ._writer import Durability, Writer
from .errors import BadRequest, Mismatch, NotFound

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from ._store import Store
    from .ledger import Claim


@dataclass(frozen=True)
class ColumnStatus:
    """Counts the cells of one column by state: see :meth:`h5part.Table.status`."""

    #: Name of the column.
    name: str
    #: Cells that are committed.
    committed: int
    #: Cells that no commit has begun to write.
    missing: int
    #: Cells of commits under way.
    writing: int
    #: Cells of commits whose writer died.
    interrupted: int
    #: Committed share, 0 to 1, of each part of the table.
    coverage: tuple[float, ...]


@dataclass(frozen=True)
class Status:
    """Tells how much of a table is committed: see :meth:`h5part.Table.status`."""

    #: Path of the table in its file.
    table: str
    #: Number of rows.
    rows: int
    #: One for each column that has stamps.
    columns: tuple[ColumnStatus, ...]
    #: Columns that another program deleted, renamed, shortened or retyped, and what became of them.
    lost: tuple[dict[str, Any], ...] = ()

    @property
    def committed(self) -> int:
        """Committed cells of the column that has the fewest. No more rows than these can be complete."""
        return min((column.committed for column in self.columns), default=0)

    @property
    def is_complete(self) -> bool:
        """Whether every cell of every column is committed."""
        return all(column.committed == self.rows for column in self.columns)


class Table:
    """Rows, and columns that share them: ``store["frames"]``.

    ``table["E"]`` is a :class:`Column`. Iteration gives the names of the columns.

    **Concurrency.** Any number of processes and threads may read, commit to, and extend the same table at the same time.
    A table opens its file when it is used. It can be pickled, and it can be used on both sides of a fork.

    Examples
    --------
    >>> import h5part
    >>> frames = h5part.create("run.h5", "frames", 4, {"E": "f8", "F": ("f8", (2, 3))})
    >>> frames.commit(0, E=-1.5)
    1
    >>> len(frames), frames.columns, frames["F"].shape
    (4, ('E', 'F'), (4, 2, 3))
    >>> frames.todo().tolist()  # rows that E or F lacks
    [0, 1, 2, 3]
    """

    def __init__(self, store: Store, name: str) -> None:
        #: The file.
        self.store = store
        #: Path of its group in the file.
        self.name = name.strip("/")
        self._lock = threading.Lock()
        self._reader: _h5part.Reader | None = None
        self._own: Writer | None = None
        self._appender: Appender | None = None
        self._units: dict[str, str] = {}

    # How it is.

    def _open(self) -> _h5part.Reader:
        with self._lock:
            reader = self._reader
            if reader is None or not reader.is_ours():
                reader = self._reader = self.store._raw().reader(self.name)
            return reader

    def _info(self) -> dict[str, Any]:
        reader = self._open()
        reader.refresh()
        info: dict[str, Any] = reader.info()
        return info

    def __len__(self) -> int:
        """Number of rows."""
        rows: int = self._open().refresh()
        return rows

    def _kind(self, column: str, dtype: str, descr: str) -> Kind:
        """How a column is stored. A ``units`` attribute makes points in time of whole numbers."""
        if dtype != "i64":
            return kind(dtype, descr)
        unit = self._units.get(column)
        if unit is None:
            unit = self._units[column] = unit_in(self.store._raw().attribute(f"{self.name}/{column}", "units"))
        return kind(dtype, descr, unit)

    def _forget_units(self) -> None:
        self._units.clear()
        own = self._own
        if own is not None:
            own._times = None

    def _times(self) -> dict[str, str]:
        """Columns of points in time, and their units."""
        kinds = {c["name"]: self._kind(c["name"], c["dtype"], c["numpy"]) for c in self._info()["columns"] if c["dtype"]}
        return {name: found.unit for name, found in kinds.items() if found.unit}

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(self)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns."""
        return tuple(column["name"] for column in self._info()["columns"])

    @property
    def dtype(self) -> np.dtype[Any]:
        """The structured numpy type of one row. Columns that h5part cannot read are left out."""
        return np.dtype(
            [
                (c["name"], self._kind(c["name"], c["dtype"], c["numpy"]).dtype, tuple(c["shape"]))
                for c in self._info()["columns"]
                if c["dtype"]
            ]
        )

    @property
    def has_stamps(self) -> bool:
        """Whether it has stamps, which record the committed rows. Tables that h5part made or adopted have them."""
        return bool(self._info()["has_stamps"])

    @property
    def attrs(self) -> Attributes:
        """Attributes of the table's group: ``table.attrs["units"] = "eV"``."""
        return Attributes(self.store, self.name)

    @property
    def dims(self) -> dict[str, tuple[str, ...]]:
        """Names of the axes, rows first, of each column that has them in the file, whoever named them."""
        return self._dimensions()[0]

    @property
    def coords(self) -> dict[str, npt.NDArray[Any]]:
        """The values along the dimensions that have values and are not columns of this table."""
        return self._dimensions()[1]

    def __getitem__(self, column: str) -> Column:
        """Returns a column.

        Parameters
        ----------
        column
            Its name.

        Raises
        ------
        NotFound
            The table has no such column; the message lists those that it has.
        """
        infos = self._info()["columns"]
        for info in infos:
            if info["name"] == column:
                return Column(self, info)
        known = ", ".join(info["name"] for info in infos)
        raise NotFound(f"no such column '{column}' in '{self.name}'; it has {known}", code=3, path=self.store.path)

    def __iter__(self) -> Iterator[str]:
        return iter(self.columns)

    def __contains__(self, column: object) -> bool:
        return column in self.columns

    def keys(self) -> tuple[str, ...]:
        """Names of the columns."""
        return self.columns

    def status(self, parts: int = 1) -> Status:
        """Counts cells by state. It reads stamps and no values.

        **Concurrency.** May run beside any number of writers.

        Parameters
        ----------
        parts
            Number of equal parts of the table for which ``coverage`` gives the committed share.

        Returns
        -------
        Status

        Examples
        --------
        >>> import h5part
        >>> table = h5part.create("run.h5", "t", 4, {"E": "f8"})
        >>> table.commit([0, 3], E=[0.5, 0.25])
        2
        >>> table.status(parts=2).columns[0].coverage
        (0.5, 0.5)
        """
        found = json.loads(self.store._raw().status(self.name, _check.whole("parts", parts, 1)))
        columns = tuple(ColumnStatus(**{**c, "coverage": tuple(c["coverage"])}) for c in found["columns"])
        return Status(found["table"], found["rows"], columns, tuple(found.get("lost", ())))

    def watch(self, interval: float = 1.0, parts: int = 1) -> Iterator[Status]:
        """Yields the status until the table is complete.

        Parameters
        ----------
        interval
            Seconds between two looks.
        parts
            As in :meth:`status`.
        """
        while True:
            status = self.status(parts)
            yield status
            if status.is_complete:
                return
            time.sleep(interval)

    def todo(
        self,
        rows: Any = None,
        *,
        columns: Sequence[str] | None = None,
        shard: tuple[int, int] | Literal["slurm"] | None = None,
    ) -> npt.NDArray[np.int64]:
        """Returns the rows that are still to be computed: those that at least one column lacks.

        **Concurrency.** May run beside any number of writers. Rows that are being computed elsewhere are included: use
        ``shard`` or a :class:`Ledger` to share them.

        Parameters
        ----------
        rows
            Look at these rows only. An int, slice, range, mask or sequence of ints. Default: all rows.
        columns
            Names of the columns that must have a row. Default: all columns that have stamps.
        shard : (i, n) or "slurm"
            Take every ``n``-th row, beginning with row ``i``, so that ``n`` processes share the work. ``"slurm"`` takes
            ``i`` and ``n`` from the job array and the job step. Outside SLURM it means all rows.

        Returns
        -------
        ndarray of int64, shape (rows,)
            Row numbers in ascending order.

        Raises
        ------
        BadRequest
            ``i`` is not between 0 and ``n - 1``.
        NotFound
            The table has no such column.

        Examples
        --------
        >>> import h5part
        >>> table = h5part.create("run.h5", "t", 6, {"E": "f8"})
        >>> table.commit(0, E=0.5)
        1
        >>> table.todo(shard=(0, 2)).tolist(), table.todo(shard=(1, 2)).tolist()
        ([2, 4], [1, 3, 5])
        """
        if isinstance(columns, str):
            columns = [columns]
        if columns is None:
            missing = np.frombuffer(self.store._raw().missing(self.name), np.int64)
        else:
            if not columns:
                raise BadRequest("columns: expected at least one name", code=2)
            missing = np.flatnonzero(~self._there(columns)).astype(np.int64)
        if shard is not None:
            part, parts = _shard(shard)
            missing = missing[missing % parts == part]
        if rows is not None:
            chosen = resolve(rows, lambda: len(self), clip=True)
            wanted = np.arange(chosen.start, chosen.stop) if isinstance(chosen, slice) else np.atleast_1d(chosen)
            missing = np.intersect1d(missing, wanted)
        return missing

    def _there(self, columns: Sequence[str], step: int = 1 << 16) -> npt.NDArray[np.bool_]:
        parts = [
            np.logical_and.reduce([self[column].mask[first : first + step] for column in columns])
            for first in range(0, len(self), step)
        ]
        return np.concatenate(parts) if parts else np.empty(0, np.bool_)

    # Reading.

    def read(self, *columns: str, rows: Any = None, inner: str | None = None) -> Block:
        """Reads rows of columns.

        **Concurrency.** May run beside any number of writers and makes none of them wait. Each row is read as one commit
        left it, in all of the columns, or it counts as missing.

        Parameters
        ----------
        *columns : str
            Names of the columns. Default: all columns that h5part can read.
        rows
            An int, slice, range, mask or sequence of ints. Negative numbers count from the end, and a slice may go
            beyond the end. Default: all rows.
        inner : str
            Read only a part of each row, written as numpy writes slices: ``"0:10, 2"``. All of the columns need
            that many axes. Axes that are not named are read whole. A single index keeps its axis.

        Returns
        -------
        Block
            Arrays of shape ``(rows, *cell)`` by column, and masks of shape ``(rows,)``.

        Raises
        ------
        NotFound, RowOutOfRange
            The table has no such column or row.
        Unsupported
            A column has a type that h5part cannot read.
        BadFile
            The file is damaged.

        Examples
        --------
        >>> import h5part
        >>> frames = h5part.create("run.h5", "frames", 4, {"E": "f8", "F": ("f8", (2, 3))})
        >>> frames.commit(1, E=-1.5, F=[[0.0, 0.1, 0.2], [0.3, 0.4, 0.5]])
        1
        >>> block = frames.read("F", rows=slice(0, 3), inner="0:1")
        >>> block["F"].shape, block.mask.tolist()
        ((3, 1, 3), [False, True, False])
        """
        reader = self._open()
        names = list(columns) or [c["name"] for c in self._info()["columns"] if c["dtype"]]
        for column in columns:
            if not isinstance(column, str):
                raise BadRequest(f"read: expected names of columns, found {column!r}; rows are read(..., rows=...)", code=2)
        chosen = resolve(rows, lambda: len(self), clip=True)
        arrays: dict[str, npt.NDArray[Any]] = {}
        states: dict[str, npt.NDArray[np.uint8]] = {}
        if not names:
            return Block(chosen, arrays, states)
        for name, (memory, dtype, descr, shape, state) in zip(names, reader.read(names, chosen, inner), strict=True):
            arrays[name] = self._kind(name, dtype, descr).array(memory, shape)
            states[name] = np.frombuffer(state, np.uint8)
        return Block(chosen, arrays, states)

    # Writing.

    def writer(
        self,
        *,
        durability: Durability = "power",
        accept_foreign: bool = False,
        fence: Claim | None = None,
        group: int = 0,
    ) -> Writer:
        """Opens the table for commits.

        **Concurrency.** Any number of writers may be open at the same time, in any number of processes.

        Parameters
        ----------
        durability : {"power", "process"}
            What a commit that has returned survives: a loss of power, or the death of any process.
        accept_foreign
            Whether commits may overwrite values that another program wrote.
        fence : Claim
            Write only while this claim holds its task.
        group
            Collect this many commits, then make them together, so that they share locks and syncs. None of them
            survives anything before that. 0 makes each commit at once.

        Returns
        -------
        Writer

        Raises
        ------
        Unsupported
            The table has no stamps, or the locks of the file system do not reach every host.
        ReadOnly
            The file must not be written.

        Examples
        --------
        >>> import h5part
        >>> table = h5part.create("run.h5", "t", 1000, {"E": "f8"})
        >>> with table.writer(durability="process", group=100) as writer:
        ...     for row in range(1000):
        ...         _ = writer.commit(row, E=row / 2)
        >>> len(table.todo())
        0
        """
        return Writer(self, durability, accept_foreign, fence, group)

    def commit(self, rows: Any, /, **values: Any) -> int:
        """Commits values to rows. Once it has returned, they survive a loss of power.

        It uses a writer that the table keeps open: see :meth:`h5part.Writer.commit`.

        **Concurrency.** Any number of processes and threads may commit to the same table at the same time, beside any
        number of readers. Commits to different rows do not wait for each other. Of two commits to the same row the later
        one stands. **Atomic**: each row, over all columns of its commit. **Survives** a loss of power once it has
        returned. After a kill at any instant, each row holds what it held before, or what was committed.

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
            Number of rows committed.

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
        DiskFull
            The disk is full. These rows may be missing now.

        Examples
        --------
        >>> import h5part
        >>> frames = h5part.create("run.h5", "frames", 4, {"E": "f8", "F": ("f8", (2, 3))})
        >>> frames.commit(0, E=-1.5, F=[[0.0, 0.1, 0.2], [0.3, 0.4, 0.5]])
        1
        >>> frames.commit(slice(1, 3), E=[-1.4, -1.3])
        2
        >>> frames.read("E").mask.tolist()
        [True, True, True, False]
        """
        own = self._own
        if own is None or own._closed:
            with self._lock:
                own = self._own
                if own is None or own._closed:
                    own = self._own = self.writer()
        return own._commit(rows, values)

    def reset(self, rows: Any) -> int:
        """Makes rows missing again, in all columns: see :meth:`h5part.Writer.reset`.

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
        with self.writer() as writer:
            return writer.reset(rows)

    def extend(self, rows: int) -> int:
        """Extends the table. The new rows are missing until they are committed.

        **Concurrency.** Writers and readers go on, and see the new rows. **Survives** a loss of power once it has
        returned. After a kill before that, the table is as it was, or extended.

        Parameters
        ----------
        rows
            Number of rows afterwards.

        Returns
        -------
        int
            Number of rows before.

        Raises
        ------
        Unsupported
            The table has more rows already, or it cannot grow because it is contiguous.
        LockTimeout
            Another program had the file open for too long.

        Examples
        --------
        >>> import h5part
        >>> table = h5part.create("run.h5", "t", 4, {"E": "f8"})
        >>> table.extend(6), len(table)
        (4, 6)
        """
        before: int = self.store._raw().extend(self.name, rows)
        return before

    def add_columns(self, columns: Mapping[str, ColumnLike], *, coords: Mapping[str, Any] | None = None) -> None:
        """Adds columns. Their rows are missing until they are committed.

        **Concurrency**, what is **atomic** and what it **survives**: as :meth:`extend`.

        Parameters
        ----------
        columns
            As in :func:`h5part.create`. Where the axes of the table have names, those of the new columns need names, too.
        coords
            Values along dimensions that the table does not have yet.

        Raises
        ------
        AlreadyExists
            The table has such a column.
        BadRequest
            h5part has no such type.
        """
        _check.columns(columns)
        self.store._raw().add_columns(self.name, described(columns), new_columns(columns, coords))

    def append(self, **values: Any) -> slice:
        """Commits values to the rows after the last one in use. The table grows as lists do.

        ``len(table)`` counts the capacity: the table grows by half whenever it is full.

        **Concurrency.** One process at a time may append to a table. Others may read meanwhile, and commit to rows that
        were appended. **Atomic** and **survives**: as :meth:`commit`.

        Parameters
        ----------
        **values : array_like, shape (rows, *cell) or cell
            Values by column, all with the same number of rows.

        Returns
        -------
        slice
            The new rows.

        Raises
        ------
        BadRequest
            The columns have different numbers of rows.
        TypeMismatch, Mismatch
            The values have another type or shape.
        Unsupported
            The table cannot grow: it is contiguous.

        Examples
        --------
        >>> import h5part
        >>> log = h5part.create("log.h5", "log", 0, {"t": "f8"})
        >>> log.append(t=0.5), log.append(t=[1.0, 1.5])
        (slice(0, 1, None), slice(1, 3, None))
        """
        if self._appender is None:
            self._appender = Appender(self)
        return self._appender.append(**values)

    # Other libraries.

    def to_pandas(self, *columns: str, rows: Any = None) -> pd.DataFrame:
        """Returns the committed rows as a data frame of pandas, whose index holds their numbers.

        Parameters
        ----------
        *columns : str
            As in :meth:`read`.
        rows
            As in :meth:`read`.

        Returns
        -------
        pandas.DataFrame
            A column for each element of a row: ``E``, ``F[0,1]``.

        Raises
        ------
        ImportError
            pandas is not installed.
        """
        block = self.read(*columns, rows=rows)
        frame = block.to_pandas()
        return frame[block.mask]

    def to_xarray(self, dims: Mapping[str, Sequence[str]] | None = None, row_dim: str | None = None) -> xr.Dataset:
        """Returns the table as a dataset of xarray, in memory.

        Parameters
        ----------
        dims
            Names of the axes of a row by column: ``{"F": ("atom", "xyz")}``. Default: those in the file, else ``F_0``,
            ``F_1``.
        row_dim
            Name of the axis of rows. Default: that in the file, else ``"row"``.

        Returns
        -------
        xarray.Dataset
            A variable for each column. Missing rows hold the column's fill. The coordinate ``present`` tells which rows
            are committed.

        Raises
        ------
        BadRequest
            A column has another number of axes.
        ImportError
            xarray is not installed.
        """
        import xarray as xr

        named, along = self._dimensions()
        rows = row_dim or next((names[0] for names in named.values()), "row")
        block = self.read()
        variables: dict[str, Any] = {}
        used = set()
        for name, array in block.items():
            axes = list((dims or {}).get(name, named.get(name, ("",))[1:]))
            axes = axes or [f"{name}_{axis}" for axis in range(array.ndim - 1)]
            if len(axes) != array.ndim - 1:
                raise BadRequest(f"column '{name}' has {array.ndim - 1} axes beside that of the rows, not {len(axes)}", code=2)
            variables[name] = ((rows, *axes), array, self._meaning(name))
            used.update(axes)
        coordinates: dict[str, Any] = {name: (name, values) for name, values in along.items() if name in used}
        coordinates[rows] = variables.pop(rows, np.arange(len(block.mask)))
        coordinates["present"] = (rows, block.mask)
        return xr.Dataset(variables, coords=coordinates, attrs=dict(self.attrs))

    def _meaning(self, column: str) -> dict[str, Any]:
        """Attributes of a column, without those that say how points in time are stored."""
        storage = attributes_of_times("s") if self[column].dtype.kind == "M" else {}
        return {name: value for name, value in self[column].attrs.items() if name not in storage}

    def _dimensions(self) -> tuple[dict[str, tuple[str, ...]], dict[str, npt.NDArray[Any]]]:
        columns, along = self.store._raw().dimensions(self.name)
        coords = {name: kind(dtype, descr).array(values, (-1,)) for name, dtype, descr, values in along}
        return {name: tuple(names) for name, names in columns}, coords

    def _check_dimensions(
        self, columns: Mapping[str, ColumnLike], row_dim: str | None, coords: Mapping[str, Any] | None
    ) -> None:
        """Checks that the table has the named dimensions that are given, as in :func:`h5part.create`."""
        if has_dimensions(columns, row_dim, coords):
            text = other_dimensions(columns, row_dim, coords, *self._dimensions())
            if text is not None:
                path = self.store.path
                raise Mismatch(f"cannot use {path}: {text}", kind="BadValues", code=4, operation="use", path=path)

    def close(self) -> None:
        """Closes what the table holds open. It opens the file again when it is used again."""
        with self._lock:
            own, self._own = self._own, None
            reader, self._reader = self._reader, None
        if own is not None:
            own.close()
        if reader is not None and reader.is_ours():
            reader.close()

    def __getstate__(self) -> dict[str, Any]:
        return {"store": self.store, "name": self.name}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["store"], state["name"])  # type: ignore[misc]

    def __repr__(self) -> str:
        return f"<h5part.Table {self.name!r} in {self.store.path!r}>"

    def _repr_html_(self) -> str:
        from ._html import PARTS, table_html

        info = self._info()
        columns = self.status(PARTS).columns if info["has_stamps"] else ()
        return table_html(self.name, info, {column.name: (column.committed, column.coverage) for column in columns})


class Appender:
    """Knows which rows of a table are in use, for :meth:`Table.append`.

    Rows are in use up to the last committed one; the table may have more.
    """

    def __init__(self, table: Table) -> None:
        self._table = table
        self._next: int | None = None

    def append(self, **values: Any) -> slice:
        """See :meth:`Table.append`."""
        table = self._table
        count = self._count(values)
        if self._next is None:
            self._next = used(table)
        first, last = self._next, self._next + count
        capacity = len(table)
        if last > capacity:
            table.extend(max(last, capacity + capacity // 2, 16))
        table.commit(slice(first, last), **values)
        self._next = last
        return slice(first, last)

    def _count(self, values: Mapping[str, Any]) -> int:
        shapes = {c["name"]: len(c["shape"]) for c in self._table._info()["columns"]}
        counts = set()
        for name, value in values.items():
            array = np.asanyarray(value)
            counts.add(1 if array.ndim == shapes.get(name, array.ndim) else array.shape[0] if array.ndim else 1)
        if len(counts) != 1:
            raise BadRequest(f"the columns have different numbers of rows: {sorted(counts)}", code=2)
        return int(counts.pop())


def used(table: Table) -> int:
    """Number of rows in use: up to the last one that at least one column has."""
    count: int = table._open().used()
    return count


def _shard(shard: tuple[int, int] | Literal["slurm"]) -> tuple[int, int]:
    if shard == "slurm":
        from .slurm import shard as of_job

        return of_job()
    if not isinstance(shard, Sequence) or isinstance(shard, str) or len(shard) != 2:
        raise BadRequest(f"shard: expected (i, n) or 'slurm', found {shard!r}", code=2)
    parts = _check.whole("shard (i, n): n", shard[1], 1)
    return _check.whole("shard (i, n): i", shard[0], 0, parts - 1), parts


