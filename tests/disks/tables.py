"""The tables of the test, and what each commit writes. Both the workload and the check use it.

Every commit, change and reset has a number, in the order in which they are begun. A commit writes values that follow
from its number, the table and the row. So what a row holds says which commit wrote each of its columns.
"""

import dataclasses

FILE = "run.h5"
Q_COUNT = 12
# More than twice the rows of any table.
STEP = 1024


@dataclasses.dataclass(frozen=True)
class Table:
    name: str
    rows: int
    options: tuple
    guarded: bool = False
    can_grow: bool = True
    # Columns between E and Q that are never written.
    unused: int = 0

    @property
    def columns(self):
        """The columns as `h5part create` takes them."""
        unused = [f"U{k}:i8" for k in range(self.unused)]
        return ["E:f64", *unused, f"Q:f64:{Q_COUNT}", *["done:i64"] * self.guarded]

    @property
    def written(self):
        """The names of the columns that commits write."""
        return ["E", "Q", *["done"] * self.guarded]


TABLES = [
    Table("plain", 24, ("--contiguous",), can_grow=False),
    Table("guarded", 24, ("--chunk-rows", "4", "--guard", "done=-1"), guarded=True),
    Table("packed", 16, ("--chunk-rows", "4", "--gzip", "4", "--shuffle")),
    # Its stamps of E and Q lie in two sectors, so that commits go through the log.
    Table("wide", 8, ("--chunk-rows", "4"), unused=70),
]
BY_NAME = {table.name: table for table in TABLES}


def values(table, row, number):
    """What commit `number` writes to this row: E, the elements of Q, and the guard where there is one."""
    energy = float(number * STEP + row) + TABLES.index(table) / 8
    return [energy, *(-energy - k / 16 for k in range(Q_COUNT)), *[number] * table.guarded]


def writer_of(found, table, row):
    """The number of the commit that wrote all of these values; None if no commit writes them."""
    number = round((found[0] - row) / STEP) if found[0] == found[0] and abs(found[0]) < 2**52 else -1
    return number if number >= 0 and values(table, row, number) == found else None
