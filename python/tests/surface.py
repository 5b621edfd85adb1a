"""The public names of the package."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import h5part

# Special methods that users meet as syntax, and that say something of their own.
_SYNTAX = {"__getitem__", "__setitem__", "__len__"}
# Public by what returns them.
_RETURNED = {"h5part": [("h5part._attributes", "Attributes")], "h5part.ledger": [("h5part.ledger", "Tally")]}


@dataclass(frozen=True)
class Entry:
    """A public name, and what it stands for."""

    module: str
    #: With its module and, for a member, its class.
    name: str
    value: Any
    doc: str


def modules() -> list[str]:
    """The public modules."""
    return ["h5part", *sorted(f"h5part.{name}" for name in {*h5part._MODULES, "errors", "ledger"})]


def walk() -> Iterator[Entry]:
    """All public names, those of a module in the order of their definition. What cannot be imported here is left out."""
    seen: set[int] = set()
    for module in modules():
        try:
            loaded = importlib.import_module(module)
        except ImportError:
            continue
        named = [(name, getattr(loaded, name)) for name in loaded.__all__]
        named += [(name, getattr(importlib.import_module(home), name)) for home, name in _RETURNED.get(module, [])]
        for name, value in named:
            if id(value) in seen or not callable(value):
                continue
            seen.add(id(value))
            yield Entry(module, f"{module}.{name}", value, _own_doc(value))
            if inspect.isclass(value):
                yield from _members(module, f"{module}.{name}", value)


def _own_doc(value: Any) -> str:
    return inspect.cleandoc(value.__dict__.get("__doc__") or "") if inspect.isclass(value) else inspect.getdoc(value) or ""


def _members(module: str, owner: str, cls: type) -> Iterator[Entry]:
    for name, value in vars(cls).items():
        if name.startswith("_") and name not in _SYNTAX:
            continue
        function = value.__func__ if isinstance(value, classmethod | staticmethod) else value
        if isinstance(value, property) or inspect.isfunction(function):
            yield Entry(module, f"{owner}.{name}", function, inspect.getdoc(function) or "")
