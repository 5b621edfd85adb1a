"""h5part: many processes write one ordinary HDF5 file in place."""

from h5part.errors import Error, TaskError, WorkerDied
from h5part.pool import Pool

__all__ = ["Error", "Pool", "TaskError", "WorkerDied"]
