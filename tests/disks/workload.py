"""The recording: h5part writes to a file on a device that logs all its writes. Runs in the guest.

Two workers feed one `h5part update --stream` per table each, and commit to rows of their own, fresh and overwritten.
They reset rows, and now and then kill a stream in the middle of a commit. A third thread makes structural changes.
After each acknowledgement its number goes into the log, as a mark.
"""

import json
import os
import random
import signal
import subprocess
import threading
import time

import agent
import dm
from tables import BY_NAME, FILE, Q_COUNT, TABLES, values

NAME = "recorded"
WORKERS = 2
# Those whose commits are grouped.
GROUPING = {1}
MOST_ROWS = 4
KILL_WITHIN_S = 0.05
# On a busy host everything takes long here.
PATIENCE = ["--timeout", "3000"]


def record(file_system, device, log, durability, commits, seed):
    """Runs the workload, and returns its history: all that was begun, in order. Acknowledgements are in the log."""
    with open(f"/sys/class/block/{os.path.basename(device)}/size") as file:
        sectors = int(file.read())
    recorded = dm.create(NAME, sectors, "log-writes", f"{device} {log}")
    try:
        agent.mount(recorded, file_system)
        try:
            history = History()
            run(history, durability, commits, seed)
        finally:
            agent.unmount()
    finally:
        dm.remove(NAME)
    return history.events


class History:
    """What was begun, numbered. Threads share it."""

    def __init__(self):
        self.events = []
        self.lock = threading.Lock()

    def begin(self, kind, table, **details):
        with self.lock:
            number = len(self.events)
            self.events.append({"number": number, "kind": kind, "table": table, **details})
            return number

    def acknowledge(self, number):
        # The worker waits for the mark, so that nothing that it begins afterwards comes before it.
        dm.message(NAME, f"mark {number}")

    def killed(self, number):
        """Its program was killed before it answered, so that it may have been made or not."""
        self.events[number]["killed"] = True


def path():
    return f"{agent.FOLDER}/{FILE}"


def h5part(*arguments):
    done = subprocess.run([agent.PROGRAM, *arguments, *PATIENCE], capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{arguments}: exit code {done.returncode}: {done.stderr}")


def run(history, durability, commits, seed):
    chance = random.Random(seed)
    rows = {table.name: table.rows for table in TABLES}
    for table in TABLES:
        make(history, table)

    def worker(number, commits):
        return Worker(history, durability, commits, chance.getrandbits(32), number, rows)

    # Each alone at first: beside others, one of their flushes could hide that a commit lacks its own.
    for number in range(WORKERS):
        worker(number, commits // 4).work()
    threads = [worker(number, commits - commits // 4) for number in range(WORKERS)]
    threads.append(Changer(history, commits, chance.getrandbits(32), rows, list(threads)))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for thread in threads:
        if thread.failure:
            raise thread.failure


def make(history, table, name=None):
    number = history.begin("create", name or table.name, rows=table.rows)
    columns = [word for column in table.columns for word in ("--column", column)]
    h5part("create", path(), name or table.name, "--rows", str(table.rows), *columns, *table.options)
    history.acknowledge(number)


class Thread(threading.Thread):
    """A thread that keeps what made it fail."""

    failure = None

    def run(self):
        try:
            self.work()
        except Exception as error:
            self.failure = error


class Worker(Thread):
    def __init__(self, history, durability, commits, seed, number, rows):
        super().__init__()
        self.history, self.durability, self.commits, self.number, self.rows = history, durability, commits, number, rows
        self.chance = random.Random(seed)
        self.streams = {}

    def work(self):
        try:
            for _ in range(self.commits):
                table = self.chance.choice(TABLES)
                kind = self.chance.random()
                if kind < 0.04:
                    self.reset(table)
                else:
                    self.commit(table, kill=kind > 0.96)
        finally:
            for stream in self.streams.values():
                stream.stdin.close()
                stream.wait()
                stream.stdout.close()

    def own_rows(self, table, count):
        """This many lists of rows, none of which is named twice."""
        mine = list(range(self.number, self.rows[table.name], WORKERS))
        self.chance.shuffle(mine)
        return [sorted(mine[k * MOST_ROWS : k * MOST_ROWS + self.chance.randint(1, MOST_ROWS)]) for k in range(count)]

    def stream(self, table):
        if table.name not in self.streams:
            command = [agent.PROGRAM, "update", path(), table.name, "--stream", "--durability", self.durability, *PATIENCE]
            if self.number in GROUPING:
                command += ["--group", "8"]
            self.streams[table.name] = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        return self.streams[table.name]

    def commit(self, table, kill):
        """One commit, or in a worker that groups them up to three; in the end, or before, kills the stream."""
        stream = self.stream(table)
        most = min(3, self.rows[table.name] // WORKERS // MOST_ROWS)
        count = self.chance.randint(1, most) if self.number in GROUPING else 1
        numbers, lines = [], []
        for rows in self.own_rows(table, count):
            numbers.append(self.history.begin("commit", table.name, rows=rows))
            lines.append(request(table, rows, numbers[-1]))
        stream.stdin.write(b"".join(lines))
        stream.stdin.flush()
        if kill:
            time.sleep(self.chance.random() * KILL_WITHIN_S)
            stream.send_signal(signal.SIGKILL)
        for number in numbers:
            answer = stream.stdout.readline()
            if answer.endswith(b"\n"):
                if not json.loads(answer)["ok"]:
                    raise RuntimeError(f"commit {number} failed: {answer}")
                self.history.acknowledge(number)
            elif kill:
                self.history.killed(number)
            else:
                raise RuntimeError(f"the stream of commit {number} ended")
        if kill:
            stream.wait()
            stream.stdin.close()
            stream.stdout.close()
            del self.streams[table.name]

    def reset(self, table):
        [rows] = self.own_rows(table, 1)
        number = self.history.begin("reset", table.name, rows=rows)
        spec = ",".join(map(str, rows))
        h5part("reset", path(), table.name, "--rows", spec, "--durability", self.durability)
        self.history.acknowledge(number)


def request(table, rows, number):
    written = [values(table, row, number) for row in rows]
    columns = {"E": [each[0] for each in written], "Q": [each[1 : 1 + Q_COUNT] for each in written]}
    if table.guarded:
        columns["done"] = [each[-1] for each in written]
    return json.dumps({"rows": rows, "set": columns}).encode() + b"\n"


class Changer(Thread):
    """Makes structural changes while the workers commit."""

    def __init__(self, history, commits, seed, rows, workers):
        super().__init__()
        self.history, self.changes, self.rows, self.workers = history, commits // 5, rows, workers
        self.chance = random.Random(seed)

    def work(self):
        for count in range(self.changes):
            if not any(worker.is_alive() for worker in self.workers):
                break
            kind = self.chance.random()
            if kind < 0.3:
                self.extend(self.chance.choice([table for table in TABLES if table.can_grow]))
            elif kind < 0.9:
                self.set_attribute(self.chance.choice(TABLES))
            else:
                make(self.history, BY_NAME["guarded"], name=f"more{count}")
            # Changes keep all commits out: without a rest there would be few of these.
            time.sleep(self.chance.random() * 0.5)

    def extend(self, table):
        count = self.rows[table.name] + 2
        number = self.history.begin("extend", table.name, rows=count)
        h5part("extend", path(), table.name, "--rows", str(count))
        self.history.acknowledge(number)
        self.rows[table.name] = count

    def set_attribute(self, table):
        number = self.history.begin("attr", table.name)
        h5part("attr", path(), table.name, f"step={number}")
        self.history.acknowledge(number)
