"""What was read: arrays, and which rows are there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import pandas as pd

#: What is known of a cell, as :attr:`Block.states` has it.
MISSING, COMMITTED, PLAIN, WRITING, CHANGED = range(5)


class Block(Mapping[str, npt.NDArray[Any]]):
    """Rows of some columns of a table.

    A mapping from the names of the columns to arrays of shape ``(rows, *cell)``. Rows that are not there hold the
    column's fill.

    Attributes
    ----------
    rows : int, slice or ndarray
        The rows that were read.
    mask : ndarray of bool, shape (rows,)
        Whether all of these columns have the row. This is the opposite of numpy's masks, where True hides a value.
    masks : dict of ndarray of bool, shape (rows,)
        The same for each column by itself.
    states : dict of ndarray of uint8, shape (rows,)
        What is known of each cell: ``MISSING``, ``COMMITTED``, ``PLAIN`` (another program wrote it), ``WRITING`` or
        ``CHANGED`` (its bytes do not match its stamp).
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
        return self._arrays[column]

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)

    def __repr__(self) -> str:
        columns = ", ".join(f"{name}: {array.dtype}{list(array.shape)}" for name, array in self._arrays.items())
        return f"<h5part.Block of {len(self.mask)} rows, {int(self.mask.sum())} there; {columns}>"

    def masked(self, column: str) -> np.ma.MaskedArray[Any, Any]:
        """A column as a masked array of numpy: rows that are not there are hidden.

        Returns
        -------
        numpy.ma.MaskedArray, shape (rows, *cell)
        """
        array = self._arrays[column]
        hidden = ~self.masks[column]
        return np.ma.MaskedArray(array, np.broadcast_to(hidden.reshape(-1, *(1,) * (array.ndim - 1)), array.shape))

    def to_pandas(self) -> pd.DataFrame:
        """One row a row, one column an element: ``F[0,1]``. Rows that are not there hold fill."""
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
