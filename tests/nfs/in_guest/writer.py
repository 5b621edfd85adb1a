"""Drives some `h5part update --stream`, each with one commit under way, and logs what is sent and what is answered.

Lines of a worker's log; times are the host's:
    S version time row...           sent
    A version time                  acknowledged
    E version time code message     refused
    X version time                  the process ended without an answer, and is gone since this time
"""

import argparse
import json
import os
import random
import selectors
import signal
import subprocess
import time

from values import TABLE, HostClock, cells

POISONED = (7, 12)
# A worker gives up when so many of its processes in a row have ended without an acknowledgement.
IN_VAIN = 50


def options():
    p = argparse.ArgumentParser()
    p.add_argument("file")
    p.add_argument("--log", required=True, help="prefix; a worker's number is appended")
    p.add_argument("--first", type=int, default=0, help="number of the first worker")
    p.add_argument("--workers", type=int, default=1)
    p.add_argument("--of", type=int, default=1, help="number of workers on all clients")
    p.add_argument("--mode", choices=["own", "all", "each"], default="own")
    p.add_argument("--rows", type=int, default=64)
    p.add_argument("--batch", type=int, default=1, help="rows per commit")
    p.add_argument("--seconds", type=float, default=1e9)
    p.add_argument("--commits", type=int, default=10**9, help="commits per worker")
    p.add_argument("--kills", type=int, default=0, help="kill a worker's process this many times")
    p.add_argument("--start", help="begin when this file exists")
    p.add_argument("--stop", help="end when this file exists")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("program", nargs="+", help="after --: h5part, and options of `update`")
    return p.parse_args()


class Worker:
    def __init__(self, o, number, clock):
        self.o, self.number, self.clock = o, number, clock
        self.log = open(f"{o.log}{number}.log", "ab", buffering=0)
        self.errors = open(f"{o.log}{number}.err", "ab")
        self.random = random.Random(o.seed * 1000 + number)
        step = o.of if o.mode == "own" else 1
        self.rows = list(range(number % step, o.rows, step))
        self.process, self.under_way, self.sent, self.commits, self.buffer = None, None, 0.0, 0, b""
        self.acknowledged = self.refused = self.ended = self.in_vain = 0
        self.times = []

    def note(self, text):
        self.log.write((text + "\n").encode())

    def spawn(self):
        argv = [self.o.program[0], "update", self.o.file, TABLE, "--stream", *self.o.program[1:]]
        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors, bufsize=0)

    def send(self):
        """Sends the next commit; False if there is none."""
        if self.commits >= (len(self.rows) if self.o.mode == "each" else self.o.commits):
            return False
        self.commits += 1
        # Unique over all workers.
        version = self.commits * 1024 + self.number
        if self.o.mode == "each":
            rows = [self.rows[self.commits - 1]]
        else:
            rows = sorted(self.random.sample(self.rows, min(self.o.batch, len(self.rows))))
        request = json.dumps({"rows": rows, "set": cells(rows, version), "id": version}) + "\n"
        self.under_way, self.sent = version, time.monotonic()
        self.note(f"S {version} {self.clock.now():.3f} {' '.join(map(str, rows))}")
        try:
            self.process.stdin.write(request.encode())
        except BrokenPipeError:
            pass  # Its end is seen on the other pipe.
        return True

    def receive(self):
        """Takes an answer, or the end of the process; False while neither is complete."""
        got = self.process.stdout.read(65536)
        if not got:
            self.process.wait()
            self.in_vain += 1
            if self.under_way is not None:
                self.note(f"X {self.under_way} {self.clock.now():.3f}")
                self.ended += 1
            self.under_way, self.buffer, self.process = None, b"", None
            return True
        self.buffer += got
        if not self.buffer.endswith(b"\n"):
            return False
        answer, self.buffer = json.loads(self.buffer), b""
        at, version = self.clock.now(), self.under_way
        if answer.get("id", version) != version:
            raise AssertionError(f"commit {version} was answered by {answer}")
        self.under_way = None
        self.times.append(time.monotonic() - self.sent)
        if answer["ok"]:
            self.acknowledged, self.in_vain = self.acknowledged + 1, 0
            self.note(f"A {version} {at:.3f}")
        else:
            self.refused += 1
            self.note(f"E {version} {at:.3f} {answer.get('code')} {answer.get('error')}")
            if answer.get("code") in POISONED:
                self.process.kill()
                self.process.wait()
                self.process = None
        return True

    def end(self):
        if self.process:
            self.process.stdin.close()
            try:
                self.process.wait(120)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.errors.close()


