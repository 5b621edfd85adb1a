"""One strange file under test: runs h5part on it, and keeps a model of what h5part acknowledged."""
import json
import os
import pathlib
import re
import resource
import subprocess

import check
import recipe as recipes

SECONDS = 20  # Of processor time, for any one command.
HANG = 90  # Of wall time: far beyond what a loaded machine makes of 20.
TABLE_OF_CODES = pathlib.Path(__file__).resolve().parents[2] / "docs" / "exit-codes.md"
MISSING, COMMITTED, FOREIGN = 0, 1, 2


def documented_codes():
    rows = re.findall(r"^\|\s*(\d+)\s*\|", TABLE_OF_CODES.read_text(encoding="utf-8"), re.M)
    return {int(code) for code in rows}


CODES = documented_codes()


class Finding(Exception):
    """Something that is wrong: `key` names its kind, for shrinking; `text` says what was seen."""

    def __init__(self, key, text):
        super().__init__(text)
        self.key, self.text = key, text


class Answer:
    def __init__(self, code, out, err, seconds):
        self.code, self.out, self.err, self.seconds = code, out, err, seconds

    def json(self):
        return json.loads(self.out)


class Case:
    def __init__(self, folder, program):
        self.folder, self.program = folder, program
        self.path = os.path.join(folder, "file.h5")
        self.tables = {}  # path -> {column: [state of each row]}; stamped tables only
        self.sound = True  # None: not known
        self.counts = {}
        self.view = None
        self.serial = 0

    def scratch(self, suffix):
        self.serial += 1
        return os.path.join(self.folder, f"s{self.serial}{suffix}")

    def h5part(self, *args, allowed=(0,), may_kill=False):
        """Runs the program; codes outside `allowed` or the documented table are findings."""
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        what = args[0]
        try:
            done = subprocess.run([self.program, *args], cwd=self.folder, capture_output=True, timeout=HANG,
                                  stdin=subprocess.DEVNULL)
        except subprocess.TimeoutExpired:
            raise Finding(f"{what} hangs", f"h5part {' '.join(args)}: still running after {HANG} s") from None
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        answer = Answer(done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace"), seconds)
        self.counts[(what, answer.code)] = self.counts.get((what, answer.code), 0) + 1
        said = f"h5part {' '.join(args)}: code {answer.code}: {answer.err.strip()[-400:]}"
        if seconds > SECONDS:
            raise Finding(f"{what} is slow", f"{said}: {seconds:.1f} s of processor time")
        if "panicked" in answer.err or answer.code not in CODES:
            raise Finding(f"{what} ends with code {answer.code}", said)
        if answer.code not in allowed:
            messages = [line for line in answer.err.split("\n") if line.startswith("h5part:")] or [answer.err]
            cause = re.sub(r"[0-9]+|'[^']*'|/\S*", "", messages[-1]).strip()[-60:]
            raise Finding(f"{what} ends with code {answer.code} here {cause}", said)
        return answer

    def look(self):
        """h5py's view of the file now; that h5py can't open it is a finding."""
        try:
            return check.view(self.path)
        except (OSError, RuntimeError) as error:
            raise Finding("h5py cannot open the file", f"h5py cannot open the file: {error}") from None

    def refresh(self):
        self.view = self.look()

    def info(self):
        """The tables that h5part sees, by path."""
        answer = self.h5part("info", "--json", "file.h5")
        return {table["path"]: table for table in answer.json()["tables"]}

    def nothing_else(self, what, excused=lambda path, change: False):
        """Compares h5py's view with that before; what `excused` does not know is a finding."""
        now = self.look()
        for path, change, one, two in check.differences(self.view, now):
            if not excused(path, change):
                raise Finding(f"{what} changes {re.sub('[0-9]+', '', change).split(' ')[0]}",
                              f"{what} changed {change} of {path}: {one} -> {two}")
        before, self.view = self.view, now
        return before

    def owner(self, name):
        """The first path of the object that `name` leads to."""
        with recipes.NAMES["h5py"].File(self.path, "r") as file:
            return self.view.first[check.h5o.get_info(file[name].id).addr]

    def values(self, name, rows=None):
        """What h5py reads; rows in any order."""
        with recipes.NAMES["h5py"].File(self.path, "r") as file:
            values = file[name][...]
        return values if rows is None else values[rows]
