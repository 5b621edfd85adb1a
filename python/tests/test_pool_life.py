"""How programs with a pool end: at their end, by Ctrl-C, by a kill. No process is left behind."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
import textwrap
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import PATIENCE_S, is_alive, until

CONTEXTS = ["spawn", "fork", "forkserver"]


class Family:
    """A program and all processes that descend from it, known by a mark in their environment."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.mark = f"H5PART_TEST_MARK={uuid.uuid4().hex}"
        name, value = self.mark.split("=")
        self.env = {**os.environ, name: value, "FOLDER": str(folder)}
        self.env.pop("PYTHONUNBUFFERED", None)

    def script(self, text: str) -> list[str]:
        path = self.folder / "script.py"
        path.write_text(textwrap.dedent(text))
        return [sys.executable, str(path)]

    def start(self, text: str) -> subprocess.Popen[str]:
        pipe = subprocess.PIPE
        return subprocess.Popen(self.script(text), env=self.env, stdout=pipe, stderr=pipe, text=True)

    def run(self, text: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(self.script(text), env=self.env, capture_output=True, text=True, timeout=PATIENCE_S)

    def pids(self) -> list[int]:
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    if self.mark.encode() in (entry / "environ").read_bytes() and is_alive(int(entry.name)):
                        found.append(int(entry.name))
                except OSError:
                    pass
        return found

    def until_gone(self) -> None:
        until(lambda: not self.pids(), "all processes end")


@pytest.fixture
def family(tmp_path: Path) -> Iterator[Family]:
    family = Family(tmp_path)
    yield family
    for pid in family.pids():
        os.kill(pid, signal.SIGKILL)


TASKS = """
    import os, sys, time
    from pathlib import Path
    from h5part import Pool

    folder = Path(os.environ["FOLDER"])

    def wait(x):
        (folder / f"running-{x}-{os.getpid()}").touch()
        time.sleep(600)

    def square(x):
        return x * x
"""


def running(family: Family, count: int) -> None:
    until(lambda: len(list(family.folder.glob("running-*"))) == count, f"{count} tasks run")


@pytest.mark.parametrize("context", CONTEXTS)
def test_workers_die_with_a_killed_parent(family: Family, context: str) -> None:
    program = family.start(
        TASKS
        + f"""
    if __name__ == "__main__":
        pool = Pool(2, context="{context}")
        list(pool.map(wait, range(2)))
    """
    )
    running(family, 2)
    assert len(family.pids()) >= 3
    program.kill()
    program.wait(PATIENCE_S)
    family.until_gone()
    program.communicate()


@pytest.mark.parametrize("context", CONTEXTS)
@pytest.mark.parametrize("block", [True, False])
def test_ctrl_c_in_a_terminal(family: Family, context: str, block: bool) -> None:
    """KeyboardInterrupt comes at once, the `except` branch works, and no worker is left."""
    use = "with Pool(2, context=context, inner=1) as pool:" if block else "if pool := Pool(2, context=context):"
    argv = family.script(
        TASKS
        + f"""
    context = "{context}"
    if __name__ == "__main__":
        try:
            {use}
                try:
                    list(pool.map(wait, range(2)))
                except KeyboardInterrupt:
                    print("interrupted", time.monotonic(), flush=True)
                    raise
        except KeyboardInterrupt:
            print("left", time.monotonic(), flush=True)
            if not {block}:
                raise
    """
    )
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(argv[0], argv, family.env)
    running(family, 2)
    pressed = time.monotonic()
    os.write(terminal, b"\x03")
    text = _read_all(terminal)
    os.waitpid(pid, 0)
    family.until_gone()
    interrupted = re.search(r"interrupted ([\d.]+)", text)
    left = re.search(r"left ([\d.]+)", text)
    assert interrupted and left, text
    # The promise is 0.2 s; this machine may be busy.
    assert float(interrupted[1]) - pressed < 5
    assert float(left[1]) - float(interrupted[1]) < 5
    assert text.count("Traceback") == (0 if block else 1), f"workers print nothing: {text}"


def _read_all(terminal: int) -> str:
    data = b""
    try:
        while part := os.read(terminal, 4096):
            data += part
    except OSError:
        pass  # The last process that had the terminal has ended.
    os.close(terminal)
    return data.decode()


def test_ctrl_c_while_waiting_for_the_end(family: Family) -> None:
    program = family.start(
        TASKS
        + """
    if __name__ == "__main__":
        with Pool(1) as pool:
            pool.submit(wait, 0)
    """
    )
    running(family, 1)
    program.send_signal(signal.SIGINT)
    _, err = program.communicate(timeout=PATIENCE_S)
    assert "KeyboardInterrupt" in err and program.returncode == -signal.SIGINT, (program.returncode, err)
    family.until_gone()


def test_a_program_that_ends_finishes_what_it_submitted(family: Family) -> None:
    done = family.run(
        TASKS
        + """
    def slow(x):
        time.sleep(0.2)
        (folder / f"done-{x}").touch()

    if __name__ == "__main__":
        pool = Pool(2)
        for x in range(4):
            pool.submit(slow, x)
    """
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert len(list(family.folder.glob("done-*"))) == 4
    family.until_gone()


def test_a_program_that_fails_does_not_wait(family: Family) -> None:
    done = family.run(
        TASKS
        + """
    if __name__ == "__main__":
        pool = Pool(2)
        pool.submit(wait, 0)
        while not list(folder.glob("running-*")):
            time.sleep(0.01)
        raise SystemError("stop")
    """
    )
    assert done.returncode == 1 and "SystemError: stop" in done.stderr
    family.until_gone()


def test_a_missing_main_guard_is_explained(family: Family) -> None:
    done = family.run(
        TASKS
        + """
    pool = Pool(2)
    print(list(pool.map(square, range(3))))
    """
    )
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("h5part.errors.WorkerDied: ") and "__name__ == '__main__'" in last
    assert "cannot start workers while the main module is being imported" in done.stderr
    family.until_gone()


def test_a_function_of_an_interactive_session_is_explained(family: Family) -> None:
    text = "def f(x): return x\nfrom h5part import Pool\nwith Pool(1) as pool: print(pool.submit(f, 1).result())\n"
    done = subprocess.run(
        [sys.executable, "-c", text], env=family.env, capture_output=True, text=True, timeout=PATIENCE_S
    )
    assert done.returncode == 1
    assert "TaskError" in done.stderr and "context='fork'" in done.stderr
    family.until_gone()


def test_output_of_tasks_is_not_lost(family: Family) -> None:
    done = family.run(
        TASKS
        + """
    def say(x):
        print(f"task {x}")

    if __name__ == "__main__":
        with Pool(2) as pool:
            list(pool.map(say, range(20)))
    """
    )
    assert sorted(done.stdout.splitlines()) == sorted(f"task {x}" for x in range(20))


def test_workers_that_ignore_signals_end(family: Family) -> None:
    done = family.run(
        TASKS
        + """
    import signal

    def stubborn(x):
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        wait(x)

    if __name__ == "__main__":
        with Pool(1) as pool:
            future = pool.submit(stubborn, 0)
            while not list(folder.glob("running-*")):
                time.sleep(0.01)
            print(future.cancel(), pool.submit(square, 3).result())
    """
    )
    assert done.stdout == "True 9\n", done.stderr
    family.until_gone()
