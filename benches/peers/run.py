"""Measures h5part and its peers, in turn, on the same work. See README.md beside this file."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import machine
import report
from model import Peer, PeerFailed, Results, Run, Settings, Task
from tasks import TASKS, Size

ROOT = Path(__file__).resolve().parents[2]
SHORT_S = 0.25
"""Cheap peers are repeated beyond `--repeats`, all of them so that they stay interleaved, until
the runs of each add up to this: a single run of a few milliseconds, of more processes than cores,
measures the scheduler."""
MOST_REPEATS = 2
"""But at most so many times `--repeats`."""


def main() -> int:
    options = parse()
    try:
        asked = TASKS[options.task]
        rows = options.rows or asked.rows
        task = asked.make(Size(options.writers, rows, options.row_shape, options.batches))
        task = only(task, options.peers)
    except ValueError as error:
        sys.exit(f"bench-peers: {error}")
    existed = options.dir.exists()
    options.dir.mkdir(parents=True, exist_ok=True)
    place = machine.describe(options.dir)
    scratch = Path(tempfile.mkdtemp(prefix="run-", dir=options.dir))
    settings = Settings(
        options.h5part,
        options.mpirun,
        options.mpi_python,
        options.budget,
        options.reading,
        options.saving,
        options.hidefix,
        options.planets,
        shared=scratch,
    )
    try:
        results = measure(task, settings, scratch, options.repeats)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
        if not existed:
            shutil.rmtree(options.dir, ignore_errors=True)
    print((report.markdown if options.markdown else report.text)(results, place))
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(report.raw(results, place), indent=2) + "\n")
    if results.failed:
        return 1
    missed = [verdict for verdict in report.verdicts(results) if verdict.word != "reached"]
    return 1 if options.strict and missed else 0


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench-peers", description=__doc__)
    add = parser.add_argument
    add("--task", choices=sorted(TASKS), default="commit")
    add("--peers", type=lambda s: s.split(","), help="only these, as in h5part,bare,zarr")
    add("--writers", type=positive, default=4)
    add("--rows", type=positive, help="default: what the task's marks are meant for")
    add("--row-shape", type=shape, default=(100, 3), metavar="AxB", help="of F (default 100x3)")
    add("--batches", type=sizes, default=[1, 10, 100], metavar="B,B", help="rows a commit")
    add("--repeats", type=positive, default=5, help="runs of each cheap peer; slow ones: fewer")
    add("--budget", type=float, default=6.0, metavar="S", help="longest run of a slow peer")
    add("--dir", type=Path, default=ROOT / "target/bench-peers", help="scratch, removed afterwards")
    add("--h5part", type=Path, default=ROOT / "target/release/h5part", metavar="PATH")
    add("--reading", type=Path, metavar="PATH", help="the program of benches/reading.rs")
    add("--saving", type=Path, metavar="PATH", help="the program of benches/mbe.rs")
    add("--hidefix", type=Path, default=ROOT / "target/tools/hidefix", metavar="DIR")
    add("--planets", type=Path, default=ROOT / "target/tools/planets/bin", metavar="DIR")
    add("--mpirun", default="mpirun", help="for the MPI peer")
    add("--mpi-python", default="/usr/bin/python3", help="the Python whose h5py has MPI")
    add("--markdown", action="store_true", help="print Markdown instead of plain text")
    add("--json", type=Path, metavar="OUT", help="write the raw numbers there")
    add("--strict", action="store_true", help="exit 1 unless every mark is measured and reached")
    return parser.parse_args()


def positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


def sizes(text: str) -> list[int]:
    return [positive(part) for part in text.split(",")]


def shape(text: str) -> tuple[int, ...]:
    return tuple(positive(part) for part in text.split("x"))


def only(task: Task, names: list[str] | None) -> Task:
    """The task with only the peers asked for; marks that lack a peer go with it."""
    if names is None:
        return task
    unknown = set(names) - {peer.name for peer in task.peers}
    if unknown:
        known = ", ".join(peer.name for peer in task.peers)
        raise ValueError(f"no peer {', '.join(sorted(unknown))}; there are {known}")
    return replace(
        task,
        peers=[peer for peer in task.peers if peer.name in names],
        marks=[mark for mark in task.marks if {mark.over, mark.under} <= {*names, None}],
    )


def measure(task: Task, settings: Settings, scratch: Path, repeats: int) -> Results:
    """Rounds of one run of each peer, A B C A B C, so that a drift of the machine hits all."""
    results = Results(task)
    for peer in task.peers:
        if why := peer.absent(settings):
            results.absent[peer.name] = why
            continue
        try:
            results.versions[peer.name] = dict(peer.versions(settings))
        except Exception as error:  # present but broken; the other peers aren't
            results.failed.update({(peer.name, case): str(error) for case in task.cases})
    for case, work in task.cases.items():
        runs: dict[Peer, list[Run]] = {
            peer: []
            for peer in task.peers
            if peer.name not in results.absent
            and (peer.name, case) not in results.failed
            and peer.does(work)
        }
        while due := peers_due(runs, repeats):
            for peer in due:
                try:
                    run = measure_once(peer, work, scratch, settings)
                except PeerFailed as error:
                    results.failed[peer.name, case] = str(error)
                    progress(f"{task.name} {case:>4}  {peer.name}: failed: {error}")
                    del runs[peer]  # also the good ones: half a peer is no peer
                    continue
                runs[peer].append(run)
                progress(
                    f"{task.name} {case:>4}  {peer.name:<14}{run.us_per_operation:14.1f} us"
                    f"  ({run.operations} in {run.wall_s:.3f} s)"
                )
        results.runs.update({(peer.name, case): made for peer, made in runs.items()})
    return results


def peers_due(runs: Mapping[Peer, list[Run]], repeats: int) -> list[Peer]:
    """The peers that need another run of a case, in their order."""
    cheap = [made for peer, made in runs.items() if peer.repeats is None]
    rounds = max(map(len, cheap), default=0)
    short = any(sum(run.wall_s for run in made) < SHORT_S for made in cheap)
    cheap_due = rounds < repeats or (short and rounds < MOST_REPEATS * repeats)
    return [
        peer
        for peer, made in runs.items()
        if (cheap_due if peer.repeats is None else len(made) < min(peer.repeats, repeats))
    ]


def measure_once(peer: Peer, work: object, scratch: Path, settings: Settings) -> Run:
    """One run in an empty directory, with nothing of the run before left to be written back."""
    where = Path(tempfile.mkdtemp(prefix=f"{peer.name}-", dir=scratch))
    os.sync()
    try:
        return peer.measure(work, where, settings)
    except PeerFailed:
        raise
    except Exception as error:  # a library's own: it must not cost the other peers' figures
        raise PeerFailed(repr(error)) from error
    finally:
        shutil.rmtree(where, ignore_errors=True)


def progress(line: str) -> None:
    print(f"{time.strftime('%H:%M:%S')}  {line}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
