"""Results that were computed before, so that nobody computes them again."""

from __future__ import annotations

import functools
import hashlib
import inspect
import os
import pickle
import threading
import types
from collections.abc import Callable, Iterable
from typing import Any, Protocol, TypeVar, runtime_checkable

F = TypeVar("F", bound=Callable[..., Any])

_TABLE = "memo"
# Bytes of a value per row. A float needs 21, an array of 10 floats about 200.
_BLOCK = 256


@runtime_checkable
class Memo(Protocol):
    """Keeps results by key. Both are bytes; a key has 32.

    A pool calls `put_many` from its own thread, and `get` from any.
    """

    def get(self, key: bytes) -> bytes | None:
        """Returns the value of a key, or None."""
        ...

    def put_many(self, pairs: Iterable[tuple[bytes, bytes]]) -> None:
        """Keeps values. Those of one call may be stored by one commit."""
        ...


class DictMemo:
    """A memo in the memory of this process."""

    def __init__(self) -> None:
        self.values: dict[bytes, bytes] = {}

    def get(self, key: bytes) -> bytes | None:
        return self.values.get(key)

    def put_many(self, pairs: Iterable[tuple[bytes, bytes]]) -> None:
        self.values.update(pairs)


class StoreMemo:
    """A memo in a table of an h5part store.

    A value takes consecutive rows of `block` bytes each. A value whose rows
    are not all committed, since its writer was killed, is not there.

    Several processes may share the file. Each sees what the others stored
    before it opened the memo; what was stored since may be computed twice.

    Parameters
    ----------
    path : str or path-like
        The store; created if it does not exist.
    table : str
        Name of the table; created if it does not exist.
    """

    def __init__(self, path: str | os.PathLike[str], table: str = _TABLE) -> None:
        import numpy as np

        import h5part

        self._np = np
        self._lock = threading.Lock()
        api: Any = h5part
        columns = {
            "key": ("u1", (32,)),
            "part": "i4",
            "size": "i8",
            "data": ("u1", (_BLOCK,)),
        }
        if os.path.exists(path) and table in api.open(path):
            self._table = api.open(path)[table]
        else:
            self._table = api.create(path, table, 0, columns, exist_ok=True)
        self._where = self._index()

    def _index(self) -> dict[bytes, tuple[int, int]]:
        """First row and size of each value that is complete."""
        block = self._table.read("key", "part", "size")
        where: dict[bytes, tuple[int, int]] = {}
        first, expected = 0, -1
        for row, (key, part, size, is_there) in enumerate(
            zip(block["key"], block["part"], block["size"], block.mask, strict=True)
        ):
            if not is_there:
                expected = -1
                continue
            if part == 0:
                first, expected = row, 0
            if part != expected:
                expected = -1
                continue
            expected += 1
            if expected == _rows(int(size)):
                where[key.tobytes()] = (first, int(size))
        return where

    def get(self, key: bytes) -> bytes | None:
        with self._lock:
            found = self._where.get(key)
            if found is None:
                return None
            first, size = found
            data = self._table.read("data", rows=slice(first, first + _rows(size)))["data"]
            return bytes(data.tobytes()[:size])

    def put_many(self, pairs: Iterable[tuple[bytes, bytes]]) -> None:
        np = self._np
        with self._lock:
            new = [(key, value) for key, value in pairs if key not in self._where]
            if not new:
                return
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


def _rows(size: int) -> int:
    return max(1, -(-size // _BLOCK))


def version(tag: str) -> Callable[[F], F]:
    """Gives a function a version for `memo=`, in place of its source text.

    Without it, a change of the function's own source text makes it another
    function. Changes of what it calls do not: change the tag then.

    Examples
    --------
    >>> @version("2")
    ... def energy(frame):
    ...     return compute(frame)
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
