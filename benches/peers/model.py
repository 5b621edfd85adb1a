"""What the benchmark is made of: runs, peers, marks and tasks.

A *task* is one question ("what does a commit cost?"), asked in several *cases* (batch sizes). A
*peer* is one way to do the task's work. A *run* is one peer doing one case once. Everything here
is data and two small interfaces, so that a new peer or a new task is a new file, not a new branch
in `run.py`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any


class PeerFailed(Exception):
    """A peer crashed, hung, or left other data than it was told to write.

    It fails the whole benchmark, whatever the marks: a figure without right data is a figure of
    something else.
    """


@dataclass(frozen=True)
class Settings:
    """What the command line decides and peers need to know."""

    h5part: Path
    mpirun: str
    mpi_python: str
    budget_s: float
    reading: Path | None
    """The program of `benches/reading.rs`."""
    saving: Path | None
    """The program of `benches/mbe.rs`."""
    hidefix: Path
    """The folder that holds the Python package hidefix, and what it needs."""
    planets: Path
    """The folder that holds the programs of vplanet's family."""
    shared: Path
    """A folder that all runs of the task see: for data that are made once."""


@dataclass(frozen=True)
class Run:
    """One measurement: so many operations between the common start and the last one's end."""

    operations: int
    wall_s: float
    planned: int
    """What the case asks for. A slow peer's time budget ends its run before that."""
    beside: Mapping[str, float] = field(default_factory=dict)
    """What else was measured: name of a `Quantity` -> value."""

    @property
    def us_per_operation(self) -> float:
        return self.wall_s / self.operations * 1e6


@dataclass(frozen=True)
class Quantity:
    """What a task measures beside the time."""

    name: str
    title: str
    """With its unit, as in 'size, MiB'."""
    of_runs: Callable[[list[float]], float] = median
    """The figure of several runs."""


class Peer(ABC):
    """One way to do a task's work. Must be picklable: it is sent to the processes that work."""

    name: str
    """Short, unique in its task: `--peers` and the marks use it."""
    title: str
    """The row's label in the tables."""
    note: str = ""
    """A line below the table about what a reader must know to judge the figure."""
    repeats: int | None = None
    """At most so many runs of a case; None: a cheap peer, as many as `--repeats` says, and more
    when a case is over in milliseconds."""

    @abstractmethod
    def absent(self, settings: Settings) -> str | None:
        """Why the peer can't run here and what to install, or None when it can."""

    def does(self, work: Any) -> bool:
        """Whether the case is one for this peer; asked only when it is present."""
        return True

    def versions(self, settings: Settings) -> Mapping[str, str]:
        """The versions of what is measured; asked only when the peer is present."""
        return {}

    @abstractmethod
    def measure(self, work: Any, scratch: Path, settings: Settings) -> Run:
        """Does `work` (the case's) once in the empty directory `scratch`, and checks the data.

        Raises `PeerFailed`.
        """


@dataclass(frozen=True)
class Mark:
    """A demanded ratio of two peers' figures: time of `over` / time of `under` in one case. Or their difference."""

    case: str
    over: str
    under: str | None
    """None: `over`'s own figure is what is demanded."""
    bound: float
    at_least: bool
    """True: the ratio must be at least `bound`; False: at most."""
    quantity: str | None = None
    """None: the time."""
    difference: bool = False
    """What is demanded is `over` - `under`, in microseconds."""

    def reached(self, ratio: float) -> bool:
        return ratio >= self.bound if self.at_least else ratio <= self.bound


@dataclass(frozen=True)
class Task:
    """One table: cases are its columns, peers its rows."""

    name: str
    title: str
    unit: str
    """What `us_per_operation` counts, as in 'us/commit'."""
    cases: Mapping[str, Any]
    """Column label -> the work handed to `Peer.measure`."""
    peers: Sequence[Peer]
    marks: Sequence[Mark]
    baseline: str = "h5part"
    """The peer that the table's ratios refer to."""
    unit_us: float = 1.0
    """What the tables divide microseconds by to have `unit`."""
    quantities: Sequence[Quantity] = ()
    """What is measured beside the time."""


@dataclass
class Results:
    """All that was measured for a task; `report.py` makes the tables from it."""

    task: Task
    runs: dict[tuple[str, str], list[Run]] = field(default_factory=dict)
    """(peer name, case label) -> runs in the order in which they were made."""
    absent: dict[str, str] = field(default_factory=dict)
    """Peer name -> why it could not run."""
    failed: dict[tuple[str, str], str] = field(default_factory=dict)
    """(peer name, case label) -> what went wrong."""
    versions: dict[str, dict[str, str]] = field(default_factory=dict)
    """Peer name -> versions of what was measured."""
