"""Ground truth of mbe_automation, saved by many processes: `h5part mbe`, and h5py under the documented lock."""

from __future__ import annotations

import fcntl
import json
import os
import random
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from model import Peer, PeerFailed, Run, Settings
from peers.h5part_stress import H5part
from work import Columns, CommitWork, ReadRow
from writers import LEAD_S, Commit, Outcome, WriterPeer, as_run, check

SLASH = "\u2215"
ANGSTROM = "\u212b"
KEY = "training/frames"
METHOD = "r2scan-d4/def2-tzvp"
COMPLETED, UNDEFINED = 0, 1
POLL_S = (2.0, 5.0)


@dataclass(frozen=True)
class MbeWork(CommitWork):
    """Frames for rows; all of them are completed."""

    def values(self, first: int, count: int) -> Columns:
        return {**super().values(first, count), "status": np.full(count, COMPLETED, dtype="<i8")}


def dataset(column: str) -> str:
    """The name of a column's dataset."""
    method = METHOD.replace("/", SLASH)
    return {
        "E": f"E_{method} (eV{SLASH}atom)",
        "F": f"forces_{method} (eV{SLASH}{ANGSTROM})",
        "status": f"status_{method}",
    }[column]


@contextmanager
def reader(where: Path) -> Iterator[ReadRow]:
    """Reads as the other side does."""
    import h5py

    with h5py.File(where, "r") as file:
        group = file[f"{KEY}/ground_truth"]
        assert list(group.attrs["levels_of_theory"]) == [METHOD]
        yield lambda name, row: group[dataset(name)][row]


def make_structure(where: Path, work: MbeWork) -> None:
    """The structure, as mbe_automation lays it out."""
    import h5py

    with h5py.File(where, "w") as file:
        group = file.create_group(KEY)
        atoms = work.row_shape[0]
        group.create_dataset(f"positions ({ANGSTROM})", data=np.zeros((work.rows, atoms, 3)))
        group.create_dataset("atomic_numbers", data=np.full(atoms, 6))
        group.create_dataset("masses (u)", data=np.full(atoms, 12.011))
        group.attrs.update({"dataclass": "Structure", "n_frames": work.rows, "n_atoms": atoms})
        group.attrs.update({"periodic": False, "feature_vectors_type": "none"})


def prepare(where: Path, work: MbeWork, program: Path) -> None:
    """What `h5part mbe init` makes of it."""
    make_structure(where, work)
    call([program, "mbe", "init", where, KEY, "--method", METHOD])


def call(command: list[str | Path]) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise PeerFailed(f"exit {done.returncode}: {done.stderr[-400:]}")


class MbeCrate(Peer):
    """Processes that save through the crate, in `benches/mbe.rs`."""

    name = "h5part"
    title = "h5part, the crate's `Saver`"
    note = "durability `process`: what is saved survives the death of any process, not of the machine."
    durability = "process"
    versions = H5part.versions

    def absent(self, settings: Settings) -> str | None:
        if settings.saving is None:
            return "no --saving PATH; the program of 'cargo bench --profile release --bench mbe --no-run'"
        return H5part.absent(self, settings)  # type: ignore[arg-type]

    def measure(self, work: MbeWork, scratch: Path, settings: Settings) -> Run:
        where = scratch / "data.hdf5"
        prepare(where, work, settings.h5part)
        assert settings.saving
        share = work.rows // work.writers
        processes = []
        try:
            for writer in range(work.writers):
                numbers = [work.row_shape[0], writer * share, (writer + 1) * share, work.batch]
                command = [settings.saving, "save", where, KEY, METHOD, *map(str, numbers)]
                pipe = subprocess.PIPE
                processes.append(
                    subprocess.Popen([*command, self.durability], stdin=pipe, stdout=pipe, text=True)
                )
            for process in processes:
                self.hear(process)
            start = time.monotonic() + LEAD_S
            for process in processes:
                print(start, file=process.stdin, flush=True)
            told = [self.hear(process) for process in processes]
        finally:
            for process in processes:
                process.kill()
                process.communicate()
        outcomes = [Outcome(done["saves"], done["end"]) for done in told]
        with reader(where) as read:
            check(read, work, outcomes)
        return as_run(work, outcomes, start)

    def hear(self, process: subprocess.Popen[str]) -> Any:
        assert process.stdout
        line = process.stdout.readline()
        if not line:
            raise PeerFailed("a process died")
        return json.loads(line)


class MbeCratePower(MbeCrate):
    """The default: what is saved survives a loss of power."""

    name = "h5part-power"
    title = "h5part, the crate's `Saver`, synced"
    note = "durability `power`, the default."
    durability = "power"


class MbePeer(WriterPeer):
    """Savers that are Python processes."""

    repeats = 3

    def absent(self, settings: Settings) -> str | None:
        return None if find_spec("h5py") else "python3 -m pip install h5py"

    def reader(self, where: Path) -> AbstractContextManager[ReadRow]:
        return reader(where)


