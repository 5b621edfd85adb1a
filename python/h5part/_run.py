"""A function of Python over the rows of a table that are still to be computed."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Mapping
from concurrent.futures import as_completed
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from . import slurm
from ._table import Table
from ._writer import Durability, Writer
from .errors import BadRequest
from .pool import Pool
from .pool._task import PoolFuture
from .progress import Choice, Progress

__all__ = ["Summary", "run"]

Rows = npt.NDArray[np.int64]
Computes = Callable[[Rows], Mapping[str, Any]]


@dataclass
class Summary:
    """Tells what :func:`run` did."""

    #: Rows that were computed and committed.
    done: int = 0
    #: Blocks of rows that failed, each with the traceback of its last attempt.
    failed: list[tuple[Rows, str]] = field(default_factory=list)
    #: Duration of the run, in seconds.
    seconds: float = 0.0
    #: The job arrays that were submitted by ``mode="slurm"``.
    submitted: list[slurm.Submitted] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether nothing failed."""
        return not self.failed


def run(
    function: Computes,
    table: Table,
    *,
    workers: int | None = None,
    block: int = 1,
    rows: Any = None,
    columns: list[str] | None = None,
    shard: tuple[int, int] | Literal["slurm"] | None = None,
    retries: int = 2,
    seed: int | None = None,
    durability: Durability = "power",
    progress: Choice = "auto",
    mode: Literal["slurm"] | None = None,
    array: slurm.Array | None = None,
    elements: int | None = None,
) -> Summary:
    """Computes and commits the missing rows of a table.

    Worker processes call ``function`` and commit what it returns. A worker that dies is replaced, and its rows are
    retried.

    **Concurrency.** Several runs may work on the same table; with different ``shard`` they share the rows. A row that
    two runs compute is committed twice, each time as a whole. **Survives** a kill at any instant: call it again, and it
    computes what is missing.

    Parameters
    ----------
    function : callable
        Called with row numbers, an ndarray of int64 of shape (block,). Returns a mapping from column to an array of
        shape ``(block, *cell)``. Worker processes must be able to import it: define it in a module or a script.
    table
        The table.
    workers
        Number of processes. Default: one per processor that this process may use. 0: compute in this process.
    block
        Rows per call.
    rows
        Compute these rows only.
    columns
        The columns that must have a row. Default: all columns that have stamps.
    shard
        As in :meth:`h5part.Table.todo`.
    retries
        Retries per block that failed or whose worker died.
    seed
        Gives every block a seed of its own: see :func:`h5part.pool.task_seed`.
    durability
        As in :meth:`h5part.Table.writer`.
    progress
        As in :class:`h5part.progress.Progress`: ``"auto"``, ``"bar"``, ``"lines"``, ``"tqdm"``, a callable or None.
    mode : "slurm", optional
        Submit a job array in which each element runs this script again. In an element, compute its share.
    array
        What the job array asks for. Default: this script, with SLURM's own limits.
    elements
        Elements of the array. Default: one per block, up to 100.

    Returns
    -------
    Summary
        What was done. With ``mode="slurm"`` outside an element: what was submitted.

    Raises
    ------
    BadRequest
        ``block`` is less than 1.
    SlurmError
        SLURM is not installed, or it refused the array.

    Examples
    --------
    >>> import h5part, numpy as np
    >>> def compute(rows: np.ndarray) -> dict[str, np.ndarray]:
    ...     return {"y": rows**2.0}
    >>> table = h5part.create("run.h5", "t", 10, {"y": "f8"})
    >>> h5part.run(compute, table, workers=0, block=5, progress=None).done
    10
    """
    if block < 1:
        raise BadRequest("a block has at least one row", code=2)
    if mode == "slurm":
        shard = "slurm"
        if not slurm.is_worker():
            return _submit(table, rows, columns, block, array, elements)
    todo = table.todo(rows, columns=columns, shard=shard)
    blocks = [todo[first : first + block] for first in range(0, len(todo), block)]
    summary = Summary()
    start = time.monotonic()
    pool = Pool(
        workers,
        retries=retries,
        retry_on=(Exception,),
        seed=seed,
        initializer=_prepare,
        initargs=(function, table, durability),
    )
    with pool, Progress(len(todo), progress=progress, name=table.name, unit="rows") as shown:
        if pool.config.workers == 0:
            _prepare(function, table, durability)
        running = {pool.submit(_work, part): part for part in blocks}
        for future in as_completed(list(running)):
            assert isinstance(future, PoolFuture)
            try:
                summary.done += future.result()
                shown.set(summary.done)
            except Exception as error:
                text = "".join(traceback.format_exception(error))
                summary.failed.append((running[future], text))
    summary.seconds = time.monotonic() - start
    return summary


def _submit(
    table: Table, rows: Any, columns: list[str] | None, block: int, array: slurm.Array | None, elements: int | None
) -> Summary:
    todo = table.todo(rows, columns=columns)
    blocks = -(-len(todo) // block)
    if blocks == 0:
        return Summary()
    wanted = array or slurm.Array(name=table.name.replace("/", "-") or "h5part")
    return Summary(submitted=wanted.submit(elements or min(blocks, 100)))


_task: tuple[Computes, Writer] | None = None


def _prepare(function: Computes, table: Table, durability: Durability) -> None:
    """What a worker keeps from one block to the next."""
    global _task
    _task = (function, table.writer(durability=durability))


def _work(rows: Rows) -> int:
    assert _task is not None
    function, writer = _task
    values = function(rows)
    if not isinstance(values, Mapping):
        raise TypeError(f"the function returns a mapping of arrays, not {type(values).__name__}")
    return writer._commit(rows, values)
