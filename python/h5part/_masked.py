"""Masked arrays: rows whose values are masked are not committed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from .errors import Mismatch


def split(rows: Any, values: Mapping[str, Any]) -> Iterator[tuple[npt.NDArray[np.int64], dict[str, Any]]]:
    """The rows by which columns have them: rows with the same columns are committed together.

    Raises
    ------
    Mismatch
        Some elements of a row are masked, and others are not.
    """
    numbers = np.atleast_1d(np.arange(rows.start, rows.stop) if isinstance(rows, slice) else np.asarray(rows, np.int64))
    given = {name: _by_rows(name, value, len(numbers)) for name, value in values.items()}
    there = np.stack([mask for _, mask in given.values()])
    for pattern in np.unique(there, axis=1).T:
        chosen = np.flatnonzero((there == pattern[:, None]).all(axis=0))
        if pattern.any():
            columns = [name for name, has in zip(given, pattern, strict=True) if has]
            yield numbers[chosen], {name: _chosen(values[name], given[name][0], chosen) for name in columns}


def _chosen(value: Any, array: npt.NDArray[Any], chosen: npt.NDArray[np.int64]) -> Any:
    # A list has no type of its own, and is not to get one here.
    return array[chosen] if isinstance(value, np.ndarray) else array[chosen].tolist()


def _by_rows(name: str, value: Any, count: int) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_]]:
    array = np.ma.asarray(value) if isinstance(value, np.ma.MaskedArray) else np.asarray(value)
    if count == 1 and (array.ndim == 0 or array.shape[0] != 1):
        array = array[None]
    if array.ndim == 0 or array.shape[0] != count:
        text = f"column '{name}': expected values for {count} rows, found shape {array.shape}"
        raise Mismatch(text, kind="ShapeMismatch", code=4)
    if not isinstance(array, np.ma.MaskedArray):
        return array, np.ones(count, np.bool_)
    hidden = np.ma.getmaskarray(array).reshape(count, -1)
    if (hidden.any(axis=1) != hidden.all(axis=1)).any():
        raise Mismatch(f"column '{name}': a row is masked in part; mask all of it, or none", kind="BadValues", code=4)
    there: npt.NDArray[np.bool_] = np.logical_not(hidden.all(axis=1))
    return np.asarray(array.data), there
