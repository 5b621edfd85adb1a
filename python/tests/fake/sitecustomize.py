"""Stands in for the engine where the extension module is not built: a file per row, in a folder.

Python imports it at its start, so that worker processes of any kind have it.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np

import h5part


class Block(dict[str, Any]):
    mask: Any


class Table:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._spec = json.loads((folder / "spec.json").read_text())
        self.rows = int(self._spec["rows"])

    def _has(self, row: int) -> bool:
        return (self._folder / f"{row}.npz").exists()

    def commit(self, rows: Any, /, **values: Any) -> int:
        for index, row in enumerate(rows):
            new = self._folder / f"{row}.{os.getpid()}.npz"
            np.savez(new, **{name: value[index] for name, value in values.items()})
            new.rename(self._folder / f"{row}.npz")
        return len(rows)

    def read(self, *columns: str) -> Block:
        block = Block()
        block.mask = np.array([self._has(row) for row in range(self.rows)])
        for name in columns:
            dtype, shape = self._spec["columns"][name]
            block[name] = np.zeros((self.rows, *shape), dtype)
            for row in np.flatnonzero(block.mask):
                block[name][row] = np.load(self._folder / f"{row}.npz")[name]
        return block

    def todo(self) -> Any:
        return np.flatnonzero(~self.read().mask)


class Store(dict[str, Table]):
    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        pass


def create(path: str, table: str, rows: int, columns: dict[str, Any], *, exist_ok: bool = False) -> Table:
    folder = Path(f"{path}.fake", table)
    folder.mkdir(parents=True, exist_ok=exist_ok)
    spec = {name: value if isinstance(value, tuple) else (value, ()) for name, value in columns.items()}
    (folder / "spec.json").write_text(json.dumps({"rows": rows, "columns": spec}))
    return Table(folder)


def open_store(path: str) -> Store:
    return Store({folder.name: Table(folder) for folder in Path(f"{path}.fake").iterdir()})


h5part.create = create  # type: ignore[attr-defined]
h5part.open = open_store  # type: ignore[attr-defined]
