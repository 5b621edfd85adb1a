"""What was read: arrays, and which rows are committed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import pandas as pd

#: States of a cell, as in :attr:`Block.states`.
MISSING, COMMITTED, PLAIN, WRITING, CHANGED = range(5)


class Block(Mapping[str, npt.NDArray[Any]]):
    """Rows of some columns of a table: what :meth:`h5part.Table.read` returns.

    A mapping from names of columns to arrays of shape ``(rows, *cell)``. Missing rows hold the column's fill.

    Attributes
    ----------
    rows : int, slice or ndarray
        The rows that were read.
    mask : ndarray of bool, shape (rows,)
        Whether all of these columns have the row. numpy's masks are the opposite: there True hides a value.
    masks : dict of ndarray of bool, shape (rows,)
        Whether each column has the row.
    states : dict of ndarray of uint8, shape (rows,)
        State of each cell: ``MISSING``, ``COMMITTED``, ``PLAIN`` (another program wrote it), ``WRITING`` or
        ``CHANGED`` (its bytes do not match its stamp).

    Examples
    --------
    >>> import h5part
    >>> table = h5part.create("run.h5", "t", 3, {"E": "f8"})
    >>> table.commit(1, E=-1.5)
    1
    >>> block = table.read("E")
    >>> block["E"][block.mask].tolist()
    [-1.5]
    """

    __slots__ = ("_arrays", "mask", "masks", "rows", "states")

    def __init__(
        self,
        rows: Any,
        arrays: dict[str, npt.NDArray[Any]],
        states: dict[str, npt.NDArray[np.uint8]],
    ) -> None:
        self.rows = rows
        self._arrays = arrays
        self.states = states
        self.masks = {name: (state == COMMITTED) | (state == PLAIN) for name, state in states.items()}
        masks = list(self.masks.values())
        self.mask: npt.NDArray[np.bool_] = np.logical_and.reduce(masks) if masks else np.empty(0, np.bool_)

    def __getitem__(self, column: str) -> npt.NDArray[Any]:
        """The values of a column, shape ``(rows, *cell)``."""
        return self._arrays[column]

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        """Number of columns."""
        return len(self._arrays)

    def __repr__(self) -> str:
        columns = ", ".join(f"{name}: {array.dtype}{list(array.shape)}" for name, array in self._arrays.items())
        return f"<h5part.Block of {len(self.mask)} rows, {int(self.mask.sum())} there; {columns}>"

    def masked(self, column: str) -> np.ma.MaskedArray[Any, Any]:
        """Returns a column as a masked array of numpy, in which missing rows are masked.

        Parameters
        ----------
        column
            Its name.

        Returns
        -------
        numpy.ma.MaskedArray, shape (rows, *cell)
        """
        array = self._arrays[column]
        hidden = ~self.masks[column]
        return np.ma.MaskedArray(array, np.broadcast_to(hidden.reshape(-1, *(1,) * (array.ndim - 1)), array.shape))

    def to_pandas(self) -> pd.DataFrame:
        """Returns all rows as a data frame of pandas. Missing rows hold the fill.

        Returns
        -------
        pandas.DataFrame
            A column for each element of a row: ``E``, ``F[0,1]``. The index holds the row numbers.
        """
        import pandas as pd

        flat: dict[str, npt.NDArray[Any]] = {}
        for name, array in self._arrays.items():
            if array.ndim == 1:
                flat[name] = array
                continue
            for index in np.ndindex(*array.shape[1:]):
                flat[f"{name}[{','.join(map(str, index))}]"] = array[(slice(None), *index)]
        return pd.DataFrame(flat, index=_numbers(self.rows))


def _numbers(rows: Any) -> Any:
    if isinstance(rows, slice):
        return range(rows.start or 0, rows.stop)
    return [rows] if isinstance(rows, int) else rows
