"""The pool as its users see it."""

from __future__ import annotations

import functools
import itertools
import multiprocessing
import os
import pickle
import threading
import time
import types
import uuid
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor
from multiprocessing.context import BaseContext
from typing import Any, ParamSpec, TypeVar

from h5part.pool import _map, _memo, _wire
from h5part.pool._config import PoolConfig, inner_config, parse_bytes, usable_cpus
from h5part.pool._dispatch import Dispatcher, end_all
from h5part.pool._memo import Memo
from h5part.pool._seed import Current, Seeds, current, set_current
from h5part.pool._task import Chunk, Function, PoolFuture, Task
from h5part.pool._worker import Setup
from h5part.progress import track

P = ParamSpec("P")
T = TypeVar("T")

# Chunks per worker that `map` makes at least: the last ones should end at about the same time.
_CHUNKS_PER_WORKER = 64

# The pools of this process.
_pools: weakref.WeakValueDictionary[str, Pool] = weakref.WeakValueDictionary()
# Those of them that were unpickled: kept, so that each task finds the same one.
_rebuilt: dict[str, Pool] = {}


class Pool(Executor):
    """A pool of worker processes for functions of Python.

    It is a ``concurrent.futures.Executor``, and has the methods that emcee,
    schwimmbad and ``multiprocessing.Pool`` users expect.

    A worker that dies never takes the pool with it: its task is retried, or
    its future raises `WorkerDied`. Cancelling a future that runs kills its
    worker alone. Workers are ordinary (non-daemonic) processes, so a task may
    open a pool itself. They die with their parent, whatever kills it.

    Parameters
    ----------
    workers : int, optional
        Number of worker processes. Default: the processors that this process
        may use. 0: run tasks in this process, in `submit` and while the
        result of `map` is iterated over.
    context : {"spawn", "forkserver", "fork"} or multiprocessing context
        How workers start. With "spawn" and "forkserver" they import the main
        module, so a script needs ``if __name__ == "__main__":``. "fork" copies
        this process; it is unsafe once the process has threads.
    seed : int, optional
        Gives every task its own seed: see `task_seed`.
    retries : int
        Retries per task whose worker died.
    retry_on : tuple of exception classes
        Retry a task, within `retries`, that raises one of these.
    memory_limit : int or str, optional
        Address space per worker (``RLIMIT_AS``), in bytes or as ``"4G"``. A
        task that needs more raises `MemoryError`. Libraries that reserve
        address space for each thread count with what they reserve.
    inner : int, dict or Pool, optional
        Configuration of the pool that tasks get from `inner`: a number of
        workers, or arguments of `Pool`.
    memo : path or Memo, optional
        Keeps results of finished items, and does not compute them again. An
        item is known by its function (qualified name, source text or
        `version` tag, pickled state), its pickled arguments, and its seed.
    initializer : callable, optional
        Called with `initargs` in each worker before its first task.
    initargs : tuple

    Notes
    -----
    A pickled pool is its configuration: a worker that gets it has a pool of
    its own, which starts at its first task. After a fork, parent and child
    have workers of their own.

    In a ``with`` block, Ctrl-C kills the workers; another exception cancels
    the tasks that wait.

    Examples
    --------
    >>> import math, h5part
    >>> with h5part.Pool(2) as pool:
    ...     list(pool.map(math.sqrt, [1, 4, 9]))
    [1.0, 2.0, 3.0]
    """

    def __init__(
        self,
        workers: int | None = None,
        *,
        context: str | BaseContext = "spawn",
        seed: int | None = None,
        retries: int = 2,
        retry_on: tuple[type[BaseException], ...] = (),
        memory_limit: int | str | None = None,
        inner: Any = None,
        memo: str | os.PathLike[str] | Memo | None = None,
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
    ) -> None:
        if workers is None:
            workers = usable_cpus()
        if workers < 0:
            raise ValueError(f"workers: expected 0 or more, found {workers}")
        if retries < 0:
            raise ValueError(f"retries: expected 0 or more, found {retries}")
        if isinstance(context, BaseContext):
            method = context.get_start_method()
        else:
            method = context
            context = multiprocessing.get_context(method)
        self.config = PoolConfig(
            workers=workers,
            context=method,
            seed=seed,
            retries=retries,
            retry_on=tuple(retry_on),
            memory_limit=parse_bytes(memory_limit),
            inner=inner_config(inner),
            memo=os.fspath(memo) if isinstance(memo, os.PathLike) else memo,
            initializer=initializer,
            initargs=tuple(initargs),
        )
        self._context: BaseContext = context
        self._max_workers = max(1, workers)
        self._uid = uuid.uuid4().hex
        self._was_rebuilt = False
        self._memo: Memo | None = None
        self._reset()
        _pools[self._uid] = self

    def _reset(self) -> None:
        """Also in the child of a fork, where no thread and no lock of the parent is of use."""
        self._lock = threading.Lock()
        self._dispatcher: Dispatcher | None = None
        self._closed = False
        self._counter = 0
        self._functions = itertools.count()
        self._function = Function(-1, b"")

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (self._uid, self.config)

    def __repr__(self) -> str:
        state = " closed" if self._closed else ""
        return f"<h5part.Pool workers={self.config.workers} context={self.config.context!r}{state}>"

    # ---- tasks

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> PoolFuture[T]:
        """Submits one call.

        Parameters
        ----------
        fn : callable
            It and its arguments are pickled at once.
        *args, **kwargs
            Its arguments.

        Returns
        -------
        PoolFuture
            Its exceptions: what the function raised; `WorkerDied`;
            `TaskError` for results and exceptions that do not pickle. Its
            `cancel` stops a task that runs.

        Raises
        ------
        RuntimeError
            The pool is closed.
        WorkerDied
            Workers cannot start.
        """
        self._check_open()
        future: PoolFuture[T] = PoolFuture(self._get().revoke if self.config.workers else None)
        seeds = self._take_seeds(1)
        if self.config.workers == 0:
            self._run_here(future, fn, args, kwargs, seeds)
        elif self.config.memo is not None:
            self._submit_with_memo(future, fn, args, kwargs, seeds)
        else:
            try:
                data = pickle.dumps((fn, args, kwargs), pickle.HIGHEST_PROTOCOL)
            except Exception as e:
                future.set_exception(e)
                return future
            self._get().submit(Task(_wire.CALL, future, data, seeds))
        return future

    def stream(
        self, on_part: Callable[[Any], object], fn: Callable[..., Iterable[Any]], /, *args: Any
    ) -> PoolFuture[None]:
        """Submits a call of a generator function.

        Parameters
        ----------
        on_part : callable
            Called with each value that the generator yields, once, in order,
            in a thread of the pool. It must be quick.
        fn : callable
            Returns an iterable. If its worker dies it runs again, and the
            values that were given are not given again.
        *args
            Its arguments.

        Returns
        -------
        PoolFuture
            It ends after the last value. Its exceptions are those of `submit`.
        """
        self._check_open()
        seeds = self._take_seeds(1)
        if self.config.workers == 0:
            here: PoolFuture[None] = PoolFuture()
            self._run_here(here, _map.stream_here, (on_part, fn, args), {}, seeds)
            return here
        future: PoolFuture[None] = PoolFuture(self._get().revoke)
        data = pickle.dumps((fn, args, {}), pickle.HIGHEST_PROTOCOL)
        task = Task(_wire.STREAM, future, data, seeds)
        task.on_part = on_part
        self._get().submit(task)
        return future

    def map(
        self,
        fn: Callable[..., T],
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int | None = None,
        buffersize: int | None = None,
        callback: Callable[[T], object] | None = None,
        progress: Any = None,
    ) -> Iterator[T]:
        """Calls a function with each item, or with items of several iterables side by side.

        Parameters
        ----------
        fn : callable
            It is pickled once per call of `map`. A worker keeps it while the
            same function is mapped, so its state survives between items.
        *iterables
            Read at once, unless there is a `buffersize`.
        timeout : float, optional
            Seconds from now until the last result must be there.
        chunksize : int, optional
            Items per message to a worker. Default: 1, and more if there are
            more than 64 items per worker.
        buffersize : int, optional
            Read ahead at most this many chunks of the iterables.
        callback : callable, optional
            Called here with each result, in order. `map` then returns when
            all is computed, as in schwimmbad.
        progress
            As in `h5part.progress.Progress`. Default: none is shown.

        Returns
        -------
        iterator
            The results, in the order of the items.

        Raises
        ------
        TimeoutError
            While iterating. Items that run are stopped.
        Exception
            While iterating: that of the first item that failed.
        """
        return self._map(fn, zip(*iterables), timeout, chunksize, buffersize, callback, progress)  # noqa: B905

    def starmap(
        self,
        fn: Callable[..., T],
        iterable: Iterable[Iterable[Any]],
        *,
        timeout: float | None = None,
        chunksize: int | None = None,
        buffersize: int | None = None,
        callback: Callable[[T], object] | None = None,
        progress: Any = None,
    ) -> Iterator[T]:
        """Like `map`, with a sequence of arguments per item.

        Parameters
        ----------
        fn : callable
            As in `map`.
        iterable : iterable of tuples
            The arguments of each call.
        timeout, chunksize, buffersize, callback, progress
            As in `map`.

        Returns
        -------
        iterator
            The results, in the order of the items.
        """
        items = (tuple(item) for item in iterable)
        return self._map(fn, items, timeout, chunksize, buffersize, callback, progress)

    def _map(
        self,
        fn: Callable[..., T],
        items: Iterable[tuple[Any, ...]],
        timeout: float | None,
        chunksize: int | None,
        buffersize: int | None,
        callback: Callable[[T], object] | None,
        progress: Any,
    ) -> Iterator[T]:
        for name, value in (("chunksize", chunksize), ("buffersize", buffersize)):
            if value is not None and value < 1:
                raise ValueError(f"{name}: expected 1 or more, found {value}")
        self._check_open()
        total = None
        if progress and buffersize is None:
            items = list(items)
            total = len(items)
        if self.config.workers == 0:
            results = self._map_here(fn, items)
        else:
            results = self._map_there(fn, items, timeout, chunksize, buffersize)
        if progress:
            results = track(results, total, progress=progress)
        if callback is None:
            return results
        kept = []
        for result in results:
            callback(result)
            kept.append(result)
        return iter(kept)

    def _map_there(
        self,
        fn: Callable[..., T],
        items: Iterable[tuple[Any, ...]],
        timeout: float | None,
        chunksize: int | None,
        buffersize: int | None,
    ) -> Iterator[T]:
        end = None if timeout is None else time.monotonic() + timeout
        function, key = self._pickle_function(fn)
        if buffersize is None:
            # Read before anything is submitted: an iterable that raises leaves no tasks behind.
            items = list(items)
            chunksize = chunksize or max(1, len(items) // (_CHUNKS_PER_WORKER * self._max_workers))
        parts = _map.split(items, chunksize or 1)
        futures = deque(self._submit_chunk(function, key, part) for part in itertools.islice(parts, buffersize))
        return _map.results(futures, parts, lambda part: self._submit_chunk(function, key, part), end)

    def _pickle_function(self, fn: Callable[..., Any]) -> tuple[Function, bytes]:
        """The function as workers get it, and its key in the memo."""
        data = pickle.dumps(fn, pickle.HIGHEST_PROTOCOL)
        with self._lock:
            if self._function.data != data:
                self._function = Function(next(self._functions), data)
            function = self._function
        return function, _memo.function_key(fn, data) if self.config.memo is not None else b""

    def _submit_chunk(self, function: Function, key: bytes, items: list[tuple[Any, ...]]) -> PoolFuture[list[Any]]:
        dispatcher = self._get()
        future: PoolFuture[list[Any]] = PoolFuture(dispatcher.revoke)
        seeds = self._take_seeds(len(items))
        if not key:
            chunk = Chunk(function, len(items))
        else:
            chunk, seeds = self._look_up(function, key, items, seeds, future)
            if future.done():
                return future
        data = pickle.dumps(items, pickle.HIGHEST_PROTOCOL)
        dispatcher.submit(Task(_wire.MAP, future, data, seeds, chunk, 0, len(items)))
        return future

    def _submit_with_memo(
        self, future: PoolFuture[Any], fn: Callable[..., Any], args: tuple[Any, ...], kwargs: Any, seeds: Seeds | None
    ) -> None:
        try:
            function, key = self._pickle_function(functools.partial(fn, **kwargs) if kwargs else fn)
            items = [args]
            chunk, seeds = self._look_up(function, key, items, seeds, future, is_call=True)
            data = pickle.dumps(items, pickle.HIGHEST_PROTOCOL)
        except Exception as e:
            future.set_exception(e)
            return
        if not future.done():
            self._get().submit(Task(_wire.MAP, future, data, seeds, chunk))

    def _look_up(
        self,
        function: Function,
        key: bytes,
        items: list[tuple[Any, ...]],
        seeds: Seeds | None,
        future: PoolFuture[Any],
        *,
        is_call: bool = False,
    ) -> tuple[Chunk, Seeds | None]:
        """Takes known results out of the memo; `items` keeps what has to be computed."""
        memo = self.memo
        assert memo is not None
        keys: list[bytes] = []
        known: dict[int, Any] = {}
        for index, item in enumerate(items):
            data = pickle.dumps(item, pickle.HIGHEST_PROTOCOL)
            keys.append(_memo.item_key(key, data, seeds.at(index) if seeds else None))
            found = memo.get(keys[-1])
            if found is not None:
                known[index] = _memo.load(found)
        chunk = Chunk(function, len(items), keys, memo.put_many)
        chunk.is_call = is_call
        chunk.take_known(known)
        if chunk.missing == 0:
            future.set_result(chunk.result())
            return chunk, seeds
        left = [index for index in range(len(items)) if index not in known]
        items[:] = [items[index] for index in left]
        return chunk, seeds.pick(left) if seeds else None

    def _take_seeds(self, count: int) -> Seeds | None:
        """Seeds of the next tasks."""
        task = current()
        if task is not None and task.seed is not None and (self.config.seed is None or self._was_rebuilt):
            first = task.children(count)
            return Seeds(task.seed.entropy, task.seed.spawn_key, range(first, first + count))
        if self.config.seed is None:
            return None
        with self._lock:
            first = self._counter
            self._counter += count
        return Seeds(self.config.seed, (), range(first, first + count))

    # ---- tasks in this process

    def _run_here(
        self, future: PoolFuture[Any], fn: Callable[..., Any], args: tuple[Any, ...], kwargs: Any, seeds: Seeds | None
    ) -> None:
        future.set_running_or_notify_cancel()
        try:
            call = functools.partial(fn, **kwargs) if kwargs else fn
            key = b"" if fn is _map.stream_here else self._key_of(call)
            result = self._call_here(call, args, seeds, key)
        except Exception as e:
            future.set_exception(e)
        else:
            future.set_result(result)

    def _map_here(self, fn: Callable[..., T], items: Iterable[tuple[Any, ...]]) -> Iterator[T]:
        key = self._key_of(fn)
        for item in items:
            yield self._call_here(fn, item, self._take_seeds(1), key)

    def _key_of(self, fn: Callable[..., Any]) -> bytes:
        return (
            _memo.function_key(fn, pickle.dumps(fn, pickle.HIGHEST_PROTOCOL)) if self.config.memo is not None else b""
        )

    def _call_here(self, fn: Callable[..., T], args: tuple[Any, ...], seeds: Seeds | None, function_key: bytes) -> T:
        seed = seeds.at(0) if seeds else None
        memo, key = self.memo if function_key else None, b""
        if memo is not None:
            key = _memo.item_key(function_key, pickle.dumps(args, pickle.HIGHEST_PROTOCOL), seed)
            found = memo.get(key)
            if found is not None:
                known: T = _memo.load(found)
                return known
        before = set_current(Current(seed))
        try:
            result = fn(*args)
        finally:
            set_current(before)
        if memo is not None:
            memo.put_many([(key, pickle.dumps(result, pickle.HIGHEST_PROTOCOL))])
        return result

    # ---- the pool as a whole

    @property
    def memo(self) -> Memo | None:
        """The memo of finished items, or None."""
        if self.config.memo is None:
            return None
        with self._lock:
            if self._memo is None:
                self._memo = _memo.open_memo(self.config.memo)
            return self._memo

    @property
    def size(self) -> int:
        """Number of workers."""
        return self._max_workers

    def is_master(self) -> bool:
        """Returns True: only the process that submits has this pool."""
        return True

    def wait(self, timeout: float | None = None) -> bool:
        """Waits until all tasks submitted so far have ended.

        Parameters
        ----------
        timeout : float, optional
            Seconds to wait at most.

        Returns
        -------
        bool
            False if the time is up and tasks are left.
        """
        return True if self._dispatcher is None else self._dispatcher.wait_idle(timeout)

    def pids(self) -> list[int]:
        """Returns the process ids of the workers that are running."""
        return [] if self._dispatcher is None else self._dispatcher.pids()

    def close(self) -> None:
        """Accepts no more tasks. Those that were submitted are computed."""
        self._closed = True
        if self._dispatcher is not None:
            self._dispatcher.close()

    def join(self) -> None:
        """Waits until all tasks have ended and the workers have exited.

        Raises
        ------
        ValueError
            The pool is neither closed nor terminated.
        """
        if not self._closed:
            raise ValueError("cannot join the pool: it is not closed")
        if self._dispatcher is not None:
            self._dispatcher.join()

    def terminate(self) -> None:
        """Kills the workers now. Futures that have not ended are cancelled."""
        self._closed = True
        if self._dispatcher is not None:
            self._dispatcher.close(terminate=True)
            self._dispatcher.join()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Accepts no more tasks, and ends the workers when all tasks have ended.

        Parameters
        ----------
        wait : bool
            Wait for that.
        cancel_futures : bool
            Cancel tasks that wait. Those that run are finished.
        """
        self._closed = True
        if self._dispatcher is not None:
            self._dispatcher.close(cancel=cancel_futures)
            if wait:
                try:
                    self._dispatcher.join()
                except BaseException:
                    # Ctrl-C while waiting.
                    self._dispatcher.close(terminate=True)
                    self._dispatcher.join()
                    raise

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: types.TracebackType | None,
    ) -> None:
        if exc_type is not None and not issubclass(exc_type, Exception):
            self.terminate()
        else:
            self.shutdown(wait=True, cancel_futures=exc_type is not None)

    def _check_open(self) -> None:
        if self._closed:
            raise RuntimeError("cannot submit a task: the pool is closed")

    def _get(self) -> Dispatcher:
        with self._lock:
            if self._dispatcher is None:
                self._dispatcher = self._open()
            return self._dispatcher

    def _open(self) -> Dispatcher:
        process = multiprocessing.current_process()
        if process.daemon:
            raise RuntimeError(
                "cannot start workers in a daemonic process, such as a worker of multiprocessing.Pool. Use h5part.Pool "
                "or concurrent.futures for the outer pool"
            )
        if getattr(process, "_inheriting", False):
            raise RuntimeError(
                "cannot start workers while the main module is being imported by a worker. Put what starts work under "
                "`if __name__ == '__main__':`, or pass context='fork'"
            )
        config = self.config
        setup = Setup(
            parent=os.getpid() if config.context != "forkserver" else None,
            at_end=functools.partial(end_all, terminate=True),
            memory_limit=config.memory_limit,
            initializer=config.initializer,
            initargs=config.initargs,
            inner=config.inner,
        )
        dispatcher = Dispatcher(self._context, self._max_workers, setup, config.retries, config.retry_on)
        # A pool that is dropped finishes its tasks, then its workers exit.
        weakref.finalize(self, dispatcher.close).atexit = False
        return dispatcher


def from_config(config: PoolConfig) -> Pool:
    """Returns a new pool of this configuration."""
    return Pool(
        config.workers,
        context=config.context,
        seed=config.seed,
        retries=config.retries,
        retry_on=config.retry_on,
        memory_limit=config.memory_limit,
        inner=config.inner,
        memo=config.memo,
        initializer=config.initializer,
        initargs=config.initargs,
    )


def _rebuild(uid: str, config: PoolConfig) -> Pool:
    """Returns the pool that was pickled: itself where it was made, else one per process."""
    known = _pools.get(uid)
    if known is None:
        known = from_config(config)
        known._uid = uid
        known._was_rebuilt = True
        _pools[uid] = known
        _rebuilt[uid] = known
    return known


def _in_child() -> None:
    set_current(None)
    for pool in list(_pools.values()):
        pool._was_rebuilt = True
        pool._reset()


os.register_at_fork(after_in_child=_in_child)
