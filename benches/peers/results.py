"""Data as people have them: energies, forces and a status of each structure, 2,416 bytes a row."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from work import Columns

TABLE = "t"
BLOCK_ROWS = 4096
CHUNK_BYTES = 1 << 20
"""Chunks as h5part makes them by default."""


@dataclass(frozen=True)
class ResultRows:
    """Rows of E f64 (), F f64 (`row_shape`), status i64 ().

    Forces swing slowly from row to row and differ from place to place, with noise on top, rounded to
    6 decimals as programs print them.
    """

    rows: int
    row_shape: tuple[int, ...]

    @property
    def title(self) -> str:
        return f"E f64 (), F f64 ({', '.join(map(str, self.row_shape))}), status i64 ()"

    @property
    def cell_bytes(self) -> int:
        return 8 * int(np.prod(self.row_shape))

    @property
    def chunk_rows(self) -> int:
        """Rows a chunk of F."""
        return max(1, min(CHUNK_BYTES // self.cell_bytes, self.rows))

    @property
    def chunks(self) -> int:
        """Chunks of F."""
        return -(-self.rows // self.chunk_rows)

    def values(self, first: int, count: int, seed: int = 0) -> Columns:
        noise = np.random.default_rng([seed, first])
        places = int(np.prod(self.row_shape))
        number = np.arange(first, first + count, dtype="<f8")[:, None]
        place = np.arange(places, dtype="<f8")[None, :]
        smooth = np.sin(number / 500.0 + place) + 0.3 * np.cos(number / 77.0 - 2.0 * place)
        forces = smooth + noise.normal(scale=0.01, size=(count, places))
        energies = -76.0 + 0.1 * np.sin(number[:, 0] / 500.0) + noise.normal(scale=1e-3, size=count)
        return {
            "E": np.round(energies, 6),
            "F": np.round(forces, 6).reshape(count, *self.row_shape),
            "status": np.full(count, 2, dtype="<i8"),
        }

    def make(self, file: Path, program: Path, contiguous: bool = False) -> None:
        """Makes the file with all rows committed."""
        shape = "x".join(map(str, self.row_shape))
        columns = ["--column", "E:f64", "--column", f"F:f64:{shape}", "--column", "status:i64"]
        layout = ["--contiguous"] if contiguous else []
        call(program, "create", file, TABLE, "--rows", self.rows, *columns, *layout)
        for first in range(0, self.rows, BLOCK_ROWS):
            count = min(BLOCK_ROWS, self.rows - first)
            commit(program, file, f"{first}:{first + count}", self.values(first, count))


def commit(program: Path, file: Path, rows: str, values: Columns) -> None:
    """One commit of h5part."""
    sets = []
    for name, block in values.items():
        path = file.with_name(f"{name}.npy")
        np.save(path, block)
        sets += ["--set", f"{name}={path}"]
    call(program, "update", file, TABLE, "--rows", rows, "--durability", "process", *sets)


def call(program: Path, *words: object) -> str:
    """Runs h5part; raises `OSError` with what it said when it fails."""
    done = subprocess.run([program, *map(str, words)], capture_output=True, text=True)
    if done.returncode:
        raise OSError(f"h5part {words[0]}: exit {done.returncode}: {done.stderr[-400:]}")
    return done.stdout
