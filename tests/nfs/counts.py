"""Counts of remote calls per commit, and beside them those of h5py under a lock file."""

import json
import shlex

from workload import Outcome, Trial


def calls(rig, settings):
    """Remote calls per commit of one row, per commit of 100 rows, and per group of 100 commits, in a stream."""
    for durability in ("power", "process"):
        trial = Trial(rig, settings, "calls", durability, rows=128)
        found = _run(trial, "stream", trial.file, settings.commits, ["h5part", *trial.options, "--durability", durability])
        for name, each in found.items():
            yield _line("calls", f"{durability}, {name}", each)


def h5py(rig, settings):
    """The same commit of one row by h5py, which locks a file, opens, writes, closes and syncs."""
    if not rig.h5py:
        yield Outcome("h5py", "", {}, remark="no h5py for the guests: --h5py FOLDER", skipped=True)
        return
    trial = Trial(rig, settings, "h5py", rows=128)
    found = _run(trial, "h5py", f"{trial.folder}/by-h5py.h5", settings.commits, [])
    yield _line("h5py", f"h5py {found['version']}, one row", found["one row"])


def _run(trial, what, file, commits, program):
    words = [trial.rig.python, "/share/setup/calls.py", what, "/n", file, str(commits), str(trial.rows), *program]
    return json.loads(trial.rig.client1.run(shlex.join(words), 900).check().splitlines()[-1])


def _line(case, what, found):
    each = ", ".join(f"{name} {count}" for name, count in list(found["each"].items())[:8] if count)
    return Outcome(case, what, {"calls": found["calls"], "ms": found["ms"]}, remark=each)
