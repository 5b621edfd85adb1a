"""h5part: many processes write one ordinary HDF5 file in place."""

from h5part.errors import Error, TaskError, WorkerDied
from h5part.monitor import Monitor
from h5part.pool import Pool
from h5part.starmap import Starmap

__all__ = ["Error", "Monitor", "Pool", "Starmap", "TaskError", "WorkerDied"]
