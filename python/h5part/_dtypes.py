"""Element types: numpy's, and the engine's names for them."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from . import _check
from ._times import attributes as times
from ._times import NAT, to_numbers, unit_of
from .errors import _HINTS, BadRequest, Unsupported

DTypeLike: TypeAlias = Any
#: Name, name of the element type, shape of one row, bytes of the fill.
Described: TypeAlias = tuple[str, str, list[int], bytes | None]

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


@dataclass(frozen=True)
class ColumnSpec:
    """Describes a column to create: see :func:`h5part.create`.

    Parameters
    ----------
    dtype
        A numpy type or its name: ``"f8"``, ``"complex128"``, ``"S20"``, ``"<U20"``, ``"datetime64[us]"``.
    shape
        Shape of one row. ``()`` for a single element.
    fill
        The value of missing rows. Default: NaN, NaT, 0, False or empty text.
    attrs
        Attributes of the dataset, such as its ``units``.
    dims
        Names of the axes of one row, for netCDF and xarray. Where one axis of a table has a name, all need one.

    Examples
    --------
    >>> import h5part
    >>> spec = h5part.ColumnSpec("i8", shape=(3,), fill=-1, attrs={"units": "eV"})
    >>> h5part.create("run.h5", "t", 2, {"n": spec})["n"][0].tolist()
    [-1, -1, -1]
    """

    dtype: DTypeLike
    shape: tuple[int, ...] = ()
    fill: Any = None
    attrs: Mapping[str, Any] = field(default_factory=dict)
    dims: tuple[str, ...] = ()

    @property
    def unit(self) -> str:
        """numpy's unit of a datetime64, else empty."""
        found = np.dtype(self.dtype) if isinstance(self.dtype, (str, np.dtype)) else None
        return unit_of(found) if found is not None and found.kind == "M" else ""

    def described(self, name: str) -> Described:
        """As the extension takes it."""
        shape = [_check.whole(f"shape of column '{name}'", n, 1) for n in self.shape]
        if self.unit:
            value = NAT if self.fill is None else self.fill
            return name, "i64", shape, np.asarray(to_numbers(name, value, self.unit), "<i8").tobytes()
        engine = engine_name(self.dtype)
        return name, engine, shape, None if self.fill is None else self._fill(name, engine)

    def _fill(self, name: str, engine: str) -> bytes:
        from ._values import convert

        found = np.dtype(self.dtype)
        if found.kind in "SU":
            # A character has up to 4 bytes in UTF-8, as in numpy.
            stored, engine = np.dtype(f"S{found.itemsize}"), f"T{found.itemsize}" if found.kind == "U" else engine
        else:
            stored = np.dtype(found.newbyteorder("<"))
        _, values = convert(name, engine, repr(np.lib.format.dtype_to_descr(stored)), [], 1, self.fill)
        return values if isinstance(values, bytes) else values.tobytes()


ColumnLike: TypeAlias = DTypeLike | tuple[DTypeLike, Sequence[int]] | ColumnSpec


def described(columns: Mapping[str, ColumnLike]) -> list[Described]:
    """Columns as the extension takes them."""
    return [spec_of(spec).described(name) for name, spec in columns.items()]


def attributes(columns: Mapping[str, ColumnLike]) -> list[tuple[str, str, Any]]:
    """Attributes of columns: column, name, value."""
    found = []
    for column, given in columns.items():
        spec = spec_of(given)
        own = times(spec.unit) if spec.unit else {}
        for name in own.keys() & spec.attrs.keys():
            text = f"column '{column}': attribute '{name}' of a datetime64 is {own[name]!r}, not {spec.attrs[name]!r}"
            raise BadRequest(text, code=2)
        found += [(column, name, _check.attribute(name, value)) for name, value in {**own, **spec.attrs}.items()]
    return found


def new_columns(columns: Mapping[str, ColumnLike], coords: Mapping[str, Any] | None) -> dict[str, Any]:
    """What columns to be made are beside their types, as options of the extension."""
    specs = {name: spec for name, spec in columns.items() if isinstance(spec, ColumnSpec)}
    return {
        "column_attrs": attributes(columns),
        "dims": [(name, list(spec.dims)) for name, spec in specs.items() if spec.dims],
        "coords": [(name, _coordinates(values)) for name, values in (coords or {}).items()],
    }


def _coordinates(values: Any) -> list[str] | tuple[str, bytes]:
    """Texts, or an element type and bytes."""
    array = np.asarray(values)
    if array.ndim != 1:
        raise BadRequest(f"coordinates are an array of one axis, not of {array.ndim}", code=2)
    if array.dtype.kind == "S":
        array = decode(array)
    if array.dtype.kind == "U":
        texts: list[str] = array.tolist()
        return texts
    name = engine_name(array.dtype)
    return name, array.astype(array.dtype.newbyteorder("<")).tobytes()


def spec_of(spec: ColumnLike) -> ColumnSpec:
    """``"f8"``, ``("f8", (100, 3))``, or a :class:`ColumnSpec`."""
    if isinstance(spec, ColumnSpec):
        return spec
    if isinstance(spec, tuple) and len(spec) == 2:
        dtype, shape = spec
        return ColumnSpec(dtype, tuple(shape) if isinstance(shape, Iterable) else (shape,))
    try:
        found = np.dtype(spec)
    except TypeError as error:
        raise BadRequest(f"not a type of numpy: {spec!r}", code=2) from error
    if found.subdtype is not None:
        base, shape = found.subdtype
        return ColumnSpec(base, shape)
    return ColumnSpec(found)
