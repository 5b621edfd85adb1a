"""The Python package beside the crate and beside what Python users do today.

A column of the table is what is done, a row is the way to do it.
"""

from __future__ import annotations

import math
import multiprocessing
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from model import Peer, PeerFailed, Run, Settings
from peers.h5part_stress import H5part
from peers.h5py_lock import H5pyLock, reader
from peers.readers import H5partRead, H5pyRead, PythonReader, ReadWork
from work import CommitWork, ReadRow
from writers import Commit, WriterPeer

# The packages are imported where they are used: the benchmark must start, and say so, when they aren't there.
WALKERS, DIMENSIONS = 32, 5


@dataclass(frozen=True)
class ImportWork:
    """An import in an interpreter of its own."""


@dataclass(frozen=True)
class ChainWork:
    """So many steps of emcee with a likelihood that costs nothing."""

    steps: int


@dataclass(frozen=True)
class MapWork:
    """So many items of a function that does nothing, `chunk` items a message."""

    items: int
    chunk: int
    workers: int


class PythonCommit(WriterPeer):
    """`Table.writer`, a row a commit."""

    name = "h5part"
    title = "h5part"

    def absent(self, settings: Settings) -> str | None:
        return lacking("h5part")

    def create(self, where: Path, work: CommitWork) -> None:
        import h5part

        h5part.create(where, "t", work.rows, {name: (dtype, shape) for name, (shape, dtype) in work.columns.items()})

    @contextmanager
    def writer(self, where: Path, work: CommitWork) -> Iterator[Commit]:
        import h5part

        with h5part.open(where)["t"].writer(durability="process") as writer:
            # The first commit opens what stays open.
            first = work.values(0, 1)
            writer.commit(0, **{name: block[0] for name, block in first.items()})
            yield lambda rows, values: writer.commit(rows.start, **values)

    @contextmanager
    def reader(self, where: Path) -> Iterator[ReadRow]:
        with reader(where) as read:
            yield lambda name, row: read(f"t/{name}", row)


