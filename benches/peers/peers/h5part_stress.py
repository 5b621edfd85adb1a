"""h5part itself, and the limit: a bare pwrite of the same bytes, made by the same program.

`h5part stress` starts the writers, has its own common start and checks every row afterwards; the
time it reports is defined as in `writers.py`.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path

from model import Peer, PeerFailed, Run, Settings
from work import CommitWork

TIMEOUT_S = 120.0


class H5part(Peer):
    """`h5part stress`."""

    name = "h5part"
    title = "h5part"
    note = "durability `process`: a commit survives the death of any process, not of the machine."
    flags: tuple[str, ...] = ()

    def absent(self, settings: Settings) -> str | None:
        if settings.h5part.is_file():
            return None
        return f"no program {settings.h5part.name}; build it in release mode, or say --h5part PATH"

    def versions(self, settings: Settings) -> Mapping[str, str]:
        said = _call([str(settings.h5part), "--version"]).strip()
        if not said:
            raise PeerFailed("--version says nothing")
        return {"h5part": said.rpartition(" ")[2]}

    def measure(self, work: CommitWork, scratch: Path, settings: Settings) -> Run:
        command = [
            *(str(settings.h5part), "stress", str(scratch / "data")),
            *("--writers", str(work.writers), "--rows", str(work.rows)),
            *("--row-shape", "x".join(map(str, work.row_shape)), "--batch", str(work.batch)),
            *("--durability", "process", "--json", *self.flags),
        ]
        text = _call(command)
        try:
            report = json.loads(text)
            asked = (work.writers, work.rows, work.batch, work.commits)
            got = tuple(report[key] for key in ("writers", "rows", "batch", "commits"))
            bad = {key: report[key] for key in ("lost", "torn", "unreadable") if report[key]}
            run = Run(int(report["commits"]), float(report["wall_s"]), work.commits)
        except (ValueError, KeyError, TypeError) as error:
            raise PeerFailed(f"not the expected report ({error!r}): {text[:400]}") from error
        if got != asked:
            raise PeerFailed(f"did other work (writers, rows, batch, commits): {got}, not {asked}")
        if bad:
            raise PeerFailed(f"wrong data after the run: {bad}")
        return run


class BarePwrite(H5part):
    """`h5part stress --bare`: no file can be written faster than its bytes are."""

    name = "bare"
    title = "bare pwrite of the same bytes"
    note = "the limit, not a peer: nothing tells a reader which rows are whole."
    flags = ("--bare",)


def _call(command: list[str]) -> str:
    """The command's standard output; raises when it fails or hangs."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise PeerFailed(str(error)) from error
    if done.returncode:
        raise PeerFailed(f"{' '.join(command)}: exit {done.returncode}: {done.stderr[-400:]}")
    return done.stdout
