"""Pools of two levels for pyTransC 0.3.

pyTransC passes a pool for walkers on to the workers of its state pool only if
the pool's class is named ``ProcessPoolExecutor`` or ``ThreadPoolExecutor``; it
silently drops any other. `Pools` brings the inner pool to the workers itself.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from h5part.pool import Pool, inner, task_seed

__all__ = ["Pools"]


class Pools:
    """A pool for ``state_pool=`` and ``walker_pool=``, with what each task needs in its worker.

    - A state's sampler uses the inner pool of its worker, which
      ``Pool(inner=...)`` describes, for its walkers.
    - ``backends=`` gives each state a backend of emcee; pyTransC itself passes
      the same keywords to all states.
    - If the pool has a ``seed=``, the generators of `random` and
      ``numpy.random`` are seeded for each task. Results then do not depend on
      the number of workers, nor on workers that die.

    Parameters
    ----------
    pool : Pool
    backends : mapping of int to backend, optional
        Backend by index of the state. They are pickled to the workers.
    forward : bool
        Give the inner pool to the forward solver
        (``pytransc.utils.forward_context.get_forward_pool``) in place of
        emcee's walkers.

    Examples
    --------
    >>> import h5part, h5part.pytransc
    >>> with h5part.Pool(4, inner=2, seed=1) as pool:  # doctest: +SKIP
    ...     pools = h5part.pytransc.Pools(pool)
    ...     ensembles, log_posteriors = run_mcmc_per_state(..., state_pool=pools)
    ...     chains = run_ensemble_resampler(..., walker_pool=pools)
    """

    def __init__(self, pool: Pool, *, backends: Mapping[int, Any] | None = None, forward: bool = False) -> None:
        self.pool = pool
        self.backends = dict(backends or {})
        self.forward = forward

    @property
    def size(self) -> int:
        """Number of workers."""
        return self.pool.size

    def map(self, function: Callable[[Any], Any], iterable: Iterable[Any]) -> Iterator[Any]:
        """Calls a function of pyTransC with each item, one item per message; see `Pool.map`."""
        call = functools.partial(_run, function, self.backends, self.forward)
        return self.pool.map(call, iterable, chunksize=1)


def _run(function: Callable[[Any], Any], backends: Mapping[int, Any], forward: bool, item: Any) -> Any:
    """One task of pyTransC in a worker."""
    _seed_globals()
    if isinstance(item, dict) and "state_idx" in item:
        state = item["state_idx"]
        if state in backends:
            item = {**item, "backend": backends[state]}
    pool = inner()
    if pool.config.workers == 0:
        return function(item)
    with _forward_pool(pool) if forward else _walker_pool(pool):
        return function(item)


def _seed_globals() -> None:
    seed = task_seed()
    if seed is not None:
        random.seed(int(seed))
        importlib.import_module("numpy").random.seed(int(seed) % (1 << 32))


@contextlib.contextmanager
def _walker_pool(pool: Pool) -> Iterator[None]:
    """Has emcee's samplers in this process use a pool, unless pyTransC gives them one."""
    module = importlib.import_module("pytransc.samplers.per_state")
    original = module.perform_sampling_with_emcee

    def with_pool(*args: Any, **kwargs: Any) -> Any:
        if kwargs.get("pool") is None:
            kwargs["pool"] = pool
        return original(*args, **kwargs)

    module.perform_sampling_with_emcee = with_pool  # type: ignore[attr-defined]
    try:
        yield
    finally:
        module.perform_sampling_with_emcee = original  # type: ignore[attr-defined]


@contextlib.contextmanager
def _forward_pool(pool: Pool) -> Iterator[None]:
    context = importlib.import_module("pytransc.utils.forward_context")
    context.set_forward_pool(pool)
    try:
        yield
    finally:
        context.clear_forward_pool()
