"""Many processes write one ordinary HDF5 file, in place, at the same time.

Any of them may be killed at any instant: what was committed is there, and what is there can be proved.

>>> import h5part
>>> frames = h5part.create("run.h5", "frames", 4000, {"E": "f8", "F": ("f8", (100, 3))})
>>> frames.commit(7, E=-76.4)  # in each of many processes
1
>>> frames.read("E", rows=[7, 22]).mask.tolist()  # beside them
[True, False]
"""

from __future__ import annotations

import importlib as _importlib
import os as _os
from typing import TYPE_CHECKING, Any

from . import _h5part, errors
from ._block import Block
from ._column import Column
from ._column_spec import ColumnSpec
from ._store import Report, Store, create, merge, open, program
from ._table import ColumnStatus, Status, Table
from ._writer import Writer
from .errors import (
    AlreadyExists,
    BadFile,
    BadRequest,
    DiskFull,
    Error,
    Fenced,
    FileMissing,
    ForeignChange,
    IOFailed,
    LockTimeout,
    Mismatch,
    NotAsExpected,
    NotFound,
    ReadOnly,
    RowOutOfRange,
    TaskError,
    TypeMismatch,
    Unsupported,
    WorkerDied,
)
from .ledger import Claim, Ledger

if TYPE_CHECKING:
    from ._run import Summary, run
    from .monitor import Monitor
    from .pool import Pool
    from .starmap import Starmap

__version__ = _h5part.__version__

# Locks belong to what was opened, and would be shared across a fork; threads are not there after it.
_os.register_at_fork(
    before=_h5part.before_fork,
    after_in_parent=_h5part.after_fork_in_parent,
    after_in_child=_h5part.after_fork_in_child,
)

__all__ = [
    "AlreadyExists",
    "BadFile",
    "BadRequest",
    "Block",
    "Claim",
    "Column",
    "ColumnSpec",
    "ColumnStatus",
    "DiskFull",
    "Error",
    "Fenced",
    "FileMissing",
    "ForeignChange",
    "IOFailed",
    "Ledger",
    "LockTimeout",
    "Mismatch",
    "Monitor",
    "NotAsExpected",
    "NotFound",
    "Pool",
    "ReadOnly",
    "Report",
    "RowOutOfRange",
    "Starmap",
    "Status",
    "Store",
    "Summary",
    "Table",
    "TaskError",
    "TypeMismatch",
    "Unsupported",
    "Writer",
    "WorkerDied",
    "create",
    "errors",
    "merge",
    "open",
    "program",
    "run",
]

# Imported when they are first used: multiprocessing and its friends cost more than the rest of the package.
_LATER = {
    "Monitor": "h5part.monitor",
    "Pool": "h5part.pool",
    "Starmap": "h5part.starmap",
    "Summary": "h5part._run",
    "run": "h5part._run",
}
_MODULES = {"emcee", "mbe", "monitor", "pool", "progress", "pytransc", "ragged", "slurm", "starmap"}


def __getattr__(name: str) -> Any:
    if name in _LATER:
        value = getattr(_importlib.import_module(_LATER[name]), name)
    elif name in _MODULES:
        value = _importlib.import_module(f"h5part.{name}")
    else:
        raise AttributeError(f"module 'h5part' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER, *_MODULES})
