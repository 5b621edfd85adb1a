"""Results of a `map`, chunk by chunk."""

from __future__ import annotations

import itertools
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from h5part.pool._task import Partial, PoolFuture


def stream_here(on_part: Callable[[Any], object], fn: Callable[..., Iterable[Any]], args: tuple[Any, ...]) -> None:
    for value in fn(*args):
        on_part(value)


def split(items: Iterable[tuple[Any, ...]], size: int) -> Iterator[list[tuple[Any, ...]]]:
    iterator = iter(items)
    while part := list(itertools.islice(iterator, size)):
        yield part


def results(
    futures: deque[PoolFuture[list[Any]]],
    parts: Iterator[list[tuple[Any, ...]]],
    submit: Callable[[list[tuple[Any, ...]]], PoolFuture[list[Any]]],
    end: float | None,
) -> Iterator[Any]:
    """The results of chunks, in order."""
    try:
        while futures:
            values = futures[0].result(None if end is None else max(0.0, end - time.monotonic()))
            futures.popleft()
            futures.extend(submit(part) for part in itertools.islice(parts, 1))
            yield from values
    except Partial as partial:
        yield from partial.results
        raise partial.error from partial.error.__cause__
    except (TimeoutError, KeyboardInterrupt):
        # Nobody wants these any more: stop them.
        for future in futures:
            future.cancel()
        raise
    finally:
        # What runs may have effects, and comes to its end; what waits does not begin.
        for future in futures:
            if not future.running():
                future.cancel()
