"""Tasks over lists of arguments, in the shape of OpenQuake's Starmap.

``from h5part import Starmap`` takes the place of
``from openquake.baselib.parallel import Starmap``.
"""

from __future__ import annotations

import functools
import inspect
import logging
import math
import operator
import os
import pickle
import queue
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar

from h5part.monitor import Monitor
from h5part.pool import Pool
from h5part.pool._config import usable_cpus
from h5part.pool._worker import dump_result

__all__ = ["AccumDict", "Block", "IterResult", "Starmap", "split"]

T = TypeVar("T")
# Tasks per worker that are submitted before their turn.
_AHEAD = 4
# A line of progress per this share of the tasks.
_SHARE = 0.1


class AccumDict(dict[Any, Any]):
    """A dictionary that adds by key: the default accumulator of `Starmap.reduce`.

    ``a + b`` has the keys of both; values of common keys are added.
    """

    def __add__(self, other: Any) -> AccumDict:
        return AccumDict(self).__iadd__(other)

    def __iadd__(self, other: Any) -> AccumDict:
        for key, value in other.items():
            self[key] = self[key] + value if key in self else value
        return self


class Block(list[T], Generic[T]):
    """Part of a sequence, as a list with a `weight`."""

    weight: float = 0.0


class Spec(NamedTuple):
    """What a worker needs to know of a task, beside its arguments."""

    number: int
    name: str
    folder: str | None
    takes_monitor: bool
    weight: float | None
    sent: dict[str, int]


class IterResult:
    """The results of tasks, in the order in which they come. It can be iterated over once."""

    def __init__(self, results: Iterator[Any]) -> None:
        self._results = results

    def __iter__(self) -> Iterator[Any]:
        return self._results

    def reduce(self, agg: Callable[[Any, Any], Any] = operator.add, acc: Any = None) -> Any:
        """Combines all results.

        Parameters
        ----------
        agg, acc
            As in `Starmap.reduce`.
        """
        return functools.reduce(agg, self._results, AccumDict() if acc is None else acc)


