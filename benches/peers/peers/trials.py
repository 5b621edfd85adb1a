"""Trials of a program that does nothing: what running them costs."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from model import Peer, PeerFailed, Run, Settings
from peers.h5part_stress import H5part

PATIENCE_S = 300.0
TRUE = "/bin/true"
NOTHING = "int main(void) { return 0; }"
"""Linked statically it is over sooner than `TRUE`: what is measured is not the program."""


@dataclass(frozen=True)
class TrialsWork:
    """So many trials in a folder, and their vspace.in."""

    trials: int
    cores: int

    def make(self, folder: Path) -> None:
        (folder / "bin").mkdir()
        program = folder / "bin/vplanet"
        command = ["cc", "-O2", "-static", "-x", "c", "-", "-o", str(program)]
        if not shutil.which("cc") or subprocess.run(command, input=NOTHING, text=True).returncode:
            shutil.copy(TRUE, program)
        (folder / "vspace.in").write_text("sSrcFolder .\nsDestFolder MP\nsPrimaryFile vpl.in\n")
        for number in range(self.trials):
            trial = folder / f"MP/t{number:05}"
            trial.mkdir(parents=True)
            (trial / "vpl.in").write_text("sSystemName x\n")

    def check(self, folder: Path) -> None:
        """All are said to be done, and each has its log."""
        done = sum(line.rstrip().endswith(" 1") for line in (folder / ".MP").read_text().splitlines())
        logs = sum((trial / "vplanet_log").exists() for trial in (folder / "MP").iterdir())
        if (done, logs) != (self.trials, self.trials):
            raise PeerFailed(f"{done} trials are done and {logs} have a log, of {self.trials}")


class Runner(Peer):
    """One who runs them, with a vplanet that does nothing."""

    def command(self, work: TrialsWork, settings: Settings) -> list[str]:
        raise NotImplementedError

    def check(self, work: TrialsWork, scratch: Path) -> None:
        work.check(scratch)

    def measure(self, work: TrialsWork, scratch: Path, settings: Settings) -> Run:
        work.make(scratch)
        environment = os.environ | {"PATH": f"{scratch / 'bin'}:{os.environ['PATH']}"}
        start = time.monotonic()
        done = subprocess.run(
            self.command(work, settings),
            cwd=scratch,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
        )
        wall_s = time.monotonic() - start
        if done.returncode:
            raise PeerFailed(f"exit {done.returncode}: {done.stderr[-400:]}")
        self.check(work, scratch)
        return Run(work.trials, wall_s, work.trials)


class H5partTrials(Runner):
    """`h5part multiplanet`."""

    name = "h5part"
    title = "h5part multiplanet"
    note = "its checkpoint is synced when it begins and when it ends."
    absent = H5part.absent
    versions = H5part.versions

    def command(self, work: TrialsWork, settings: Settings) -> list[str]:
        return [str(settings.h5part), "multiplanet", "vspace.in", "-c", str(work.cores)]


def multiplanet() -> Path | None:
    """In the folder that H5PART_PLANETS names, else on the PATH."""
    folder = os.environ.get("H5PART_PLANETS")
    found = shutil.which("multiplanet", path=folder) if folder else shutil.which("multiplanet")
    return Path(found) if found else None


class Multiplanet(Runner):
    """The original."""

    name = "multiplanet"
    title = "multiplanet"
    note = "its start, imports included, is part of the time, as for all."
    repeats = 3

    def absent(self, settings: Settings) -> str | None:
        if multiplanet():
            return None
        return "pip install multiplanet 'pandas<3', and name the folder with H5PART_PLANETS"

    def versions(self, settings: Settings) -> Mapping[str, str]:
        python = Path(str(multiplanet())).with_name("python")
        script = "from importlib.metadata import version; print(version('multiplanet'))"
        said = subprocess.run([python, "-c", script], capture_output=True, text=True, check=True)
        return {"multiplanet": said.stdout.strip()}

    def command(self, work: TrialsWork, settings: Settings) -> list[str]:
        return [str(multiplanet()), "-c", str(work.cores), "vspace.in"]


class Xargs(Runner):
    """Nothing but the programs."""

    name = "xargs"
    title = "xargs -P, the limit"
    note = "no folders, no logs, no checkpoint: what starting the programs costs alone."

    def absent(self, settings: Settings) -> str | None:
        return None if shutil.which("xargs") else "no xargs; findutils has it"

    def command(self, work: TrialsWork, settings: Settings) -> list[str]:
        return ["sh", "-c", f"ls MP | xargs -P {work.cores} -n 1 vplanet"]

    def check(self, work: TrialsWork, scratch: Path) -> None:
        """It leaves nothing."""
