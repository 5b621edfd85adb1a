"""Exceptions of h5part."""

from __future__ import annotations

from typing import Any

__all__ = ["Error", "TaskError", "WorkerDied"]


class Error(Exception):
    """Base class of all exceptions of h5part."""


class WorkerDied(Error, RuntimeError):
    """A worker process ended while it had a task, or before it was ready.

    Attributes
    ----------
    pid : int
        Process id of the worker.
    exitcode : int or None
        Its exit code, or None if a signal ended it or the code is unknown.
    signal : str or None
        Name of the signal that ended it, such as ``"SIGKILL"``.
    item : object
        What the worker was computing: the item of a `map`, or the tuple of
        positional arguments of a `submit`. None if it had no task yet.
    attempts : int
        How many workers died with this task.
    """

    def __init__(
        self,
        message: str,
        *,
        pid: int = 0,
        exitcode: int | None = None,
        signal: str | None = None,
        item: object = None,
        attempts: int = 1,
    ) -> None:
        super().__init__(message)
        self.pid = pid
        self.exitcode = exitcode
        self.signal = signal
        self.item = item
        self.attempts = attempts

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), self.args, dict(self.__dict__)


class TaskError(Error, RuntimeError):
    """A task failed, and its result or exception cannot be pickled.

    Attributes
    ----------
    cause : str
        Name of the class of the original exception.
    traceback : str
        Traceback of the original exception in the worker.
    """

    def __init__(self, message: str, *, cause: str = "", traceback: str = "") -> None:
        super().__init__(message)
        self.cause = cause
        self.traceback = traceback

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), self.args, dict(self.__dict__)
