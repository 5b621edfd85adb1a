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

from . import _h5part
from ._block import Block
from ._attributes import Attributes
from ._column import Column
from ._dtypes import ColumnLike, described, kind, new_columns
from ._rows import resolve
from ._writer import Durability, Writer
from .errors import BadRequest, NotFound

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from ._store import Store
    from .ledger import Claim


@dataclass(frozen=True)
class ColumnStatus:
    """Counts of one column's cells."""

    name: str
    #: Cells that are committed.
    committed: int
    #: Cells that nobody has begun.
    missing: int
    #: Cells of commits under way.
    writing: int
    #: Cells of commits whose writer died.
    interrupted: int
    #: Share committed, 0 to 1, of each part of the table.
    coverage: tuple[float, ...]


@dataclass(frozen=True)
class Status:
    """How far a table is."""

    table: str
    rows: int
    columns: tuple[ColumnStatus, ...]
    #: Columns that another program deleted, renamed, shortened or retyped, and what became of them.
    lost: tuple[dict[str, Any], ...] = ()

    @property
    def committed(self) -> int:
        """Rows that every column has, at most: those of the column that has the fewest."""
        return min((column.committed for column in self.columns), default=0)

    @property
    def is_complete(self) -> bool:
        """Whether every column has every row."""
        return all(column.committed == self.rows for column in self.columns)


