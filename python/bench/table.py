"""Commits, reads, chains and the import from Python, beside h5py and emcee's HDFBackend, interleaved; medians.

    python python/bench/table.py [--rows 2000] [--rounds 5] [--folder FOLDER]
"""

from __future__ import annotations

import argparse
import fcntl
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

import h5part

SHAPE = (100, 3)
COLUMNS = {"E": "f8", "F": ("f8", SHAPE)}
WRITERS = 4


def commit_ours(path: str, rows: range) -> float:
    writer = h5part.open(path)["t"].writer(durability="process")
    forces = np.ones(SHAPE)
    writer.commit(rows[0], E=0.5, F=forces)
    start = time.perf_counter()
    for row in rows:
        writer.commit(row, E=0.5, F=forces)
    return time.perf_counter() - start


def commit_h5py(path: str, rows: range) -> float:
    """As people do it: a lock file around open, write, close."""
    forces = np.ones(SHAPE)
    start = time.perf_counter()
    with open(path + ".lock", "w") as lock:
        for row in rows:
            fcntl.flock(lock, fcntl.LOCK_EX)
            with h5py.File(path, "r+") as file:
                file["t/E"][row] = 0.5
                file["t/F"][row] = forces
            fcntl.flock(lock, fcntl.LOCK_UN)
    return time.perf_counter() - start


def make_h5py(path: str, rows: int, chunks: bool) -> None:
    with h5py.File(path, "w") as file:
        for name, shape in (("E", (rows,)), ("F", (rows, *SHAPE))):
            size = (max(1, min(rows, 400)), *shape[1:]) if chunks else None
            file.create_dataset(f"t/{name}", shape, "f8", chunks=size).write_direct(np.zeros(shape))


def many(work: Callable[[str, range], float], path: str, rows: int) -> float:
    """Microseconds a commit, of all writers together."""
    context = multiprocessing.get_context("spawn")
    parts = [(path, range(k, rows, WRITERS)) for k in range(WRITERS)]
    with context.Pool(WRITERS) as pool:
        pool.starmap(_warm, [()] * WRITERS)
        start = time.perf_counter()
        pool.starmap(work, parts, chunksize=1)
        return (time.perf_counter() - start) / rows * 1e6


def _warm() -> None:
    time.sleep(0.2)


def seconds(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def chain(backend: Any, steps: int) -> float:
    import emcee

    rng = np.random.RandomState(1)
    sampler = emcee.EnsembleSampler(32, 5, lambda x: 0.0, backend=backend)
    state = sampler.run_mcmc(rng.randn(32, 5), 5)
    return seconds(lambda: sampler.run_mcmc(state, steps)) / steps * 1e6


class Table:
    """Medians of interleaved rounds."""

    def __init__(self) -> None:
        self.values: dict[str, list[float]] = {}

    def add(self, name: str, value: float) -> None:
        self.values.setdefault(name, []).append(value)

    def median(self, name: str) -> float:
        return statistics.median(self.values[name])

    def show(self, title: str, ours: str, unit: str = "us") -> None:
        print(f"\n{title}")
        for name in self.values:
            ratio = self.median(name) / self.median(ours)
            print(f"  {name:34} {self.median(name):12.1f} {unit}   {ratio:8.2f}")


def commits(folder: Path, rows: int, rounds: int) -> None:
    one, four = Table(), Table()
    for k in range(rounds):
        ours = str(folder / f"ours{k}.h5")
        h5part.create(ours, "t", rows, COLUMNS)
        one.add("h5part process", commit_ours(ours, range(rows)) / rows * 1e6)
        ours4 = str(folder / f"ours4{k}.h5")
        h5part.create(ours4, "t", rows, COLUMNS)
        four.add("h5part process", many(commit_ours, ours4, rows))
        for chunks in (False, True):
            name = f"h5py under a lock, {'chunked' if chunks else 'contiguous'}"
            theirs, few = str(folder / "theirs.h5"), max(40, rows // 20)
            make_h5py(theirs, rows, chunks)
            one.add(name, commit_h5py(theirs, range(few)) / few * 1e6)
            four.add(name, many(commit_h5py, theirs, few))
    one.show("A commit of one row (f64, 100x3 f64), 1 process", "h5part process")
    four.show(f"The same, {WRITERS} processes", "h5part process")


def reads(folder: Path, rows: int, rounds: int) -> None:
    for name, options, theirs in (
        ("contiguous", {"contiguous": True}, {}),
        ("chunked", {}, {"chunks": (400, *SHAPE)}),
        ("gzip", {"gzip": 4}, {"chunks": (400, *SHAPE), "compression": 4, "shuffle": True}),
    ):
        table = Table()
        values = np.random.default_rng(1).normal(size=(rows, *SHAPE)).round(3)
        path, other = str(folder / f"r-{name}.h5"), str(folder / f"o-{name}.h5")
        ours = h5part.create(path, "t", rows, {"F": ("f8", SHAPE)}, **options)
        ours.commit(slice(0, rows), F=values)
        with h5py.File(other, "w") as file:
            file.create_dataset("t/F", data=values, **theirs)
        for _ in range(rounds):
            table.add("h5part", seconds(lambda: ours.read("F")) * 1e6)
            with h5py.File(other) as file:
                table.add("h5py", seconds(lambda: file["t/F"][:]) * 1e6)  # noqa: B023
        table.show(f"Reading {rows} rows of 100x3, {name}", "h5part")


def chains(folder: Path, steps: int, rounds: int) -> None:
    try:
        from emcee.backends import HDFBackend
    except ImportError:
        print("\nemcee is not installed: chains are not measured")
        return
    import h5part.emcee

    table = Table()
    for k in range(rounds):
        for durability in ("process", "power"):
            backend = h5part.emcee.Backend(folder / f"c{k}{durability}.h5", durability=durability)
            table.add(f"h5part {durability}", chain(backend, steps))
        table.add("HDFBackend", chain(HDFBackend(str(folder / f"h{k}.h5")), max(50, steps // 10)))
    table.show("A step of emcee, 32 walkers, 5 dimensions, free likelihood", "h5part process")


def imports(rounds: int) -> None:
    table = Table()
    code = "import sys, time, numpy; s = time.perf_counter(); import h5part; print(time.perf_counter() - s)"
    for _ in range(rounds):
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        table.add("import h5part, after numpy", float(done.stdout) * 1e3)
    table.show("Import", "import h5part, after numpy", "ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, default=Path(os.environ.get("TMPDIR", "/tmp")))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as scratch:
        folder = Path(scratch)
        commits(folder, options.rows, options.rounds)
        reads(folder, options.rows, options.rounds)
        chains(folder, 2000, options.rounds)
    imports(options.rounds)


if __name__ == "__main__":
    main()
