"""Tasks as the pool keeps them, and their futures."""

from __future__ import annotations

import itertools
import pickle
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, Generic, TypeVar

from h5part.pool._seed import Seeds

T = TypeVar("T")
MISSING = object()


class PoolFuture(Future[T], Generic[T]):
    """A future whose `cancel` also ends a task that runs.

    The base class never learns that the task runs: so its own `cancel`
    succeeds until there is a result, and nothing private is needed.
    """

    def __init__(self, revoke: Callable[[PoolFuture[Any]], None] | None = None) -> None:
        super().__init__()
        # Ends the workers that compute it.
        self._revoke = revoke
        self.started = False
        # Set by the dispatcher alone: whoever waits has been told of the cancellation.
        self.told = False

    def cancel(self) -> bool:
        """Cancels the task.

        A task that runs is stopped: its worker process is killed, and a new
        one takes its place. Other tasks are not affected.

        Returns
        -------
        bool
            False if the task has finished.
        """
        cancelled = super().cancel()
        if cancelled and not self.told and self._revoke is not None:
            self._revoke(self)
        return cancelled

    def running(self) -> bool:
        """Returns True if a worker is computing the task."""
        return self.started and not self.done()


class Function:
    """The pickled function of a `map`. Workers keep the last one that they got."""

    __slots__ = ("data", "number")

    def __init__(self, number: int, data: bytes) -> None:
        self.number = number
        self.data = data


class Task:
    """A call, or some items of a map, that one worker computes at a time."""

    __slots__ = (
        "attempts",
        "chunk",
        "future",
        "given",
        "kind",
        "number",
        "on_part",
        "payload",
        "seeds",
        "start",
        "stop",
    )

    def __init__(
        self,
        kind: int,
        future: PoolFuture[Any],
        payload: bytes,
        seeds: Seeds | None,
        chunk: Chunk | None = None,
        start: int = 0,
        stop: int = 1,
    ) -> None:
        self.number = 0
        self.kind = kind
        self.future = future
        self.payload = payload
        self.seeds = seeds
        self.attempts = 0
        # Of a map: the items start:stop of this chunk.
        self.chunk = chunk
        self.start = start
        self.stop = stop
        # Of a stream: who gets its parts, and how many were given. A retry yields them again.
        self.on_part: Callable[[Any], object] | None = None
        self.given = 0

    def head(self) -> bytes:
        """The seeds, as a worker reads them."""
        if self.seeds is None:
            return b"\0\0\0\0"
        data = pickle.dumps(self.seeds)
        return len(data).to_bytes(4, "little") + data

    def rest(self, start: int) -> Task:
        """The items from `start` (of the task) on, as a task of their own."""
        return self.part(start, self.stop - self.start)

    def singles(self) -> list[Task]:
        """Each item as a task of its own."""
        return [self.part(index, index + 1) for index in range(self.stop - self.start)]

    def part(self, start: int, stop: int) -> Task:
        items = pickle.loads(self.payload)[start:stop]
        seeds = self.seeds.slice(start, stop) if self.seeds is not None else None
        data = pickle.dumps(items, pickle.HIGHEST_PROTOCOL)
        return Task(self.kind, self.future, data, seeds, self.chunk, self.start + start, self.start + stop)

    def item(self) -> object:
        """What was being computed, for messages. None if it does not unpickle here."""
        try:
            value = pickle.loads(self.payload)
            if self.chunk is None:
                return value[1]
            item = value[0]
            return item[0] if len(item) == 1 else item
        except Exception:
            return None


class Partial(Exception):
    """A chunk failed at an item; holds the results of the items before it."""

    def __init__(self, results: list[Any], error: BaseException) -> None:
        super().__init__(error)
        self.results = results
        self.error = error


Store = Callable[[list[tuple[bytes, bytes]]], None]


class Chunk:
    """Items of a map that share a future, or the one item of a call with a memo."""

    __slots__ = ("function", "is_call", "keys", "missing", "results", "store", "where")

    def __init__(
        self, function: Function, count: int, keys: list[bytes] | None = None, store: Store | None = None
    ) -> None:
        self.function = function
        self.results: list[Any] = [MISSING] * count
        self.missing = count
        # Keys of the items in the memo. None: there is no memo.
        self.keys = keys
        self.store = store
        self.is_call = False
        # Which result each item of the task gives.
        self.where: Sequence[int] = range(count)

    @property
    def apart(self) -> bool:
        """The worker pickles each result by itself."""
        return self.keys is not None

    def take_known(self, known: dict[int, Any]) -> None:
        """Sets results that the memo has. The items of the task are those that remain."""
        for index, value in known.items():
            self.results[index] = value
        self.missing -= len(known)
        self.where = [index for index in range(len(self.results)) if index not in known]

    def fill(self, task: Task, results: list[Any]) -> bool:
        """Takes results of the first items of a task. True: none is missing any more."""
        if self.keys is None:
            self.results[task.start : task.start + len(results)] = results
        else:
            where = self.where[task.start : task.start + len(results)]
            if self.store is not None and results:
                self._keep(self.store, [(self.keys[index], data) for index, data in zip(where, results, strict=True)])
            for index, data in zip(where, results, strict=True):
                self.results[index] = pickle.loads(data)
        self.missing -= len(results)
        return self.missing == 0

    @staticmethod
    def _keep(store: Store, pairs: list[tuple[bytes, bytes]]) -> None:
        try:
            store(pairs)
        except Exception as e:
            # The result is there, and the caller wants it.
            warnings.warn(f"cannot store results in the memo: {e}", RuntimeWarning, stacklevel=1)

    def result(self) -> object:
        """What the future is given."""
        return self.results[0] if self.is_call else self.results

    def failure(self, error: BaseException) -> BaseException:
        """What the future is given when an item failed."""
        if self.is_call:
            return error
        # The results before the first that is missing.
        first = itertools.takewhile(lambda result: result is not MISSING, self.results)
        return Partial(list(first), error)
