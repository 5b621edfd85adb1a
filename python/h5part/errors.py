"""The exceptions of h5part.

Every exception is an :class:`Error`, and an exception of Python's own that fits, so that both
``except h5part.Error`` and ``except FileNotFoundError`` catch it. ``code`` is the exit code that the
program ``h5part`` ends with for the same error.
"""

from __future__ import annotations

import errno as _errno
from typing import Any, ClassVar

__all__ = [
    "AlreadyExists",
    "BadFile",
    "BadRequest",
    "DiskFull",
    "Error",
    "Fenced",
    "FileMissing",
    "ForeignChange",
    "IOFailed",
    "LockTimeout",
    "Mismatch",
    "NotFound",
    "NotAsExpected",
    "ReadOnly",
    "RowOutOfRange",
    "TaskError",
    "TypeMismatch",
    "Unsupported",
    "WorkerDied",
]


class Error(Exception):
    """An operation of h5part failed.

    Attributes
    ----------
    kind : str
        What went wrong, by the name that ``docs/exit-codes.md`` lists, such as ``"LockTimeout"``.
    code : int
        The exit code of the program ``h5part`` for this error.
    operation : str or None
        What was being done.
    path : str or None
        The file that it was done to.
    hint : str or None
        What to do about it.
    """

    codes: ClassVar[tuple[int, ...]] = ()

    def __init__(
        self,
        message: str = "",
        *,
        kind: str = "",
        code: int = 12,
        operation: str | None = None,
        path: str | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.kind = kind or type(self).__name__
        self.code = code
        self.operation = operation
        self.path = path
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} (hint: {self.hint})" if self.hint else self.message

    def __reduce__(self) -> tuple[object, ...]:
        state = (type(self), self.message, self.kind, self.code, self.operation, self.path, self.hint, self._number())
        return (_rebuild, state)

    def _number(self) -> int | None:
        return getattr(self, "errno", None)


class BadRequest(Error, ValueError):
    """An argument cannot be understood, or names something twice."""

    codes = (2,)


class NotFound(Error, KeyError):
    """There is no such table, column or task."""

    codes = (3,)


class FileMissing(Error, FileNotFoundError):
    """There is no such file."""

    codes = (3,)


class RowOutOfRange(Error, IndexError):
    """The table has no such row."""

    codes = (3,)


class Mismatch(Error, ValueError):
    """Values do not fit: their shape, their length, or what another file holds."""

    codes = (4,)


class TypeMismatch(Mismatch, TypeError):
    """Values have another type than the column, and would not keep their value in it."""

    codes = (4,)


class BadFile(Error, OSError):
    """The bytes are not those of a usable HDF5 file or ledger."""

    codes = (5,)


class LockTimeout(Error, TimeoutError):
    """Somebody held a lock for too long, or has the file open."""

    codes = (6,)


class DiskFull(Error, OSError):
    """The disk is full, or a quota or a limit is reached."""

    codes = (7,)


class ReadOnly(Error, PermissionError):
    """The file, or its folder, may not be written by this user."""

    codes = (8,)


class ForeignChange(Error, RuntimeError):
    """Another program changed, moved or replaced something."""

    codes = (9,)


class NotAsExpected(ForeignChange):
    """A column does not hold what ``commit_if`` expects. Nothing was written."""

    codes = (9,)


class Unsupported(Error, OSError):
    """The column, or the file system, cannot be written in place."""

    codes = (10,)


class AlreadyExists(Error, FileExistsError):
    """What was to be made exists already."""

    codes = (11,)


class IOFailed(Error, OSError):
    """The system refused a call, or an earlier failure stands in the way."""

    codes = (12, 1)


class Fenced(Error, RuntimeError):
    """Another worker holds the task now. Nothing was written."""

    codes = (13,)


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


_BY_KIND: dict[str, type[Error]] = {
    "RowOutOfRange": RowOutOfRange,
    "DtypeMismatch": TypeMismatch,
    "NotAsExpected": NotAsExpected,
}

_BY_CODE: dict[int, type[Error]] = {
    1: IOFailed,
    2: BadRequest,
    3: NotFound,
    4: Mismatch,
    5: BadFile,
    6: LockTimeout,
    7: DiskFull,
    8: ReadOnly,
    9: ForeignChange,
    10: Unsupported,
    11: AlreadyExists,
    12: IOFailed,
    13: Fenced,
}

_HINTS: dict[str, str] = {
    "LockTimeout": "end that process, or pass a longer timeout",
    "OpenElsewhere": "close the file in that program; in this process, close every h5py.File of it",
    "MarkedOpen": "wait until that program has closed it; if it is dead, run 'h5part recover --clear-marks FILE'",
    "UntrustedLocks": "on NFS 4.1 or newer pass shared=\"nfs\" on all hosts; else let each worker write a file of its own and "
    "merge them, or pass trust_locks=True if only one host writes",
    "ReadOnly": "change the permissions, or work on a copy",
    "NoSpace": "free some space, and call it again",
    "Unstamped": "give the table stamps with Store.adopt(table), or a column with Store.adopt(table, columns=[...])",
    "ForeignChange": "read it first, or pass accept_foreign=True to overwrite it",
    "NotAsExpected": "read it again; nothing was written",
    "CannotGrow": "create a larger table, or one that is not contiguous",
    "Published": "change the working file and publish it again",
    "NotPublished": "choose another name; only what was published from this store is replaced",
    "Poisoned": "open a new writer; acknowledged commits are safe",
    "Replaced": "open the file again",
    "HardLinked": "keep one name; symbolic links are fine",
    "Damaged": "look at the report of Store.verify()",
    "Cut": "restore the file from a copy; nothing was written to it",
    "AlreadyExists": "choose another name, or pass exist_ok=True",
    "UnsupportedType": "read it with h5py; new columns hold text of a fixed length such as 'S20' or 'U20', and "
    "h5part.ragged holds rows of different lengths",
    "LibraryColumn": "columns made by h5part.create can be written in place",
}


def _make(
    kind: str,
    code: int,
    operation: str | None,
    path: str | None,
    message: str,
    number: int | None,
    item: str | None,
) -> Error:
    """Builds the exception for an error of the extension."""
    sort = _BY_KIND.get(kind) or _BY_CODE.get(code, Error)
    if kind == "NotFound" and item == "File":
        sort = FileMissing
    hint = _HINTS.get(kind)
    return _rebuild(sort, message, kind, code, operation or None, path, hint, number)


def _rebuild(
    sort: type[Error],
    message: str,
    kind: str,
    code: int,
    operation: str | None,
    path: str | None,
    hint: str | None,
    number: int | None,
) -> Error:
    error = sort(message, kind=kind, code=code, operation=operation, path=path, hint=hint)
    if isinstance(error, OSError):
        error.errno = number if number is not None else _NUMBERS.get(sort)
        error.filename = path
    return error


_NUMBERS: dict[type[Error], int] = {
    FileMissing: _errno.ENOENT,
    DiskFull: _errno.ENOSPC,
    ReadOnly: _errno.EACCES,
    LockTimeout: _errno.ETIMEDOUT,
    AlreadyExists: _errno.EEXIST,
    BadFile: _errno.EINVAL,
    Unsupported: _errno.EOPNOTSUPP,
    IOFailed: _errno.EIO,
}
