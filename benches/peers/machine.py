"""Where a figure was measured: without that it can't be compared with another one."""

from __future__ import annotations

import os
import platform
from pathlib import Path


def describe(scratch: Path) -> dict[str, str]:
    """The machine, its load, and the file system that the peers write to."""
    return {
        "CPU": _cpu_model(),
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 2**30:.0f} GiB",
        "kernel": f"{platform.system()} {platform.release()}",
        "file system": _file_system(scratch),
        "load before": f"{os.getloadavg()[0]:.1f}",
        "Python": platform.python_version(),
    }


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def _file_system(path: Path) -> str:
    """The type of the file system that holds `path`: that of the longest mount point above it."""
    path = path.resolve()
    best, kind = -1, "unknown"
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        mount, _, details = line.partition(" - ")
        point = Path(mount.split()[4].replace("\\040", " "))
        # A later mount over the same point hides the earlier one.
        if path.is_relative_to(point) and len(point.parts) >= best:
            best, kind = len(point.parts), details.split()[0]
    return kind
