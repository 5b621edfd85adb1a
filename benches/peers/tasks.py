"""The tasks: which work, which peers, which marks. A new task is a function more in `TASKS`."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from model import Mark, Quantity, Task
from peers.archiving import (
    ArchiveWork,
    BigPlanet,
    BigPlanetTwo,
    FilterWork,
    GrowWork,
    H5partArchive,
    H5partArchiveTwo,
    OneMoreInFew,
    OneMoreInMany,
)
from peers.gzip_columns import H5partGzip, H5pyGzip, H5pyGzipSynced
from peers.h5part_stress import BarePwrite, H5part
from peers.h5py_lock import H5pyLock, H5pyRewrite
from peers.h5py_mpi import H5pyMpi
from peers.mbe import (
    MbeCommand,
    MbeCrate,
    MbeCratePower,
    MbeH5py,
    MbeH5pyPolled,
    MbeH5pySynced,
    MbeStream,
    MbeWork,
)
from peers.python import ChainWork, ImportWork, MapWork, ways
from peers.publishing import H5partAgain, H5partPublish, H5repack, H5repackSynced, PublishWork
from peers.readers import (
    COMMITS_PER_S,
    WRITERS,
    Apart,
    BarePread,
    Beside,
    H5partRead,
    H5pyRead,
    Hidefix,
    Layout,
    Quiet,
    ReadWork,
)
from peers.trials import H5partTrials, Multiplanet, TrialsWork, Xargs
from peers.zarr_chunks import ZarrChunks
from results import ResultRows
from work import CommitWork

MIB = 2**20
SCATTERED = 1000
"""Rows read by a list."""


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


def publish_task(size: Size) -> Task:
    """What a compressed copy for readers costs, and what the next one does."""
    rows = ResultRows(size.rows, size.row_shape)
    case = "gzip 4 + shuffle"
    in_flight_mib = 2 * (os.cpu_count() or 1) * rows.chunk_rows * rows.cell_bytes / MIB
    return Task(
        name="publish",
        title=(
            f"A working file of {size.rows} rows of {rows.title}, {rows.chunks} chunks of F near 1 MiB, "
            "copied with gzip 4 + shuffle; process start included"
        ),
        unit="s",
        unit_us=1e6,
        cases={case: PublishWork(rows)},
        peers=[H5partPublish(), H5partAgain(), H5repack(), H5repackSynced()],
        quantities=[Quantity("size", "size, MiB"), Quantity("peak", "peak memory, MiB", max)],
        marks=[
            Mark(case, "h5repack", "h5part", 4.0, at_least=True),
            Mark(case, "h5part", "h5repack", 1.02, at_least=False, quantity="size"),
            # Chunks in flight: one a processor, and what it becomes.
            Mark(case, "h5part", None, 64.0 + in_flight_mib, at_least=False, quantity="peak"),
            Mark(case, "h5part-again", "h5part", 0.2, at_least=False),
        ],
    )


def read_task(size: Size) -> Task:
    """What a read of much, and of scattered rows, costs one reader."""
    rows = ResultRows(size.rows, size.row_shape)
    few = min(SCATTERED, size.rows)
    layouts: list[Layout] = ["contiguous", "chunked", "gzip"]
    works = {f"all, {layout}": ReadWork(rows, layout) for layout in layouts}
    works |= {f"{few}, {layout}": ReadWork(rows, layout, few) for layout in layouts[:2]}
    at_least = {
        "all, contiguous": 1.5,
        "all, chunked": 3.0,
        "all, gzip": 3.0,
        f"{few}, contiguous": 20.0,
        f"{few}, chunked": 20.0,
    }
    return Task(
        name="read",
        title=(
            f"F of {rows.title}: all of {size.rows} rows ({rows.cell_bytes * size.rows / MIB:.0f} MiB), and "
            f"{few} scattered ones in ascending order; files are open and in the page cache"
        ),
        unit="ms/read",
        unit_us=1e3,
        cases=works,
        peers=[H5partRead(), BarePread(), H5pyRead(), Hidefix()],
        quantities=[Quantity("best", "best read, ms", min)],
        marks=[
            *(Mark(case, "h5py", "h5part", bound, at_least=True) for case, bound in at_least.items()),
            Mark("all, contiguous", "h5part", "pread", 1.2, at_least=False),
            Mark("all, chunked", "h5part", "pread", 1.2, at_least=False),
        ],
    )


def beside_task(size: Size) -> Task:
    """What writers cost a reader."""
    rows = ResultRows(size.rows, size.row_shape)
    few = min(SCATTERED, size.rows)
    cases = {"all": ReadWork(rows, "chunked"), str(few): ReadWork(rows, "chunked", few)}
    return Task(
        name="beside",
        title=(
            f"F of {rows.title} read by h5part: all of {size.rows} rows and {few} scattered ones, quiet and "
            f"beside {WRITERS} writers that together commit {COMMITS_PER_S} rows a second, synced"
        ),
        unit="us/row",
        cases=cases,
        peers=[Quiet(), Beside(), Apart()],
        quantities=[Quantity("cpu", "processor time, us/row"), Quantity("commits", "commits/s")],
        marks=[
            Mark(case, "beside", "h5part", 1.25, at_least=False, quantity="cpu") for case in cases
        ],
    )


def trials_task(size: Size) -> Task:
    """What a trial of an ensemble costs beside its program."""
    cores = os.cpu_count() or 1
    case = str(size.rows)
    return Task(
        name="trials",
        title=(
            f"{size.rows} trials of a program that does nothing, {cores} at a time; from the start of the "
            "command to its end"
        ),
        unit="us/trial",
        cases={case: TrialsWork(size.rows, cores)},
        peers=[H5partTrials(), Xargs(), Multiplanet()],
        marks=[Mark(case, "multiplanet", "h5part", 10.0, at_least=True)],
    )


def archive_task(size: Size) -> Task:
    """What an archive of trials costs, and what reading them does."""
    archive, read = "archived", "read"
    many = 50 * size.rows
    return Task(
        name="archive",
        title=(
            f"{size.rows} trials of vplanet (Earth's mantle and core over 4.5 Gyr, 451 rows) {archive}; "
            f"{many} {read} from raw output and filtered; process start included"
        ),
        unit="s",
        unit_us=1e6,
        cases={archive: ArchiveWork(size.rows), read: FilterWork(many)},
        peers=[H5partArchive(), H5partArchiveTwo(), BigPlanet(), BigPlanetTwo()],
        quantities=[Quantity("cpu", "processor time, s")],
        marks=[
            Mark(archive, "bigplanet", "h5part", 6.0, at_least=True),
            Mark(read, "h5part", "h5part-2", 1.7, at_least=True),
        ],
    )


def grow_task(size: Size) -> Task:
    """What one more trial costs, however many there are."""
    case = "one more trial"
    return Task(
        name="grow",
        title="One more trial is archived by h5part -c 1: a run with 50 more, less a run with none",
        unit="ms",
        unit_us=1e3,
        cases={case: GrowWork()},
        peers=[OneMoreInFew(), OneMoreInMany()],
        quantities=[Quantity("cpu", "processor time, ms"), Quantity("start", "a run with none, ms")],
        marks=[Mark(case, "many", "h5part", 1.5, at_least=False)],
    )


def mbe_task(size: Size) -> Task:
    """What it costs to save frames of mbe_automation while others save some, too."""
    batch = 10
    case = f"{batch} frames"
    return Task(
        name="mbe",
        title=(
            f"{size.writers} processes save {batch} frames at a time, energies, forces and status, into "
            f"{size.rows} frames of {size.row_shape[0]} atoms"
        ),
        unit="us/save",
        cases={case: MbeWork(size.writers, size.rows, size.row_shape, batch)},
        peers=[
            MbeCrate(),
            MbeCratePower(),
            MbeStream(),
            MbeCommand(),
            MbeH5py(),
            MbeH5pySynced(),
            MbeH5pyPolled(),
        ],
        marks=[Mark(case, "h5py-polled", "h5part", 100.0, at_least=True)],
    )


def python_task(size: Size) -> Task:
    """What the Python package costs over the crate, and beside what Python users do today."""
    one, many = "commit, 1 writer", f"commit, {size.writers} writers"
    # A table that fits the page cache, but not the processor's caches.
    rows = ResultRows(2 * size.rows, size.row_shape)
    layouts: list[Layout] = ["contiguous", "chunked", "gzip"]
    reads = {f"read {layout}": ReadWork(rows, layout) for layout in layouts}
    least = {"read contiguous": 1.0, "read chunked": 1.5, "read gzip": 2.5}
    start, step, item = "import", "step of emcee", "item of map"
    return Task(
        name="python",
        title=(
            f"From Python: {size.rows} commits of a row of {rows.title}; F of {rows.rows} rows read, "
            f"{rows.cell_bytes * rows.rows / MIB:.0f} MiB; steps of 32 walkers in 5 dimensions, a free likelihood; "
            "10,000 empty items, 10 a message, 2 workers"
        ),
        unit="us",
        cases={
            one: CommitWork(1, size.rows, size.row_shape, 1),
            many: CommitWork(size.writers, size.rows, size.row_shape, 1),
            **reads,
            start: ImportWork(),
            step: ChainWork(2000),
            item: MapWork(10_000, 10, 2),
        },
        peers=ways(),
        marks=[
            Mark(one, "h5part", "crate", 5.0, at_least=False, difference=True),
            Mark(many, "usual", "h5part", 150.0, at_least=True),
            Mark(many, "chunked", "h5part", 150.0, at_least=True),
            *(Mark(case, "h5part", "crate", 1.05, at_least=False) for case in reads),
            *(Mark(case, "usual", "h5part", bound, at_least=True) for case, bound in least.items()),
            Mark(start, "h5part", None, 60_000.0, at_least=False),
            Mark(step, "usual", "h5part", 10.0, at_least=True),
            Mark(step, "usual", "power", 2.0, at_least=True),
            Mark(item, "h5part", "usual", 1.3, at_least=False),
        ],
    )


@dataclass(frozen=True)
class Asked:
    """A task by name: how it is made, and the rows that its marks are meant for."""

    make: Callable[[Size], Task]
    rows: int


TASKS: dict[str, Asked] = {
    "commit": Asked(commit_task, 4000),
    "gzip": Asked(gzip_task, 4000),
    "publish": Asked(publish_task, 100_000),
    "read": Asked(read_task, 100_000),
    "beside": Asked(beside_task, 100_000),
    "mbe": Asked(mbe_task, 40_000),
    "trials": Asked(trials_task, 1000),
    "archive": Asked(archive_task, 100),
    "grow": Asked(grow_task, 10_000),
    "python": Asked(python_task, 20_000),
}
