"""Values on their way in: what is no plain array of the column's type is made one, or refused."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from ._dtypes import Kind, kind
from .errors import Mismatch, TypeMismatch


# A commit of one row gives a scalar for most columns: these are packed without the cost of an array.
_SCALARS: dict[tuple[type, str], Callable[[Any], bytes]] = {
    (float, "f64"): struct.Struct("<d").pack,
    (np.float64, "f64"): struct.Struct("<d").pack,
    (int, "i64"): struct.Struct("<q").pack,
    (np.int64, "i64"): struct.Struct("<q").pack,
    (bool, "bool"): struct.Struct("?").pack,
}


def convert(
    column: str, name: str, descr: str, shape: list[int], rows: int, value: Any
) -> tuple[tuple[int, ...], npt.NDArray[Any] | bytes]:
    """A contiguous array of the column's type, as the shape of the values and their bytes.

    Called by the extension for everything that is no C-contiguous ``numpy.ndarray`` of the column's type.

    Raises
    ------
    TypeMismatch
        The values have another type, and would not keep their value.
    Mismatch
        The values have another shape, or a text is too long.
    """
    if rows == 1 and not shape and (pack := _SCALARS.get((value.__class__, name))) is not None:
        try:
            return (), pack(value)
        except struct.error:
            # Out of range; the error is made below.
            pass
    wanted = kind(name, descr)
    if isinstance(value, np.ma.MaskedArray):
        if np.ma.getmaskarray(value).any():
            raise Mismatch(f"column '{column}': masked values cannot be committed one by one", kind="BadValues", code=4)
        value = value.data
    structured = wanted.stored.names is not None and not isinstance(value, np.ndarray)
    array = np.asarray(value, wanted.stored) if structured else np.asarray(value)
    if wanted.stored.kind == "S":
        array = _text(column, array, wanted)
    elif array.dtype != wanted.stored:
        array = _exactly(column, array, wanted, is_array=isinstance(value, np.ndarray))
    if array.shape != (rows, *shape) and not (rows == 1 and array.shape == tuple(shape)):
        expected = "x".join(map(str, (rows, *shape)))
        found = "x".join(map(str, array.shape)) or "a single value"
        text = f"column '{column}': expected values of shape {expected}, found {found}"
        raise Mismatch(text, kind="ShapeMismatch", code=4)
    whole = array.shape
    array = np.ascontiguousarray(array)
    return whole, array.reshape(-1).view(np.uint8)


def _refuse(column: str, array: npt.NDArray[Any], wanted: Kind, why: str = "") -> TypeMismatch:
    expected = f"text of {wanted.text} bytes" if wanted.text else str(wanted.stored)
    text = f"column '{column}': expected values of type {expected}, found {array.dtype}{why}"
    return TypeMismatch(text, kind="DtypeMismatch", code=4)


def _text(column: str, array: npt.NDArray[Any], wanted: Kind) -> npt.NDArray[Any]:
    """Bytes of a fixed length; a text is never cut."""
    if array.dtype == object and all(isinstance(item, (str, bytes)) for item in array.flat):
        array = array.astype(str) if all(isinstance(item, str) for item in array.flat) else array.astype(bytes)
    if array.dtype.kind == "U":
        if not wanted.text and not all(item.isascii() for item in array.flat):
            raise _refuse(column, array, wanted, ": text that is not ASCII; make the column 'U'")
        array = np.asarray(np.char.encode(array, "utf-8"))
    if array.dtype.kind != "S":
        raise _refuse(column, array, wanted)
    longest = int(np.char.str_len(array).max(initial=0))
    if longest > wanted.stored.itemsize:
        text = f"column '{column}': a text of {longest} bytes does not fit into {wanted.stored.itemsize}"
        raise Mismatch(text, kind="BadValues", code=4)
    return array.astype(wanted.stored)


def _exactly(column: str, array: npt.NDArray[Any], wanted: Kind, *, is_array: bool) -> npt.NDArray[Any]:
    """The same values in another type; an error if they would change."""
    to = wanted.stored
    if array.dtype.names is not None and to.names is not None:
        if set(array.dtype.names) != {name for name in to.names if name}:
            raise _refuse(column, array, wanted)
        packed = np.zeros(array.shape, to)
        for name in array.dtype.names:
            field = Kind(wanted.name, to[name].base, 0)
            same = array[name].dtype == to[name].base
            packed[name] = array[name] if same else _exactly(f"{column}.{name}", array[name], field, is_array=is_array)
        return packed
    if array.dtype.kind == "M" and to.kind == "i":
        raise _refuse(column, array, wanted, ": make the column a datetime64, or give it units such as 'seconds since 1970-01-01'")
    if array.dtype == object or array.dtype.kind not in "biufc" or to.kind not in "biufc":
        raise _refuse(column, array, wanted)
    # A list of Python's numbers has no type of its own; an array has one, and loses nothing without being told.
    if is_array and not np.can_cast(array.dtype, to, "safe"):
        raise _refuse(column, array, wanted)
    if is_array and array.dtype.kind == to.kind:
        # A wider type of the same kind has all values. numpy also calls int64 into float64 safe, which is not so.
        return array.astype(to)
    if array.dtype.kind == "c" and to.kind != "c":
        raise _refuse(column, array, wanted)
    with np.errstate(all="ignore"):
        cast = array.astype(to)
        back = np.real(cast) if to.kind == "c" and array.dtype.kind != "c" else cast
        same = back.astype(array.dtype) == array
        if array.dtype.kind in "fc":
            same |= np.isnan(array) & (np.isnan(cast) if to.kind in "fc" else False)
            if to.kind in "fc" and not is_array:
                # 0.1 is written as the nearest number of the type.
                same |= np.isfinite(cast) & np.isfinite(array)
    if not np.all(same):
        raise _refuse(column, array, wanted, ", and not all of them can be kept")
    return cast
