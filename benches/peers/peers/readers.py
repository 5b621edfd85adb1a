"""Reading one column: h5part, bare `pread` calls, h5py, hidefix; and h5part beside writers.

Each opens the file in a process of its own, reads once, and then so often with a clock.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any, Literal, TypeAlias

import numpy as np
from model import Peer, PeerFailed, Run, Settings
from results import TABLE, ResultRows, call

Layout: TypeAlias = Literal["contiguous", "chunked", "gzip"]
COLUMN = "F"
READS = 7
"""Of each process; the median is its figure."""
WRITERS = 2
COMMITS_PER_S = 200
"""Of all writers together."""
KEPT_PACE = 0.5
"""Where writers don't make so much of it, the machine is too busy for an answer."""
PATIENCE_S = 300.0
PYTHON_READER = Path(__file__).with_name("python_reader.py")


@dataclass(frozen=True)
class ReadWork:
    """All rows of the column, or so many scattered ones, in ascending order."""

    rows: ResultRows
    layout: Layout
    few: int | None = None

    @property
    def count(self) -> int:
        return self.rows.rows if self.few is None else self.few

    def file(self, settings: Settings) -> Path:
        file = settings.shared / f"{self.layout}.h5"
        if not file.exists():
            if self.layout == "gzip":
                work = ReadWork(self.rows, "chunked").file(settings)
                call(settings.h5part, "publish", work, "-o", file, "--gzip", 4, "--shuffle")
            else:
                self.rows.make(file, settings.h5part, contiguous=self.layout == "contiguous")
            os.sync()
        return file

    def which(self, settings: Settings) -> Path | None:
        """The scattered rows, as a file; None: all rows."""
        if self.few is None:
            return None
        path = settings.shared / f"rows-{self.few}.npy"
        if not path.exists():
            rows = np.random.default_rng(1).choice(self.rows.rows, self.few, replace=False)
            np.save(path, np.sort(rows))
        return path

    def run(self, reads: Mapping[str, Any], **beside: float) -> Run:
        walls = reads["walls_s"]
        beside = {"best": min(walls) * 1e3, **beside}
        return Run(1, median(walls), 1, beside)

    def check(self, settings: Settings, crc32: int) -> None:
        """Raises where another peer read other values."""
        note = settings.shared / f"crc32-{self.few}"
        if not note.exists():
            note.write_text(str(crc32))
        if int(note.read_text()) != crc32:
            raise PeerFailed(f"read other values than another peer: CRC-32 {crc32:08x}")


class Reading(Peer):
    """A mode of the program that `benches/reading.rs` is."""

    least_s = 0.0
    """It reads for at least so long."""

    def absent(self, settings: Settings) -> str | None:
        if settings.reading and settings.reading.is_file():
            return None
        return "cargo bench --profile release --bench reading --no-run, and --reading PATH"

    def read(self, work: ReadWork, settings: Settings) -> dict[str, Any]:
        which = work.which(settings)
        job = [TABLE, COLUMN, f"@{which}" if which else ":", READS, self.least_s]
        return said([settings.reading, "read", work.file(settings), *job])


class H5partRead(Reading):
    """What a user of the crate calls."""

    name = "h5part"
    title = "h5part, Reader::read"
    note = "every value is checked against its stamp. Memory in huge pages."

    def measure(self, work: ReadWork, scratch: Path, settings: Settings) -> Run:
        reads = self.read(work, settings)
        work.check(settings, reads["crc32"])
        return work.run(reads)


class BarePread(Reading):
    """No file can be read faster than its bytes are."""

    name = "pread"
    title = "parallel bare pread of as many bytes"
    note = (
        "the limit, not a peer: 512 KiB a call, or a row, on all processors, into huge pages as "
        "h5part does it."
    )

    def does(self, work: ReadWork) -> bool:
        return work.layout != "gzip"

    def measure(self, work: ReadWork, scratch: Path, settings: Settings) -> Run:
        which = work.which(settings)
        rows = f"@{which}" if which else f"0:{work.rows.rows}"
        job = [work.file(settings), work.rows.cell_bytes, rows, READS, self.least_s]
        return work.run(said([settings.reading, "pread", *job]))


