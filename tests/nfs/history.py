"""Checks what writers and readers of one table have logged against what the file holds at the end.

A row is a register: each write has a version of its own, a beginning, and perhaps an end. A write that is over before
another one begins must not win over it, neither in the file nor in what readers see.
"""

import collections
import dataclasses
import math
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "in_guest"))
from values import ABSENT, TORN

# Times are stamps of the host's file system, which lag by a tick of its clock.
TICK_S = 0.02
# After these errors a commit may have been written; after others nothing has been.
UNCERTAIN_CODES = (7, 12)
SHOWN = 8


@dataclasses.dataclass
class Write:
    version: int
    writer: str
    rows: list
    begun: float
    # When it was certainly over: answered, or its process or host was gone.
    over: float = math.inf
    # ok, refused, gone, or None: nothing is known.
    outcome: str | None = None
    code: int | None = None

    def before(self, other):
        return self.over + TICK_S < other.begun


class History:
    def __init__(self):
        self.writes, self.of_row = {}, collections.defaultdict(list)
        self.seen = []
        self.found, self.examples = collections.Counter(), []
        self.errors = collections.Counter()

    # What has happened.

    def add_writer(self, path, gone=None):
        """Takes a worker's log. `gone`: when its host was killed."""
        for line in _lines(path):
            kind, version, *rest = line.split(maxsplit=3)
            version = int(version)
            if kind == "S":
                rows = [int(row) for row in rest[1].split()]
                self.add(Write(version, pathlib.Path(path).stem, rows, float(rest[0])))
            else:
                write = self.writes[version]
                write.over, write.outcome = float(rest[0]), {"A": "ok", "E": "refused", "X": "gone"}[kind]
                if kind == "E":
                    code, _, message = rest[1].partition(" ")
                    write.code = int(code)
                    self.errors[message[:200]] += 1
        if gone is not None:
            for write in self.writes.values():
                if write.writer == pathlib.Path(path).stem and write.outcome is None:
                    write.over, write.outcome = max(gone, write.begun), "gone"

    def add(self, write):
        if write.version in self.writes:
            raise ValueError(f"version {write.version} was written twice")
        self.writes[write.version] = write
        for row in write.rows:
            self.of_row[row].append(write)

    def add_reader(self, path):
        for line in _lines(path):
            kind, rest = line[0], line[2:]
            if kind == "R":
                column, begun, ended, versions = rest.split()
                self.seen.append((float(begun), float(ended), column, [int(v) for v in versions.split(",")]))
            elif kind == "F":
                self.count("unreadable", line)
            elif kind == "V":
                code = rest.split(maxsplit=3)[2]
                self.found["verified"] += 1
                if code != "0":
                    self.count("unsound", line)

    # What must hold.

    def check(self, e, q, where="the file"):
        """The versions of all rows in both columns, when everything has stopped."""
        for row, pair in enumerate(zip(e, q)):
            if pair[0] != pair[1] or TORN in pair:
                self.count("torn", f"{where}, row {row}: E is of version {pair[0]}, Q of {pair[1]}")
            else:
                self._check_row(row, pair[0])
        return self

    def _check_row(self, row, version):
        good = [write for write in self.of_row[row] if write.outcome == "ok"]
        if version == ABSENT:
            if good:
                self.count("lost", f"row {row} is not there, version {good[-1].version} was acknowledged")
            return
        final = self._write_of(row, version)
        if final is None:
            return
        if final.outcome == "refused" and final.code not in UNCERTAIN_CODES:
            self.count("unasked", f"row {row} holds version {version}, which was refused with code {final.code}")
        newer = [write for write in good if final.before(write)]
        if newer:
            self.count("lost", f"row {row} holds version {_tell(final)}, after which {_tell(newer[-1])} was acknowledged")

    def check_stamps(self, counted):
        """The commits that each row's stamps count. A commit that was overwritten unseen is missing in them."""
        for row, number in enumerate(counted):
            good = sum(write.outcome == "ok" for write in self.of_row[row])
            if not good <= number <= len(self.of_row[row]):
                sent = len(self.of_row[row])
                self.count("uncounted", f"row {row}: its stamps count {number} commits, {good} of {sent} were acknowledged")
        self.found["stamped"] = sum(counted)
        return self

    def check_readers(self):
        """No mixtures; never older than what was acknowledged before the read, or seen by an earlier one."""
        newest = {}
        for begun, ended, column, versions in sorted(self.seen):
            self.found["reads"] += 1
            for row, version in enumerate(versions):
                if version == ABSENT and self._being_written(row, begun, ended):
                    self.found["busy"] += 1
                else:
                    self._check_read(row, version, begun, f"{column} at {begun:.3f}", newest.get(row))
            for row, version in enumerate(versions):
                write = self.writes.get(version)
                if write and (row not in newest or write.begun > newest[row].begun):
                    newest[row] = write
        return self

    def _being_written(self, row, begun, ended):
        """Whether a writer may have been in the middle of the row, alive or dead: readers give fill for it then."""
        writes = self.of_row[row]
        good = [write for write in writes if write.outcome == "ok"]

        def undone(write):
            return write.outcome != "ok" and not any(write.before(w) and w.over < begun for w in good)
        return any(write.begun < ended + TICK_S and (write.over + TICK_S > begun or undone(write)) for write in writes)

    def _check_read(self, row, version, begun, where, seen):
        if version == TORN:
            self.count("torn", f"row {row}, column {where}: a mixture was read")
            return
        write = None if version == ABSENT else self._write_of(row, version)
        if version != ABSENT and write is None:
            return
        older = (lambda other: True) if write is None else write.before
        name = "no value" if write is None else _tell(write)
        if seen is not None and older(seen):
            self.count("back", f"row {row}, column {where}: {name} was read, {_tell(seen)} was read before")
        acknowledged = [w for w in self.of_row[row] if w.outcome == "ok" and w.over + TICK_S < begun and older(w)]
        if acknowledged:
            text = f"{name} was read, {_tell(acknowledged[-1])} was acknowledged before"
            self.count("back", f"row {row}, column {where}: {text}")

    def check_late(self, writers, from_s, to_s, e):
        """Writes that were under way on a host that lost its locks from then till then: none may land over another's."""
        mine = [write for write in self.writes.values() if write.writer in writers]
        for write in [write for write in mine if write.begun < from_s < write.over]:
            for row in write.rows:
                others = [w for w in self.of_row[row] if w.writer not in writers and w.outcome == "ok"]
                taken = [w for w in others if w.begun > from_s and w.over < to_s]
                if not taken:
                    continue
                self.found[f"late {write.outcome}"] += 1
                if write.outcome != "ok" and e[row] == write.version:
                    self.count("lost", f"row {row} holds {_tell(write)}, which landed late over {_tell(taken[-1])}")
        return self

    def _write_of(self, row, version):
        write = self.writes.get(version)
        if write is None or row not in write.rows:
            self.count("foreign", f"row {row} holds {version}, which nobody wrote to it")
            return None
        return write

    def count(self, kind, example):
        self.found[kind] += 1
        if sum(1 for known, _ in self.examples if known == kind) < SHOWN:
            self.examples.append((kind, example))

    @property
    def acknowledged(self):
        return sum(1 for write in self.writes.values() if write.outcome == "ok")

    def outcomes(self):
        return collections.Counter(write.outcome or "unknown" for write in self.writes.values())


# What a history must not hold.
VIOLATIONS = ("lost", "torn", "back", "foreign", "unasked", "unreadable", "unsound", "uncounted")


def _lines(path):
    # A host that was killed may have left half a line.
    text = pathlib.Path(path).read_text(errors="replace")
    return text[:text.rfind("\n") + 1].splitlines()


def _tell(write):
    over = "never" if math.isinf(write.over) else f"{write.over:.3f}"
    return f"{write.version} ({write.writer}, {write.begun:.3f} to {over}, {write.outcome})"
