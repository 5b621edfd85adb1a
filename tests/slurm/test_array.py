"""Mode `slurm` on a real SLURM of four nodes. `make test-slurm` runs this; H5PART names the program."""

import json
import os
import pathlib
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from cluster import Cluster, until, why_not

HERE = pathlib.Path(__file__).resolve().parent
H5PART = os.environ.get("H5PART", str(HERE.parent.parent / "target/release/h5part"))
# An interpreter that has the Python package.
PYTHON = os.environ.get("H5PART_PYTHON")
VPLANET = shutil.which("vplanet", path=os.environ.get("H5PART_PLANETS", ""))
# So small that eight workers need two arrays.
MAX_ARRAY_SIZE = 5


class Work:
    """A store, a ledger of its rows, and a program that fills them."""

    def __init__(self, cluster, tasks, seconds):
        self.cluster, self.tasks = cluster, tasks
        # A name that scripts could trip over.
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="it's 100% #1 \"ä\" ", dir=cluster.dir))
        self.store, self.ledger = str(self.dir / "run.h5"), str(self.dir / "run.ledger")
        self.rows = 2 * tasks
        self.h5part("create", self.store, "run", "--rows", str(self.rows), "--column", "energy:f64")
        self.h5part("ledger", "init", self.ledger, "--store", self.store, "--table", "run", "--block", "2")
        self.program = ["--", sys.executable, str(HERE / "task.py"), H5PART, self.store, str(seconds)]

    def h5part(self, *args):
        return self.cluster.call(H5PART, *args)

    def start(self, *options):
        """A run; it says what it says into a file."""
        command = [H5PART, "run", self.ledger, "--mode", "slurm", *options, *self.program]
        with open(self.dir / "out.txt", "w") as out:
            run = subprocess.Popen(command, env=self.cluster.env, stdout=out, stderr=subprocess.STDOUT, cwd=self.dir)
        run.said = lambda: (self.dir / "out.txt").read_text()
        return run

    def status(self):
        return json.loads(self.h5part("ledger", "status", "--json", self.ledger))

    def done(self):
        return self.status()["done"]

    def elements(self, *states):
        """Elements of this run's jobs in these states, as (id, node)."""
        jobs = ",".join(path.stem for path in (pathlib.Path(self.ledger + ".part") / "slurm").glob("*.sbatch"))
        said = self.cluster.call("squeue", "--noheader", "--array", f"--jobs={jobs}", "--format=%i %T %N")
        words = [line.split() for line in said.splitlines()]
        return [(each[0], each[2] if len(each) > 2 else "") for each in words if each[1] in states]

    def check_complete(self, test):
        """Every task is done, every row is there with its value, and each file is sound."""
        status = self.status()
        test.assertEqual((status["done"], status["total"]), (self.tasks, self.tasks), status)
        test.assertEqual(self.h5part("status", "--missing", self.store, "run").strip(), "")
        values = [float(text) for text in self.h5part("read", self.store, "run", "energy", "--rows", f"0:{self.rows}").split()]
        test.assertEqual(values, [float(row * row) for row in range(self.rows)])
        self.h5part("verify", self.store)


