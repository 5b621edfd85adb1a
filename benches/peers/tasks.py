"""The tasks: which work, which peers, which marks. A new task is a function more in `TASKS`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from model import Mark, Task
from peers.gzip_columns import H5partGzip, H5pyGzip, H5pyGzipSynced
from peers.h5part_stress import BarePwrite, H5part
from peers.h5py_lock import H5pyLock, H5pyRewrite
from peers.h5py_mpi import H5pyMpi
from peers.zarr_chunks import ZarrChunks
from work import CommitWork


@dataclass(frozen=True)
class Size:
    """The size of the work, as the command line says it."""

    writers: int
    rows: int
    row_shape: tuple[int, ...]
    batches: Sequence[int]


def commit_task(size: Size) -> Task:
    """What one durable commit costs while other processes commit to the same data."""
    at_least = {
        "h5py-lock": {1: 300.0, 10: 200.0, 100: 80.0},
        "h5py-mpi": {1: 10.0, 10: 8.0, 100: 3.0},
    }
    of_the_limit = {1: 3.5, 10: 2.0, 100: 1.3}
    marks = [
        Mark(case=str(batch), over=peer, under="h5part", bound=bound, at_least=True)
        for peer, bounds in at_least.items()
        for batch, bound in bounds.items()
        if batch in size.batches
    ] + [
        Mark(case=str(batch), over="h5part", under="bare", bound=bound, at_least=False)
        for batch, bound in of_the_limit.items()
        if batch in size.batches
    ]
    shape = ", ".join(map(str, size.row_shape))
    return Task(
        name="commit",
        title=(
            f"{size.writers} writer processes, {size.rows} rows of E f64 (), F f64 ({shape}), "
            "status i64 (); columns: rows a commit"
        ),
        unit="us/commit",
        cases={
            str(batch): CommitWork(size.writers, size.rows, size.row_shape, batch)
            for batch in size.batches
        },
        # The order is that of the rows, and of the runs within a round.
        peers=[H5part(), BarePwrite(), H5pyMpi(), ZarrChunks(), H5pyLock(), H5pyRewrite()],
        marks=marks,
    )


def gzip_task(size: Size) -> Task:
    """What one commit to compressed columns costs while other processes commit to them, too."""
    shape = ", ".join(map(str, size.row_shape))
    return Task(
        name="gzip",
        title=(
            f"gzip 4 + shuffle, {size.writers} writer processes, {size.rows} rows of E f64 (), "
            f"F f64 ({shape}), status i64 (), chunks near 1 MiB; columns: rows a commit"
        ),
        unit="us/commit",
        cases={
            str(batch): CommitWork(size.writers, size.rows, size.row_shape, batch)
            for batch in size.batches
        },
        peers=[H5partGzip(), H5pyGzip(), H5pyGzipSynced()],
        marks=[],
    )


TASKS: dict[str, Callable[[Size], Task]] = {"commit": commit_task, "gzip": gzip_task}