class Starmap:
    """Runs a task for each tuple of arguments, and iterates over the results.

    A task may be a generator function: each value that it yields is a result.
    A result that is a tuple of a callable and arguments is submitted as a
    further task.

    A task whose last argument is named ``monitor`` or ``mon...`` gets a
    `Monitor`, which is not among the given arguments.

    Results come as tasks produce them, each once, also when a worker died and
    its task ran again. The first task that fails ends the run with its
    exception. A run that ends early stops its tasks.

    Parameters
    ----------
    task_func : callable
        Importable by workers, unless they are forked.
    task_args : iterable of tuples
        Taken as workers need them.
    distribute : {"no", "processpool"}, optional
        "no": run tasks in this process. Default: ``$OQ_DISTRIBUTE``, else
        "processpool".
    progress : callable, optional
        Called with a line of text about every 10 % of the tasks.
    h5 : path or open file, optional
        Writes measurements beside this file, where ``h5part monitor FILE``
        finds them.
    monitor : path or Monitor, optional
        Folder of measurements; in place of `h5`.
    pool : Pool, optional
        Default: a pool that all runs of this process share, with workers as
        set by `init`.

    Examples
    --------
    >>> from collections import Counter
    >>> from h5part import Starmap
    >>> Starmap(Counter, [("hello",), ("world",)], progress=None).reduce()["o"]
    2
    >>> Starmap.shutdown()
    """

    # Tasks that `apply` makes, about.
    CT: ClassVar[int] = 2 * usable_cpus()
    _shared: ClassVar[Pool | None] = None

    def __init__(
        self,
        task_func: Callable[..., Any],
        task_args: Iterable[Iterable[Any]] = (),
        distribute: str | None = None,
        progress: Callable[[str], object] | None = logging.info,
        h5: Any = None,
        *,
        monitor: Monitor | str | os.PathLike[str] | None = None,
        pool: Pool | None = None,
    ) -> None:
        self.task_func = task_func
        self.name = getattr(task_func, "__name__", type(task_func).__name__)
        self.task_no = 0
        self._args = iter(task_args)
        self._total = len(task_args) if isinstance(task_args, Sequence) else None
        self._distribute = distribute
        self._progress = progress
        self._folder = _folder(h5, monitor)
        self._pool = pool
        self._events: queue.SimpleQueue[tuple[bool, Any]] = queue.SimpleQueue()
        self._open: set[Future[None]] = set()
        self._ended = 0
        self._told = 0

    # ---- the shared pool

    @classmethod
    def init(cls, distribute: str | None = None, workers: int | None = None, **options: Any) -> None:
        """Makes the pool that runs share. Does nothing if there is one.

        Parameters
        ----------
        distribute : {"no", "processpool"}, optional
        workers : int, optional
        **options
            As of `Pool`.
        """
        if cls._shared is None:
            cls._shared = Pool(0 if _mode(distribute) == "no" else workers, **options)

    @classmethod
    def shutdown(cls) -> None:
        """Ends the workers of the shared pool."""
        shared, cls._shared = cls._shared, None
        if shared is not None:
            shared.shutdown()

    def _get_pool(self) -> Pool:
        if self._pool is None:
            if _mode(self._distribute) == "no":
                self._pool = Pool(0)
            else:
                Starmap.init(self._distribute)
                assert Starmap._shared is not None
                self._pool = Starmap._shared
        return self._pool

    # ---- tasks

    @classmethod
    def apply(
        cls,
        task: Callable[..., Any],
        allargs: tuple[Any, ...],
        concurrent_tasks: int | None = None,
        maxweight: float | None = None,
        weight: Callable[[Any], float] = lambda item: 1,
        key: Callable[[Any], Hashable] = lambda item: "Unspecified",
        distribute: str | None = None,
        progress: Callable[[str], object] | None = logging.info,
        h5: Any = None,
        **options: Any,
    ) -> Starmap:
        """Splits the first argument into blocks of about equal weight, and makes a task of each.

        Parameters
        ----------
        task : callable
        allargs : tuple
            The sequence to split, then the other arguments of each task.
        concurrent_tasks : int, optional
            Make about this many tasks. Default: `CT`, twice the processors.
        maxweight : float, optional
            Weight per block; in place of `concurrent_tasks`.
        weight : callable
            Weight of an item. Items of weight 0 are left out.
        key : callable
            Items with different keys do not share a block.
        distribute, progress, h5, **options
            As in `Starmap`.

        Returns
        -------
        Starmap
            Nothing runs until it is iterated over or reduced.
        """
        items, *others = allargs
        blocks = split(items, concurrent_tasks or cls.CT, weight=weight, key=key, maxweight=maxweight)
        return cls(task, [(block, *others) for block in blocks], distribute, progress, h5, **options)

    def submit(self, args: Iterable[Any], func: Callable[..., Any] | None = None) -> None:
        """Submits a task now.

        Parameters
        ----------
        args : tuple
        func : callable, optional
            Default: the task of this run.
        """
        func = func or self.task_func
        args = tuple(args)
        names = _argument_names(func)
        takes_monitor = bool(names) and (names[-1].startswith("mon") or names[-1].endswith("mon"))
        if takes_monitor and args and isinstance(args[-1], Monitor):
            args = args[:-1]
        sent = {}
        if self._folder is not None:
            sent = {name: len(pickle.dumps(arg)) for name, arg in zip(names, args, strict=False)}
        spec = Spec(
            number=self.task_no,
            name=getattr(func, "__name__", type(func).__name__),
            folder=self._folder,
            takes_monitor=takes_monitor,
            weight=getattr(args[0], "weight", None) if args else None,
            sent=sent,
        )
        self.task_no += 1
        future = self._get_pool().stream(self._on_part, run_task, func, args, spec)
        self._open.add(future)
        future.add_done_callback(self._on_end)

    def _on_part(self, data: bytes) -> None:
        self._events.put((True, data))

    def _on_end(self, future: Future[None]) -> None:
        self._events.put((False, future))

    def submit_all(self) -> IterResult:
        """Returns the results of all tasks, which begin when it is iterated over."""
        return IterResult(self._loop())

    get_results = submit_all

    def __iter__(self) -> Iterator[Any]:
        return self._loop()

    def reduce(self, agg: Callable[[Any, Any], Any] = operator.add, acc: Any = None) -> Any:
        """Runs all tasks, and combines their results.

        Parameters
        ----------
        agg : callable
            Combines the accumulator and a result. Default: addition.
        acc : object, optional
            Where to begin. Default: an empty `AccumDict`, which adds
            dictionaries by key.

        Returns
        -------
        object
            The last accumulator.
        """
        return self.submit_all().reduce(agg, acc)

    def _loop(self) -> Iterator[Any]:
        try:
            self._submit_some()
            while self._open:
                is_part, what = self._events.get()
                if is_part:
                    value = pickle.loads(what)
                    if isinstance(value, tuple) and value and callable(value[0]):
                        self.submit(value[1:], value[0])
                    else:
                        yield value
                    continue
                self._open.discard(what)
                what.result()
                self._ended += 1
                self._tell()
                self._submit_some()
        finally:
            for future in self._open:
                future.cancel()
            self._open.clear()

    def _submit_some(self) -> None:
        """Takes arguments as workers need them: a generator of them need not fit into memory."""
        pool = self._get_pool()
        most = _AHEAD * pool.size if pool.config.workers else 1
        while len(self._open) < most:
            try:
                args = next(self._args)
            except StopIteration:
                return
            self.submit(args)

    def _tell(self) -> None:
        total = max(self._total or 0, self.task_no)
        if self._progress is None or self._total is None:
            return
        if self._ended - self._told >= max(1, _SHARE * total) or self._ended == total:
            self._told = self._ended
            self._progress(f"{self.name}: {self._ended} of {total} tasks ({100 * self._ended // total} %)")


