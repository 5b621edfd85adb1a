"""Compressed columns, updated in place: h5part, and h5py under a lock file, with and without a sync."""

from __future__ import annotations

import fcntl
import json
import math
import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from model import PeerFailed, Run, Settings
from peers.h5py_lock import reader
from work import Columns, CommitWork, ReadRow
from writers import Commit, WriterPeer

LEVEL = 4
CHUNK_BYTES = 1 << 20
TABLE = "t"


def chunk_rows(work: CommitWork, row_bytes: int) -> int:
    """Rows a chunk as h5part makes them, for all peers: near 1 MiB."""
    return max(1, min(CHUNK_BYTES // row_bytes, work.rows))


class GzipPeer(WriterPeer):
    """All of them are read by h5py in the end."""

    repeats = 3
    budget_s = 4.0

    def absent(self, settings: Settings) -> str | None:
        return None if find_spec("h5py") else "python3 -m pip install h5py"

    @contextmanager
    def reader(self, where: Path) -> Iterator[ReadRow]:
        with reader(where) as read:
            yield lambda name, row: read(f"{TABLE}/{name}", row)


class H5partGzip(GzipPeer):
    """One `h5part update --stream` a writer; values go by .npy files."""

    name = "h5part"
    title = "h5part update --stream"
    note = "every commit is one structural change: atomic, and synced before it is acknowledged."
    program: Path

    def versions(self, settings: Settings) -> Mapping[str, str]:
        said = subprocess.run([settings.h5part, "--version"], capture_output=True, text=True)
        return {"h5part": said.stdout.strip().rpartition(" ")[2]}

    def absent(self, settings: Settings) -> str | None:
        if not settings.h5part.is_file():
            return f"no program {settings.h5part.name}; build it in release mode"
        return super().absent(settings)

    def measure(self, work: CommitWork, scratch: Path, settings: Settings) -> Run:
        self.program = settings.h5part
        return super().measure(work, scratch, settings)

    def create(self, where: Path, work: CommitWork) -> None:
        columns = []
        for name, (shape, dtype) in work.columns.items():
            cell = "x".join(map(str, shape))
            kind = {"f": "f64", "i": "i64"}[dtype.kind]
            columns += ["--column", f"{name}:{kind}:{cell}" if cell else f"{name}:{kind}"]
        command = [self.program, "create", where, TABLE, "--rows", str(work.rows), *columns]
        made = subprocess.run(
            [*command, "--gzip", str(LEVEL), "--shuffle"], capture_output=True, text=True
        )
        if made.returncode:
            raise PeerFailed(made.stderr)

    @contextmanager
    def writer(self, where: Path, work: CommitWork) -> Iterator[Commit]:
        import numpy as np

        stream = subprocess.Popen(
            [self.program, "update", where, TABLE, "--stream"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert stream.stdin and stream.stdout
        own = where.parent / f"values-{os.getpid()}"
        own.mkdir()

        def commit(rows: slice, values: Columns) -> None:
            paths = {name: str(own / f"{name}.npy") for name in values}
            for name, block in values.items():
                np.save(paths[name], block)
            request = {"rows": f"{rows.start}:{rows.stop}", "set": paths}
            print(json.dumps(request), file=stream.stdin, flush=True)
            answer = json.loads(stream.stdout.readline())
            if not answer["ok"]:
                raise PeerFailed(answer["error"])

        yield commit
        stream.stdin.close()
        if stream.wait():
            raise PeerFailed(f"exit {stream.returncode}")


class H5pyGzip(GzipPeer):
    """Lock, open for writing, write the rows' slices, close, unlock."""

    name = "h5py"
    title = "h5py under a lock file, without sync"
    note = "a commit that is killed may leave a file that does not open."
    synced = False

    def versions(self, settings: Settings) -> Mapping[str, str]:
        import h5py

        return {"h5py": h5py.version.version, "HDF5": h5py.version.hdf5_version}

    def create(self, where: Path, work: CommitWork) -> None:
        import h5py

        with h5py.File(where, "w") as file:
            for name, (shape, dtype) in work.columns.items():
                row_bytes = dtype.itemsize * math.prod(shape)
                file.create_dataset(
                    f"{TABLE}/{name}",
                    shape=(work.rows, *shape),
                    dtype=dtype,
                    chunks=(chunk_rows(work, row_bytes), *shape),
                    compression="gzip",
                    compression_opts=LEVEL,
                    shuffle=True,
                )

    @contextmanager
    def writer(self, where: Path, work: CommitWork) -> Iterator[Commit]:
        import h5py

        lock = os.open(f"{where}.lock", os.O_RDWR | os.O_CREAT, 0o644)

        def commit(rows: slice, values: Columns) -> None:
            fcntl.flock(lock, fcntl.LOCK_EX)
            try:
                with h5py.File(where, "r+") as file:
                    for name, block in values.items():
                        file[f"{TABLE}/{name}"][rows] = block
                if self.synced:
                    file = os.open(where, os.O_RDONLY)
                    os.fsync(file)
                    os.close(file)
            finally:
                fcntl.flock(lock, fcntl.LOCK_UN)

        try:
            yield commit
        finally:
            os.close(lock)


class H5pyGzipSynced(H5pyGzip):
    """The same promise as h5part's, as long as nobody is killed."""

    name = "h5py-fsync"
    title = "h5py under a lock file, fsync after close"
    note = ""
    synced = True
