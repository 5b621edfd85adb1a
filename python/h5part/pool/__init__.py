"""A pool of worker processes for functions of Python."""

from h5part.pool._config import PoolConfig
from h5part.pool._memo import DictMemo, Memo, StoreMemo, version
from h5part.pool._nested import inner
from h5part.pool._pool import Pool
from h5part.pool._seed import TaskSeed, task_seed
from h5part.pool._task import PoolFuture

__all__ = [
    "DictMemo",
    "Memo",
    "Pool",
    "PoolConfig",
    "PoolFuture",
    "StoreMemo",
    "TaskSeed",
    "inner",
    "task_seed",
    "version",
]
