"""Points in time: datetime64 in numpy, whole numbers with CF's ``units`` attribute in the file."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import numpy.typing as npt

from .errors import BadRequest, TypeMismatch

#: numpy's units, and CF's words for them.
WORDS = {
    "D": "days",
    "h": "hours",
    "m": "minutes",
    "s": "seconds",
    "ms": "milliseconds",
    "us": "microseconds",
    "ns": "nanoseconds",
}
_UNITS = {word: unit for unit, word in WORDS.items()}
_SINCE = re.compile(r"(\w+) since 1970-0?1-0?1(?:[T ]0?0:00(?::00(?:\.0+)?)?)?(?: ?(?:UTC|Z|\+00:?00))?")
#: What NaT is as a whole number.
NAT = int(np.iinfo(np.int64).min)


def unit_of(dtype: np.dtype[Any]) -> str:
    """numpy's unit of a datetime64.

    Raises
    ------
    BadRequest
        CF has no word for it.
    """
    unit, count = np.datetime_data(dtype)
    if unit not in WORDS or count != 1:
        units = ", ".join(WORDS)
        raise BadRequest(f"no columns of type {dtype}: the unit of a datetime64 must be one of {units}", code=2)
    return unit


def attributes(unit: str) -> dict[str, Any]:
    """What tells other programs that whole numbers are points in time."""
    return {"units": f"{WORDS[unit]} since 1970-01-01", "calendar": "proleptic_gregorian", "_FillValue": NAT}


def unit_in(attribute: Any) -> str:
    """numpy's unit by a ``units`` attribute; empty if these are no points in time since 1970."""
    match = _SINCE.fullmatch(attribute) if isinstance(attribute, str) else None
    return _UNITS.get(match[1], "") if match else ""


def to_numbers(column: str, value: Any, unit: str) -> Any:
    """Whole numbers since 1970. Whole numbers stay as they are.

    Raises
    ------
    TypeMismatch
        These are no points in time, or the unit is too coarse for them.
    """
    if isinstance(value, np.ma.MaskedArray):
        hidden = np.ma.getmaskarray(value)
        return np.ma.MaskedArray(to_numbers(column, np.where(hidden, np.zeros(1, value.dtype), value.data), unit), hidden)
    array = np.asarray(value)
    if array.dtype == object:
        array = _from_objects(column, array)
    if array.dtype.kind in "iu":
        return value
    wanted = np.dtype(f"<M8[{unit}]")
    if array.dtype.kind != "M":
        raise _refuse(column, wanted, f"found {array.dtype}")
    cast = array.astype(wanted)
    there = ~np.isnat(array)
    if np.any(cast.astype(array.dtype)[there] != array[there]):
        raise _refuse(column, wanted, f"found {array.dtype}, and not all of them can be kept")
    return cast.view(np.int64)


def _from_objects(column: str, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Of datetime.datetime, pandas.Timestamp and their like."""
    found = []
    for item in array.flat:
        if getattr(item, "tzinfo", None) is not None:
            text = f"column '{column}': a time with a time zone; convert it to UTC, and drop the zone"
            raise TypeMismatch(text, kind="DtypeMismatch", code=4)
        try:
            found.append(_from_object(item))
        except (TypeError, ValueError) as error:
            raise TypeMismatch(f"column '{column}': not a point in time: {item!r}", kind="DtypeMismatch", code=4) from error
    return np.array(found).reshape(array.shape)


def _from_object(item: Any) -> np.datetime64:
    if item is None:
        return np.datetime64("NaT", "us")
    found: np.datetime64 = item.to_datetime64() if hasattr(item, "to_datetime64") else np.datetime64(item)
    return found


def _refuse(column: str, wanted: np.dtype[Any], why: str) -> TypeMismatch:
    return TypeMismatch(f"column '{column}': expected values of type {wanted}, {why}", kind="DtypeMismatch", code=4)
