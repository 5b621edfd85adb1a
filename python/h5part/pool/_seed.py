"""Seeds of tasks: each task has its own, whatever worker runs it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

_GOLDEN = 0x9E3779B97F4A7C15
_MASK = (1 << 64) - 1


def _splitmix64(seed: int, index: int) -> int:
    z = (seed + _GOLDEN * (index + 1)) & _MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
    return z ^ (z >> 31)


@dataclass(frozen=True)
class TaskSeed:
    """Seed of one task.

    It depends on the pool's seed and on the number of the task, never on the
    worker, the number of workers, the chunk size or the attempt.

    Attributes
    ----------
    entropy : int
        Seed of the outermost pool.
    spawn_key : tuple of int
        Number of the task in its pool, from 0. In a pool within a task, the
        key of that task comes first.
    """

    entropy: int
    spawn_key: tuple[int, ...]

    def __int__(self) -> int:
        """A seed of 64 bits, for `random.Random` and for other languages.

        With a key of one number it equals ``task_seed(entropy, number)`` of
        the Rust crate.
        """
        value = self.entropy & _MASK
        for number in self.spawn_key:
            value = _splitmix64(value, number)
        return value

    def sequence(self) -> np.random.SeedSequence:
        """Returns the ``numpy.random.SeedSequence`` of this task."""
        import numpy as np

        return np.random.SeedSequence(self.entropy, spawn_key=self.spawn_key)

    def rng(self) -> np.random.Generator:
        """Returns a new ``numpy.random.Generator`` for this task."""
        import numpy as np

        return np.random.default_rng(self.sequence())


class Current:
    """The task that this process is running."""

    def __init__(self, seed: TaskSeed | None) -> None:
        self.seed = seed
        self._children = 0

    def children(self, count: int) -> int:
        """Reserves numbers for tasks within this task; returns the first."""
        first = self._children
        self._children += count
        return first


# A global, not a thread-local: threads that a task starts belong to the task.
_current: Current | None = None


def current() -> Current | None:
    """Returns the task that this process is running."""
    return _current


def set_current(task: Current | None) -> Current | None:
    """Sets the running task; returns the one before."""
    global _current
    before, _current = _current, task
    return before


def task_seed() -> TaskSeed | None:
    """Returns the seed of the task that this process is running.

    Returns
    -------
    TaskSeed or None
        None outside a task, and in tasks of a pool without ``seed=``.

    Examples
    --------
    >>> import h5part
    >>> from h5part.pool import task_seed
    >>> def throw(dice):
    ...     return task_seed().rng().integers(1, 7, dice).sum()
    >>> with h5part.Pool(0, seed=1) as pool:
    ...     first = list(pool.map(throw, [1, 2]))
    >>> with h5part.Pool(0, seed=1) as pool:
    ...     first == list(pool.map(throw, [1, 2]))
    True
    """
    return None if _current is None else _current.seed


@dataclass(frozen=True)
class Seeds:
    """Seeds of the items of one task: an entropy, a prefix, a number per item."""

    entropy: int
    prefix: tuple[int, ...]
    numbers: range | tuple[int, ...]

    def at(self, index: int) -> TaskSeed:
        return TaskSeed(self.entropy, (*self.prefix, self.numbers[index]))

    def slice(self, start: int, stop: int) -> Seeds:
        return Seeds(self.entropy, self.prefix, self.numbers[start:stop])

    def pick(self, indices: list[int]) -> Seeds:
        return Seeds(self.entropy, self.prefix, tuple(self.numbers[i] for i in indices))
