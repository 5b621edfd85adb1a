"""Arguments that are out of range, before anything is done."""

from __future__ import annotations

import math
import operator
import os
from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np

from .errors import BadRequest, TypeMismatch

StrPath: TypeAlias = str | os.PathLike[str]


def whole(name: str, value: Any, least: int = 0, most: int | None = None) -> int:
    """A whole number within these limits.

    Raises
    ------
    BadRequest
        It is not.
    """
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or isinstance(value, (bool, np.bool_)) or number < least or (most is not None and number > most):
        limits = f"from {least} to {most}" if most is not None else f"of at least {least}"
        raise BadRequest(f"{name}: expected a whole number {limits}, found {value!r}", code=2)
    return number


def seconds(name: str, value: float) -> float:
    """A time of at least 0 seconds.

    Raises
    ------
    BadRequest
        It is not.
    """
    if not isinstance(value, (int, float, np.number)) or not 0 <= value < math.inf:
        raise BadRequest(f"{name}: expected a number of seconds of at least 0, found {value!r}", code=2)
    return float(value)


def path(given: StrPath) -> str:
    """The text of a path."""
    return os.fsdecode(given)


def table(name: str) -> str:
    """The path of a table's group, as the file has it."""
    return "/".join(part for part in name.split("/") if part)


def columns(given: Mapping[str, Any]) -> None:
    """Checks the names of columns.

    Raises
    ------
    BadRequest
        They are not given by name, or a name cannot be that of a dataset.
    """
    if not isinstance(given, Mapping):
        raise BadRequest(f"columns: expected types by name, as in {{'E': 'f8'}}, found {type(given).__name__}", code=2)
    for name in given:
        if not isinstance(name, str) or not name or "/" in name or name == ".":
            raise BadRequest(f"columns: {name!r} cannot be the name of a column", code=2)


def attribute(name: str, value: Any) -> Any:
    """The value of an attribute as the extension takes it.

    Raises
    ------
    TypeMismatch
        h5part writes no attributes of this type.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, (tuple, np.ndarray)):
        value = list(value)
    texts = isinstance(value, list) and all(isinstance(item, str) for item in value)
    if not texts and not isinstance(value, (bool, int, float, str)):
        text = f"attribute '{name}': expected a bool, int, float, str or list of str, found {type(value).__name__}"
        raise TypeMismatch(text, kind="BadValues", code=4)
    return [str(item) for item in value] if isinstance(value, list) else value
