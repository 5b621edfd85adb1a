"""h5part: many processes write one ordinary HDF5 file in place."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from h5part.errors import Error, TaskError, WorkerDied

if TYPE_CHECKING:
    from h5part.monitor import Monitor
    from h5part.pool import Pool
    from h5part.starmap import Starmap

__all__ = ["Error", "Monitor", "Pool", "Starmap", "TaskError", "WorkerDied"]

# Imported when they are first used: multiprocessing and its friends cost more than the rest of the package.
_LATER = {"Monitor": "h5part.monitor", "Pool": "h5part.pool", "Starmap": "h5part.starmap"}
_MODULES = {"monitor", "pool", "progress", "pytransc", "slurm", "starmap"}


def __getattr__(name: str) -> Any:
    if name in _LATER:
        value = getattr(importlib.import_module(_LATER[name]), name)
    elif name in _MODULES:
        value = importlib.import_module(f"h5part.{name}")
    else:
        raise AttributeError(f"module 'h5part' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER, *_MODULES})