class MbeStream(MbePeer):
    """A process each that lives as long as its saver, and is told of batches by lines."""

    name = "stream"
    title = "Python with `h5part mbe save --stream`, values in `.npy` files"
    note = ""

    def measure(self, work: Any, scratch: Path, settings: Settings) -> Run:
        self.program = settings.h5part
        return super().measure(work, scratch, settings)

    def create(self, where: Path, work: CommitWork) -> None:
        assert isinstance(work, MbeWork)
        prepare(where, work, self.program)

    def arguments(self, where: Path) -> list[str | Path]:
        return [self.program, "mbe", "save", where, KEY, "--method", METHOD, "--durability", "process"]

    @contextmanager
    def writer(self, where: Path, work: CommitWork) -> Iterator[Commit]:
        pipe = subprocess.PIPE
        stream = subprocess.Popen([*self.arguments(where), "--stream"], stdin=pipe, stdout=pipe, text=True)
        assert stream.stdin and stream.stdout

        def tell(rows: slice, paths: Mapping[str, str]) -> None:
            batch = {"frames": f"{rows.start}:{rows.stop}", "set": paths}
            print(json.dumps(batch), file=stream.stdin, flush=True)
            answer = json.loads(stream.stdout.readline())  # type: ignore[union-attr]
            if not answer["ok"]:
                raise PeerFailed(answer["error"])

        yield self.saving(where, tell)
        stream.stdin.close()
        if stream.wait():
            raise PeerFailed(f"exit {stream.returncode}")

    def saving(self, where: Path, tell: Callable[[slice, Mapping[str, str]], None]) -> Commit:
        own = where.parent / f"values-{os.getpid()}"
        own.mkdir()
        paths = {"energies": str(own / "E.npy"), "forces": str(own / "F.npy")}

        def commit(rows: slice, values: Columns) -> None:
            np.save(paths["energies"], values["E"])
            np.save(paths["forces"], values["F"])
            tell(rows, paths)

        return commit


class MbeCommand(MbeStream):
    """A process a batch."""

    name = "command"
    title = "`h5part mbe save`, a process a batch, values in `.npy` files"
    note = ""

    @contextmanager
    def writer(self, where: Path, work: CommitWork) -> Iterator[Commit]:
        def tell(rows: slice, paths: Mapping[str, str]) -> None:
            values = ["--energies", paths["energies"], "--forces", paths["forces"]]
            call([*self.arguments(where), "--frames", f"{rows.start}:{rows.stop}", *values])

        yield self.saving(where, tell)


class MbeH5py(MbePeer):
    """Lock, open, write the rows of one's own by the rules of a save, close, unlock."""

    name = "h5py"
    title = "h5py under the documented lock, waiting for it"
    note = "the lock is waited for (flock without polling), so that nothing but the work is in the figure."
    synced = False

    def versions(self, settings: Settings) -> Mapping[str, str]:
        import h5py

        return {"h5py": h5py.version.version, "HDF5": h5py.version.hdf5_version}

    def create(self, where: Path, work: CommitWork) -> None:
        import h5py

        assert isinstance(work, MbeWork)
        make_structure(where, work)
        with h5py.File(where, "r+") as file:
            group = file.create_group(f"{KEY}/ground_truth")
            for name, (shape, dtype) in work.columns.items():
                fill = UNDEFINED if name == "status" else np.nan
                group.create_dataset(dataset(name), data=np.full((work.rows, *shape), fill, dtype=dtype))
            group.attrs["levels_of_theory"] = [METHOD]

    def take(self, lock: int) -> None:
        fcntl.flock(lock, fcntl.LOCK_EX)

    @contextmanager
    def writer(self, where: Path, work: CommitWork) -> Iterator[Commit]:
        import h5py

        lock = os.open(f"{where}.lock", os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)

        def commit(rows: slice, values: Columns) -> None:
            self.take(lock)
            try:
                with h5py.File(where, "r+") as file:
                    save(file[f"{KEY}/ground_truth"], rows, values)
                if self.synced:
                    descriptor = os.open(where, os.O_RDONLY)
                    os.fsync(descriptor)
                    os.close(descriptor)
            finally:
                fcntl.flock(lock, fcntl.LOCK_UN)

        try:
            yield commit
        finally:
            os.close(lock)


def save(group: Any, rows: slice, values: Columns) -> None:
    """Energies, forces, statuses that were not completed, levels of theory."""
    group[dataset("E")][rows] = values["E"]
    group[dataset("F")][rows] = values["F"]
    old = group[dataset("status")][rows]
    group[dataset("status")][rows] = np.where(old == COMPLETED, old, values["status"])
    levels = set(group.attrs.get("levels_of_theory", [])) | {METHOD}
    group.attrs["levels_of_theory"] = sorted(levels)


class MbeH5pySynced(MbeH5py):
    """The same promise as durability `power`, as long as nobody is killed."""

    name = "h5py-fsync"
    title = "the same, fsync after close"
    note = ""
    synced = True


class MbeH5pyPolled(MbeH5py):
    """As mbe_automation waits: not at all, and again after 2 to 5 s."""

    name = "h5py-polled"
    title = "the same, polling the lock every 2 to 5 s, as documented"
    note = "whoever has had the lock has it again before the others look: mostly one process works."
    repeats = 1

    def take(self, lock: int) -> None:
        while True:
            try:
                return fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                time.sleep(random.uniform(*POLL_S))
