"""What one command used. Run as a program, between the benchmark and what it measures: the peak memory that the
system notes of a command counts its parent's, before it became the command, and this parent is small.

Usage: used.py SYNC COMMAND..., where SYNC is a file to be synced afterwards, as part of the time, or nothing.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

PATIENCE_S = 600.0


@dataclass(frozen=True)
class Used:
    """Wall and processor time in seconds, peak of the memory in bytes."""

    wall_s: float
    peak_bytes: int
    cpu_s: float


def run(
    command: list[str | Path],
    sync: Path | None = None,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Used:
    """Runs a command to its end; raises `OSError` with what it said when it fails."""
    here = [sys.executable, "-IS", __file__, str(sync or ""), *map(str, command)]
    done = subprocess.run(
        here, capture_output=True, text=True, timeout=PATIENCE_S, cwd=folder, env=environment
    )
    if done.returncode:
        words = " ".join(map(str, command))
        raise OSError(f"{words}: exit {done.returncode}: {done.stderr[-400:]}")
    said = json.loads(done.stdout.splitlines()[-1])
    return Used(said["wall_s"], said["peak_bytes"], said["cpu_s"])


def main(sync: str, command: list[str]) -> int:
    start = time.monotonic()
    quiet = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
    process = os.posix_spawn(command[0], command, os.environ, file_actions=quiet)
    _, status, usage = os.wait4(process, 0)
    if sync:
        file = os.open(sync, os.O_RDONLY)
        os.fsync(file)
        os.close(file)
    wall_s = time.monotonic() - start
    cpu_s = usage.ru_utime + usage.ru_stime
    print(json.dumps({"wall_s": wall_s, "peak_bytes": usage.ru_maxrss * 1024, "cpu_s": cpu_s}), flush=True)
    return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
