"""The pool within a worker."""

from __future__ import annotations

import os

from h5part.pool._pool import Pool, from_config
from h5part.pool._worker import inner_of_worker

_inner: Pool | None = None


def inner() -> Pool:
    """Returns the pool within this worker.

    Returns
    -------
    Pool
        The pool that ``Pool(inner=...)`` describes, the same one for all tasks
        of this worker. Without ``inner=``, and outside a worker: a pool that
        runs tasks in this process.

    Examples
    --------
    >>> import math
    >>> from h5part.pool import inner
    >>> def total(numbers):
    ...     return sum(inner().map(math.sqrt, numbers))
    >>> total([1, 4, 9])  # in a task of Pool(4, inner=2), by two workers
    6.0
    """
    global _inner
    if _inner is None:
        config = inner_of_worker()
        _inner = from_config(config) if config is not None else Pool(0)
        _inner._was_rebuilt = True
    return _inner


def _in_child() -> None:
    global _inner
    _inner = None


os.register_at_fork(after_in_child=_in_child)
