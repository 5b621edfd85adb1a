"""Reads timed in one process, by h5py, hidefix or h5part. Usage: python_reader.py LIBRARY [FILE TABLE COLUMN ROWS TIMES];
ROWS: ':' or a .npy file. Prints JSON: wall times in seconds and the CRC-32 of the values; without a file, versions."""

import json
import sys
import time
import zlib
from contextlib import ExitStack
from importlib.metadata import version


def main(library: str, *job: str) -> None:
    if not job:
        print(json.dumps(versions(library)))
        return
    file, table, column, rows, times = job
    if rows == ":":
        selection = ...
    else:
        import numpy as np

        selection = np.load(rows)
    with ExitStack() as opened:
        if library == "h5py":
            import h5py

            dataset = opened.enter_context(h5py.File(file, "r"))[table][column]
        elif library == "h5part":
            import h5part

            dataset = opened.enter_context(h5part.open(file))[table][column]
        else:
            import hidefix

            dataset = hidefix.Index(file).dataset(column, table)
            selection = (slice(None),) * 3 if selection is ... else selection
        crc32 = zlib.crc32(dataset[selection])
        walls = []
        for _ in range(int(times)):
            start = time.perf_counter()
            values = dataset[selection]
            del values  # as in reading.rs
            walls.append(time.perf_counter() - start)
    print(json.dumps({"walls_s": walls, "crc32": crc32}))


def versions(library: str) -> dict[str, str]:
    found = {library: version(library)}
    if library == "h5py":
        import h5py

        found["HDF5"] = h5py.version.hdf5_version
    return found


main(*sys.argv[1:])