class PythonReader(Peer):
    """`python_reader.py` in a process of its own."""

    def folder(self, settings: Settings) -> Path | None:
        """Where its packages are; None: where ours are."""
        return None

    def environment(self, settings: Settings) -> dict[str, str]:
        folder = self.folder(settings)
        return {**os.environ, "PYTHONPATH": str(folder)} if folder else dict(os.environ)

    def versions(self, settings: Settings) -> Mapping[str, str]:
        return said([sys.executable, PYTHON_READER, self.name], self.environment(settings))

    def measure(self, work: ReadWork, scratch: Path, settings: Settings) -> Run:
        which = work.which(settings)
        command = [sys.executable, PYTHON_READER, self.name, work.file(settings), TABLE, COLUMN]
        reads = said([*command, which or ":", READS], self.environment(settings))
        work.check(settings, reads["crc32"])
        return work.run(reads)


class H5pyRead(PythonReader):
    """`d[...]`, and `d[list]`."""

    name = "h5py"
    title = "h5py, d[...]; of rows d[list]"
    repeats = 3

    def absent(self, settings: Settings) -> str | None:
        return None if find_spec("h5py") else "python3 -m pip install h5py"


class Hidefix(PythonReader):
    """Another reader without the library's lock; LGPL, so only ever beside."""

    name = "hidefix"
    title = "hidefix, d[...]"
    note = "its index is made once; it has no lists of rows, and does not know of stamps."

    def absent(self, settings: Settings) -> str | None:
        trial = [sys.executable, "-c", "import hidefix"]
        environment = self.environment(settings)
        done = subprocess.run(trial, env=environment, capture_output=True, text=True)
        if not done.returncode:
            return None
        why = done.stderr.strip().rpartition("\n")[2]
        return f"{why}; python3 -m pip install --target {self.folder(settings)} hidefix"

    def folder(self, settings: Settings) -> Path:
        return settings.hidefix

    def does(self, work: ReadWork) -> bool:
        return work.few is None


class Quiet(Reading):
    """The read alone."""

    name = "h5part"
    title = "h5part, quiet"
    least_s = 3.0
    repeats = 3

    def measure(self, work: ReadWork, scratch: Path, settings: Settings) -> Run:
        with self.company(work, settings) as commits:
            reads = self.read(work, settings)
        run = work.run(reads, cpu=reads["cpu_s"] / work.count * 1e6, commits=sum(commits))
        return Run(work.count, run.wall_s, work.count, run.beside)

    @contextmanager
    def company(self, work: ReadWork, settings: Settings) -> Iterator[list[float]]:
        """Whoever else uses the file meanwhile, and how many commits a second each of them made."""
        yield []


class Beside(Quiet):
    """The read while others commit to the rows that are read."""

    name = "beside"
    title = "h5part, beside writers"
    note = "processor time is the reader's alone."

    def written(self, work: ReadWork, settings: Settings) -> Path:
        return work.file(settings)

    @contextmanager
    def company(self, work: ReadWork, settings: Settings) -> Iterator[list[float]]:
        pace = COMMITS_PER_S / WRITERS
        file = self.written(work, settings)
        command = [str(settings.reading), "write", str(file), TABLE, str(pace)]
        pipe = subprocess.PIPE
        writers = [
            subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) for _ in range(WRITERS)
        ]
        commits: list[float] = []
        try:
            for writer in writers:
                assert writer.stdout
                writer.stdout.readline()
            yield commits
        finally:
            told = [writer.communicate(timeout=PATIENCE_S)[0] for writer in writers]
        if any(writer.returncode for writer in writers):
            raise PeerFailed("a writer failed")
        commits += [text["commits"] / text["wall_s"] for text in map(json.loads, told)]
        if sum(commits) < KEPT_PACE * COMMITS_PER_S:
            raise PeerFailed(f"writers kept a pace of {sum(commits):.0f} commits a second only")


class Apart(Beside):
    """The read while the same writers commit to another file."""

    name = "apart"
    title = "h5part, beside writers of another file"
    note = "what it costs to share the processors, without sharing a row."

    def written(self, work: ReadWork, settings: Settings) -> Path:
        other = ReadWork(work.rows, "contiguous")
        return other.file(settings)


def said(command: list[Any], environment: dict[str, str] | None = None) -> dict[str, Any]:
    """What a command says, as JSON."""
    words = list(map(str, command))
    done = subprocess.run(
        words, env=environment, capture_output=True, text=True, timeout=PATIENCE_S
    )
    if done.returncode:
        raise PeerFailed(f"{' '.join(words)}: exit {done.returncode}: {done.stderr[-400:]}")
    return dict(json.loads(done.stdout))
