"""Four processes fill one table. One of them is killed. Every row is checked."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import tempfile
import time

import numpy as np

import h5part

ROWS, ATOMS, WORKERS = 4000, 100, 4


def compute(row: int) -> tuple[float, np.ndarray]:
    """Energy and forces of a cluster of atoms that attract and repel each other."""
    positions = np.random.default_rng(row).uniform(0, 8, (ATOMS, 3))
    between = positions[:, None] - positions[None]
    square = (between**2).sum(axis=2) + np.eye(ATOMS) + 0.25
    inverse = 1 / square**3
    forces = (24 * (2 * inverse**2 - inverse) / square)[:, :, None] * between
    energy = 2 * (inverse**2 - inverse)[~np.eye(ATOMS, dtype=bool)].sum()
    return float(energy), forces.sum(axis=1)


def work(path: str, part: int) -> None:
    """Computes the rows of this part that are not there yet."""
    frames = h5part.open(path)["frames"]
    for row in frames.todo(shard=(part, WORKERS)):
        energy, forces = compute(int(row))
        frames.commit(int(row), E=energy, F=forces)


def bar(status: h5part.Status) -> str:
    """A line that says how far it is."""
    share = status.committed / status.rows
    return f"\r[{'#' * int(40 * share):40}] {status.committed} of {status.rows} rows"


def main() -> int:
    folder = tempfile.mkdtemp(prefix="h5part-demo-")
    path = os.path.join(folder, "run.h5")
    frames = h5part.create(path, "frames", ROWS, {"E": "f8", "F": ("f8", (ATOMS, 3))}, attrs={"units": "eV"})
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=work, args=(path, part)) for part in range(WORKERS)]
    for worker in workers:
        worker.start()
    killed = False
    for status in frames.watch(0.2):
        print(bar(status), end="", flush=True)
        if not killed and status.committed > ROWS // 4:
            os.kill(workers[0].pid or 0, signal.SIGKILL)
            killed = True
            print(f"\nworker {workers[0].pid} is killed by SIGKILL")
        if not any(worker.is_alive() for worker in workers):
            break
        time.sleep(0)
    for worker in workers:
        worker.join()
    left = frames.todo()
    print(f"\n{len(left)} rows are left of the killed worker: computed now")
    work(path, 0)
    block = frames.read()
    for row in range(ROWS):
        energy, forces = compute(row)
        assert block.mask[row] and block["E"][row] == energy and (block["F"][row] == forces).all(), row
    report = frames.store.verify()
    print(f"every row is checked: {ROWS} of {ROWS} are as computed; verify says {'sound' if report else 'UNSOUND'}")
    print(f"{path}: an ordinary HDF5 file of {os.path.getsize(path) / 1e6:.1f} MB")
    return 0 if report else 1


if __name__ == "__main__":
    sys.exit(main())
