"""Job arrays of SLURM: which share of the work is mine, and submission."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from h5part.errors import Error

__all__ = ["Array", "SlurmError", "Submitted", "is_worker", "minutes", "parts", "shard"]

# A signal comes this long before the time limit, in seconds; SLURM may be up to a minute early.
GRACE_S = 60
_EARLY_S = 60
# What a script tells its elements: number of all shards, and the first of this array.
_SHARDS, _FIRST = "H5PART_SHARDS", "H5PART_FIRST_SHARD"


class SlurmError(Error, RuntimeError):
    """A program of SLURM is missing, or it refused."""


# ---- within a job


def shard(count: int | None = None, *, environ: Mapping[str, str] | None = None) -> tuple[int, int]:
    """Returns which share of the work this process has.

    An element of a job array has its place among the elements. Under ``srun``
    with several tasks, each task has its place within its element.

    Parameters
    ----------
    count : int, optional
        Number of elements of the whole array. Needed if only some elements of
        an array are submitted again (``--array=3,7``), since SLURM then counts
        those only. Scripts of `Array` know it.
    environ : mapping, optional
        Default: ``os.environ``.

    Returns
    -------
    (int, int)
        Index of the shard, from 0, and the number of shards. ``(0, 1)``
        outside SLURM.

    Raises
    ------
    SlurmError
        The variables contradict each other.
    """
    env = os.environ if environ is None else environ
    index, size = _element(env, count)
    tasks, task = _number(env, "SLURM_STEP_NUM_TASKS"), _number(env, "SLURM_PROCID")
    if tasks is None and "SLURM_STEP_ID" in env:
        tasks = _number(env, "SLURM_NTASKS")
    # In the script itself, outside srun, there is one process, whatever SLURM_NTASKS says.
    if tasks is not None and tasks > 1 and task is not None:
        if not 0 <= task < tasks:
            raise SlurmError(f"cannot tell the shard: SLURM_PROCID is {task}, of {tasks} tasks")
        return index * tasks + task, size * tasks
    return index, size


def _element(env: Mapping[str, str], count: int | None) -> tuple[int, int]:
    number = _number(env, "SLURM_ARRAY_TASK_ID")
    if number is None:
        return 0, 1
    if count is not None:
        index, size = number, count
    elif _SHARDS in env:
        index, size = number + (_number(env, _FIRST) or 0), _number(env, _SHARDS) or 1
    else:
        first, step = _number(env, "SLURM_ARRAY_TASK_MIN"), _number(env, "SLURM_ARRAY_TASK_STEP") or 1
        index, rest = divmod(number - (first or 0), step)
        size = _number(env, "SLURM_ARRAY_TASK_COUNT") or 1
        last = _number(env, "SLURM_ARRAY_TASK_MAX")
        is_regular = last is None or (last - (first or 0)) // step + 1 == size
        if rest or not is_regular:
            raise SlurmError(
                f"cannot tell the shard: the array has gaps ({size} elements from {first} to {last}); "
                "pass the number of elements of the whole array"
            )
    if not 0 <= index < size:
        raise SlurmError(f"cannot tell the shard: element {index} is not one of {size}, which are numbered from 0")
    return index, size


def _number(env: Mapping[str, str], name: str) -> int | None:
    text = env.get(name, "")
    if not text:
        return None
    try:
        return int(text)
    except ValueError:
        raise SlurmError(f"cannot tell the shard: {name} is {text!r}, not a number") from None


def is_worker() -> bool:
    """Returns True in a process of an array that `Array` submitted."""
    return _SHARDS in os.environ


# ---- submission


@dataclass(frozen=True)
class Submitted:
    """A job array that was submitted: the number of the job, and its elements."""

    id: str
    elements: int


def this_script() -> list[str]:
    """Returns the command that runs this script again, with the same arguments.

    Raises
    ------
    SlurmError
        There is no script: this is an interactive session.
    """
    path = getattr(sys.modules.get("__main__"), "__file__", None)
    if path is None:
        raise SlurmError("cannot submit this program: an interactive session has no script")
    return [sys.executable, os.path.abspath(path), *sys.argv[1:]]


@dataclass(frozen=True)
class Array:
    """A job array in which each element runs the same command.

    Attributes
    ----------
    worker : sequence of str
        The command. Default: this script, with the same arguments.
    name : str
        Name of the job.
    throttle : int, optional
        Elements that run at a time, at most.
    partition, time, dependency : str, optional
        As SLURM takes them.
    cpus : int, optional
        Processors per element. Default: SLURM's.
    extra : sequence of str
        More options, as they stand after ``#SBATCH``. They override the others.
    folder : path
        Where elements begin. Default: the current folder.
    logs : path
        Folder of scripts (``JOB.sbatch``) and of the output of elements
        (``JOB_ELEMENT.log``).
    environment : mapping
        Variables to set in each element.
    """

    worker: Sequence[str] = field(default_factory=this_script)
    name: str = "h5part"
    throttle: int | None = None
    partition: str | None = None
    time: str | None = None
    dependency: str | None = None
    cpus: int | None = None
    extra: Sequence[str] = ()
    folder: str | os.PathLike[str] = field(default_factory=os.getcwd)
    logs: str | os.PathLike[str] = "slurm"
    environment: Mapping[str, str] = field(default_factory=dict)

    def script(self, size: int) -> str:
        """Returns the job script of an array of `size` elements.

        When a node is lost or the job is preempted, SLURM requeues the
        element. The worker takes the place of the shell, so that signals
        reach it.

        Raises
        ------
        ValueError
            Some text does not fit into a line of a script.
        """
        throttle = f"%{self.throttle}" if self.throttle is not None and self.throttle < size else ""
        options: list[tuple[str, str | None]] = [
            ("job-name", self.name),
            ("array", f"0-{max(size - 1, 0)}{throttle}"),
            ("ntasks", "1"),
            ("cpus-per-task", None if self.cpus is None else str(self.cpus)),
            ("partition", self.partition),
            ("time", self.time),
            ("dependency", self.dependency),
            # Else an array whose dependency fails would wait for ever.
            ("kill-on-invalid-dep", "yes" if self.dependency is not None else None),
            ("chdir", os.path.abspath(self.folder)),
            ("output", self._output()),
            ("open-mode", "append"),
        ]
        lines = ["#!/bin/sh", *(_option(name, value) for name, value in options if value is not None)]
        lines.append("#SBATCH --requeue")
        limit = minutes(self.time) if self.time is not None else None
        if limit is None or limit * 60 >= 4 * (GRACE_S + _EARLY_S):
            lines.append(f"#SBATCH --signal=B:INT@{GRACE_S}")
        for text in self.extra:
            lines.append("#SBATCH " + _one_line(text).strip().removeprefix("#SBATCH").strip())
        for name, value in self.environment.items():
            if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
                raise ValueError(f"cannot write the job script: {name!r} is not the name of a variable")
            lines.append(f"export {name}={_quoted(value)}")
        lines.append("exec " + " ".join(_quoted(word) for word in self.worker))
        return "\n".join(lines) + "\n"

    def _output(self) -> str:
        logs = os.path.abspath(self.logs)
        if "\\" in logs:
            raise ValueError(f"cannot write the job script: SLURM writes no log into {logs!r}, which has a backslash")
        # In names of logs, % begins a placeholder.
        return logs.replace("%", "%%") + "/%A_%a.log"

    def submit(self, size: int) -> list[Submitted]:
        """Submits an array of `size` elements; several arrays if SLURM takes fewer at once.

        With a throttle, several arrays run one after the other. `shard` gives
        each element its place among all of them. If one array is refused,
        those before it are cancelled.

        Raises
        ------
        SlurmError
            SLURM is not installed, or it refused; with what it said.
        """
        Path(self.logs).mkdir(parents=True, exist_ok=True)
        submitted: list[Submitted] = []
        first = 0
        for elements in parts(size, _max_array_size()):
            shards = {_SHARDS: str(size), _FIRST: str(first)}
            part = replace(self, environment={**self.environment, **shards})
            if submitted and self.throttle is not None:
                part = replace(part, dependency=f"afterany:{submitted[-1].id}")
            try:
                submitted.append(Submitted(part._submit_one(elements), elements))
            except BaseException:
                if submitted:
                    cancel([job.id for job in submitted])
                raise
            first += elements
        return submitted

    def _submit_one(self, size: int) -> str:
        script = self.script(size)
        # Variables would override the script.
        dropped = {"ARRAY_INX", "JOB_NAME", "OUTPUT", "OPEN_MODE", "SIGNAL"}
        dropped |= {"PARTITION"} if self.partition is not None else set()
        dropped |= {"TIMELIMIT"} if self.time is not None else set()
        env = {name: value for name, value in os.environ.items() if name.removeprefix("SBATCH_") not in dropped}
        said = _call(["sbatch", "--parsable"], script, env)
        # A site's own notices may come before it.
        last = next((line.strip() for line in reversed(said.splitlines()) if line.strip()), "")
        number = last.split(";")[0]
        if not re.fullmatch("[0-9]+", number):
            raise SlurmError(f"cannot submit the array: sbatch gave no job number, but {last!r}")
        Path(self.logs, f"{number}.sbatch").write_text(script, errors="surrogateescape")
        return number


def cancel(ids: Sequence[str]) -> None:
    """Cancels jobs. What keeps one from being cancelled is not reported."""
    try:
        _call(["scancel", *ids], "", dict(os.environ))
    except SlurmError:
        pass


def parts(size: int, most: int) -> list[int]:
    """Returns sizes of arrays of at most `most` elements that make `size` together, as equal as can be."""
    count = -(-size // max(most, 1))
    return [size // count + (part < size % count) for part in range(count)]


def minutes(text: str) -> int | None:
    """Returns a time limit in minutes, rounded up, or None if it is not one, such as ``UNLIMITED``."""
    days_text, dash, rest = text.rpartition("-")
    fields = rest.split(":")
    if not all(re.fullmatch("[0-9]{1,18}", part) for part in [*fields, *([days_text] if dash else [])]):
        return None
    numbers = [int(part) for part in fields]
    if len(numbers) == 3:
        hours, mins, secs = numbers
    elif dash and len(numbers) <= 2:
        hours, mins, secs = [*numbers, 0, 0][:3]
    elif not dash and len(numbers) <= 2:
        hours, mins, secs = [0, *numbers, 0][:3]
    else:
        return None
    return (int(days_text or 0) * 24 + hours) * 60 + mins + -(-secs // 60)


def _max_array_size() -> int:
    config = _call(["scontrol", "show", "config"], "", dict(os.environ))
    match = re.search(r"^MaxArraySize\s*=\s*(\d+)\s*$", config, re.MULTILINE)
    if match is None:
        raise SlurmError("cannot submit an array: scontrol does not tell MaxArraySize")
    if int(match[1]) == 0:
        raise SlurmError("cannot submit an array: job arrays are switched off here (MaxArraySize is 0)")
    return int(match[1])


def _call(command: Sequence[str], text: str, env: dict[str, str]) -> str:
    try:
        done = subprocess.run(
            command, input=text, env=env, capture_output=True, encoding="utf-8", errors="surrogateescape"
        )
    except FileNotFoundError:
        raise SlurmError(f"cannot run {command[0]}: SLURM is not installed here") from None
    if done.returncode:
        said = " ".join(done.stderr.split()) or f"it ended with exit code {done.returncode}"
        raise SlurmError(f"cannot run {command[0]}: {said}")
    return done.stdout


def _one_line(text: str) -> str:
    if any(ord(char) < 32 or ord(char) == 127 for char in text):
        raise ValueError(f"cannot write the job script: {text!r} does not fit into a line of #SBATCH")
    return text


def _option(name: str, value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_\-+.,:/@%=?]*", _one_line(value)):
        # sbatch knows double quotes, and the backslash before those and before itself.
        value = '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return f"#SBATCH --{name}={value}"


def _quoted(word: str) -> str:
    if "\0" in word:
        raise ValueError(f"cannot write the job script: {word!r} has a zero byte")
    return shlex.quote(word)