def run_task(func: Callable[..., Any], args: tuple[Any, ...], spec: Spec) -> Iterator[bytes]:
    """A task in a worker: measures it, and yields its pickled results."""
    options: dict[str, Any] = {"task": spec.number, "weight": spec.weight}
    with Monitor(spec.name, folder=spec.folder, **options) as whole:
        whole.sent.update(spec.sent)
        whole.counts += 1
        if spec.takes_monitor:
            args = (*args, Monitor(spec.name, folder=spec.folder))
        result = func(*args)
        for value in result if inspect.isgenerator(result) else (result,):
            data = dump_result(value)
            whole.received += len(data)
            yield data


def split(
    items: Iterable[T],
    hint: int,
    *,
    weight: Callable[[T], float] = lambda item: 1,
    key: Callable[[T], Hashable] = lambda item: None,
    maxweight: float | None = None,
) -> list[Block[T]]:
    """Splits items into blocks of about equal weight.

    Parameters
    ----------
    items : iterable
    hint : int
        Make about this many blocks.
    weight : callable
        Weight of an item, 0 or more. Items of weight 0 are left out.
    key : callable
        Items with different keys do not share a block. Items of one key keep
        their order.
    maxweight : float, optional
        Weight that no block exceeds, unless a single item does. In place of
        `hint`.

    Returns
    -------
    list of Block

    Raises
    ------
    ValueError
        A weight is negative or not finite; `hint` is less than 1.
    """
    if hint < 1:
        raise ValueError(f"concurrent_tasks: expected 1 or more, found {hint}")
    groups: dict[Hashable, list[tuple[T, float]]] = {}
    total = 0.0
    for item in items:
        heavy = float(weight(item))
        if not 0 <= heavy < math.inf:
            raise ValueError(f"weight: expected a finite number of 0 or more, found {heavy} for {item!r}")
        if heavy > 0:
            groups.setdefault(key(item), []).append((item, heavy))
            total += heavy
    most = maxweight if maxweight is not None else total / hint
    blocks: list[Block[T]] = []
    for group in groups.values():
        block: Block[T] | None = None
        for item, heavy in group:
            # The last bit of a sum of floats is not worth a block.
            if block is None or block.weight + heavy > most * (1 + 1e-9):
                block = Block()
                blocks.append(block)
            block.append(item)
            block.weight += heavy
    return blocks


def _argument_names(func: Callable[..., Any]) -> list[str]:
    """Names of positional parameters, without `self`."""
    try:
        parameters = inspect.signature(func).parameters.values()
    except (TypeError, ValueError):
        return []
    return [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]


def _mode(distribute: str | None) -> str:
    mode = distribute or os.environ.get("OQ_DISTRIBUTE") or "processpool"
    if mode not in ("no", "processpool"):
        raise ValueError(f"distribute: expected 'no' or 'processpool', found {mode!r}")
    return mode


def _folder(h5: Any, monitor: Monitor | str | os.PathLike[str] | None) -> str | None:
    """Folder of measurements."""
    if isinstance(monitor, Monitor):
        return monitor.folder
    if monitor is not None:
        return os.path.abspath(monitor)
    if h5 is None:
        return None
    path = h5 if isinstance(h5, str | os.PathLike) else getattr(h5, "filename", None)
    if path is None:
        raise TypeError(f"h5: expected a path or an open file, found {type(h5).__name__}")
    return os.path.abspath(os.fspath(path)) + ".part/monitor"
