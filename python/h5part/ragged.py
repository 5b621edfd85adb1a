"""Rows of different lengths, as a pair of tables: ``offsets`` and ``values``.

Examples
--------
>>> import h5part, h5part.ragged
>>> store = h5part.create("ragged.h5", "runs", 3, {"E": "f8"}).store
>>> ragged = h5part.ragged.create(store, "paths", 3, "f8")
>>> ragged.commit(0, [1.0, 2.0, 3.0])
>>> ragged.commit(2, [4.0])
>>> ragged[0].tolist(), ragged[2].tolist(), ragged.mask.tolist()
([1.0, 2.0, 3.0], [4.0], [True, False, True])

HDF5's own type of variable length keeps its values in a heap, which no program can write in place safely. Here the values
of all rows follow one another in the table ``NAME/values``, in the order in which they were committed; the table
``NAME/offsets`` says for each row where its values begin, and how many there are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ._column_spec import ColumnLike, spec_of

if TYPE_CHECKING:
    from ._store import Store

__all__ = ["Ragged", "create", "open"]


def create(store: Store, name: str, rows: int, dtype: ColumnLike, *, exist_ok: bool = False) -> Ragged:
    """Creates the two tables.

    **Concurrency** and what it **survives**: as :func:`h5part.create`. After a kill, one of the two may exist.

    Parameters
    ----------
    store
        The file.
    name
        Path of the group that holds the tables.
    rows
        Number of rows.
    dtype
        Type of a value, ``"f8"``, or type and shape of a value, ``("f8", (3,))``.
    exist_ok
        Accept tables that exist and fit.

    Returns
    -------
    Ragged

    Raises
    ------
    AlreadyExists
        A table exists, and ``exist_ok`` is False.

    Examples
    --------
    >>> import h5part, h5part.ragged
    >>> store = h5part.create("run.h5", "t", 1, {"E": "f8"}).store
    >>> len(h5part.ragged.create(store, "paths", 3, ("f8", (2,))))
    3
    """
    spec = spec_of(dtype)
    store.create_table(f"{name}/offsets", rows, {"start": "i8", "count": "i8"}, exist_ok=exist_ok)
    store.create_table(f"{name}/values", 0, {"value": spec}, exist_ok=exist_ok)
    return Ragged(store, name)


def open(store: Store, name: str) -> Ragged:
    """Opens what :func:`create` made.

    Parameters
    ----------
    store, name
        As in :func:`create`.

    Returns
    -------
    Ragged

    Raises
    ------
    NotFound
        The tables do not exist.
    """
    return Ragged(store, name)


class Ragged:
    """Rows of different lengths: see :func:`create`.

    **Concurrency.** One process at a time commits; any number may read meanwhile. **Atomic**: each row, since its values
    are committed before its offset. **Survives** a loss of power once a commit has returned. A row that is committed
    again leaves its old values unused in the file.

    Examples
    --------
    >>> import h5part, h5part.ragged
    >>> store = h5part.create("run.h5", "t", 1, {"E": "f8"}).store
    >>> paths = h5part.ragged.create(store, "paths", 2, "f8")
    >>> paths.commit(1, [0.5, 1.5, 2.5])
    >>> paths[1].tolist(), paths.todo().tolist()
    ([0.5, 1.5, 2.5], [0])
    """

    def __init__(self, store: Store, name: str) -> None:
        self._offsets = store[f"{name}/offsets"]
        self._values = store[f"{name}/values"]

    def __len__(self) -> int:
        """Number of rows."""
        return len(self._offsets)

    @property
    def mask(self) -> npt.NDArray[np.bool_]:
        """Whether each row is committed: ndarray of bool, shape (rows,)."""
        return self._offsets.read("start", "count").mask

    def todo(self, **options: Any) -> npt.NDArray[np.int64]:
        """Returns the rows that are still to be computed.

        Parameters
        ----------
        **options
            As in :meth:`h5part.Table.todo`.

        Returns
        -------
        ndarray of int64, shape (rows,)
        """
        return self._offsets.todo(**options)

    def commit(self, row: int, values: Any) -> None:
        """Commits the values of a row.

        **Concurrency**, what is **atomic** and what it **survives**: see the class.

        Parameters
        ----------
        row
            Its number.
        values : array_like, shape (count, *shape)
            Its values. A row may have no values.

        Raises
        ------
        RowOutOfRange
            There is no such row.
        TypeMismatch, Mismatch
            The values have another type or shape.
        """
        array = np.asarray(values, self._values["value"].dtype)
        start = 0
        if len(array):
            start = self._values.append(value=array).start
        self._offsets.commit(row, start=start, count=len(array))

    def __getitem__(self, row: int) -> npt.NDArray[Any]:
        """Returns the values of a row: an array of shape ``(count, *shape)``, empty if the row is missing."""
        block = self._offsets.read("start", "count", rows=row)
        start, count = int(block["start"][0]), int(block["count"][0])
        if not block.mask[0] or count == 0:
            return self._values.read("value", rows=slice(0, 0))["value"]
        return self._values.read("value", rows=slice(start, start + count))["value"]
