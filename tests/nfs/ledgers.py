"""Two clients share one ledger: each task is done exactly once, also when one of them dies."""

import collections
import itertools
import json
import shlex
import time

from cases import _must
from rig import until
from workload import Outcome

NUMBERS = itertools.count(1)
TASKS = 24

# Claims, leaves a mark, and reports, as the page on ledgers shows it.
LOOP = """
while line=$({program} claim {ledger} --owner $$); do
    fence=$(printf %s "$line" | cut -f1) name=$(printf %s "$line" | cut -f4)
    : >{marks}/$name.{client}.$fence
    {program} done {ledger} "$name" --fence "$fence" >/dev/null || echo "$name: not accepted"
done
"""


class Shared:
    """A ledger of named tasks on the server's disk, and the marks that its tasks leave."""

    def __init__(self, rig, settings, options):
        self.rig = rig
        name = f"ledger-{next(NUMBERS)}"
        self.folder, self.ledger = f"/n/{name}", f"/n/{name}/l.ledger"
        self.marks = rig.share / name / "marks"
        self.marks.mkdir(parents=True)
        self.in_guest = f"/share/{name}/marks"
        # The commands of a ledger take no option for it.
        self.environment = "H5PART_SHARED=nfs " if "nfs" in options else ""
        tasks = "\n".join(f"task{k:02}" for k in range(TASKS))
        rig.client1.run(f"mkdir -m 777 {self.folder} && echo '{tasks}' >{self.folder}/names && "
                        f"{self.h5part('ledger')} init {self.ledger} --tasks {self.folder}/names {shlex.join(options)}").check()

    def h5part(self, subcommand):
        return f"{self.environment}h5part {subcommand}"

    def loop(self, client):
        names = {"program": self.h5part("ledger"), "ledger": self.ledger, "marks": self.in_guest, "client": client.name}
        return client.spawn(LOOP.format(**names))

    def work(self, client, script):
        mark = f": >{self.in_guest}/$0.{client.name}.$1"
        program = f"sh -c {shlex.quote(f'{mark}; {script}')} {{name}} {{index}}"
        return client.spawn(f"{self.h5part('work')} {self.ledger} -j 2 -- {program}")

    def status(self):
        return json.loads(self.rig.client2.run(f"{self.h5part('ledger')} status --json {self.ledger}").check())

    def begun(self):
        """How often each task was begun, by client."""
        marks = [path.name.split(".") for path in self.marks.iterdir()]
        return collections.Counter((name, client) for name, client, *_ in marks)


def ledger(rig, settings):
    """`ledger claim` and `done` on one client, `work` on the other."""
    shared = Shared(rig, settings, list(settings.options))
    outcome = Outcome("ledger", f"{TASKS} tasks, two clients", {})
    commands = [shared.loop(rig.client1), shared.work(rig.client2, "true")]
    said = [command.wait(600) for command in commands]
    status, begun = shared.status(), shared.begun()
    by = collections.Counter(client for _, client in begun)
    outcome.counts = {"done": status["done"], "begun": sum(begun.values())}
    outcome.remark = ", ".join(f"{client}: {number}" for client, number in sorted(by.items()))
    _must(outcome, status["done"] == TASKS, f"status: {status}; {[each.out[-300:] for each in said]}")
    _must(outcome, len({name for name, _ in begun}) == sum(begun.values()) == TASKS, f"not each task was begun once: {begun}")
    _must(outcome, "not accepted" not in said[0].out, said[0].out[-300:])
    yield outcome
    yield _killed(rig, settings)


def _killed(rig, settings):
    """A client dies with tasks under way; the other one requeues them, once there was no heartbeat for some time."""
    shared = Shared(rig, settings, list(settings.options))
    outcome = Outcome("ledger", "a client killed", {})
    shared.work(rig.client1, "sleep 1000")
    until("two tasks are under way", lambda: len(shared.begun()) == 2, 120)
    rig.client1.kill()
    killed = time.monotonic()
    said = rig.client2.run(f"{shared.h5part('ledger')} requeue {shared.ledger} --stale --stale-after 12 --json", 300)
    _must(outcome, said.code == 0, f"requeue: exit code {said.code}: {said.out[-300:]}")
    waited = time.monotonic() - killed
    rest = shared.work(rig.client2, "true").wait(900)
    status, begun = shared.status(), shared.begun()
    twice = {name for name, _ in begun if begun[name, "client1"] and begun[name, "client2"]}
    outcome.counts = {"done": status["done"], "begun": sum(begun.values())}
    outcome.remark = f"requeue after {waited:.0f} s: {said.out.strip()[-160:]}"
    _must(outcome, rest.code == 0 and status["done"] == TASKS, f"status: {status}; {rest.out[-300:]}")
    _must(outcome, sum(n for (_, client), n in begun.items() if client == "client2") == TASKS, f"begun: {begun}")
    _must(outcome, len(twice) == 2, f"taken over: {twice}")
    rig.revive()
    return outcome
