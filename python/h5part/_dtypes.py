"""Element types: numpy's, and the engine's names for them."""

from __future__ import annotations

import ast
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from .errors import _HINTS, BadRequest, Unsupported

DTypeLike: TypeAlias = Any

_ENGINE = {
    "<f2": "f16",
    "<f4": "f32",
    "<f8": "f64",
    "|i1": "i8",
    "<i2": "i16",
    "<i4": "i32",
    "<i8": "i64",
    "|u1": "u8",
    "<u2": "u16",
    "<u4": "u32",
    "<u8": "u64",
    "|b1": "bool",
    "<c8": "c64",
    "<c16": "c128",
}

_VARIABLE = (
    "columns of variable length cannot be written in place: use text of a fixed length such as 'S20' or 'U20', or "
    "h5part.ragged for rows of different lengths"
)


def unread(column: str) -> Unsupported:
    """The error for a column of a type that h5part only carries along."""
    text = f"column '{column}' has a type that h5part carries along, but does not read or write"
    return Unsupported(text, kind="UnsupportedType", code=10, hint=_HINTS["UnsupportedType"])


@dataclass(frozen=True)
class Kind:
    """How a column is stored, and how its values look in numpy."""

    #: The engine's name of the type.
    name: str
    #: The bytes of an element.
    stored: np.dtype[Any]
    #: For text in UTF-8: bytes of an element; else 0.
    text: int
    #: For points in time: numpy's unit; else empty.
    unit: str = ""

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the arrays that are read: ``<U`` for text, ``<M8`` for points in time."""
        if self.unit:
            return np.dtype(f"<M8[{self.unit}]")
        return np.dtype(f"<U{self.text}") if self.text else self.stored

    def array(self, memory: Any, shape: Sequence[int]) -> npt.NDArray[Any]:
        """The array in this memory, without a copy, except for text."""
        array = np.frombuffer(memory, self.stored).reshape(shape)
        if self.unit:
            return array.view(self.dtype)
        return decode(array) if self.text else array


@functools.lru_cache(maxsize=1024)
def kind(name: str, descr: str, unit: str = "") -> Kind:
    """By the engine's name of a type, numpy's description of its bytes, and the unit of points in time."""
    stored = np.lib.format.descr_to_dtype(ast.literal_eval(descr))
    text = int(name[1:]) if name.startswith("T") and name[1:].isdigit() else 0
    return Kind(name, stored, text, unit)


def decode(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Text of a fixed length from its bytes in UTF-8."""
    if array.size == 0:
        return np.empty(array.shape, "<U1")
    return np.asarray(np.char.decode(array, "utf-8"))


def engine_name(dtype: DTypeLike) -> str:
    """The engine's name of a numpy type.

    Raises
    ------
    BadRequest
        h5part has no such column.
    """
    try:
        found = np.dtype(dtype)
    except TypeError as error:
        raise BadRequest(f"not a type of numpy: {dtype!r}", code=2) from error
    metadata = dict(found.metadata or {})
    if "enum" in metadata:
        members = ",".join(f"{name}={int(value)}" for name, value in metadata["enum"].items())
        return f"enum({engine_name(np.dtype(found.str))}){{{members}}}"
    if found.hasobject:
        raise BadRequest(_VARIABLE, code=2)
    if found.names is not None:
        return "{" + ",".join(_field(name, field) for name, (field, *_) in (found.fields or {}).items()) + "}"
    if found.kind in "SU":
        if found.itemsize == 0:
            raise BadRequest(_VARIABLE, code=2)
        if found.kind == "U":
            return f"U{found.itemsize // 4}"
        return f"{'T' if metadata.get('h5py_encoding') == 'utf-8' else 'S'}{found.itemsize}"
    # Files of h5part are little-endian.
    name = _ENGINE.get(found.newbyteorder("<").str)
    if name is None:
        text = f"h5part has no columns of type {found}"
        if found.kind == "m":
            text += ": store int64, with the unit in an attribute"
        if found.kind == "M":
            text = "a datetime64 cannot be a field of a compound: store int64, or make it a column"
        raise BadRequest(text, code=2)
    return name


def _field(name: str, dtype: np.dtype[Any]) -> str:
    base, shape = dtype.subdtype if dtype.subdtype is not None else (dtype, ())
    return f"{name}:{engine_name(base)}" + (":" + "x".join(map(str, shape)) if shape else "")
