"""Archives of trials that vplanet left: `h5part bigplanet`, and bigplanet."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import used
from model import Peer, PeerFailed, Run, Settings
from peers.h5part_stress import H5part

MORE = 50
"""Trials that are added at once where the cost of one more is measured."""
DISTINCT = 3
"""Trials that vplanet runs; the others are copies of them."""
VPL = """sSystemName earth
iVerbose 0
bOverwrite 1
saBodyFiles sun.in $
  earth.in
sUnitMass solar
sUnitLength aU
sUnitTime YEARS
sUnitAngle d
sUnitTemp K
bDoLog 1
iDigits 6
dMinValue 1e-10
bDoForward 1
bVarDt 1
dEta 0.1
dStopTime 4.5e9
dOutputTime 1e7
"""
SUN = "sName sun\ndMass 1\ndSemi 0\ndEcc 0\ndRadius 0.00135\ndLuminosity 3.846e26\nsStellarModel none\nsaModules stellar\n"
EARTH = """sName earth
saModules radheat thermint
dMass -1.0
dRadius -1.0
dRotPeriod -1.0
dObliquity 23.5
dRadGyra 0.5
dEcc 0.0167
d40KPowerMan -1
d232ThPowerMan -1
d235UPowerMan -1
d238UPowerMan -1
dTMan 3000
dTCore 6000
saOutputOrder -Time -TMan -TUMan -TLMan -TCMB -TCore $
  -HflowUMan -HflowMeltMan -RadPowerMan -HflowCMB -HflowSecMan $
  -TDotMan -TDotCore -TJumpLMan -TJumpUMan -RIC -RayleighMan -ViscUMan -ViscLMan $
  -MeltMassFluxMan -FMeltUMan -MagMom -BLUMan -BLLMan -238UPowerMan -235UPowerMan $
  -232ThPowerMan -40KPowerMan -RadPowerTotal
