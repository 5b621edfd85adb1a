"""The cases in which commits of two clients must survive what happens. Each yields lines of the table."""

import time

from rig import until
from workload import Outcome, Trial

DURABILITIES = ("power", "process")


def disjoint(rig, settings, durabilities=DURABILITIES):
    """Each worker of two clients has rows of its own, in pages that it shares with the others."""
    for durability in durabilities:
        yield _beside(rig, settings, "disjoint", "own", durability)


def same(rig, settings, durabilities=DURABILITIES):
    """Workers of two clients overwrite the same rows."""
    for durability in durabilities:
        yield _beside(rig, settings, "same", "all", durability)


def _beside(rig, settings, case, mode, durability):
    trial = Trial(rig, settings, case, durability)
    for client in rig.clients:
        trial.write(client, mode=mode, seconds=settings.seconds, batch=2)
    trial.read(rig.client2, pause=2)
    trial.go()
    trial.wait([command for command in trial.commands if command.names], settings.seconds + 300)
    return trial.finish().outcome(remark=_speed(trial))


def _speed(trial):
    medians = trial.medians()
    return f"median {max(medians)} ms per commit" if medians else ""


def readers(rig, settings):
    """`read` and `verify` on one client, beside writers of the other."""
    trial = Trial(rig, settings, "readers", "process")
    trial.write(rig.client1, mode="all", seconds=settings.seconds, batch=4)
    trial.read(rig.client2, pause=0, verify=True)
    trial.go()
    trial.wait([command for command in trial.commands if command.names], settings.seconds + 300)
    yield trial.finish().outcome()


