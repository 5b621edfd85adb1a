"""Compares what is found at a point with what was acknowledged before it. Runs on the host."""

import base64
import csv
import json
import pathlib
import subprocess
import tempfile
import zlib

from tables import BY_NAME, FILE, TABLES, writer_of


class Check:
    """What a point must hold, from the history of the recording."""

    def __init__(self, program, history):
        self.program = program
        # For each thing that changes, the events that changed it, in order. Only one thread changes each of them.
        self.registers = {}
        for event in history:
            for key in keys(event):
                self.registers.setdefault(key, []).append(event)

    def allowed(self, key, acknowledged):
        """The events whose result may be there; None stands for the state before all of them.

        That is the last one that was acknowledged, and those begun since: one, or more after a killed program.
        """
        allowed = [None]
        for event in self.registers.get(key, []):
            if event["number"] in acknowledged:
                allowed = [event]
            else:
                allowed.append(event)
                if not event.get("killed"):
                    break
        return allowed

    def contents(self, found):
        """Reads what `examine` found: `said` is what is wrong with it whatever was acknowledged."""
        contents = {"there": found["there"], "recover": found.get("recover"), "said": [], "objects": None, "rows": {}}
        for step in ("recover", "verify"):
            if found.get(step, {}).get("code", 0) != 0:
                contents["said"].append(failure(step, found[step]["code"], found[step]["errors"], found[step]["output"]))
        if found["there"]:
            with tempfile.TemporaryDirectory() as folder:
                for name, data in found["files"].items():
                    file = pathlib.Path(folder, name)
                    file.parent.mkdir(parents=True, exist_ok=True)
                    file.write_bytes(zlib.decompress(base64.b64decode(data)))
                self._read(str(pathlib.Path(folder, FILE)), contents)
        return contents

    def _read(self, path, contents):
        def run(*arguments):
            done = subprocess.run([self.program, *arguments], capture_output=True, text=True)
            if done.returncode != 0:
                contents["said"].append(failure(arguments, done.returncode, done.stderr, done.stdout))
            return done

        run("verify", "--json", path)
        done = run("info", "--tree", "--json", path)
        if done.returncode != 0:
            return
        contents["objects"] = {each["path"].strip("/"): each for each in json.loads(done.stdout)}
        for table in TABLES:
            if table.name in contents["objects"]:
                done = run("read", path, table.name, *table.written, "--rows", ":", "--csv")
                contents["rows"][table.name] = list(csv.reader(done.stdout.splitlines()))[1:]

    def violations(self, contents, acknowledged):
        """What is wrong at a point: a list of texts."""
        if not contents["there"]:
            first = self.registers["table", TABLES[0].name][0]["number"]
            return ["the file is lost"] if first in acknowledged else []
        said = list(contents["said"])
        # What cannot be read has been reported.
        for key in self.registers if contents["objects"] is not None else []:
            if key[0] != "table":
                continue
            if key[1] in contents["objects"]:
                said += self._table(key[1], contents, acknowledged)
            elif None not in self.allowed(key, acknowledged):
                said.append(f"table {key[1]} is lost")
        return said

    def _table(self, name, contents, acknowledged):
        said = []
        objects = contents["objects"]
        rows = objects[f"{name}/E"]["shape"][0]
        expected = [event and event["rows"] for event in self.allowed(("rows", name), acknowledged)]
        if rows not in expected:
            said.append(f"table {name} has {rows} rows, not one of {expected}")
        step = dict(objects[name].get("attributes", [])).get("step")
        expected = [event and str(event["number"]) for event in self.allowed(("attr", name), acknowledged)]
        if step not in expected:
            said.append(f"table {name} has the attribute step={step}, not one of {expected}")
        return said + (self._rows(BY_NAME[name], rows, contents, acknowledged) if name in BY_NAME else [])

    def _rows(self, table, count, contents, acknowledged):
        lines, said = contents["rows"][table.name], []
        if len(lines) != count:
            said.append(f"{len(lines)} of {count} rows of table {table.name} can be read")
        for row, *cells in lines:
            row = int(row)
            wrong = self._row(table, row, cells, self.allowed(("row", table.name, row), acknowledged))
            if wrong:
                said.append(f"row {row} of table {table.name} {wrong}")
        return said

    @staticmethod
    def _row(table, row, cells, allowed):
        numbers = [None if event is None or event["kind"] == "reset" else event["number"] for event in allowed]
        if not any(cells):
            return None if None in numbers else f"is not there, not as commit {listed(numbers)} left it"
        number = writer_of([float(cell) for cell in cells], table, row) if all(cells) else None
        if number is None:
            return f"is a mixture, or of no commit: {cells}; not as commit {listed(numbers)} left it"
        return None if number in numbers else f"is as commit {number} left it, not as commit {listed(numbers)} did"


def failure(what, code, errors, output):
    return f"{what}: exit code {code}: {errors}{output}"


def listed(numbers):
    return " or ".join("(none)" if number is None else str(number) for number in numbers)


def keys(event):
    """The things that an event changes."""
    table = event["table"]
    match event["kind"]:
        case "create":
            return [("table", table), ("rows", table)]
        case "extend":
            return [("rows", table)]
        case "attr":
            return [("attr", table)]
        case "commit" | "reset":
            return [("row", table, row) for row in event["rows"]]