"""
BPL = "sDestFolder MP\nsArchiveFile {archive}\nsOutputFile out.bpf\nsaBodyFiles earth.in sun.in\nsPrimaryFile vpl.in\n"
KEYS = "saKeyInclude earth:TCore:forward earth:TCore:final earth:dSemi:option\n"


@dataclass(frozen=True)
class ArchiveWork:
    """Trials that have ended; they are the same for all."""

    trials: int

    def folder(self, settings: Settings) -> Path:
        folder = settings.shared / f"trials-{self.trials}"
        if not folder.exists():
            for k in range(self.trials):
                trial = folder / f"t{k:05}"
                if k < DISTINCT:
                    simulate(trial, 1.0 + 0.5 * k, settings)
                else:
                    self.again(folder / f"t{k % DISTINCT:05}", trial)
        return folder

    def again(self, trial: Path, other: Path) -> None:
        shutil.copytree(trial, other)


@dataclass(frozen=True)
class FilterWork(ArchiveWork):
    """The same, filtered without an archive: all is read, little is written."""

    def again(self, trial: Path, other: Path) -> None:
        other.symlink_to(trial)


def simulate(trial: Path, semi: float, settings: Settings) -> None:
    trial.mkdir(parents=True)
    (trial / "vpl.in").write_text(VPL)
    (trial / "sun.in").write_text(SUN)
    (trial / "earth.in").write_text(f"{EARTH}dSemi {semi}\n")
    vplanet = [settings.planets / "vplanet", "vpl.in"]
    ran = subprocess.run(vplanet, cwd=trial, capture_output=True, text=True)
    if ran.returncode != 0 or not (trial / "earth.earth.forward").exists():
        raise PeerFailed(f"vplanet failed: {ran.stdout[-500:]}{ran.stderr[-500:]}")


def environment(settings: Settings) -> dict[str, str]:
    """With vplanet on the PATH. h5part asks it for its options once, bigplanet each time."""
    path = f"{settings.planets}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "XDG_CACHE_HOME": str(settings.shared / "cache")}


def lacks(settings: Settings) -> str | None:
    if (settings.planets / "bigplanet").exists():
        return None
    return f"no bigplanet in {settings.planets}: sh .ci/tools planets"


class Archiver(Peer):
    """One who archives, or filters, with so many workers."""

    repeats = 3
    workers = 1

    def command(self, settings: Settings) -> list[str | Path]:
        raise NotImplementedError

    def measure(self, work: ArchiveWork, scratch: Path, settings: Settings) -> Run:
        (scratch / "MP").symlink_to(work.folder(settings))
        filters = isinstance(work, FilterWork)
        (scratch / "bpl.in").write_text(BPL.format(archive="MP.bpa") + (KEYS if filters else ""))
        how = ["-q", "-c", str(self.workers), *([] if filters else ["-a"]), "bpl.in"]
        took = used.run([*self.command(settings), *how], folder=scratch, environment=environment(settings))
        check(scratch / ("out.bpf" if filters else "MP.bpa"), work)
        return Run(1, took.wall_s, 1, {"cpu": took.cpu_s})


class H5partArchive(Archiver):
    name = "h5part"
    title = "h5part bigplanet -c 1"
    note = "each trial is synced, read back from the file and compared."
    versions = H5part.versions

    def absent(self, settings: Settings) -> str | None:
        return H5part().absent(settings) or lacks(settings)

    def command(self, settings: Settings) -> list[str | Path]:
        return [settings.h5part, "bigplanet"]


class H5partArchiveTwo(H5partArchive):
    name = "h5part-2"
    title = "h5part bigplanet -c 2"
    note = ""
    workers = 2


@dataclass(frozen=True)
class GrowWork:
    """One more trial, in archives of some and of many."""


class OneMore(Peer):
    """One more trial in an archive of so many: what a run with some more takes, less one with none."""

    trials: int
    repeats = 3
    versions = H5part.versions

    def absent(self, settings: Settings) -> str | None:
        return H5part().absent(settings) or lacks(settings)

    def measure(self, work: GrowWork, scratch: Path, settings: Settings) -> Run:
        folder = settings.shared / f"grown-{self.trials}"
        if not folder.exists():
            self.make(folder, settings)
        start = self.archive(folder, settings)
        count = len(list((folder / "MP").iterdir()))
        for k in range(count, count + MORE):
            (folder / "MP" / f"t{k:05}").symlink_to(settings.shared / "one")
        took = self.archive(folder, settings)
        beside = {"cpu": (took.cpu_s - start.cpu_s) / MORE * 1e3, "start": start.wall_s * 1e3}
        return Run(MORE, took.wall_s - start.wall_s, MORE, beside)

    def make(self, folder: Path, settings: Settings) -> None:
        one = settings.shared / "one"
        if not one.exists():
            simulate(one, 1.0, settings)
            # A short output: the figure is about the archive, not about the trial.
            forward = one / "earth.earth.forward"
            forward.write_text("".join(forward.read_text().splitlines(keepends=True)[:20]))
        (folder / "MP").mkdir(parents=True)
        for k in range(self.trials):
            (folder / "MP" / f"t{k:05}").symlink_to(one)
        (folder / "bpl.in").write_text(BPL.format(archive="MP.bpa"))
        (folder / "MP.bpa").touch()
        self.archive(folder, settings, "-o")

    def archive(self, folder: Path, settings: Settings, *more: str) -> used.Used:
        command = [settings.h5part, "bigplanet", "-q", "-a", "-c", "1", *more, "bpl.in"]
        return used.run(command, folder=folder, environment=environment(settings))


class OneMoreInFew(OneMore):
    name = "h5part"
    title = "in an archive of 10"
    trials = 10


class OneMoreInMany(OneMore):
    name = "many"
    title = "in an archive of 10,000"
    trials = 10_000


class BigPlanet(Archiver):
    name = "bigplanet"
    title = "bigplanet -c 1"
    note = "it does not sync."

    def absent(self, settings: Settings) -> str | None:
        return lacks(settings)

    def does(self, work: ArchiveWork) -> bool:
        return not isinstance(work, FilterWork)

    def versions(self, settings: Settings) -> Mapping[str, str]:
        python = settings.planets / "python"
        ask = "from importlib.metadata import version; print(version('bigplanet'), version('vplanet'))"
        said = subprocess.run([python, "-c", ask], capture_output=True, text=True).stdout.split()
        return dict(zip(["bigplanet", "vplanet"], said, strict=False))

    def command(self, settings: Settings) -> list[str | Path]:
        return [settings.planets / "bigplanet"]


class BigPlanetTwo(BigPlanet):
    name = "bigplanet-2"
    title = "bigplanet -c 2"
    note = ""
    workers = 2


def check(file: Path, work: ArchiveWork) -> None:
    """Raises unless all trials are there, with all that they have."""
    import h5py

    with h5py.File(file, "r") as found:
        if isinstance(work, FilterWork):
            if found["earth:TCore:forward"].shape[0] != work.trials:
                raise PeerFailed("trials are missing from the filtered file")
            return
        sizes = {len(found[name]) for name in found}
        if len(found) != work.trials or len(sizes) != 1 or sizes.pop() < 300:
            raise PeerFailed(f"the archive has {len(found)} trials")
        names = sorted(found)
        for name in {names[0], names[-1]}:
            forward = found[name]["earth:TCore:forward"]
            if forward.shape != (1, 451) or not 1000 < forward[0, -1] < 6000:
                raise PeerFailed(f"wrong data in {name}")