def kills(rig, settings):
    """`kill -9` of writers of one client at random, while the other overwrites the same rows; then it takes them all."""
    for durability in DURABILITIES:
        trial = Trial(rig, settings, "kills", durability, rows=8)
        number = max(3, settings.commits // 2)
        killed = trial.write(rig.client1, mode="all", kills=number)
        trial.write(rig.client2, mode="all")
        trial.go()
        trial.wait([killed], number * 30 + 300)
        trial.stop()
        (trial.logs / "stop").unlink()
        _take_over(trial, rig.client2)
        ended = trial.finish().history.outcomes()["gone"]
        yield trial.outcome(f"{durability}, {number} kills", remark=f"{ended} in the middle of a commit")


def _take_over(trial, client, seconds=300, timeout=None):
    """A client writes each row once, and none may be refused; returns the command."""
    command = trial.write(client, workers=1, mode="each", start=None, timeout=timeout or trial.timeout)
    trial.wait([command], seconds + 120)
    return command


def client_killed(rig, settings):
    """A client loses power in the middle of commits. The other one takes over its rows, after lease and grace at most."""
    for durability in DURABILITIES:
        trial = Trial(rig, settings, "client-killed", durability)
        of = settings.workers + 1
        mine, beside = trial.write(rig.client1, of=of), trial.write(rig.client2, workers=1, of=of)
        trial.go()
        _wait_for_commits(trial, mine.names, 4 * settings.workers)
        rig.client1.kill()
        killed = time.time()
        trial.lost_host(mine, killed)
        limit = rig.lease + rig.grace + 60
        taker = _take_over(trial, rig.client2, seconds=limit + 10 * trial.rows, timeout=limit)
        # While the dead client's locks are held, it must be named.
        said = trial.messages(taker.names + beside.names)
        trial.finish()
        longest = _longest(trial, taker.names)
        outcome = trial.outcome(remark=f"longest wait {longest:.0f} s")
        _must(outcome, _refused(trial, taker.names) == 0, f"rows were refused to the other client: {said[-400:]}")
        _must(outcome, longest < limit, f"a commit took {longest:.0f} s, lease and grace are {rig.lease} + {rig.grace} s")
        _must(outcome, longest < 5 or "client1" in said, f"the host that is waited for is not named: {_first(said)}")
        if "client1" in said:
            outcome.remark += "; says: " + _first("\n".join(line for line in said.splitlines() if "client1" in line))
        yield outcome
        rig.revive()


def freeze(rig, settings, durabilities=DURABILITIES):
    """A client stands still for longer than its lease. Others take its rows; what it writes late must be refused."""
    for durability in durabilities:
        yield _cut_off(rig, settings, "freeze", durability, rig.lease + 8, rig.client1.freeze, rig.client1.thaw)


def link(rig, settings):
    """The link of a client is cut, for a third of the lease and for longer than it."""
    client = rig.client1
    cut, mend = lambda: client.link(False), lambda: client.link(True)
    yield _link_short(rig, settings, cut, mend)
    yield _cut_off(rig, settings, "link", "power", rig.lease + 8, cut, mend)


def _link_short(rig, settings, cut, mend):
    trial = Trial(rig, settings, "link")
    for client in rig.clients:
        trial.write(client)
    trial.go()
    everybody = [name for command in trial.commands for name in command.names]
    for _ in range(settings.rounds):
        _wait_for_commits(trial, everybody, 4, more=True)
        cut()
        time.sleep(rig.lease / 3)
        mend()
    _wait_for_commits(trial, everybody, 8, more=True)
    outcome = trial.finish().outcome(f"power, {rig.lease / 3:.0f} s")
    _must(outcome, not trial.history.errors, "a cut shorter than the lease made commits fail")
    return outcome


def _cut_off(rig, settings, case, durability, seconds, begin, end, **more):
    """A client is out of reach for longer than its lease, in some rounds, and the other takes over all rows."""
    trial, late = Trial(rig, settings, case, durability, rows=16, **more), []
    for _ in range(settings.rounds):
        mine = trial.write(rig.client1, workers=2 * settings.workers, start=None, seconds=15)
        _wait_for_commits(trial, mine.names, settings.workers)
        begun = time.time()
        begin()
        time.sleep(seconds)
        _take_over(trial, rig.client2, seconds=400, timeout=rig.lease + 120)
        late.append((mine.names, begun, time.time()))
        end()
        trial.wait([mine], 400)
    trial.finish(late)
    found = trial.history.found
    refused = found["late refused"] + found["late gone"]
    remark = f"under way, and their rows taken: {found['late ok']} acknowledged later, {refused} refused"
    return trial.outcome(f"{durability}, {seconds:.0f} s", remark)


def server_restart(rig, settings):
    """The server restarts in the middle of commits: its NFS service, and the whole machine, which loses power."""
    ways = {"nfsd": rig.restart_nfsd, "power": lambda: rig.reboot(rig.server)}
    for what, restart in ways.items():
        trial = Trial(rig, settings, "server", "power")
        for client in rig.clients:
            trial.write(client)
        trial.go()
        everybody = [name for command in trial.commands for name in command.names]
        for _ in range(settings.rounds):
            _wait_for_commits(trial, everybody, 2 * len(everybody), more=True)
            restart()
        _wait_for_commits(trial, everybody, len(everybody), more=True)
        yield trial.finish().outcome(f"{what}, {settings.rounds} times", remark=_speed(trial))


def controls(rig, settings):
    """Negative controls: what is broken on purpose must be found."""
    yield _control(rig, settings, "--trust-locks", _control_same, options=["--trust-locks"])
    if not settings.breaks:
        yield Outcome("control", "broken", {}, remark="not built: cargo build --release --example broken_nfs", skipped=True)
    for name in settings.breaks:
        yield _control(rig, settings, name, CONTROLS[name], broken=name)


def _control(rig, settings, what, act, **more):
    attempt, found = 0, None
    while attempt < settings.rounds + 2 and not (found and found.violations):
        attempt += 1
        found = act(rig, settings, **more)
    example = found.examples[0][:200] if found.examples else ""
    control = Outcome("control", what, found.counts)
    control.remark = f"{found.violations} violations in attempt {attempt}: {example}"
    _must(control, found.violations, f"nothing was found in {attempt} attempts, although the program was broken on purpose")
    _must(control, found.counts["acknowledged"], f"it did not work at all: {found.examples}")
    return control


def _control_same(rig, settings, mode="all", **more):
    """Workers of both clients write few rows, beside `verify`."""
    trial = Trial(rig, settings, "control", "process", rows=40, **more)
    for client in rig.clients:
        trial.write(client, mode=mode, seconds=settings.seconds, batch=8)
    trial.read(rig.client2, pause=0, verify=True)
    trial.go()
    trial.wait([command for command in trial.commands if command.names], settings.seconds + 300)
    return trial.finish().outcome()


def _control_disjoint(rig, settings, **more):
    return _control_same(rig, settings, mode="own", **more)


def _control_freeze(rig, settings, **more):
    """Only a client that has lost its locks shows that they are not on the descriptor that is written through."""
    return _cut_off(rig, settings, "control", "power", rig.lease + 8, rig.client1.freeze, rig.client1.thaw, **more)


def _control_killed(rig, settings, **more):
    """What was acknowledged but not sent is lost with the client."""
    trial = Trial(rig, settings, "control", "power", **more)
    mine = trial.write(rig.client1, of=settings.workers)
    trial.go()
    _wait_for_commits(trial, mine.names, 10 * settings.workers)
    rig.client1.kill()
    trial.lost_host(mine, time.time())
    time.sleep(rig.lease + 2)
    outcome = trial.finish().outcome()
    rig.revive()
    return outcome


CONTROLS = {
    "buffered": _control_same, "no-lock": _control_disjoint, "other-descriptor": _control_freeze, "no-sync": _control_killed,
}


def _wait_for_commits(trial, names, number, more=False, seconds=300):
    """Waits until these writers have so many commits, or so many more."""
    base = trial.acknowledged(names) if more else 0
    until(f"{number} commits", lambda: trial.acknowledged(names) >= base + number, seconds, pause=0.2)


def _longest(trial, names):
    """The longest commit of these writers, in seconds."""
    return max((write.over - write.begun for write in trial.history.writes.values() if write.writer in names), default=0)


def _refused(trial, names):
    return sum(write.outcome != "ok" for write in trial.history.writes.values() if write.writer in names)


def _first(text):
    return next((line.strip()[:200] for line in text.splitlines() if line.strip()), "(nothing)")


def _must(outcome, holds, complaint):
    if not holds:
        outcome.violations += 1
        outcome.examples.append(complaint)
