#!/usr/bin/env python3
"""Commit from Python, thousands of times, through one h5part process.

    python3 examples/stream.py target/release/h5part /tmp/stream.h5

A process for each commit costs milliseconds; a line to one that runs costs some ten microseconds.
`h5part update --stream` takes a commit a line, as JSON, and answers each with a line. When the
answer says ok, the rows are in the file and stay there, even if this program is killed.

Python's standard library is all that `Stream` needs; copy it into your own program.
"""

import json
import math
import os
import subprocess
import sys
import time


class Stream:
    """Commits rows of one table.

    with Stream("run.h5", "results") as stream:
        stream.commit(7, E=-1.5)                              # one row
        stream.commit([3, 1], E=[0.5, 0.25])                  # value i goes to row i of the list
        stream.commit("0:100", **{"forces (eV)": "f.npy"})    # an array saved by numpy.save

    Any number of programs may do so to the same file at the same time.
    """

    def __init__(self, file, table, h5part="h5part", options=()):
        command = [h5part, "update", file, table, "--stream", *options]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8"
        )

    def commit(self, rows, **columns):
        """Write the columns of these rows; return the number of rows when they are committed.

        rows: a number, a list of numbers, or a text such as "0:100:2".
        columns: for each, a number, nested lists or an array, or the path of a .npy file. The
        first axis counts the rows.
        """
        values = {name: _values(value) for name, value in columns.items()}
        request = {"rows": _plain(rows), "set": values}
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            # What was wrong, it has said on standard error.
            raise RuntimeError(f"h5part ended with exit code {self._process.wait()}")
        answer = json.loads(answer)
        if not answer["ok"]:
            raise ValueError(answer["error"])
        return answer["rows"]

    def close(self):
        """End the process. What was committed is committed, with or without this."""
        try:
            # Processes that were forked since hold our end of the pipe, so that closing it is not enough.
            self._process.stdin.write('{"end": true}\n')
            self._process.stdin.close()
        except BrokenPipeError:
            pass
        self._process.wait()
        self._process.stdout.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def _values(value):
    """Numbers in place, or the path of a file; h5part may run in another folder than we do."""
    return os.path.abspath(value) if isinstance(value, (str, os.PathLike)) else _plain(value)


def _plain(value):
    """What JSON can hold: arrays become lists."""
    if hasattr(value, "tolist"):  # NumPy's arrays and numbers
        value = value.tolist()
    if isinstance(value, (list, tuple, range)):
        return [_plain(v) for v in value]
    return value


ROWS = 1000


def main(h5part, file):
    if os.path.exists(file):
        sys.exit(f"{file} is there already: name a new file")
    columns = ["E:f64", "position:f64:3", "status:i64=1"]
    arguments = [argument for column in columns for argument in ("--column", column)]
    subprocess.run([h5part, "create", file, "results", "--rows", str(ROWS), *arguments], check=True)

    start = time.perf_counter()
    with Stream(file, "results", h5part, options=["--durability", "process"]) as stream:
        for row in range(ROWS - 10):
            stream.commit(row, E=-row / 8, position=[row, 0.5, math.nan], status=0)
        seconds = time.perf_counter() - start

        # Several rows at once, in any order; larger values better go through a .npy file.
        last = range(ROWS - 1, ROWS - 11, -1)
        stream.commit(last, E=[-row / 8 for row in last], status=[0] * 10)
        commit_npy(stream, file, last)

        # A mistake is an exception; nothing is written, and the stream goes on.
        try:
            stream.commit([1, 2], E=[0.0])
        except ValueError as error:
            print("one value for two rows:", error)
    print(f"{ROWS - 10} commits of a row in {seconds:.2f} s: {seconds / (ROWS - 10) * 1e6:.0f} us each")
    read_back(file)


def commit_npy(stream, file, rows):
    try:
        import numpy
    except ImportError:
        print("without NumPy there is no .npy file to show")
        return
    path = file + ".position.npy"
    numpy.save(path, numpy.array([[row, 0.5, math.nan] for row in rows]))
    stream.commit(rows, position=path)
    os.remove(path)


def read_back(file):
    try:
        import h5py
    except ImportError:
        print("h5py is not installed: nothing was read back")
        return
    with h5py.File(file) as h5:
        table = h5["results"]
        wrong = sum(energy != -row / 8 for row, energy in enumerate(table["E"]))
        wrong += sum(row != x for row, x in enumerate(table["position"][:, 0]))
        wrong += sum(status != 0 for status in table["status"])
    if wrong:
        sys.exit(f"h5py reads {wrong} wrong values")
    print(f"h5py reads all {ROWS} rows as they were committed")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: stream.py H5PART FILE")
    main(*sys.argv[1:])
