"""What writers write and readers expect. Version v of row r: E = r * 1e8 + v, and Q[k] = E + (k + 1) * 1e13.

All of them are whole numbers that a double holds exactly, so that a cell tells its version, and whether it is whole."""

import array
import os
import struct

TABLE = "small"
COLUMNS = {"E": 1, "Q": 12}
SPECS = ["E:f64", "Q:f64:12"]
ABSENT, TORN = -1, -2


def cells(rows, version):
    """The values of some rows, as `h5part update --stream` takes them."""
    first = [row * 1e8 + version for row in rows]
    return {"E": first, "Q": [[e + (k + 1) * 1e13 for k in range(12)] for e in first]}


def versions(column, values, there):
    """The version of each row in one column; ABSENT where the row is not there, TORN where it is a mixture."""
    width = COLUMNS[column]
    found = []
    for row, present in enumerate(there):
        cell = values[row * width:(row + 1) * width]
        offset = 0 if column == "E" else 1
        seen = {x - row * 1e8 - (k + offset) * 1e13 for k, x in enumerate(cell)}
        one = seen.pop() if len(seen) == 1 else TORN
        # Fill, or bytes of another place, is not a version.
        whole = one == one and 0 < one < 1e8 and one == int(one)
        found.append(ABSENT if not present else int(one) if whole else TORN)
    return found


def load(path):
    """The bytes of the elements of a .npy file."""
    with open(path, "rb") as file:
        data = file.read()
    return data[10 + struct.unpack("<H", data[8:10])[0]:]


def read(column, prefix):
    """The versions that `h5part read -o PREFIX.npy --mask PREFIX.mask.npy` has found."""
    values = array.array("d")
    values.frombytes(load(prefix + ".npy"))
    return versions(column, values, load(prefix + ".mask.npy"))


class HostClock:
    """The host's clock, which all guests share, to a few milliseconds: the host stamps a file that a guest touches."""

    def __init__(self, path):
        self.file = os.open(path, os.O_CREAT | os.O_RDWR)

    def now(self):
        os.utime(self.file)
        return os.fstat(self.file).st_mtime
