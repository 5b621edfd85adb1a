"""Columns to create: their types and shapes, their attributes, and the names of their axes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from . import _check
from ._dtypes import DTypeLike, decode, engine_name
from ._times import attributes as times
from ._times import NAT, to_numbers, unit_of
from ._values import convert
from .errors import BadRequest

#: Name, name of the element type, shape of one row, bytes of the fill.
Described: TypeAlias = tuple[str, str, list[int], bytes | None]


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


def has_dimensions(columns: Mapping[str, ColumnLike], row_dim: str | None, coords: Mapping[str, Any] | None) -> bool:
    """Whether dimensions are named, or have coordinates."""
    return row_dim is not None or bool(coords) or any(isinstance(spec, ColumnSpec) and spec.dims for spec in columns.values())


def other_dimensions(
    columns: Mapping[str, ColumnLike],
    row_dim: str | None,
    coords: Mapping[str, Any] | None,
    found: Mapping[str, tuple[str, ...]],
    found_coords: Mapping[str, npt.NDArray[Any]],
) -> str | None:
    """The first difference between the named dimensions that are wanted and those of a table. None: they are the same.

    ``found`` holds the names of the axes of each column, rows first. What is not wanted is not compared.
    """
    for name, spec in columns.items():
        rows, axes = found.get(name, ())[:1], found.get(name, ())[1:]
        if row_dim is not None and rows != (row_dim,):
            return f"column '{name}': expected '{row_dim}' as the dimension of rows, found {_quoted(rows)}"
        wanted = tuple(spec.dims) if isinstance(spec, ColumnSpec) else ()
        if wanted and axes != wanted:
            return f"column '{name}': expected the dimensions {_quoted(wanted)} within a row, found {_quoted(axes)}"
    for name, given in (coords or {}).items():
        values, present = np.asarray(given), found_coords.get(name)
        if present is None or len(present) != len(values):
            count = "none" if present is None else len(present)
            return f"dimension '{name}': expected {len(values)} coordinates, found {count}"
        for place in np.flatnonzero(_differ(values, present))[:1]:
            expected, there = values[place].item(), present[place].item()
            return f"dimension '{name}': expected coordinate {place} to be {expected!r}, found {there!r}"
    return None


def _quoted(names: tuple[str, ...]) -> str:
    return ", ".join(f"'{name}'" for name in names) or "none"


def _differ(wanted: npt.NDArray[Any], found: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Which texts or numbers differ. NaN is equal to NaN."""
    wanted, found = (np.char.encode(a, "utf-8") if a.dtype.kind == "U" else a for a in (wanted, found))
    if (wanted.dtype.kind == "S") != (found.dtype.kind == "S"):
        return np.ones(len(wanted), np.bool_)
    differ: npt.NDArray[np.bool_] = wanted != found
    return differ if wanted.dtype.kind == "S" else differ & ~((wanted != wanted) & (found != found))


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
