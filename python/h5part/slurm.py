"""Job arrays of SLURM: which share of the work is mine, and submission."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from . import _h5part
from .errors import Error

__all__ = ["Array", "SlurmError", "Submitted", "is_worker", "minutes", "parts", "shard"]


class SlurmError(Error, RuntimeError):
    """A program of SLURM is missing, or it refused."""


# ---- within a job


def shard(count: int | None = None, *, environ: Mapping[str, str] | None = None) -> tuple[int, int]:
    """Returns which share of the work this process has.

    An element of a job array has its place among the elements. Under ``srun``
    with several tasks, each task has its place within its element.

    Parameters
    ----------
    count : int, optional
        Number of elements of the whole array. Needed if only some elements of
        an array are submitted again (``--array=3,7``), since SLURM then counts
        those only. Scripts of `Array` know it.
    environ : mapping, optional
        Default: ``os.environ``.

    Returns
    -------
    (int, int)
        Index of the shard, from 0, and the number of shards. ``(0, 1)``
        outside SLURM.

    Raises
    ------
    SlurmError
        The variables contradict each other.
    """
    return _h5part.slurm_shard(count, None if environ is None else dict(environ))


def is_worker() -> bool:
    """Returns True in a process of an array that `Array` submitted."""
    return _h5part.slurm_is_worker()


# ---- submission


@dataclass(frozen=True)
class Submitted:
    """A job array that was submitted: the number of the job, and its elements."""

    id: str
    elements: int


def this_script() -> list[str]:
    """Returns the command that runs this script again, with the same arguments.

    Raises
    ------
    SlurmError
        There is no script: this is an interactive session.
    """
    path = getattr(sys.modules.get("__main__"), "__file__", None)
    if path is None:
        raise SlurmError("cannot submit this program: an interactive session has no script")
    return [sys.executable, os.path.abspath(path), *sys.argv[1:]]


@dataclass(frozen=True)
class Array:
    """A job array in which each element runs the same command.

    Attributes
    ----------
    worker : sequence of str
        The command. Default: this script, with the same arguments.
    name : str
        Name of the job.
    throttle : int, optional
        Elements that run at a time, at most.
    partition, time, dependency : str, optional
        As SLURM takes them.
    cpus : int, optional
        Processors per element. Default: SLURM's.
    extra : sequence of str
        More options, as they stand after ``#SBATCH``. They override the others.
    folder : path
        Where elements begin. Default: the current folder.
    logs : path
        Folder of scripts (``JOB.sbatch``) and of the output of elements
        (``JOB_ELEMENT.log``).
    environment : mapping
        Variables to set in each element.
    """

    worker: Sequence[str] = field(default_factory=this_script)
    name: str = "h5part"
    throttle: int | None = None
    partition: str | None = None
    time: str | None = None
    dependency: str | None = None
    cpus: int | None = None
    extra: Sequence[str] = ()
    folder: str | os.PathLike[str] = field(default_factory=os.getcwd)
    logs: str | os.PathLike[str] = "slurm"
    environment: Mapping[str, str] = field(default_factory=dict)

    def script(self, size: int) -> str:
        """Returns the job script of an array of `size` elements.

        When a node is lost or the job is preempted, SLURM requeues the
        element. The worker takes the place of the shell, so that signals
        reach it.

        Raises
        ------
        ValueError
            Some text does not fit into a line of a script.
        """
        return os.fsdecode(_h5part.slurm_script(self, size))

    def submit(self, size: int) -> list[Submitted]:
        """Submits an array of `size` elements; several arrays if SLURM takes fewer at once.

        With a throttle, several arrays run one after the other. `shard` gives
        each element its place among all of them. If one array is refused,
        those before it are cancelled.

        Raises
        ------
        SlurmError
            SLURM is not installed, or it refused; with what it said.
        """
        return [Submitted(*job) for job in _h5part.slurm_submit(self, size)]


def cancel(ids: Sequence[str]) -> None:
    """Cancels jobs. What keeps one from being cancelled is not reported."""
    with contextlib.suppress(SlurmError):
        _h5part.slurm_cancel(list(ids))


def parts(size: int, most: int) -> list[int]:
    """Returns sizes of arrays of at most `most` elements that make `size` together, as equal as can be."""
    return _h5part.slurm_parts(size, most)


def minutes(text: str) -> int | None:
    """Returns a time limit in minutes, rounded up, or None if it is not one, such as ``UNLIMITED``."""
    return _h5part.slurm_minutes(text)
