"""Counts the remote calls of a mounted NFS folder, per commit, by /proc/self/mountstats."""

import collections
import json
import os
import subprocess
import sys
import time

from values import TABLE, cells


def calls(folder):
    """How often each operation was called on this mount so far."""
    counts, inside = collections.Counter(), False
    with open("/proc/self/mountstats") as lines:
        for line in lines:
            words = line.split()
            if line.startswith("device"):
                inside = f" mounted on {folder} " in line
            elif inside and len(words) > 8 and words[0][:-1].replace("_", "").isupper() and words[0].endswith(":"):
                counts[words[0][:-1]] += int(words[1])
    return counts


def measure(folder, commits, act):
    """Calls and seconds per commit of `act`."""
    before, begun = calls(folder), time.monotonic()
    act()
    seconds, spent = (time.monotonic() - begun) / commits, calls(folder) - before
    return {"calls": round(sum(spent.values()) / commits, 1), "ms": round(seconds * 1e3),
            "each": {name: round(count / commits, 1) for name, count in spent.most_common()}}


class Stream:
    def __init__(self, file, program, group=1):
        argv = [program[0], "update", file, TABLE, "--stream", "--group", str(group), *program[1:]]
        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.version = 0

    def commit(self, requests):
        """Sends these lists of rows at once, and waits for all answers."""
        self.version += 1
        text = "".join(json.dumps({"rows": rows, "set": cells(rows, self.version)}) + "\n" for rows in requests)
        self.process.stdin.write(text.encode())
        self.process.stdin.flush()
        for _ in requests:
            answer = json.loads(self.process.stdout.readline() or "{}")
            if not answer.get("ok"):
                sys.exit(f"not acknowledged: {answer}")

    def end(self):
        self.process.stdin.close()
        self.process.wait()


def stream(folder, file, commits, rows, program):
    """Commits of one row; of 100 rows; and groups of 100 requests of one row."""
    shapes = {
        "one row": (1, lambda k: [[k % rows]]),
        "100 rows": (1, lambda k: [list(range(100))]),
        "group of 100": (100, lambda k: [[row] for row in range(100)]),
    }
    found = {}
    for name, (group, requests) in shapes.items():
        one = Stream(file, program, group)
        number = commits if name == "one row" else max(3, commits // 10)
        # Fresh rows differ from rows that are overwritten: none is fresh when it counts.
        one.commit([list(range(rows))] if name == "one row" else requests(0))

        def act():
            for k in range(number):
                one.commit(requests(k))
        found[name] = measure(folder, number, act)
        one.end()
    return found


def h5py(folder, file, commits, rows):
    """h5py under a lock file: lock, open, write one row, close, unlock."""
    import fcntl
    os.environ["HDF5_USE_FILE_LOCKING"] = "FALSE"
    sys.path.insert(0, "/h5py")
    import h5py as library
    with library.File(file, "w") as made:
        for name, shape in (("E", (rows,)), ("Q", (rows, 12))):
            made.create_dataset(f"{TABLE}/{name}", shape, "f8", chunks=True, fillvalue=0.0)

    def save(k):
        with open(file + ".lock", "a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            with library.File(file, "r+") as store:
                table, values = store[TABLE], cells([k % rows], k + 1)
                table["E"][k % rows] = values["E"][0]
                table["Q"][k % rows] = values["Q"][0]
            fd = os.open(file, os.O_RDONLY)
            os.fsync(fd)
            os.close(fd)

    def act():
        for k in range(commits):
            save(k)
    save(0)
    return {"one row": measure(folder, commits, act), "version": library.__version__}


def main():
    what, folder, file, commits, rows, *program = sys.argv[1:]
    arguments = folder, file, int(commits), int(rows)
    print(json.dumps(h5py(*arguments) if what == "h5py" else stream(*arguments, program)))


if __name__ == "__main__":
    main()