class H5pyChunked(H5pyLock):
    """The same with chunks near 1 MiB, as h5part makes them."""

    def create(self, where: Path, work: CommitWork) -> None:
        import h5py

        with h5py.File(where, "w") as file:
            for name, (shape, dtype) in work.columns.items():
                row_bytes = dtype.itemsize * math.prod(shape)
                chunk = (max(1, min(work.rows, (1 << 20) // row_bytes)), *shape)
                file.create_dataset(name, shape=(work.rows, *shape), dtype=dtype, chunks=chunk)


class PythonRead(PythonReader):
    """`Table.read`."""

    name = "h5part"
    title = "h5part"

    def absent(self, settings: Settings) -> str | None:
        return lacking("h5part")


class InProcess(Peer):
    """What is measured in this process."""

    needs: tuple[str, ...] = ()

    def absent(self, settings: Settings) -> str | None:
        return next(filter(None, map(lacking, self.needs)), None)


class Import(InProcess):
    """An import, in an interpreter that has imported what comes `before`."""

    name = "import"
    title = "import"

    def __init__(self, module: str, before: str) -> None:
        self.module, self.before = module, before
        self.needs = (module,)

    def measure(self, work: ImportWork, scratch: Path, settings: Settings) -> Run:
        code = f"import time, {self.before}; s = time.perf_counter(); import {self.module}; print(time.perf_counter() - s)"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        if done.returncode:
            raise PeerFailed(done.stderr[-400:])
        return Run(1, float(done.stdout), 1)


class Chain(InProcess, ABC):
    """emcee's sampler with a backend."""

    name = "chain"
    title = "chain"

    @abstractmethod
    def backend(self, path: Path) -> Any:
        """An empty one."""

    def steps(self, work: ChainWork) -> int:
        return work.steps

    def measure(self, work: ChainWork, scratch: Path, settings: Settings) -> Run:
        import emcee
        import numpy as np

        start = np.random.default_rng(1).normal(size=(WALKERS, DIMENSIONS))
        backend = self.backend(scratch / "chain.h5")
        sampler = emcee.EnsembleSampler(WALKERS, DIMENSIONS, nothing, backend=backend)
        state = sampler.run_mcmc(start, 5)
        steps = self.steps(work)
        begun = time.perf_counter()
        sampler.run_mcmc(state, steps)
        wall = time.perf_counter() - begun
        if backend.get_chain().shape != (steps + 5, WALKERS, DIMENSIONS):
            raise PeerFailed("steps are missing")
        return Run(steps, wall, steps)


class OurChain(Chain):
    """`h5part.emcee.Backend`."""

    needs = ("h5part", "emcee")

    def __init__(self, durability: Literal["power", "process"]) -> None:
        self.durability = durability

    def backend(self, path: Path) -> Any:
        import h5part.emcee

        return h5part.emcee.Backend(path, durability=self.durability)


class TheirChain(Chain):
    """`HDFBackend`."""

    needs = ("emcee", "h5py")

    def backend(self, path: Path) -> Any:
        from emcee.backends import HDFBackend

        return HDFBackend(str(path))

    def steps(self, work: ChainWork) -> int:
        return max(50, work.steps // 5)


class Map(InProcess, ABC):
    """`map` of an executor whose workers have started."""

    name = "map"
    title = "map"

    @abstractmethod
    def pool(self, workers: int) -> AbstractContextManager[Executor]:
        """An executor with processes that are spawned."""

    def measure(self, work: MapWork, scratch: Path, settings: Settings) -> Run:
        with self.pool(work.workers) as pool:
            self.once(pool, 1000, 1)
            wall = self.once(pool, work.items, work.chunk)
        return Run(work.items, wall, work.items)

    def once(self, pool: Executor, items: int, chunk: int) -> float:
        start = time.perf_counter()
        count = sum(1 for _ in pool.map(nothing, range(items), chunksize=chunk))
        wall = time.perf_counter() - start
        if count != items:
            raise PeerFailed(f"{count} results of {items} items")
        return wall


class OurMap(Map):
    """`h5part.Pool`."""

    needs = ("h5part",)

    def pool(self, workers: int) -> AbstractContextManager[Executor]:
        import h5part

        return h5part.Pool(workers)


class TheirMap(Map):
    """`ProcessPoolExecutor`."""

    def pool(self, workers: int) -> AbstractContextManager[Executor]:
        return ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"))


class Way(Peer):
    """A row of the table: for each kind of work a peer that does it, in its own way."""

    def __init__(self, name: str, title: str, note: str, parts: Mapping[type, Peer], repeats: int | None = None) -> None:
        self.name, self.title, self.note, self.parts, self.repeats = name, title, note, parts, repeats

    def absent(self, settings: Settings) -> str | None:
        why = [part.absent(settings) for part in self.parts.values()]
        return why[0] if all(why) else None

    def does(self, work: Any) -> bool:
        return type(work) in self.parts

    def versions(self, settings: Settings) -> Mapping[str, str]:
        found: dict[str, str] = {}
        for package in ("h5part", "numpy", "h5py", "emcee"):
            try:
                found[package] = version(package)
            except PackageNotFoundError:
                continue
        return found

    def measure(self, work: Any, scratch: Path, settings: Settings) -> Run:
        part = self.parts[type(work)]
        if why := part.absent(settings):
            raise PeerFailed(why)
        return part.measure(work, scratch, settings)


def ways() -> list[Way]:
    """All of them; the first is what the marks are about."""
    return [
        Way(
            "h5part",
            "h5part from Python",
            "commits and steps with durability `process`.",
            {
                CommitWork: PythonCommit(),
                ReadWork: PythonRead(),
                ImportWork: Import("h5part", before="numpy"),
                ChainWork: OurChain("process"),
                MapWork: OurMap(),
            },
        ),
        Way("power", "the same, durability `power`", "steps are synced.", {ChainWork: OurChain("power")}),
        Way("crate", "the crate, in Rust", "commits by `h5part stress`.", {CommitWork: H5part(), ReadWork: H5partRead()}),
        Way(
            "usual",
            "as people do it",
            "h5py under a lock file, contiguous; `d[...]`; `import numpy`; HDFBackend; ProcessPoolExecutor.",
            {
                CommitWork: H5pyLock(),
                ReadWork: H5pyRead(),
                ImportWork: Import("numpy", before="sys"),
                ChainWork: TheirChain(),
                MapWork: TheirMap(),
            },
            repeats=5,
        ),
        Way("chunked", "h5py under a lock file, chunked", "", {CommitWork: H5pyChunked()}, repeats=3),
    ]


def nothing(item: object) -> float:
    return 0.0


def lacking(package: str) -> str | None:
    return None if find_spec(package) else f"python3 -m pip install {package}"
