"""What work costs: time, memory, counts and bytes of named operations.

Each process appends to a file of its own in a folder, in the format of the
Rust monitor. ``h5part monitor FOLDER`` adds all of them up, also while they
are written.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
import resource
import socket
import threading
import time
import types
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

__all__ = ["Monitor", "own_peak"]

FORMAT = 1
# Environment variable with the folder of monitors that name none.
FOLDER = "H5PART_MONITOR"
# Counters of memory are added up now and then: two looks at the same memory differ by less, in bytes.
_SLACK = 1 << 20


class _Here(threading.local):
    """Number of this thread, and the task that it is at."""

    def __init__(self) -> None:
        self.number = next(_numbers)
        self.task: int | None = None


_numbers = itertools.count(1)
_here = _Here()
_logs: dict[tuple[str, str], _Log] = {}
_logs_lock = threading.Lock()


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
        self._peak = own_peak()
        self._cpu = self._cpu_s()
        self._start_s = time.time()
        self._start = time.perf_counter()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: types.TracebackType | None,
    ) -> None:
        self.dt = time.perf_counter() - self._start
        self.duration += self.dt
        cpu = max(0.0, self._cpu_s() - self._cpu)
        peak = own_peak()
        self.mem = max(0, peak - self._peak)
        task = self.task if self.task is not None else _here.task
        if self._is_whole:
            _here.task = self._before
        if self.folder is not None:
            record: dict[str, Any] = {
                "operation": self.operation,
                "start_s": self._start_s,
                "wall_s": self.dt,
                "cpu_s": cpu,
                "memory_bytes": peak,
                "memory_rise_bytes": self.mem,
                "thread": _here.number,
                "task": task,
                "whole": self._is_whole,
                "attempt": int(self.attempt),
                "failed": bool(self.failed or exc_type is not None),
                "counts": _amount(self.counts),
                "bytes": _amount(self.bytes),
                "received": _amount(self.received),
                "weight": _weight(self.weight),
                "sent": {str(name): _amount(size) for name, size in self.sent.items()},
            }
            # The work goes on without its measurement; the next record tells that one is missing.
            with contextlib.suppress(OSError):
                _log(self.folder, self.worker).append(record)
        self._reset()

    def _cpu_s(self) -> float:
        return time.process_time() if self.whole_process else time.thread_time()

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


class _Log:
    """The file of this process in a folder."""

    def __init__(self, folder: str, worker: str | None) -> None:
        Path(folder).mkdir(parents=True, exist_ok=True)
        host, self.pid = socket.gethostname(), os.getpid()
        word = re.sub(r"[^A-Za-z0-9._-]", "_", host)[:100]
        while True:
            self.path = os.path.join(folder, f"{word}-{self.pid}-{uuid.uuid4().hex[:8]}.jsonl")
            try:
                flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
                self._fd = os.open(self.path, flags, 0o666)
                break
            except FileExistsError:
                continue
        self._lock = threading.Lock()
        self._is_torn = False
        self._lost = 0
        self._write({"h5part_monitor": FORMAT, "worker": worker or f"{host}-{self.pid}", "host": host, "pid": self.pid})

    def append(self, record: dict[str, Any]) -> None:
        """Writes a record by one write(2): whole, or, when the disk is full, perhaps not."""
        with self._lock:
            if self._lost:
                record["lost"] = self._lost
            try:
                self._write({key: value for key, value in record.items() if key in _ALWAYS or _holds(key, value)})
            except OSError:
                self._lost += 1
                raise
            self._lost = 0

    def _write(self, record: dict[str, Any]) -> None:
        line = json.dumps(record, separators=(",", ":"), ensure_ascii=False, allow_nan=False) + "\n"
        data = ("\n" * self._is_torn + line).encode("utf-8", "replace")
        self._is_torn = False
        written = os.write(self._fd, data)
        if written < len(data):
            self._is_torn = True
            raise OSError(28, "No space left on device", self.path)

    def close(self) -> None:
        os.close(self._fd)


_ALWAYS = ("operation", "start_s", "wall_s", "cpu_s", "memory_bytes")


def _holds(key: str, value: object) -> bool:
    """Empty fields are left out; a task or a weight of 0 is not empty."""
    return value is not None if key in ("task", "weight") else bool(value)


def _amount(value: Any) -> int:
    return min(max(0, int(value)), (1 << 64) - 1)


def _weight(value: Any) -> float | None:
    weight = None if value is None else float(value)
    return weight if weight is not None and 0 <= weight < float("inf") else None


def _log(folder: str, worker: str | None) -> _Log:
    key = (folder, worker or "")
    with _logs_lock:
        log = _logs.get(key)
        if log is None:
            log = _logs[key] = _Log(folder, worker)
        return log


def _in_child() -> None:
    """A forked process has a file of its own."""
    global _logs_lock
    _logs_lock = threading.Lock()
    for log in _logs.values():
        log.close()
    _logs.clear()
    _here.number = 1
    _here.task = None


os.register_at_fork(after_in_child=_in_child)

_inherited: int | None = None


def own_peak() -> int:
    """Returns the peak of this process's resident memory since its program started, in bytes."""
    global _inherited
    told = _told_peak()
    if _inherited is None:
        # Linux hands the peak of a process on to a program that it starts.
        program = _program_peak()
        _inherited = told if program is not None and program + _SLACK < told else 0
    if told > _inherited:
        return told
    program = _program_peak()
    return told if program is None else program


def _told_peak() -> int:
    # The peak of a thread is that of its process, and no other threads are visited.
    who = getattr(resource, "RUSAGE_THREAD", resource.RUSAGE_SELF)
    return resource.getrusage(who).ru_maxrss * 1024


def _program_peak() -> int | None:
    try:
        with open("/proc/self/status") as status:
            for line in status:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    return None
