"""Rows as numpy users name them, resolved to what the extension takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .errors import BadRequest, RowOutOfRange


def resolve(rows: Any, count: Callable[[], int], *, clip: bool = False) -> int | slice | np.ndarray[Any, np.dtype[np.int64]]:
    """An int, a slice ``start:stop`` or an array of int64, none of them negative.

    Parameters
    ----------
    rows
        An int, a slice, a range, a boolean mask, or a sequence of ints. Negative numbers count from the end.
    count
        Gives the number of rows of the table; called only where it is needed.
    clip
        Whether a slice that goes beyond the end stops there, as numpy's do. Else it names rows that do not exist.
    """
    if isinstance(rows, (int, np.integer)) and not isinstance(rows, (bool, np.bool_)):
        return int(rows) if rows >= 0 else _one(int(rows), count())
    if isinstance(rows, slice):
        return _slice(rows, count, clip)
    if rows is Ellipsis or rows is None:
        return slice(0, count())
    if isinstance(rows, range):
        return _range(rows)
    array = np.asarray(rows)
    if array.size == 0:
        return np.empty(0, np.int64)
    if array.dtype == np.bool_:
        if array.shape != (count(),):
            raise BadRequest(f"a mask of rows has one value a row: ({count()},), not {array.shape}", code=2)
        return np.flatnonzero(array).astype(np.int64)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise BadRequest(f"rows are ints, slices or masks, not {array.dtype} of shape {array.shape}", code=2)
    return _array(array, count)


def _one(row: int, count: int) -> int:
    if row < -count:
        raise RowOutOfRange(f"row {row} is out of range: the table has {count} rows", code=3)
    return row + count


def _slice(rows: slice, count: Callable[[], int], clip: bool) -> slice | np.ndarray[Any, np.dtype[np.int64]]:
    start, stop, step = rows.start, rows.stop, rows.step
    plain = isinstance(stop, int) and stop >= 0 and (start is None or (isinstance(start, int) and start >= 0))
    if plain and step in (None, 1) and not clip:
        return slice(start or 0, max(stop, start or 0))
    found = range(*rows.indices(count()))
    return _range(found)


def _range(rows: range) -> slice | np.ndarray[Any, np.dtype[np.int64]]:
    if len(rows) == 0:
        return np.empty(0, np.int64)
    if rows.step == 1 and rows.start >= 0:
        return slice(rows.start, rows.stop)
    if min(rows) < 0:
        raise RowOutOfRange(f"row {min(rows)} is out of range", code=3)
    return np.arange(rows.start, rows.stop, rows.step, dtype=np.int64)


def _array(array: np.ndarray[Any, Any], count: Callable[[], int]) -> np.ndarray[Any, np.dtype[np.int64]]:
    if array.dtype.kind == "i" and array.min() < 0:
        total = count()
        if array.min() < -total:
            raise RowOutOfRange(f"row {array.min()} is out of range: the table has {total} rows", code=3)
        array = np.where(array < 0, array + total, array)
    return np.ascontiguousarray(array, dtype=np.int64)
