"""A store on the server's disk, the writers and readers of the clients that work on it, and the check at the end."""

import dataclasses
import itertools
import json
import shlex

from history import VIOLATIONS, History
from rig import until
from values import read

NUMBERS = itertools.count(1)
# One client's first commits, each with its round trips, emulated.
BEGIN_S = 180


@dataclasses.dataclass
class Settings:
    """What a case is run with; the command line sets most of it."""
    seconds: float = 60
    commits: int = 50
    rounds: int = 3
    workers: int = 2
    # So few that every page holds rows of both clients, and that rows are overwritten.
    rows: int = 64
    # Options that turn on the mode for several hosts.
    options: tuple = ("--shared", "nfs")
    # Tried by `controls` with the program that is broken on purpose.
    breaks: tuple = ()


@dataclasses.dataclass
class Outcome:
    """One line of the table."""
    case: str
    what: str
    counts: dict
    violations: int = 0
    examples: list = dataclasses.field(default_factory=list)
    remark: str = ""
    skipped: bool = False


class Trial:
    """A store, its writers and readers.

        trial = Trial(rig, settings, "disjoint")
        trial.write(rig.client1, workers=2, of=4)
        trial.go()
        ...
        outcome = trial.finish().outcome()
    """

    def __init__(self, rig, settings, case, durability="power", rows=None, options=None, broken=None, timeout=300):
        self.rig, self.settings, self.case, self.durability = rig, settings, case, durability
        self.rows, self.timeout = rows or settings.rows, timeout
        self.options = list(settings.options if options is None else options)
        # How the writers are broken on purpose.
        self.broken = broken
        name = f"{case}-{next(NUMBERS)}"
        self.folder, self.file, self.local = f"/n/{name}", f"/n/{name}/a.h5", f"/srv/x/{name}/a.h5"
        self.shared, self.logs = f"/share/{name}", rig.share / name
        self.logs.mkdir()
        self.writers, self.commands, self.gone, self.readers = 0, [], {}, 0
        self.history, self.said, self.final = None, [], None
        columns = "--column E:f64 --column Q:f64:12"
        create = f"{self.program('create')} {self.file} small --rows {self.rows} {columns}"
        rig.client1.run(f"mkdir -m 777 {self.folder} && {create}").check()

    def program(self, subcommand, *more):
        """The shell's words for a subcommand, up to its arguments."""
        return shlex.join(["h5part", *subcommand.split(), *self.options, *more])

    def script(self, name, *arguments, more=()):
        broken = self.broken if name == "writer" else None
        tail = ["--", "h5part-broken" if broken else "h5part", *self.options, *more]
        environment = f"H5PART_NFS_BREAK={broken} " if broken else ""
        return f"{environment}{self.rig.python} /share/setup/{name}.py {shlex.join(map(str, [*arguments, *tail]))}"

    def write(self, client, workers=None, of=None, mode="own", **more):
        """Starts writers on a client. They begin at `go`, unless start=None, and end at `finish`."""
        workers = workers or self.settings.workers
        of = of or 2 * self.settings.workers
        begin = more.pop("start", f"{self.shared}/go")
        timeout = more.pop("timeout", self.timeout)
        arguments = [self.file, "--log", f"{self.shared}/w", "--first", self.writers, "--workers", workers, "--of", of]
        arguments += ["--mode", mode, "--rows", self.rows, "--stop", f"{self.shared}/stop"]
        arguments += ["--start", begin] if begin else []
        for name, value in more.items():
            arguments += [f"--{name}", value]
        options = ["--durability", self.durability, "--timeout", str(timeout)]
        command = client.spawn(self.script("writer", *arguments, more=options))
        command.first, command.names = self.writers, [f"w{self.writers + k}" for k in range(workers)]
        self.writers += workers
        self.commands.append(command)
        return command

    def read(self, client, **more):
        """Starts a reader on a client."""
        log, self.readers = f"{self.shared}/r{self.readers}", self.readers + 1
        arguments = [self.file, "--log", log, "--stop", f"{self.shared}/stop"]
        for name, value in more.items():
            arguments += [f"--{name}"] + ([] if value is True else [value])
        command = client.spawn(self.script("reader", *arguments))
        command.names = []
        self.commands.append(command)
        return command

    def go(self):
        """All writers begin, once all of them are ready."""
        starters = [command for command in self.commands if command.names]

        def ready():
            return all((self.logs / f"w{command.first}.ready").exists() or command.done() for command in starters)
        until("the writers are ready", ready, BEGIN_S)
        (self.logs / "go").write_text("")

    def acknowledged(self, names):
        """How many commits these writers have so far."""
        logs = [self.logs / f"{name}.log" for name in names]
        texts = [log.read_text(errors="replace") for log in logs if log.exists()]
        return sum(line.startswith("A ") for text in texts for line in text.splitlines())

    def lost_host(self, command, at):
        """The host of these writers was killed: they end no more."""
        for name in command.names:
            self.gone[name] = at
        self.commands.remove(command)

    def stop(self, seconds=300):
        """Ends writers and readers, and waits for them."""
        (self.logs / "stop").write_text("")
        self.wait(self.commands, seconds)

    def wait(self, commands, seconds=300):
        for command in list(commands):
            self.said.append(command.wait(seconds).check().strip())
            self.commands.remove(command)

    def finish(self, late=()):
        """Recovers what the dead have left, reads the file on the server and on a fresh client, and checks it all.

        `late`: (writers, from, till) for each time that a host had lost its locks.
        """
        (self.logs / "stop").write_text("")
        self.wait(self.commands)
        rig, history = self.rig, History()
        for number in range(self.writers):
            log = self.logs / f"w{number}.log"
            if log.exists():
                history.add_writer(log, self.gone.get(f"w{number}"))
        for number in range(self.readers):
            history.add_reader(self.logs / f"r{number}")
        client = rig.client2
        self.recovered = client.run(f"{self.program('recover')} {self.file} --json", 300)
        if self.recovered.code not in (0, 1):
            history.count("unreadable", f"recover: exit code {self.recovered.code}: {self.recovered.out.strip()[-300:]}")
        rig.mount(clients=[client])
        places = [("server", rig.server, self.local, []), ("client", client, self.file, self.options)]
        for place, guest, file, options in places:
            found = self._versions(place, guest, file, options, history)
            if found:
                history.check(*found, where=f"read on the {place}")
                self.final = found
        self._verify(client, history)
        if rig.h5py:
            # A commit that another one overwrites from what it has cached shows only in the stamps.
            said = rig.server.run(f"{rig.python} /share/setup/stamps.py {self.local} small", 120)
            history.check_stamps(json.loads(said.check()))
        history.check_readers()
        for writers, since, till in late:
            if self.final:
                history.check_late(writers, since, till, self.final[0])
        self.history = history
        return self

    def _versions(self, place, guest, file, options, history):
        found = []
        for column in ("E", "Q"):
            prefix = f"{place}-{column}"
            words = ["h5part", "read", *options, file, "small", column, "--rows", ":", "-o", f"{self.shared}/{prefix}.npy",
                     "--mask", f"{self.shared}/{prefix}.mask.npy"]
            done = guest.run(shlex.join(words), 200)
            if done.code != 0:
                history.count("unreadable", f"column {column} on the {place}: exit code {done.code}: {done.out.strip()[-300:]}")
                return None
            found.append(read(column, str(self.logs / prefix)))
        return found

    def _verify(self, client, history):
        done = client.run(f"{self.program('verify')} {self.file}", 300)
        if done.code != 0:
            history.count("unsound", f"verify at the end: exit code {done.code}: {' '.join(done.out.split())[:400]}")

    def messages(self, names):
        """What the program of these writers said on standard error."""
        paths = [self.logs / f"{name}.err" for name in names]
        return "\n".join(path.read_text(errors="replace") for path in paths if path.exists())

    def outcome(self, what="", remark="", **more):
        """The line of the table."""
        history = self.history
        more |= {"uncounted": history.found["uncounted"]} if self.rig.h5py else {}
        counts = {"acknowledged": history.acknowledged, **{kind: history.found[kind] for kind in ("lost", "torn", "back")}}
        outcomes = history.outcomes()
        counts |= {"refused": outcomes["refused"], "gone": outcomes["gone"] + outcomes["unknown"]}
        counts |= {kind: history.found[kind] for kind in ("reads", "verified")}
        examples = [f"{kind}: {text}" for kind, text in history.examples]
        violations = sum(history.found[kind] for kind in VIOLATIONS)
        if history.acknowledged == 0:
            violations += 1
            said = self.messages([f"w{number}" for number in range(self.writers)])
            examples.append(f"nothing was acknowledged: {'; '.join(history.errors)} {said[-400:]}")
        if history.errors:
            said = ", ".join(f"{number} x {message}" for message, number in history.errors.most_common(2))
            remark = "; ".join(filter(None, [remark, f"refused with: {said}"]))
        return Outcome(self.case, what or self.durability, counts | more, violations, examples, remark)

    def medians(self):
        """Milliseconds per commit that the writers have printed."""
        lines = [json.loads(line) for text in self.said for line in text.splitlines() if line.startswith("{")]
        return [line["median_ms"] for line in lines if line.get("median_ms")]
