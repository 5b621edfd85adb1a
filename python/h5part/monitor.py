"""What work costs: time, memory, counts and bytes of named operations.

Each process appends to a file of its own in a folder. ``h5part monitor
FOLDER`` adds all of them up, also while they are written.
"""

from __future__ import annotations

import contextlib
import os
import threading
import types
from collections.abc import Iterator
from typing import Any, Self

from . import _h5part
from ._h5part import own_peak
from .errors import Error

__all__ = ["Monitor", "own_peak"]

# Environment variable with the folder of monitors that name none.
FOLDER = "H5PART_MONITOR"


class _Here(threading.local):
    """The task that this thread is at."""

    task: int | None = None


_here = _Here()
_files: dict[tuple[str, str], _h5part.Measurements] = {}
_files_lock = threading.Lock()


class Monitor:
    """Measures an operation, as a context manager.

    A record is one line at the end of a file, written when the block ends. A
    killed process loses the operations under way and nothing else. Nothing is
    synced: a loss of power may cost the last seconds.

    Parameters
    ----------
    operation : str
        Operations of the same name are added up.
    folder : path, optional
        Where this process writes its file; created if it does not exist.
        Default: ``$H5PART_MONITOR``. Without a folder nothing is written.
    task : int, optional
        Number of the task that it belongs to, from 0. If the thread is at no
        task yet, the operation is the task as a whole, and what the thread
        measures within the block is part of the task.
    attempt : int
        Which attempt at the task it is, from 1. 0: attempts are not counted.
    weight : float, optional
        Weight of the task, in units of your choice.
    whole_process : bool
        Measure the processor time of all threads of the process, not only of
        this one.
    worker : str, optional
        Name of the worker. Default: ``HOST-PID``.

    Attributes
    ----------
    counts : int
        Things counted.
    bytes : int
        Bytes worked on.
    received : int
        Bytes of the task's result.
    sent : dict of str to int
        Bytes sent to the task, by argument.
    failed : bool
        Set if the block ends with an exception.
    duration : float
        Seconds of wall time, of all blocks of this object together.
    dt : float
        Seconds of wall time of the last block.
    mem : int
        Bytes by which the peak of the process's memory rose in the last block.

    Examples
    --------
    >>> with Monitor("classical", folder="run.monitor") as monitor:
    ...     monitor.counts += len(sites)
    ...     with monitor("compute") as part:
    ...         part.bytes += compute(sites).nbytes
    """

    _clock: _h5part.Clock

    def __init__(
        self,
        operation: str,
        *,
        folder: str | os.PathLike[str] | None = None,
        task: int | None = None,
        attempt: int = 0,
        weight: float | None = None,
        whole_process: bool = False,
        worker: str | None = None,
    ) -> None:
        self.operation = operation
        if folder is None:
            folder = os.environ.get(FOLDER) or None
        self.folder = None if folder is None else os.path.abspath(os.fspath(folder))
        self.worker = worker
        self.task = task
        self.attempt = attempt
        self.weight = weight
        self.whole_process = whole_process
        self.duration = 0.0
        self.dt = 0.0
        self.mem = 0
        self._reset()

    def _reset(self) -> None:
        self.counts = 0
        self.bytes = 0
        self.received = 0
        self.sent: dict[str, int] = {}
        self.failed = False
        self._is_whole = False
        self._before: int | None = None

    def __call__(self, operation: str, **options: Any) -> Monitor:
        """Returns a monitor of another operation, which writes to the same file."""
        options.setdefault("folder", self.folder)
        options.setdefault("worker", self.worker)
        return Monitor(operation, **options)

    def new(self, operation: str, **options: Any) -> Monitor:
        """The same as calling the monitor, as in OpenQuake."""
        return self(operation, **options)

    def __repr__(self) -> str:
        return f"<h5part.Monitor {self.operation!r}: {self.duration:.3f} s>"

    def __enter__(self) -> Self:
        self._is_whole = self.task is not None and _here.task is None
        if self._is_whole:
            self._before, _here.task = _here.task, self.task
        self._clock = _h5part.Clock(self.whole_process)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: types.TracebackType | None,
    ) -> None:
        self.dt, self.mem = self._clock.stop()
        self.duration += self.dt
        task = self.task if self.task is not None else _here.task
        if self._is_whole:
            _here.task = self._before
        if self.folder is not None:
            # The work goes on without its measurement; the next record tells that one is missing.
            with contextlib.suppress(OSError, Error):
                _file(self.folder, self.worker).append(
                    self._clock,
                    _text(self.operation),
                    task=task,
                    whole=self._is_whole,
                    attempt=int(self.attempt),
                    failed=bool(self.failed or exc_type is not None),
                    counts=_amount(self.counts),
                    bytes=_amount(self.bytes),
                    received=_amount(self.received),
                    weight=self.weight,
                    sent={_text(name): _amount(size) for name, size in self.sent.items()},
                )
        self._reset()

    def __getstate__(self) -> dict[str, Any]:
        # A block that is measured belongs to its process.
        return {name: value for name, value in self.__dict__.items() if name != "_clock"}

    def iter(self, iterable: Any) -> Iterator[Any]:
        """Yields from an iterable, and measures only what the iterable does.

        Each value is a record of its own.
        """
        iterator = iter(iterable)
        while True:
            with self:
                value = next(iterator, _END)
                self.counts += value is not _END
            if value is _END:
                return
            yield value


_END = object()


def _amount(value: Any) -> int:
    return min(max(0, int(value)), (1 << 64) - 1)


def _text(value: str) -> str:
    """What cannot be written as UTF-8 is replaced."""
    return str(value).encode("utf-8", "replace").decode()


def _file(folder: str, worker: str | None) -> _h5part.Measurements:
    """The file of this process in a folder."""
    key = (folder, worker or "")
    with _files_lock:
        file = _files.get(key)
        if file is None:
            file = _files[key] = _h5part.Measurements(folder, worker)
        return file


def _in_child() -> None:
    """A forked process has a file of its own."""
    global _files_lock
    _files_lock = threading.Lock()
    _files.clear()
    _here.task = None


os.register_at_fork(after_in_child=_in_child)
