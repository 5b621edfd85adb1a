"""Pools within workers: those that were pickled, and the inner one."""

from __future__ import annotations

import os

from h5part.pool import _dispatch
from h5part.pool._config import PoolConfig
from h5part.pool._pool import Pool, pools
from h5part.pool._seed import set_current

# Pools that were unpickled here: kept, so that each task finds the same one.
_rebuilt: dict[str, Pool] = {}
_inner_config: PoolConfig | None = None
_inner: Pool | None = None


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


def rebuild(uid: str, config: PoolConfig) -> Pool:
    """Returns the pool that was pickled: itself where it was made, else one per process."""
    known = pools.get(uid)
    if known is None:
        known = from_config(config)
        known._uid = uid
        known._was_rebuilt = True
        pools[uid] = known
        _rebuilt[uid] = known
    return known


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
        _inner = from_config(_inner_config) if _inner_config is not None else Pool(0)
        _inner._was_rebuilt = True
    return _inner


def enter_worker(config: PoolConfig | None) -> None:
    """Begins a worker process."""
    global _inner_config, _inner
    _inner_config, _inner = config, None


def end_all() -> None:
    """Ends the pools of a worker that exits."""
    _dispatch.end_all(terminate=True)


def _in_child() -> None:
    global _inner
    _inner = None
    set_current(None)
    for pool in list(pools.values()):
        pool._was_rebuilt = True
        pool._reset()


os.register_at_fork(after_in_child=_in_child)
