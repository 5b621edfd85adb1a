"""h5py by many processes that take turns under a lock file: the two patterns in use today."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from model import Settings
from work import Columns, CommitWork, ReadRow
from writers import Commit, WriterPeer

# h5py is imported where it is used: the benchmark must start, and say so, when it isn't there.


@contextmanager
def reader(where: Path) -> Iterator[ReadRow]:
    """Reads rows from a closed HDF5 file; the MPI peer's check uses it as well."""
    import h5py

    with h5py.File(where, "r") as file:
        yield lambda name, row: file[name][row]


class H5pyLock(WriterPeer):
    """Lock, open for writing, write the rows' slices, close, unlock."""

    name = "h5py-lock"
    title = "h5py under a lock file"
    note = "flock, open 'r+', write the slices, close; the datasets exist and are contiguous."
    repeats = 3

    def absent(self, settings: Settings) -> str | None:
        return None if find_spec("h5py") else "python3 -m pip install h5py"

    def versions(self, settings: Settings) -> Mapping[str, str]:
        import h5py

        return {"h5py": h5py.version.version, "HDF5": h5py.version.hdf5_version}

    def create(self, where: Path, work: CommitWork) -> None:
        import h5py

        with h5py.File(where, "w") as file:
            for name, (shape, dtype) in work.columns.items():
                file.create_dataset(name, shape=(work.rows, *shape), dtype=dtype)

    @contextmanager
    def writer(self, where: Path, work: CommitWork) -> Iterator[Commit]:
        import h5py

        lock = os.open(f"{where}.lock", os.O_RDWR | os.O_CREAT, 0o644)

        def commit(rows: slice, values: Columns) -> None:
            fcntl.flock(lock, fcntl.LOCK_EX)
            try:
                with h5py.File(where, "r+") as file:
                    self.write(file, rows, values)
            finally:
                fcntl.flock(lock, fcntl.LOCK_UN)

        try:
            yield commit
        finally:
            os.close(lock)

    def write(self, file: Any, rows: slice, values: Columns) -> None:
        """What happens between open and close."""
        for name, block in values.items():
            file[name][rows] = block

    def reader(self, where: Path) -> AbstractContextManager[ReadRow]:
        return reader(where)


class H5pyRewrite(H5pyLock):
    """The naive pattern: read the whole dataset, change the rows, delete it, create it anew."""

    name = "h5py-rewrite"
    title = "h5py: read all, delete, create (under the lock)"
    note = "every commit reads and writes all rows, so its cost grows with the table."
    repeats = 1
    budget_s = 5.0

    def write(self, file: Any, rows: slice, values: Columns) -> None:
        for name, block in values.items():
            whole = file[name][...]
            whole[rows] = block
            del file[name]
            file.create_dataset(name, data=whole)
