"""A compressed copy of a file, for readers: `h5part publish`, and h5repack."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import used
from model import Peer, PeerFailed, Run, Settings
from peers.h5part_stress import H5part
from results import TABLE, ResultRows, commit

LEVEL = 4
MIB = 2**20
CHANGED = 0.01
"""The part of the chunks that changes before a file is published again."""


@dataclass(frozen=True)
class PublishWork:
    """The working file; it is the same for all."""

    rows: ResultRows

    def file(self, settings: Settings) -> Path:
        file = settings.shared / "work.h5"
        if not file.exists():
            self.rows.make(file, settings.h5part)
        return file

    def change(self, settings: Settings) -> None:
        """Commits a row in each of some chunks, which are far from each other."""
        count = max(1, round(CHANGED * self.rows.chunks))
        seed = np.random.default_rng()
        for chunk in np.linspace(0, self.rows.chunks - 1, count + 2, dtype=int)[1:-1]:
            row = int(chunk) * self.rows.chunk_rows
            values = self.rows.values(row, 1, seed=int(seed.integers(2**31)))
            commit(settings.h5part, self.file(settings), str(row), values)


class Copy(Peer):
    """One who copies the working file to `out`."""

    repeats = 3

    def copy(self, work: PublishWork, out: Path, settings: Settings) -> used.Used:
        raise NotImplementedError

    def measure(self, work: PublishWork, scratch: Path, settings: Settings) -> Run:
        out = scratch / "out.h5"
        took = self.copy(work, out, settings)
        check(work.file(settings), out)
        beside = {"size": out.stat().st_size / MIB, "peak": took.peak_bytes / MIB}
        return Run(1, took.wall_s, 1, beside)


class H5partPublish(Copy):
    """The first time."""

    name = "h5part"
    title = "h5part publish"
    note = "every value is checked against its stamp, and the file is synced before it takes its name."
    absent = H5part.absent
    versions = H5part.versions

    def copy(self, work: PublishWork, out: Path, settings: Settings) -> used.Used:
        how = ["--gzip", str(LEVEL), "--shuffle"]
        return used.run([settings.h5part, "publish", work.file(settings), "-o", out, *how])


class H5partAgain(H5partPublish):
    """The next time, when little has changed."""

    name = "h5part-again"
    title = "h5part publish, again after 1 % of the chunks changed"
    note = "a row was committed in each of them."

    def copy(self, work: PublishWork, out: Path, settings: Settings) -> used.Used:
        super().copy(work, out, settings)
        work.change(settings)
        return super().copy(work, out, settings)


class H5repack(Copy):
    """HDF5's own program, as it is."""

    name = "h5repack"
    title = "h5repack"
    note = "it does not sync: a loss of power may take the copy."
    synced = False

    def absent(self, settings: Settings) -> str | None:
        return None if shutil.which("h5repack") else "on Debian and Ubuntu: apt install hdf5-tools"

    def versions(self, settings: Settings) -> Mapping[str, str]:
        said = subprocess.run(["h5repack", "--version"], capture_output=True, text=True).stdout
        found = re.search(r"[0-9.]{3,}", said)
        return {"h5repack": found[0] if found else "?"}

    def copy(self, work: PublishWork, out: Path, settings: Settings) -> used.Used:
        program = shutil.which("h5repack") or "h5repack"
        how = ["-f", "SHUF", "-f", f"GZIP={LEVEL}"]
        return used.run([program, *how, work.file(settings), out], out if self.synced else None)


class H5repackSynced(H5repack):
    """The same, and its output on the disk."""

    name = "h5repack-fsync"
    title = "h5repack, then fsync of its output"
    note = ""
    synced = True


def check(work: Path, out: Path) -> None:
    """Raises unless the copy has the working file's values, compressed as asked for."""
    if not find_spec("h5py"):
        raise PeerFailed("the copy can't be checked: python3 -m pip install h5py")
    import h5py

    with h5py.File(work, "r") as here, h5py.File(out, "r") as there:
        for name in ("E", "F", "status"):
            before, after = here[TABLE][name], there[TABLE][name]
            if (after.compression, after.compression_opts, after.shuffle) != ("gzip", LEVEL, True):
                raise PeerFailed(f"{name} is not compressed as asked for")
            part = max(1, len(before) // 20)
            for first in {0, len(before) // 2, len(before) - part}:
                rows = slice(first, first + part)
                if not np.array_equal(before[rows], after[rows]):
                    raise PeerFailed(f"wrong data in the copy: {name}, rows from {first} on")