class Table:
    """Rows, and columns that share them: ``store["frames"]``.

    A table holds a path, and opens the file where it is used. It can be pickled, and used after a fork.
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
        """The structured type of one row: of the columns that h5part reads."""
        return np.dtype(
            [
                (c["name"], kind(c["dtype"], c["numpy"]).dtype, tuple(c["shape"]))
                for c in self._info()["columns"]
                if c["dtype"]
            ]
        )

    @property
    def has_stamps(self) -> bool:
        """Whether h5part made or adopted it: which rows are there is known."""
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
        """Counts cells by state. Reads stamps only.

        Parameters
        ----------
        parts
            In how many equal parts of the table the share committed is told.
        """
        found = json.loads(self.store._raw().status(self.name, parts))
        columns = tuple(ColumnStatus(**{**c, "coverage": tuple(c["coverage"])}) for c in found["columns"])
        return Status(found["table"], found["rows"], columns, tuple(found.get("lost", ())))

    def watch(self, interval: float = 1.0, parts: int = 1) -> Iterator[Status]:
        """The status every ``interval`` seconds, until the table is complete."""
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
        """The rows that are still to be computed: those that a column lacks.

        Parameters
        ----------
        rows
            Only these; default: all.
        columns
            The columns that must have a row; default: all that have stamps.
        shard : (i, n), or "slurm"
            Only every ``n``-th row, from row ``i`` on, so that ``n`` processes share the work. ``"slurm"`` takes both
            from the job array and the job step, and all rows outside SLURM.

        Returns
        -------
        ndarray of int64
            Row numbers, ascending.
        """
        if columns is None:
            missing = np.frombuffer(self.store._raw().missing(self.name), np.int64)
        else:
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
        """Reads rows of columns, of each row all columns as one commit left them.

        **Concurrency.** May run beside any number of writers, and keeps none waiting. Sees each row whole or not at
        all.

        Parameters
        ----------
        *columns : str
            Default: all that h5part reads.
        rows
            An int, slice, range, mask or sequence of ints; default: all.
        inner : str
            Only a part of each row, as numpy writes slices: ``"0:10, 2"``. Axes that are not named are whole; a single
            index keeps its axis.

        Returns
        -------
        Block
            Arrays of shape ``(rows, *cell)``, and masks.
        """
        reader = self._open()
        names = list(columns) or [c["name"] for c in self._info()["columns"] if c["dtype"]]
        chosen = resolve(rows, lambda: len(self), clip=True)
        arrays: dict[str, npt.NDArray[Any]] = {}
        states: dict[str, npt.NDArray[np.uint8]] = {}
        if not names:
            return Block(chosen, arrays, states)
        for name, (memory, dtype, descr, shape, state) in zip(names, reader.read(names, chosen, inner), strict=True):
            arrays[name] = kind(dtype, descr).array(memory, shape)
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

        Parameters
        ----------
        durability : {"power", "process"}
            What a commit that has returned survives: loss of power, or the death of any process.
        accept_foreign
            Whether commits may overwrite what another program wrote.
        fence : Claim
            Commits write only while the task is held by this claim.
        group
            Commits wait until there are so many, and share locks and syncs then; none is acknowledged before.

        Returns
        -------
        Writer
        """
        return Writer(self, durability, accept_foreign, fence, group)

    def commit(self, rows: Any, /, **values: Any) -> int:
        """Commits values to rows, so that they survive loss of power.

        The same as :meth:`h5part.Writer.commit` of a writer that the table keeps open, and which has this contract:

        **Concurrency.** Any number of processes may commit to the same table at the same time, beside any number of
        readers. Commits to different rows do not wait for each other. **Atomic** is each row over all columns of its
        commit. **Survives** loss of power once it has returned; after a kill at any instant, each row is there as
        before or as committed.

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
        """Makes rows "not there" again: see :meth:`h5part.Writer.reset`."""
        with self.writer() as writer:
            return writer.reset(rows)

    def extend(self, rows: int) -> int:
        """Extends the table to ``rows`` rows; the new ones are not there until they are committed.

        **Concurrency.** Writers and readers go on, and see the new rows. **Survives** loss of power once it has
        returned; after a kill before that, the table is as it was, or extended.

        Returns
        -------
        int
            How many rows there were.
        """
        before: int = self.store._raw().extend(self.name, rows)
        return before

    def add_columns(self, columns: Mapping[str, ColumnLike], *, coords: Mapping[str, Any] | None = None) -> None:
        """Adds columns. Their rows are not there until they are committed.

        **Concurrency**, what is **atomic** and what **survives**: as :meth:`extend`.

        Parameters
        ----------
        columns
            As in :func:`h5part.create`. Where the axes of the table have names, those of the new columns need names, too.
        coords
            Values along dimensions that the table does not have yet.
        """
        self.store._raw().add_columns(self.name, described(columns), new_columns(columns, coords))

    def append(self, **values: Any) -> slice:
        """Adds rows at the end, as lists do: see :class:`Appender`."""
        if self._appender is None:
            self._appender = Appender(self)
        return self._appender.append(**values)

    # Other libraries.

    def to_pandas(self, *columns: str, rows: Any = None) -> pd.DataFrame:
        """Committed rows as a data frame; the index has their numbers. Needs pandas."""
        block = self.read(*columns, rows=rows)
        frame = block.to_pandas()
        return frame[block.mask]

    def to_xarray(self, dims: Mapping[str, Sequence[str]] | None = None, row_dim: str | None = None) -> xr.Dataset:
        """The table as a dataset of xarray. Needs xarray.

        Parameters
        ----------
        dims
            Names of the axes of a row, for each column: ``{"F": ("atom", "xyz")}``. Default: those in the file, else
            ``F_0``, ``F_1``.
        row_dim
            Name of the axis of rows. Default: that in the file, else ``"row"``.

        Returns
        -------
        xarray.Dataset
            A variable for each column. Floats that are not there are NaN; ``present`` says which rows are there.
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
            variables[name] = ((rows, *axes), array, dict(self[name].attrs))
            used.update(axes)
        coordinates: dict[str, Any] = {name: (name, values) for name, values in along.items() if name in used}
        coordinates[rows] = variables.pop(rows, np.arange(len(block.mask)))
        coordinates["present"] = (rows, block.mask)
        return xr.Dataset(variables, coords=coordinates, attrs=dict(self.attrs))

    def _dimensions(self) -> tuple[dict[str, tuple[str, ...]], dict[str, npt.NDArray[Any]]]:
        columns, along = self.store._raw().dimensions(self.name)
        coords = {name: kind(dtype, descr).array(values, (-1,)) for name, dtype, descr, values in along}
        return {name: tuple(names) for name, names in columns}, coords

    def close(self) -> None:
        """Lets go of what the table holds open. It can be used again."""
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
        from ._html import table_html

        return table_html(self)


class Appender:
    """Adds rows at the end of a table, and extends it by ever larger steps, as lists grow.

    The rows that are in use are those up to the last committed one; the table may have more. One process at a time may
    append to a table.
    """

    def __init__(self, table: Table) -> None:
        self._table = table
        self._next: int | None = None

    def append(self, **values: Any) -> slice:
        """Commits values to the next rows.

        Parameters
        ----------
        **values : array_like, shape (rows, *cell) or cell
            For each column the same number of rows.

        Returns
        -------
        slice
            The rows.
        """
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
    """Rows in use: up to the last one of which a column has a value."""
    count: int = table._open().used()
    return count


def _shard(shard: tuple[int, int] | Literal["slurm"]) -> tuple[int, int]:
    if shard == "slurm":
        from .slurm import shard as of_job

        return of_job()
    part, parts = shard
    if not 0 <= part < parts:
        raise BadRequest(f"shard ({part}, {parts}): the first number is from 0 to {parts - 1}", code=2)
    return part, parts


