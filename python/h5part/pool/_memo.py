"""Results that were computed before, so that nobody computes them again."""

from __future__ import annotations

import contextlib
import fcntl
import functools
import hashlib
import importlib
import inspect
import os
import pickle
import threading
import types
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol, TypeVar, runtime_checkable

F = TypeVar("F", bound=Callable[..., Any])

_TABLE = "memo"
# Bytes of a value per row. A float needs 21, an array of 10 floats about 200.
_BLOCK = 256
# Rows of a new table; it grows.
_FIRST_ROWS = 1024


@runtime_checkable
class Memo(Protocol):
    """Keeps results by key. Both are bytes; a key has 32.

    **Concurrency.** A pool calls `put_many` from its own thread, and `get` from any.
    """

    def get(self, key: bytes) -> bytes | None:
        """Returns the value of a key, or None."""
        ...

    def put_many(self, pairs: Iterable[tuple[bytes, bytes]]) -> None:
        """Keeps values by key. The pairs of one call may be stored by one commit.

        **Concurrency.** See the class.

        Parameters
        ----------
        pairs : iterable of (bytes, bytes)
            Keys and values.
        """
        ...


class DictMemo:
    """A memo in the memory of this process: it ends with the process.

    **Concurrency.** Threads of this process may share it.
    """

    def __init__(self) -> None:
        self.values: dict[bytes, bytes] = {}

    def get(self, key: bytes) -> bytes | None:
        """Returns the value of a key, or None."""
        return self.values.get(key)

    def put_many(self, pairs: Iterable[tuple[bytes, bytes]]) -> None:
        """Keeps values by key: see `Memo.put_many`.

        **Concurrency.** See the class.
        """
        self.values.update(pairs)


