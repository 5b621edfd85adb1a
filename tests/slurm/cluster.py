"""A real SLURM of several nodes on one machine, for tests: munged, slurmctld and a slurmd for each node.

    with Cluster() as cluster:
        subprocess.run(["sbatch", ...], env=cluster.env)

Everything listens on the loopback and lives in one temporary folder. Without systemd, cgroups and accounting.
As a program, `cluster.py COMMAND...` runs a command with such a cluster around it.
"""

import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

PROGRAMS = ["munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel", "scontrol", "sinfo"]
PATH = os.environ["PATH"] + ":/usr/sbin:/sbin"
WAIT_S = 60


def why_not():
    """Why no cluster can be started here; None if it can."""
    missing = [name for name in PROGRAMS if not shutil.which(name, path=PATH)]
    if missing:
        return "these programs are not installed: " + ", ".join(missing)
    if os.getuid() != 0:
        return "slurmd must be started by root"
    return None


def free_ports(count):
    """Ports that nobody listens on just now."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def until(what, holds, seconds=WAIT_S):
    """Waits until `holds()` gives something true, and returns that."""
    end = time.monotonic() + seconds
    while True:
        result = holds()
        if result:
            return result
        if time.monotonic() > end:
            raise TimeoutError(f"after {seconds} s still not so: {what}")
        time.sleep(0.2)


class Cluster:
    def __init__(self, nodes=4, cpus=2, max_array_size=1001):
        self.nodes = [f"n{k}" for k in range(nodes)]
        self.cpus = cpus
        self.max_array_size = max_array_size
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="h5part-slurm-"))
        # Users must reach munged's socket.
        self.dir.chmod(0o755)
        self.env = {**os.environ, "PATH": PATH, "SLURM_CONF": str(self.dir / "slurm.conf")}
        # Of a SLURM job that this is run in.
        for name in [name for name in self.env if name.startswith("SLURM_") and name != "SLURM_CONF"]:
            del self.env[name]
        self.pid_files = []

    def __enter__(self):
        # An end that is asked for is an end like others: nothing stays behind.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
        try:
            self._configure()
            self._munged()
            self._daemon("slurmctld", "-i", "-c", "-f", self.env["SLURM_CONF"])
            for node in self.nodes:
                self.start_node(node)
            until("all nodes are idle", lambda: self.states() == ["idle"] * len(self.nodes))
        except BaseException:
            self.__exit__(*sys.exc_info())
            raise
        return self

    def __exit__(self, kind, *_):
        if kind is not None:
            self._show_logs()
        self.call("scancel", "--signal=KILL", "--full", "--state=RUNNING", "--user=root", check=False)
        self.call("scancel", "--user=root", check=False)
        # Nodes before their controller, munged last.
        for file in reversed(self.pid_files):
            _end(file)
        shutil.rmtree(self.dir, ignore_errors=True)

    def call(self, *command, check=True, **options):
        """Runs a command, and returns what it printed."""
        done = subprocess.run(command, env=self.env, capture_output=True, text=True, timeout=300, **options)
        if check and done.returncode != 0:
            raise RuntimeError(f"{command}: exit code {done.returncode}: {done.stderr}{done.stdout}")
        return done.stdout

    def states(self):
        """The nodes' states, as sinfo has them."""
        return self.call("sinfo", "--noheader", "--Node", "--format=%T", check=False).split()

    def start_node(self, node):
        self._daemon("slurmd", "-c", "-f", self.env["SLURM_CONF"], "-N", node, log=node)

    def kill_node(self, node):
        """The node is gone at once, with all that ran on it, as if its power had failed."""
        steps, others = [], []
        for proc in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                command = (proc / "cmdline").read_bytes()
                environ = b"\0" + (proc / "environ").read_bytes()
            except OSError:
                continue
            if f"\0SLURM_CONF={self.env['SLURM_CONF']}\0".encode() not in environ:
                continue
            if command.startswith(b"slurmstepd: ["):
                if _has_open(proc, self.dir / f"{node}.log"):
                    steps.append(int(proc.name))
            elif f"\0SLURMD_NODENAME={node}\0".encode() in environ:
                others.append(int(proc.name))
        # First those that would tell the controller.
        for pid in [_pid(self.dir / f"{node}.pid"), *steps, *others]:
            _signal(pid, signal.SIGKILL)

    def _configure(self):
        ports = free_ports(len(self.nodes) + 1)
        host = socket.gethostname().split(".")[0]
        (self.dir / "state").mkdir()
        (self.dir / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\nCgroupAutomount=no\n")
        lines = [
            "ClusterName=h5part",
            f"SlurmctldHost={host}(127.0.0.1)",
            f"SlurmctldPort={ports[0]}",
            "SlurmUser=root",
            "AuthType=auth/munge",
            f"AuthInfo=socket={self.dir}/munge.socket",
            "CredType=cred/munge",
            f"StateSaveLocation={self.dir}/state",
            f"SlurmdSpoolDir={self.dir}/spool.%n",
            f"SlurmctldPidFile={self.dir}/slurmctld.pid",
            f"SlurmdPidFile={self.dir}/%n.pid",
            f"SlurmctldLogFile={self.dir}/slurmctld.log",
            f"SlurmdLogFile={self.dir}/%n.log",
            "ProctrackType=proctrack/linuxproc",
            "TaskPlugin=task/none",
            "JobAcctGatherType=jobacct_gather/none",
            "AccountingStorageType=accounting_storage/none",
            "JobCompType=jobcomp/none",
            "SelectType=select/cons_tres",
            "SelectTypeParameters=CR_Core",
            "SchedulerType=sched/backfill",
            "SchedulerParameters=sched_interval=1,sched_min_interval=0,batch_sched_delay=0",
            "SlurmdParameters=config_overrides",
            "CommunicationParameters=NoCtldInAddrAny,NoInAddrAny",
            "SwitchType=switch/none",
            "MpiDefault=none",
            "ReturnToService=2",
            "MailProg=/bin/true",
            "KillWait=5",
            "OverTimeLimit=0",
            # Jobs are forgotten soon, nodes that answer no more are missed soon.
            "MinJobAge=30",
            "SlurmdTimeout=10",
            f"MaxArraySize={self.max_array_size}",
        ]
        lines += [
            f"NodeName={node} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs={self.cpus} RealMemory=500"
            for node, port in zip(self.nodes, ports[1:])
        ]
        lines.append(f"PartitionName=main Nodes={','.join(self.nodes)} Default=YES MaxTime=60 State=UP")
        (self.dir / "slurm.conf").write_text("\n".join(lines) + "\n")

    def _munged(self):
        key = self.dir / "munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o400)
        self.pid_files.append(self.dir / "munged.pid")
        self.call(
            "munged", f"--key-file={key}", f"--socket={self.dir}/munge.socket", f"--pid-file={self.dir}/munged.pid",
            f"--log-file={self.dir}/munged.log", f"--seed-file={self.dir}/munged.seed")

    def _daemon(self, *command, log=None):
        name = log or command[0]
        pid_file = self.dir / f"{name}.pid"
        if pid_file not in self.pid_files:
            self.pid_files.append(pid_file)
        # It goes into the background; what it says before that, it says on stderr.
        with open(self.dir / f"{name}.start.log", "ab") as out:
            subprocess.run(command, env=self.env, stdin=subprocess.DEVNULL, stdout=out, stderr=out, check=True, timeout=60)

    def _show_logs(self):
        for log in sorted(self.dir.glob("*.log")):
            text = log.read_text(errors="replace").splitlines()[-15:]
            if text:
                print(f"--- {log.name}", *text, sep="\n", file=sys.stderr)


def _has_open(proc, path):
    """Whether a process has a file open: the steps of a node write its log."""
    for link in (proc / "fd").glob("*"):
        try:
            if os.readlink(link) == str(path):
                return True
        except OSError:
            pass
    return False


def _pid(file):
    try:
        return int(file.read_text())
    except (OSError, ValueError):
        return None


def _signal(pid, which):
    try:
        if pid is not None:
            os.kill(pid, which)
            return True
    except ProcessLookupError:
        pass
    return False


def _end(file):
    """Ends a daemon, by force if it does not end by itself."""
    pid = _pid(file)
    if not _signal(pid, signal.SIGTERM):
        return
    try:
        until("daemon has ended", lambda: not _signal(pid, 0), 10)
    except TimeoutError:
        _signal(pid, signal.SIGKILL)


if __name__ == "__main__":
    reason = why_not()
    if reason:
        sys.exit(f"no SLURM here: {reason}")
    with Cluster() as around:
        sys.exit(subprocess.run(sys.argv[1:], env=around.env).returncode)
