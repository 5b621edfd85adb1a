"""The other side: ground truth as mbe_automation lays it out, saved under its lock by its rules, with h5py alone.

    side.py make FILE KEY FRAMES ATOMS [METHOD STATUS,STATUS,...]
    side.py save FILE KEY METHOD FIRST END STEP BATCH POLL_S SHIFT
    side.py watch FILE KEY METHOD POLL_S      until standard input ends
    side.py dump FILE KEY

Frame i has energy SHIFT + i, and forces SHIFT + i + 0.001 * place; `watch` takes any SHIFT that is the same in
both.
"""

import contextlib
import fcntl
import json
import random
import select
import sys
import time

import h5py
import numpy as np

SLASH = "\u2215"
ANGSTROM = "\u212b"
COMPLETED, UNDEFINED = 0, 1
KINDS = ("E", "forces", "status")


def name(kind, method):
    unit = {"E": f" (eV{SLASH}atom)", "forces": f" (eV{SLASH}{ANGSTROM})", "status": ""}
    return f"{kind}_{method.replace('/', SLASH)}{unit[kind]}"


@contextlib.contextmanager
def locked(path, mode, poll_s):
    """The file, under the lock that both sides share: taken without waiting, again and again."""
    give_up = time.monotonic() + 300
    with open(f"{path}.lock", "a") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > give_up:
                    raise
                time.sleep(random.uniform(poll_s, 2.5 * poll_s))
        with h5py.File(path, mode) as file:
            yield file


def energies(frames, shift):
    return shift + np.asarray(frames, dtype=np.float64)


def forces(frames, atoms, shift):
    place = np.arange(atoms * 3, dtype=np.float64).reshape(atoms, 3)
    return energies(frames, shift)[:, None, None] + 0.001 * place


def update(group, kind, method, new, status):
    """A dataset that is missing is made; of one that is there the rows of one's own are written."""
    key = name(kind, method)
    if key not in group:
        group.create_dataset(key, data=new)
        return
    if kind == "status":
        mine = (new != UNDEFINED) & (group[key][...] != COMPLETED)
    else:
        mine = status == COMPLETED
    rows = np.nonzero(mine)[0]
    if len(rows):
        group[key][rows] = new[rows]


def save(group, method, rows, n, atoms, shift, status_of=COMPLETED):
    """Saves these frames: arrays of all frames, of which the others are undefined."""
    e, f = np.full(n, np.nan), np.full((n, atoms, 3), np.nan)
    status = np.full(n, UNDEFINED, dtype=np.int64)
    status[rows] = status_of
    done = np.asarray(rows)[status[rows] == COMPLETED]
    e[done], f[done] = energies(done, shift), forces(done, atoms, shift)
    for kind, new in zip(KINDS, (e, f, status)):
        update(group, kind, method, new, status)
    levels = set(group.attrs.get("levels_of_theory", [])) | {method}
    group.attrs["levels_of_theory"] = sorted(levels)


def make(path, key, frames, atoms, method=None, statuses=None):
    with locked(path, "a", 0.01) as file:
        group = file.require_group(key)
        rng = np.random.default_rng(1)
        group.create_dataset(f"positions ({ANGSTROM})", data=rng.random((frames, atoms, 3)))
        group.create_dataset("atomic_numbers", data=np.full(atoms, 6))
        group.create_dataset("masses (u)", data=np.full(atoms, 12.011))
        group.attrs["dataclass"] = "Structure"
        group.attrs["n_frames"] = frames
        group.attrs["n_atoms"] = atoms
        group.attrs["periodic"] = False
        group.attrs["feature_vectors_type"] = "none"
        if method:
            truth = group.require_group("ground_truth")
            save(truth, method, np.arange(frames), frames, atoms, 0.0, np.array(statuses))


def save_all(path, key, method, first, end, step, batch, poll_s, shift):
    mine = np.arange(first, end, step)
    for at in range(0, len(mine), batch):
        with locked(path, "r+", poll_s) as file:
            group = file[key]
            n, atoms = int(group.attrs["n_frames"]), int(group.attrs["n_atoms"])
            save(group.require_group("ground_truth"), method, mine[at : at + batch], n, atoms, shift)


def watch(path, key, method, poll_s):
    """Every frame that says it is completed has the values of one save."""
    looks, most = 0, 0
    while not select.select([sys.stdin], [], [], 0)[0]:
        with locked(path, "r", poll_s) as file:
            group = file[f"{key}/ground_truth"]
            e, f, status = (group[name(kind, method)][...] for kind in KINDS)
            levels = list(group.attrs["levels_of_theory"])
        assert levels == sorted(levels) and method in levels, levels
        done = np.nonzero(status == COMPLETED)[0]
        expected = e[done, None, None] + 0.001 * np.arange(f[0].size).reshape(f[0].shape)
        wrong = done[~np.all(f[done] == expected, axis=(1, 2))]
        assert not len(wrong), f"frames {wrong} are torn"
        assert len(done) >= most, f"{len(done)} frames are completed, and {most} were"
        looks, most = looks + 1, len(done)
        time.sleep(poll_s)
    print(json.dumps({"looks": looks, "completed": most}))


def first_of_each(values):
    """The first number of each frame, as JSON has it."""
    firsts = values.reshape(len(values), -1)[:, 0].tolist()
    return [None if number != number else number for number in firsts]


def dump(path, key):
    with locked(path, "r", 0.01) as file:
        group = file[f"{key}/ground_truth"]
        kind = h5py.check_string_dtype(group.attrs.get_id("levels_of_theory").dtype)
        assert kind.encoding == "utf-8" and kind.length is None, kind
        told = {"levels": list(group.attrs["levels_of_theory"]), "methods": {}}
        for method in told["levels"]:
            found = {kind: group[name(kind, method)] for kind in KINDS if name(kind, method) in group}
            assert all(d.dtype == (np.int64 if kind == "status" else np.float64) for kind, d in found.items())
            told["methods"][method] = {kind: first_of_each(d[...]) for kind, d in found.items()}
    print(json.dumps(told))


def main(what, path, key, *rest):
    if what == "make":
        frames, atoms, *truth = rest
        statuses = [int(s) for s in truth[1].split(",")] if truth else None
        make(path, key, int(frames), int(atoms), truth[0] if truth else None, statuses)
    elif what == "save":
        method, *numbers, poll_s, shift = rest
        save_all(path, key, method, *map(int, numbers), float(poll_s), float(shift))
    elif what == "watch":
        watch(path, key, rest[0], float(rest[1]))
    elif what == "dump":
        dump(path, key)


main(*sys.argv[1:])