class StoreMemo:
    """A memo in a table of an h5part store.

    A value takes consecutive rows of 256 bytes each. A value whose rows are
    not all committed, since its writer was killed, is not there.

    **Concurrency.** Any number of processes may share the file: those that
    store take turns. Each sees what others stored before it opened the memo,
    and before it last stored something itself; the rest may be computed twice.

    Parameters
    ----------
    path : str or path-like
        The store; created if it does not exist.
    table : str
        Name of the table; created if it does not exist.
    """

    def __init__(self, path: str | os.PathLike[str], table: str = _TABLE) -> None:
        self._path = os.fspath(path)
        self._name = table
        self._lock = threading.Lock()
        self._where: dict[bytes, tuple[int, int]] = {}
        self._end = 0
        if not self._find():
            columns = {"key": ("u1", (32,)), "part": "i4", "size": "i8", "data": ("u1", (_BLOCK,))}
            self._table = _api().create(self._path, table, _FIRST_ROWS, columns, exist_ok=True)
        self._index(0)

    def _find(self) -> bool:
        """Opens the table, if there is one."""
        if not os.path.exists(self._path):
            return False
        store = _api().open(self._path)
        if self._name not in store:
            return False
        self._table = store[self._name]
        return True

    def _index(self, start: int) -> None:
        """Finds the values that are complete in the rows from `start` on."""
        if start >= len(self._table):
            return
        np = _numpy()
        block = self._table.read("key", "part", "size", rows=slice(start, None))
        is_there = block.mask
        if not is_there.any():
            return
        count = len(is_there)
        # Row of the first part of the value that each row belongs to.
        first = np.arange(count) - block["part"]
        found = np.bincount(first[is_there & (first >= 0)], minlength=count)
        wanted = np.maximum(1, -(-block["size"] // _BLOCK))
        for row in np.flatnonzero(is_there & (block["part"] == 0) & (found[:count] == wanted)):
            self._where[block["key"][row].tobytes()] = (start + int(row), int(block["size"][row]))
        self._end = start + int(np.flatnonzero(is_there)[-1]) + 1

    def get(self, key: bytes) -> bytes | None:
        """Returns the value of a key, or None."""
        with self._lock:
            found = self._where.get(key)
            if found is None:
                return None
            first, size = found
            data = self._table.read("data", rows=slice(first, first + _rows(size)))["data"]
            return bytes(data.tobytes()[:size])

    def put_many(self, pairs: Iterable[tuple[bytes, bytes]]) -> None:
        """Keeps values, by one commit."""
        pairs = list(pairs)
        with self._lock, self._turn() as turn:
            told = int.from_bytes(os.pread(turn, 8, 0), "little")
            if told != self._end:
                # Somebody else has appended, or was killed while it did: look at the table anew.
                self._find()
                self._index(self._end)
            new = [(key, value) for key, value in pairs if key not in self._where]
            if new:
                self._append(new)
            os.pwrite(turn, self._end.to_bytes(8, "little"), 0)

    def _append(self, new: list[tuple[bytes, bytes]]) -> None:
        np = _numpy()
        counts = [_rows(len(value)) for _, value in new]
        keys = np.frombuffer(b"".join(key for key, _ in new), "u1").reshape(-1, 32)
        data = b"".join(v.ljust(n * _BLOCK, b"\0") for (_, v), n in zip(new, counts, strict=True))
        rows = self._table.append(
            key=np.repeat(keys, counts, axis=0),
            part=np.concatenate([np.arange(n, dtype="i4") for n in counts]),
            size=np.repeat(np.array([len(v) for _, v in new], "i8"), counts),
            data=np.frombuffer(data, "u1").reshape(-1, _BLOCK),
        )
        at = rows.start
        for (key, value), count in zip(new, counts, strict=True):
            self._where[key] = (at, len(value))
            at += count
        self._end = at

    @contextlib.contextmanager
    def _turn(self) -> Iterator[int]:
        """Takes turns with other processes that append. The file holds the end of the rows in use."""
        path = f"{self._path}.part/{self._name.replace('/', '_')}.append"
        os.makedirs(os.path.dirname(path), exist_ok=True)
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield file
        finally:
            os.close(file)


def _api() -> Any:
    """The package itself, when it is complete."""
    return importlib.import_module("h5part")


def _numpy() -> Any:
    return importlib.import_module("numpy")


def _rows(size: int) -> int:
    return max(1, -(-size // _BLOCK))


def version(tag: str) -> Callable[[F], F]:
    """Gives a function a version for `memo=`, in place of its source text.

    Without it, a change of the function's own source text makes it another
    function. Changes of what it calls do not: change the tag then.

    Parameters
    ----------
    tag : str
        The version. Results of another version are computed again.

    Examples
    --------
    >>> from h5part.pool import version
    >>> @version("2")
    ... def energy(distance):
    ...     return 1 / distance**12
    """

    def mark(function: F) -> F:
        function.__h5part_version__ = tag  # type: ignore[attr-defined]
        return function

    return mark


def function_key(function: Callable[..., Any], pickled: bytes) -> bytes:
    """SHA-256 over what a function is: its qualified name, its version, its pickled state."""
    inner = _innermost(function)
    name = f"{getattr(inner, '__module__', '')}.{getattr(inner, '__qualname__', type(inner).__qualname__)}"
    digest = hashlib.sha256(b"h5part memo 1\0")
    for part in (name.encode(), _version_tag(inner), pickled):
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return digest.digest()


def item_key(function: bytes, item: bytes, seed: object = None) -> bytes:
    """SHA-256 over a function's key, a pickled item and, if the pool has one, the item's seed."""
    digest = hashlib.sha256(function)
    digest.update(len(item).to_bytes(8, "little"))
    digest.update(item)
    if seed is not None:
        digest.update(repr(seed).encode())
    return digest.digest()


def _innermost(function: Any) -> Any:
    """The function whose source text matters."""
    while True:
        if hasattr(function, "__h5part_version__"):
            return function
        if isinstance(function, functools.partial):
            function = function.func
        elif isinstance(function, types.MethodType):
            function = function.__func__
        elif hasattr(function, "__wrapped__"):
            function = function.__wrapped__
        else:
            break
    if not isinstance(function, types.FunctionType | types.BuiltinFunctionType | type):
        return type(function)
    return function


def _version_tag(function: Any) -> bytes:
    tag = getattr(function, "__h5part_version__", None)
    if tag is not None:
        return b"tag " + str(tag).encode()
    try:
        return b"source " + inspect.getsource(function).encode()
    except (OSError, TypeError):
        code = getattr(function, "__code__", None)
        return b"code " + (code.co_code + repr(code.co_consts).encode() if code is not None else b"")


def open_memo(memo: str | os.PathLike[str] | Memo | None) -> Memo | None:
    """Returns a memo: of a path, that of an h5part store."""
    if memo is None or (isinstance(memo, Memo) and not isinstance(memo, str | os.PathLike)):
        return memo
    return StoreMemo(memo)


def load(data: bytes) -> Any:
    """Unpickles a stored result."""
    return pickle.loads(data)
