"""Columns, used as arrays of numpy are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ._attributes import Attributes
from ._dtypes import Kind, unread
from ._rows import resolve
from .errors import Unsupported

if TYPE_CHECKING:
    from ._table import Table


class Column:
    """One column of a table, used like an array: ``table["E"]``.

    ``column[rows]`` reads, ``column[rows] = values`` commits. Every access looks at the file anew.

    **Concurrency.** As :meth:`h5part.Table.read` and :meth:`h5part.Table.commit`.

    Examples
    --------
    >>> import h5part
    >>> energies = h5part.create("run.h5", "frames", 4, {"E": "f8"})["E"]
    >>> energies[1:3] = [-1.5, -2.5]
    >>> float(energies[1]), energies[:].tolist(), energies.mask[:].tolist()
    (-1.5, [nan, -1.5, -2.5, nan], [False, True, True, False])
    """

    __slots__ = ("_info", "name", "table")

    def __init__(self, table: Table, info: dict[str, Any]) -> None:
        self.table = table
        self._info = info
        #: Name of the dataset.
        self.name: str = info["name"]

    @property
    def dtype(self) -> np.dtype[Any]:
        """Numpy type of an element.

        Raises
        ------
        Unsupported
            h5part cannot read the column.
        """
        return self._kind().dtype

    def _kind(self) -> Kind:
        if self._info["dtype"] is None:
            raise unread(self.name)
        return self.table._kind(self.name, self._info["dtype"], self._info["numpy"])

    @property
    def members(self) -> dict[str, int] | None:
        """Names and values of an enum, else None. Its values are read and written as whole numbers."""
        members = self._info.get("members")
        return None if members is None else {name: int(value) for name, value in members}

    @property
    def attrs(self) -> Attributes:
        """Attributes of the dataset, read and written: ``column.attrs["units"] = "eV"``."""
        return Attributes(self.table.store, f"{self.table.name}/{self.name}")

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape, rows first."""
        return (len(self.table), *self._info["shape"])

    @property
    def ndim(self) -> int:
        """Number of axes, including that of the rows."""
        return 1 + len(self._info["shape"])

    @property
    def fillvalue(self) -> Any:
        """The value of missing rows."""
        return self._kind().array(self._info["fill"], (1,))[0]

    @property
    def is_direct(self) -> bool:
        """Whether commits write it in place, at the same time. Commits to a column that is not are made one at a time."""
        return bool(self._info["is_direct"])

    @property
    def mask(self) -> _Mask:
        """Which rows are committed: ``column.mask[rows]`` is an array of bool, True for those that are."""
        return _Mask(self)

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.table)

    def __getitem__(self, index: Any) -> Any:
        """Reads rows. Missing rows hold the fill.

        Parameters
        ----------
        index
            Rows, as in :meth:`h5part.Table.read`, and optionally an index for each axis of a row: ``column[3:5, 0]``.

        Returns
        -------
        ndarray, shape (rows, *cell), or the value of one row
        """
        rows, inner = _split(index)
        single = isinstance(rows, (int, np.integer)) and not isinstance(rows, (bool, np.bool_))
        array = self.table.read(self.name, rows=rows)[self.name]
        if single:
            return array[(0, *inner)]
        return array[(slice(None), *inner)] if inner else array

    def __setitem__(self, index: Any, value: Any) -> None:
        """Commits values to rows by one commit: see :meth:`h5part.Table.commit`.

        **Concurrency**, what is **atomic** and what it **survives**: as :meth:`h5part.Table.commit`.

        Parameters
        ----------
        index
            Whole rows, as in :meth:`h5part.Table.commit`.
        value : array_like, shape (rows, *cell), or one that broadcasts to it
            The values.

        Raises
        ------
        Unsupported
            Only a part of a row is named.
        TypeMismatch, Mismatch
            The values have another type or shape.
        """
        rows, inner = _split(index)
        if inner:
            text = "a commit writes whole rows: read the row, change it, and commit it"
            raise Unsupported(text, kind="BadRequest", code=10)
        chosen = resolve(rows, lambda: len(self.table))
        count = 1 if isinstance(chosen, int) else chosen.stop - chosen.start if isinstance(chosen, slice) else len(chosen)
        if not isinstance(value, np.ma.MaskedArray):
            # As in an assignment of numpy, one value may stand for all rows.
            value = np.asarray(value)
            whole = (count, *self._info["shape"])
            if value.shape != whole and not (count == 1 and value.shape == whole[1:]):
                value = np.broadcast_to(value, whole)
        self.table.commit(chosen, **{self.name: value})

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        if copy is False:
            raise ValueError("the values are in a file: a copy cannot be avoided")
        array = self.table.read(self.name)[self.name]
        return array if dtype is None else array.astype(dtype)

    def __repr__(self) -> str:
        dtype = self._info["dtype"] or "unread type"
        return f"<h5part.Column {self.name!r}: {dtype}, shape {self.shape}>"


class _Mask:
    __slots__ = ("_column",)

    def __init__(self, column: Column) -> None:
        self._column = column

    def __getitem__(self, rows: Any) -> Any:
        name = self._column.name
        mask = self._column.table.read(name, rows=rows).masks[name]
        return bool(mask[0]) if isinstance(rows, (int, np.integer)) else mask

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        mask: npt.NDArray[Any] = self[:]
        return mask if dtype is None else mask.astype(dtype)


def _split(index: Any) -> tuple[Any, tuple[Any, ...]]:
    if isinstance(index, tuple):
        return (index[0], tuple(index[1:])) if index else (slice(None), ())
    return (slice(None) if index is Ellipsis else index), ()