class Drive:
    """Keeps one commit under way in each worker until it is time to end, and kills some of their processes."""

    def __init__(self, o, workers):
        self.o, self.workers = o, workers
        self.poll, self.random = selectors.DefaultSelector(), random.Random(o.seed)
        self.active, self.kills, self.kill_at = [], 0, None
        self.begun = self.looked = time.monotonic()
        self.stopping = False

    def run(self):
        for worker in self.workers:
            if worker.send():
                self.poll.register(worker.process.stdout, selectors.EVENT_READ, worker)
                self.active.append(worker)
        while self.active:
            self.look()
            self.kill_one()
            pause = 0.5 if self.kill_at is None else max(0.0, min(0.5, self.kill_at - time.monotonic()))
            for key, _ in self.poll.select(pause):
                if key.data.receive():
                    self.go_on(key.data, key.fileobj)

    def look(self):
        """Whether it is time to end. The folder of the host is asked twice a second."""
        now = time.monotonic()
        if now - self.looked > 0.5:
            self.looked = now
            over = now - self.begun > self.o.seconds or self.o.stop and os.path.exists(self.o.stop)
            killed = self.o.kills and self.kills >= self.o.kills
            self.stopping = bool(self.stopping or over or killed)

    def kill_one(self):
        """Kills a process at any instant of a commit."""
        now = time.monotonic()
        if self.stopping or self.kills >= self.o.kills:
            self.kill_at = None
        elif self.kill_at is None:
            self.kill_at = now + self.random.random() * 1.5 * max(self.active[0].times[-5:] or [1.0])
        elif now >= self.kill_at:
            victim = self.random.choice(self.active)
            victim.process.send_signal(signal.SIGKILL)
            self.kills, self.kill_at = self.kills + 1, None

    def go_on(self, worker, pipe):
        """The next commit of a worker whose last one has ended, by a new process if need be."""
        over = self.stopping or worker.in_vain > IN_VAIN
        if worker.process is None:
            self.poll.unregister(pipe)
            if not over:
                worker.spawn()
                self.poll.register(worker.process.stdout, selectors.EVENT_READ, worker)
        if over or not worker.send():
            self.active.remove(worker)
            if worker.process:
                self.poll.unregister(worker.process.stdout)


def main():
    o = options()
    clock = HostClock(f"{o.log}{o.first}.clock")
    workers = [Worker(o, o.first + k, clock) for k in range(o.workers)]
    for worker in workers:
        worker.spawn()
    open(f"{o.log}{o.first}.ready", "w").close()
    while o.start and not os.path.exists(o.start):
        time.sleep(0.05)
    drive = Drive(o, workers)
    drive.run()
    for worker in workers:
        worker.end()
    times = sorted(t for worker in workers for t in worker.times)
    print(json.dumps({
        "acknowledged": sum(w.acknowledged for w in workers), "refused": sum(w.refused for w in workers),
        "ended": sum(w.ended for w in workers), "kills": drive.kills, "seconds": round(time.monotonic() - drive.begun, 1),
        "median_ms": round(times[len(times) // 2] * 1e3) if times else None,
        "max_ms": round(times[-1] * 1e3) if times else None,
    }))


if __name__ == "__main__":
    main()
