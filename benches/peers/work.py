"""The work of the `commit` task: which rows each writer writes, with which values.

Every peer takes rows and values from here, so that all of them write the same bytes, and the
check at the end needs no copy of what was written: a row's values follow from its number.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[np.generic]
Columns: TypeAlias = Mapping[str, Array]
"""Column name -> the values of some consecutive rows."""
ReadRow: TypeAlias = Callable[[str, int], Array]
"""(column name, row) -> what a fresh reader finds there."""


@dataclass(frozen=True)
class CommitWork:
    """`writers` processes fill `rows` rows; each owns a contiguous share, `batch` rows a commit."""

    writers: int
    rows: int
    row_shape: tuple[int, ...]
    batch: int

    def __post_init__(self) -> None:
        if self.rows % (self.writers * self.batch):
            raise ValueError(
                f"{self.rows} rows aren't whole commits of {self.batch} for {self.writers} writers"
            )

    @property
    def commits_per_writer(self) -> int:
        return self.rows // self.writers // self.batch

    @property
    def commits(self) -> int:
        return self.commits_per_writer * self.writers

    @property
    def columns(self) -> dict[str, tuple[tuple[int, ...], np.dtype[np.generic]]]:
        """Column name -> (shape of one row, dtype)."""
        f64, i64 = np.dtype("<f8"), np.dtype("<i8")
        return {"E": ((), f64), "F": (self.row_shape, f64), "status": ((), i64)}

    def first_row(self, writer: int, commit: int) -> int:
        """The first row of a writer's commit number `commit`."""
        return (writer * self.commits_per_writer + commit) * self.batch

    def values(self, first: int, count: int) -> Columns:
        """The values of rows `first .. first + count`.

        None of them is zero and no two rows are alike: a row never written, or written to another
        row's place, is told from a right one.
        """
        number = np.arange(first, first + count, dtype="<f8")
        size = int(np.prod(self.row_shape))
        within = np.arange(1, size + 1, dtype="<f8") / (size + 1)
        forces = (number[:, None] + within[None, :]).reshape(count, *self.row_shape)
        return {
            "E": -76.0 - number / 1024.0,
            "F": forces,
            "status": np.arange(first + 1, first + count + 1, dtype="<i8"),
        }

    def batches(self, writer: int) -> list[tuple[slice, Columns]]:
        """All commits of a writer, ready before the clock starts: making values isn't measured."""
        starts = (self.first_row(writer, commit) for commit in range(self.commits_per_writer))
        return [
            (slice(first, first + self.batch), self.values(first, self.batch)) for first in starts
        ]

    def wrong_rows(self, done: list[int], read: ReadRow) -> list[str]:
        """Spot check: of each writer's `done[writer]` commits the first, middle and last rows."""
        wrong = []
        for writer, commits in enumerate(done):
            first = self.first_row(writer, 0)
            count = commits * self.batch
            for row in sorted({first, first + count // 2, first + count - 1}):
                for name, expected in self.values(row, 1).items():
                    if not np.array_equal(read(name, row), expected[0]):
                        wrong.append(f"{name}[{row}]")
        return wrong
