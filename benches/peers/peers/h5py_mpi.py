"""h5py over MPI: parallel HDF5, one file opened once by all ranks, independent writes.

It needs an h5py built with MPI, which Debian packages for its own Python, so this module is also
a program that runs under `mpirun` with that Python: `python3 -m peers.h5py_mpi JOB`.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from model import Peer, PeerFailed, Run, Settings
from work import Columns, CommitWork
from writers import LEAD_S, PATIENCE_S, Outcome, as_run, check, commit_all

INSTALL = "apt-get install --no-install-recommends python3-h5py-mpi python3-mpi4py openmpi-bin"
HERE = Path(__file__).resolve().parent.parent


class H5pyMpi(Peer):
    """Parallel HDF5."""

    name = "h5py-mpi"
    title = "h5py over MPI"
    note = "one file opened once by all ranks, independent writes; a rank's death ends all of them."

    def __init__(self) -> None:
        self._found: dict[str, str] | None = None

    def absent(self, settings: Settings) -> str | None:
        if not shutil.which(settings.mpirun):
            return INSTALL
        try:
            self._found = json.loads(_mpirun(settings, 1, {"versions": True}))
        except (PeerFailed, ValueError):
            return f"no h5py with MPI in {settings.mpi_python}: {INSTALL}"
        return None

    def versions(self, settings: Settings) -> Mapping[str, str]:
        return self._found or {}

    def measure(self, work: CommitWork, scratch: Path, settings: Settings) -> Run:
        from peers.h5py_lock import reader

        where = scratch / "data"
        job = {"where": str(where), "work": asdict(work), "budget_s": settings.budget_s}
        answer = json.loads(_mpirun(settings, work.writers, job))
        outcomes = [Outcome(*pair) for pair in answer["outcomes"]]
        with reader(where) as read:  # by the serial HDF5, after all ranks are gone
            check(read, work, outcomes)
        return as_run(work, outcomes, answer["start"])


def _mpirun(settings: Settings, ranks: int, job: dict[str, Any]) -> str:
    """Runs this module on `ranks` ranks; returns what rank 0 printed."""
    command = [
        *(settings.mpirun, "--allow-run-as-root", "--oversubscribe", "-n", str(ranks)),
        *(settings.mpi_python, "-m", "peers.h5py_mpi", json.dumps(job)),
    ]
    # The serial h5py must not hide the one built with MPI.
    environment = {**os.environ, "PYTHONPATH": str(HERE)}
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            env=environment,
            timeout=settings.budget_s + PATIENCE_S,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise PeerFailed(str(error)) from error
    if done.returncode:
        raise PeerFailed(f"mpirun: exit {done.returncode}: {done.stderr[-800:]}")
    return done.stdout


def _rank(job: dict[str, Any]) -> None:
    """Body of one rank."""
    import h5py
    from mpi4py import MPI

    if not h5py.get_config().mpi:
        raise SystemExit("this h5py is built without MPI")
    comm = MPI.COMM_WORLD
    if job.get("versions"):
        # As in 'Open MPI v4.1.4, package: ...'.
        library, _, number = MPI.Get_library_version().split(",")[0].strip().rpartition(" ")
        found = {
            "h5py over MPI": h5py.version.version,
            "HDF5": h5py.version.hdf5_version,
            library: number.lstrip("v"),
        }
        print(json.dumps(found))
        return
    fields = dict(job["work"])
    fields["row_shape"] = tuple(fields["row_shape"])
    work = CommitWork(**fields)
    batches = work.batches(comm.rank)
    with h5py.File(job["where"], "w", driver="mpio", comm=comm) as file:
        datasets = {
            name: file.create_dataset(name, shape=(work.rows, *shape), dtype=dtype)
            for name, (shape, dtype) in work.columns.items()
        }

        def commit(rows: slice, values: Columns) -> None:
            for name, block in values.items():
                datasets[name][rows] = block

        comm.Barrier()
        start = comm.bcast(time.monotonic() + LEAD_S)
        outcome = commit_all(commit, batches, start, float(job["budget_s"]))
        # Open MPI waits by polling; a rank that is done must not take cores from those that aren't.
        all_done = comm.Ibarrier()
        while not all_done.Test():
            time.sleep(0.001)
        outcomes = comm.gather((outcome.commits, outcome.end))
    if comm.rank == 0:
        print(json.dumps({"start": start, "outcomes": outcomes}))


if __name__ == "__main__":
    _rank(json.loads(sys.argv[1]))