class Slurm(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = cls.enterClassContext(Cluster(max_array_size=MAX_ARRAY_SIZE))
        # Two that take more than a minute go on beside the others.
        cls.limited = Work(cls.cluster, tasks=30, seconds=4)
        cls.limited_run = cls.limited.start("-j", "1", "--time", "1")
        cls.warned = Work(cls.cluster, tasks=20, seconds=3)
        cls.warned_run = cls.warned.start("-j", "1", "--time", "1", "--sbatch=--signal=B:INT@15")

    def finish(self, run, code=0, seconds=240):
        self.assertEqual(run.wait(seconds), code, run.said())
        return run.said()

    def test_trials_of_a_vspace_in(self):
        folder = pathlib.Path(tempfile.mkdtemp(prefix="it's 100% \"ä\" ", dir=self.cluster.dir))
        names = [f"t {number:02}" for number in range(12)]
        (folder / "vspace.in").write_text("sSrcFolder .\nsDestFolder MP\nsPrimaryFile vpl.in\n")
        for name in names:
            (folder / "MP" / name).mkdir(parents=True)
        command = [H5PART, "multiplanet", "vspace.in", "--mode", "slurm", "-c", "4"]
        # One fails once, on whatever node it is; an element of the array is killed on the way.
        script = "echo {name} >> ran; sleep 1; [ -e failed ] || [ {index} != 3 ] || { : > failed; exit 7; }"
        command += ["--command", f"sh -c {shlex.quote(script)}"]
        run = subprocess.Popen(command, cwd=folder, env=self.cluster.env, stderr=subprocess.PIPE, text=True)
        text = folder / ".MP"
        until("two are done", lambda: text.exists() and text.read_text().count(" 1\n") >= 2)
        job = next((folder / ".MP.ledger.part/slurm").glob("*.sbatch")).stem
        self.cluster.call("scancel", "--full", "--signal=KILL", f"{job}_1")
        said = run.communicate(timeout=240)[1]
        self.assertEqual(run.returncode, 0, said)
        said = self.cluster.call(H5PART, "mpstatus", "--json", str(folder / "vspace.in"), cwd=folder)
        self.assertEqual(json.loads(said), {"completed": 12, "in_progress": 0, "remaining": 0})
        ran = [len((folder / "MP" / name / "ran").read_text().splitlines()) for name in names]
        self.assertTrue(all(1 <= count <= 3 for count in ran) and ran[3] >= 2, ran)

    @unittest.skipUnless(VPLANET, "no vplanet: see H5PART_PLANETS")
    def test_trials_of_vplanet_into_an_archive(self):
        folder = pathlib.Path(tempfile.mkdtemp(prefix="archive", dir=self.cluster.dir))
        for file in (HERE.parent / "fixtures/earth").iterdir():
            shutil.copy(file, folder)
        env = self.cluster.env | {"PATH": f"{os.path.dirname(VPLANET)}:{self.cluster.env['PATH']}"}
        call = lambda *command: subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=240)
        self.assertEqual(call(H5PART, "vspace", "vspace.in").returncode, 0)
        done = call(H5PART, "multiplanet", "vspace.in", "-bp", "--mode", "slurm", "-c", "3")
        self.assertEqual(done.returncode, 0, done.stderr + done.stdout)
        said = json.loads(call(H5PART, "mpstatus", "--json", "vspace.in").stdout)
        self.assertEqual(said, {"completed": 6, "in_progress": 0, "remaining": 0})
        report = json.loads(call(H5PART, "verify", "--json", "MP.bpa").stdout)
        self.assertEqual((report["sound"], report["bundles"]), (True, 6), report)

    def test_cancelled_requeued_and_lost_elements(self):
        work = Work(self.cluster, tasks=80, seconds=1)
        run = work.start("-j", "6")
        until("tasks are done on two nodes", lambda: work.done() >= 6 and len({node for _, node in work.elements("RUNNING")}) > 1)
        running = work.elements("RUNNING")
        lost_node = running[-1][1]
        others = [id for id, node in running if node != lost_node]
        self.cluster.call("scancel", others[0])
        self.cluster.call("scancel", "--full", "--signal=KILL", others[1])
        if len(others) > 2:
            self.cluster.call("scontrol", "requeue", others[2])
        lost = [id for id, node in running if node == lost_node]
        self.cluster.kill_node(lost_node)
        until("SLURM misses the node", lambda: any(state.startswith("down") for state in self.cluster.states()))
        self.cluster.start_node(lost_node)
        said = self.finish(run)
        work.check_complete(self)
        self.assertIn(f"SLURM job {others[0]} ended: CANCELLED", said)
        self.assertTrue(any(f"SLURM job {id} was requeued" in said for id in lost), said)
        # More than one array was needed.
        self.assertEqual(len(set(re.findall(r"SLURM job (\d+): \d+ workers", said))), 2, said)
        print(f"\ncancelled {others[0]}, killed {others[1]}, lost {lost} with {lost_node}:\n{said}")

    def test_all_cancelled_is_the_end_until_it_is_run_again(self):
        work = Work(self.cluster, tasks=12, seconds=2)
        run = work.start("-j", "2")
        until("workers run", lambda: len(work.elements("RUNNING")) == 2)
        until("a task runs", lambda: work.status()["running"] > 0)
        self.cluster.call("scancel", *{id.split("_")[0] for id, _ in work.elements("RUNNING")})
        self.assertIn("all jobs were cancelled", self.finish(run, code=1))
        status = work.status()
        self.assertEqual((status["failed"], status["running"], status["retried"]), (0, 0, 0), "given back, not failed")
        self.finish(work.start("-j", "2"))
        work.check_complete(self)

    def test_left_and_joined_again(self):
        work = Work(self.cluster, tasks=12, seconds=1)
        run = work.start("-j", "2", "--array-size", "12")
        until("workers run", lambda: work.elements("RUNNING"))
        run.send_signal(signal.SIGINT)
        said = self.finish(run, code=1)
        # Three arrays, one after the other: two elements at a time in all.
        jobs = re.findall(r"SLURM job (\d+): 4 workers", said)
        self.assertEqual(len(jobs), 3, said)
        self.assertIn(f"'scancel {' '.join(jobs)}' ends that", said)
        said = self.finish(work.start("--join"))
        self.assertNotIn("SLURM job 0", said)
        work.check_complete(self)
        until("nothing of it stays in the queue", lambda: not work.elements("PENDING", "RUNNING", "COMPLETING"))

    def test_not_waited_for(self):
        work = Work(self.cluster, tasks=7, seconds=0)
        said = self.finish(work.start("-j", "7", "--per-job", "2", "--no-wait", "--json"))
        submitted = json.loads(said)["submitted"]
        self.assertEqual([job["elements"] for job in submitted], [4, 3])
        script = (pathlib.Path(work.ledger + ".part") / "slurm" / f"{submitted[0]['id']}.sbatch").read_text()
        self.assertIn("#SBATCH --cpus-per-task=2\n", script)
        until("all tasks are done", lambda: work.done() == 7)
        work.check_complete(self)

    def test_a_job_that_is_gone_is_proof(self):
        """An owner that is a job, whose processes prove nothing: SLURM's word alone frees its tasks."""
        work = Work(self.cluster, tasks=3, seconds=0)
        script = f"#!/bin/sh\n{shlex.join([H5PART, 'ledger', 'claim', work.ledger])} && sleep 600\n"
        job = self.cluster.call("sbatch", "--parsable", "--output=/dev/null", input=script).strip()
        until("the job holds a task", lambda: work.status()["running"] == 1)
        stale = ["ledger", "requeue", work.ledger, "--stale"]
        work.h5part(*stale)
        self.assertEqual(work.status()["running"], 1, "the job lives")
        self.cluster.call("scancel", job)

        def freed():
            work.h5part(*stale)
            return work.status()["running"] == 0

        until("the task is free", freed)

    @unittest.skipUnless(PYTHON, "no interpreter with the Python package: see H5PART_PYTHON")
    def test_a_script_of_python_is_its_own_array(self):
        work = Work(self.cluster, tasks=60, seconds=0)
        logs = work.dir / "logs of 'it'"
        submit = lambda: json.loads(self.cluster.call(PYTHON, str(HERE / "sweep.py"), work.store, str(logs), cwd=work.dir))
        queue = lambda jobs, state: self.cluster.call(
            "squeue", "--noheader", "--array", f"--jobs={','.join(jobs)}", f"--states={state}", "--format=%i"
        ).split()

        def missing():
            return self.cluster.call(H5PART, "status", "--missing", work.store, "run").strip()

        said = submit()
        jobs = [id for id, _ in said["jobs"]]
        self.assertEqual([elements for _, elements in said["jobs"]], [4, 4], "eight elements need two arrays")
        killed = until("an element runs", lambda: queue(jobs, "RUNNING"))[0]
        self.cluster.call("scancel", "--full", "--signal=KILL", killed)
        until("the queue is empty", lambda: not queue(jobs, "PENDING,RUNNING,COMPLETING"), seconds=240)
        # Whatever the one that was killed has left is computed by the next array.
        for _ in range(3):
            if not missing():
                break
            again = [id for id, _ in submit()["jobs"]]
            until("the queue is empty", lambda: not queue(again, "PENDING,RUNNING,COMPLETING"), seconds=240)
        self.assertEqual(missing(), "", "".join(log.read_text() for log in logs.glob("*.log")))
        values = [float(text) for text in self.cluster.call(H5PART, "read", work.store, "run", "energy", "--rows", ":").split()]
        self.assertEqual(values, [float(row * row) for row in range(work.rows)])
        work.h5part("verify", work.store)
        # Each element had its own share.
        reports = [json.loads(line) for log in logs.glob("*.log") for line in log.read_text().splitlines() if line.startswith("{")]
        self.assertTrue(len(reports) >= 7 and all(report["ok"] and not report["jobs"] for report in reports), reports)
        self.assertLessEqual(sum(report["done"] for report in reports), work.rows)
        self.assertEqual(submit(), {"jobs": [], "done": 0, "ok": True})

    def test_what_slurm_refuses_is_told(self):
        work = Work(self.cluster, tasks=1, seconds=0)
        for option, reason in [("--partition=nowhere", "partition"), ("--sbatch=--nonsense", "nonsense")]:
            said = self.finish(work.start("-j", "1", option), code=12)
            self.assertIn("'sbatch' refused", said)
            self.assertIn(reason, said)
        self.assertEqual(work.status()["waiting"], 1)

    def test_z_time_limit(self):
        """At its time limit a worker gives its task back, and another job goes on."""
        said = self.finish(self.limited_run)
        self.assertIn("TIMEOUT", said)
        self.assertGreater(len(re.findall(r"SLURM job \d+: 1 workers", said)), 1, said)
        self.assertNotIn("failed", said)
        self.limited.check_complete(self)

    def test_z_warned_of_the_time_limit(self):
        """A worker that is warned claims nothing more; what runs comes to its end."""
        said = self.finish(self.warned_run)
        self.assertNotIn("TIMEOUT", said)
        self.assertNotIn("taken from", said)
        self.assertGreater(len(re.findall(r"SLURM job \d+: 1 workers", said)), 1, said)
        self.warned.check_complete(self)


if __name__ == "__main__":
    reason = why_not()
    if reason:
        sys.exit(f"no SLURM here: {reason}")
    unittest.main(verbosity=2)
