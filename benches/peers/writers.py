"""Real writer processes with a common start.

What is timed is the same for every peer: from one instant, agreed on when all writers are ready
(started, imported, opened what stays open), to the end of the last commit of the slowest writer.
"""

from __future__ import annotations

import multiprocessing
import time
import traceback
from abc import abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, TypeAlias

from model import Peer, PeerFailed, Run, Settings
from work import Columns, CommitWork, ReadRow

Commit: TypeAlias = Callable[[slice, Columns], object]
"""Writes one batch and returns when another process can read it."""

LEAD_S = 0.5
"""From 'all ready' to the common start: enough for the last writer to hear of it."""
SPIN_S = 0.0002
"""The end of the wait is spun, for an exact start. The rest is slept: more writers than cores
would otherwise enter the measurement with their time slices used up."""
LEAST_COMMITS = 8
"""Of each writer, also past the time budget: a figure of a handful of commits says nothing."""
PATIENCE_S = 60.0
"""On top of the time budget: a writer that is silent for longer hangs."""


@dataclass(frozen=True)
class Outcome:
    """What one writer did. `end` is on the machine-wide monotonic clock."""

    commits: int
    end: float


def wait_until(start: float) -> None:
    """Returns at `start` (monotonic clock)."""
    time.sleep(max(0.0, start - SPIN_S - time.monotonic()))
    while time.monotonic() < start:
        pass


def commit_all(
    commit: Commit, batches: list[tuple[slice, Columns]], start: float, budget_s: float
) -> Outcome:
    """Commits the batches from `start` on, as many as fit in the budget."""
    deadline = start + budget_s
    end = start
    done = 0
    wait_until(start)
    for rows, values in batches:
        if end > deadline and done >= LEAST_COMMITS:
            break
        commit(rows, values)
        done += 1
        end = time.monotonic()
    return Outcome(done, end)


def as_run(work: CommitWork, outcomes: list[Outcome], start: float) -> Run:
    """One figure from all writers' outcomes."""
    return Run(
        operations=sum(outcome.commits for outcome in outcomes),
        wall_s=max(outcome.end for outcome in outcomes) - start,
        planned=work.commits,
    )


class WriterPeer(Peer):
    """A peer whose writers are Python processes started here."""

    budget_s: float | None = None
    """The peer's own time budget instead of the common one."""

    @abstractmethod
    def create(self, where: Path, work: CommitWork) -> None:
        """Makes what the writers fill, all rows zero or absent. Not measured."""

    @abstractmethod
    def writer(self, where: Path, work: CommitWork) -> AbstractContextManager[Commit]:
        """A writer, opened before the common start and closed after the last commit."""

    @abstractmethod
    def reader(self, where: Path) -> AbstractContextManager[ReadRow]:
        """A fresh reader, for the check at the end."""

    def measure(self, work: CommitWork, scratch: Path, settings: Settings) -> Run:
        where = scratch / "data"
        self.create(where, work)
        budget = settings.budget_s if self.budget_s is None else self.budget_s
        outcomes, start = _run_writers(self, where, work, budget)
        with self.reader(where) as read:
            check(read, work, outcomes)
        return as_run(work, outcomes, start)


def check(read: ReadRow, work: CommitWork, outcomes: list[Outcome]) -> None:
    """Raises unless a fresh reader finds what the writers committed."""
    wrong = work.wrong_rows([outcome.commits for outcome in outcomes], read)
    if wrong:
        raise PeerFailed(f"wrong data after the run: {', '.join(wrong)}")


def _writer_process(
    peer: WriterPeer, where: Path, work: CommitWork, index: int, budget_s: float, wire: Connection
) -> None:
    """Body of a writer process: tell when ready, hear the start, commit, tell the outcome."""
    try:
        batches = work.batches(index)
        with peer.writer(where, work) as commit:
            wire.send("ready")
            outcome = commit_all(commit, batches, wire.recv(), budget_s)
        wire.send(outcome)
    except Exception:
        wire.send(PeerFailed(f"writer {index}:\n{traceback.format_exc()}"))


def _run_writers(
    peer: WriterPeer, where: Path, work: CommitWork, budget_s: float
) -> tuple[list[Outcome], float]:
    """Runs all writers to their end; returns their outcomes and the common start."""
    # Spawned, not forked: each writer is a process of its own with nothing inherited from this
    # one (HDF5's open files, zarr's event loop).
    context = multiprocessing.get_context("spawn")
    wires: list[Connection] = []
    processes = []
    try:
        for index in range(work.writers):
            wire, far_end = context.Pipe()
            process = context.Process(
                target=_writer_process, args=(peer, where, work, index, budget_s, far_end)
            )
            process.start()
            far_end.close()
            wires.append(wire)
            processes.append(process)
        for wire in wires:
            _hear(wire, PATIENCE_S)
        start = time.monotonic() + LEAD_S
        for wire in wires:
            wire.send(start)
        return [_hear(wire, budget_s + PATIENCE_S) for wire in wires], start
    finally:
        for wire in wires:
            wire.close()
        for process in processes:
            process.join(timeout=5.0)
            if process.is_alive():
                process.kill()
                process.join()


def _hear(wire: Connection, patience_s: float) -> Any:
    """The next message of a writer; raises when it failed, died or hangs."""
    if not wire.poll(patience_s):
        raise PeerFailed(f"a writer was silent for {patience_s:.0f} s")
    try:
        message = wire.recv()
    except EOFError:
        raise PeerFailed("a writer died") from None
    if isinstance(message, PeerFailed):
        raise message
    return message
